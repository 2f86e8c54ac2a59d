/** What is wrong with a block's bytes. Inside of the readers a fault unwinds; what leaves them is a value. */
import { bytesToHex } from "@noble/hashes/utils.js";
import { Malformed, type Tree } from "./rlp.ts";

export interface PayloadFault {
  readonly code: PayloadCode;
  readonly message: string;
}

export type PayloadCode =
  | "payload.too-large"
  | "payload.malformed"
  | "payload.version"
  | "payload.blocks-mismatch"
  | "payload.header-mismatch"
  | "payload.header-unknown"
  | "payload.transaction-mismatch"
  | "payload.transaction-type"
  | "payload.withdrawals-missing"
  | "payload.withdrawals-mismatch"
  | "payload.requests-missing"
  | "payload.requests-mismatch"
  | "payload.access-list-missing"
  | "payload.access-list-mismatch"
  | "payload.parent-missing"
  | "payload.parent-mismatch"
  | "payload.statement";

export type PayloadResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: PayloadFault };

class Refused extends Error {
  readonly fault: PayloadFault;
  constructor(fault: PayloadFault) {
    super(fault.message);
    this.fault = fault;
  }
}

export function fail(code: PayloadCode, message: string): never {
  throw new Refused({ code, message });
}

export function guarded<T>(run: () => T): PayloadResult<T> {
  try {
    return { ok: true, value: run() };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, fault: error.fault };
    if (error instanceof Malformed) return { ok: false, fault: { code: "payload.malformed", message: error.message } };
    throw error;
  }
}

export function bytesAt(tree: Tree, index: number, name: string): Uint8Array {
  const field = tree instanceof Uint8Array ? undefined : tree[index];
  if (!(field instanceof Uint8Array)) fail("payload.malformed", `the ${name} (${index}) is not a string of bytes`);
  return field;
}

export function integer(bytes: Uint8Array): bigint {
  if (bytes.length > 32) fail("payload.malformed", "a number is over 256 bits");
  return bytes.length === 0 ? 0n : BigInt(`0x${bytesToHex(bytes)}`);
}

export function safeHeight(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) fail("payload.malformed", `the height ${value} is too large`);
  return Number(value);
}
