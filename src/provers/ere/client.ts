/**
 * What ere-server is asked (eth-act/ere v0.16: one zkVM and one program a process, Twirp over HTTP).
 *
 * A zkVM's own failure is HTTP 200 with `err` inside; only what concerns the transport and the decoding has another
 * status, with Twirp's JSON `{code, msg}`.
 */
import { ask, type Answer } from "../http.ts";
import { type Choice, decodeChoice, encodeInput, encodeProof } from "./wire.ts";

export interface EreServer {
  /** Such as `http://127.0.0.1:4175`. */
  readonly url: string;
}

export type EreAnswer =
  /** Public values are 256 bytes padded with zeros on ZisK and OpenVM. */
  | { readonly kind: "ok"; readonly fields: ReadonlyMap<number, Uint8Array> }
  /** The zkVM says no: a guest that panics, a proof that does not verify. */
  | { readonly kind: "refused"; readonly message: string }
  /** The server says no before the zkVM is asked. */
  | { readonly kind: "fault"; readonly status: number; readonly code: string; readonly message: string };

const HEALTH_MS = 3_000;
const SMALL_BYTES_MAX = 64 * 1024;

interface CallOptions {
  readonly bytesMax: number;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** ProveOk: 1 public values, 2 proof, 3 report. */
export function ereProve(
  server: EreServer,
  stdin: Uint8Array,
  proofs: Uint8Array | null,
  options: CallOptions,
): Promise<EreAnswer> {
  return call(server, "Prove", encodeInput(stdin, proofs), options);
}

/** VerifyOk: 1 public values. */
export function ereVerify(server: EreServer, proof: Uint8Array, options: CallOptions): Promise<EreAnswer> {
  return call(server, "Verify", encodeProof(proof), options);
}

/** ProgramVkOk: 1 the program's verifying key. */
export function ereProgramKey(server: EreServer, options: CallOptions): Promise<EreAnswer> {
  return call(server, "ProgramVk", new Uint8Array(), options);
}

/** Whether it is up, and whether a prove of it runs for longer than its own limit. Rejects with `NoAnswer`. */
export async function ereHealth(server: EreServer, signal?: AbortSignal): Promise<"well" | "stuck" | "unknown"> {
  const { status } = await ask({
    method: "GET",
    url: at(server, "/health"),
    bytesMax: SMALL_BYTES_MAX,
    timeoutMs: HEALTH_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  return status === 200 ? "well" : status === 503 ? "stuck" : "unknown";
}

function at({ url }: EreServer, path: string): string {
  return `${url.replace(/\/+$/, "")}${path}`;
}

async function call(server: EreServer, method: string, body: Uint8Array, options: CallOptions): Promise<EreAnswer> {
  const answer = await ask({
    method: "POST",
    url: at(server, `/twirp/api.ZkvmService/${method}`),
    type: "application/protobuf",
    body,
    ...options,
  });
  if (answer.status !== 200) return faultOf(answer);
  let choice: Choice;
  try {
    choice = decodeChoice(answer.body);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: "fault", status: 200, code: "unreadable", message: `the answer to ${method}: ${message}` };
  }
  return choice.ok ? { kind: "ok", fields: choice.fields } : { kind: "refused", message: choice.error };
}

function faultOf({ status, body }: Answer): EreAnswer {
  const text = new TextDecoder().decode(body.subarray(0, SMALL_BYTES_MAX));
  try {
    const { code, msg } = JSON.parse(text) as { readonly code?: unknown; readonly msg?: unknown };
    if (typeof code === "string") return { kind: "fault", status, code, message: typeof msg === "string" ? msg : "" };
  } catch {
    // Something in between answers, such as a proxy, and not in Twirp's form.
  }
  return { kind: "fault", status, code: `http-${status}`, message: text.slice(0, 200) };
}
