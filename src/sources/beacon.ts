/**
 * Execution requests of a block (EIP-7685), from a consensus node. No call of an execution node gives them.
 *
 * The node is believed in nothing: the requests have to hash to what the block's header says (`protocol/body.ts`). The
 * header names the beacon block before its own, so the block is one of that block's children.
 */
import { publicUrl, redacted, withAuthorization } from "../address.ts";
import type { Result } from "../ports.ts";

export interface BeaconOptions {
  readonly url: string;
  /** For each of at most nine questions. */
  readonly timeoutMs: number;
}

/** A beacon block is at most 10 MiB; JSON is a little over twice that. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** Beacon blocks with one parent: more than one where the chain has branched. */
const CHILDREN_MAX = 8;

/** Fields of a request in the order of its bytes: hex, or a number of eight bytes, little-endian. */
type Field = readonly [name: string, kind: "hex" | "u64"];

const LISTS: readonly { readonly name: string; readonly fields: readonly Field[] }[] = [
  {
    name: "deposits",
    fields: [
      ["pubkey", "hex"],
      ["withdrawal_credentials", "hex"],
      ["amount", "u64"],
      ["signature", "hex"],
      ["index", "u64"],
    ],
  },
  {
    name: "withdrawals",
    fields: [
      ["source_address", "hex"],
      ["validator_pubkey", "hex"],
      ["amount", "u64"],
    ],
  },
  {
    name: "consolidations",
    fields: [
      ["source_address", "hex"],
      ["source_pubkey", "hex"],
      ["target_pubkey", "hex"],
    ],
  },
];

class Wrong extends Error {}

/** The requests of the block with this hash, each as hex with its type in front; none of a type that has none. */
export async function beaconRequests(
  options: BeaconOptions,
  { hash, parentBeaconBlockRoot }: { readonly hash: string; readonly parentBeaconBlockRoot: string },
): Promise<Result<readonly string[]>> {
  const { url } = options;
  try {
    const headers = await ask(options, `/eth/v1/beacon/headers?parent_root=${parentBeaconBlockRoot}`);
    const children = Array.isArray(headers) ? headers.slice(0, CHILDREN_MAX) : [];
    for (const child of children) {
      const body = at(await ask(options, `/eth/v2/beacon/blocks/${text(at(child, "root"))}`), "message", "body");
      if (at(body, "execution_payload", "block_hash") !== hash) continue;
      return { ok: true, value: encoded(at(body, "execution_requests")) };
    }
    throw new Wrong(`it has no block with the execution block ${hash}`);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { ok: false, fault: { code: "source.beacon", message: `${publicUrl(url)}: ${redacted(why, url)}` } };
  }
}

async function ask({ url, timeoutMs }: BeaconOptions, path: string): Promise<unknown> {
  const { url: base, headers } = withAuthorization(url.replace(/\/+$/, ""));
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(`${base}${path}`, { headers: { accept: "application/json", ...headers }, signal });
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > ANSWER_BYTES_MAX) throw new Wrong(`it answers with more than ${ANSWER_BYTES_MAX} bytes`);
    parts.push(part);
  }
  if (!response.ok) throw new Wrong(`it answers with HTTP status ${response.status}`);
  return at(JSON.parse(Buffer.concat(parts).toString("utf8")), "data");
}

function at(value: unknown, ...names: readonly string[]): unknown {
  return names.reduce<unknown>(
    (of, name) => (typeof of === "object" && of !== null ? (of as Readonly<Record<string, unknown>>)[name] : undefined),
    value,
  );
}

function text(value: unknown): string {
  if (typeof value === "string" && /^0x[0-9a-f]{64}$/i.test(value)) return value;
  throw new Wrong("a beacon block has no root");
}

/** EIP-7685: type byte and SSZ of each list that is not empty. */
function encoded(requests: unknown): readonly string[] {
  return LISTS.flatMap(({ name, fields }, type) => {
    const list = at(requests, name);
    if (!Array.isArray(list)) throw new Wrong(`its block has no execution_requests.${name}`);
    if (list.length === 0) return [];
    const each = list.map((request) => fields.map((field) => fieldHex(request, field)).join(""));
    return [`0x${type.toString(16).padStart(2, "0")}${each.join("")}`];
  });
}

function fieldHex(request: unknown, [name, kind]: Field): string {
  const value = at(request, name);
  if (kind === "hex" && typeof value === "string" && /^0x(?:[0-9a-f]{2})+$/i.test(value)) return value.slice(2);
  if (kind === "u64" && typeof value === "string" && /^\d{1,20}$/.test(value)) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
    return bytes.toString("hex");
  }
  throw new Wrong(`its request has no ${name}`);
}
