import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { requestsHash } from "../../src/protocol/body.ts";
import { payloadOf, readPayload } from "../../src/protocol/ethereum.ts";
import { readEither, readRange } from "../../src/protocol/range.ts";
import { encode, listOf } from "../../src/protocol/rlp.ts";
import { rpcBlock } from "../provers/fixtures.ts";

const FILE = join(import.meta.dirname, "../../config/qualification-full.json");
const FULL = JSON.parse(readFileSync(FILE, "utf8")) as Record<string, unknown>;
const GOERLI = rpcBlock("goerli-10536893");
const HASH = String(FULL["hash"]).slice(2);
const PLAIN = { body: false, parent: false };
const BODY = { body: true, parent: false };
const BOTH = { body: true, parent: true };

const code = (result: { readonly ok: boolean; readonly fault?: { readonly code: string } }): string =>
  result.fault?.code ?? "";
const payload = (source: unknown, form: typeof PLAIN): Uint8Array => {
  const encoded = payloadOf(source, form);
  if (!encoded.ok) throw new Error(encoded.fault.message);
  return encoded.value.payload;
};

describe("a payload that carries more than header and transactions", () => {
  it("reads back as the chain has it", () => {
    const read = readPayload(payload(FULL, BOTH), HASH, BOTH);
    if (!read.ok) throw new Error(read.fault.message);
    const { body, parentHeader } = read.value.bytes;
    expect(body).toEqual({ withdrawals: [], requests: [], accessList: null });
    expect(parentHeader?.length).toBeGreaterThan(500);
    const goerli = readPayload(payload(GOERLI, BODY), String(GOERLI["hash"]).slice(2), BODY);
    expect(goerli.ok && goerli.value.bytes.body?.withdrawals).toHaveLength(16);
    expect(goerli.ok && goerli.value.bytes.body?.requests).toBe(null);
  });

  it("payload.version: a block has the one payload that its workflow asks for", () => {
    const forms = [PLAIN, BODY, { body: false, parent: true }, BOTH];
    for (const made of forms) {
      for (const asked of forms)
        expect(code(readPayload(payload(FULL, made), HASH, asked))).toBe(made === asked ? "" : "payload.version");
      expect(readPayload(payload(FULL, made), HASH).ok).toBe(true);
    }
    const [header, list] = [headerOf(payload(FULL, PLAIN)), encode([])];
    const nothing = Uint8Array.of(0x80);
    const empty = listOf([Uint8Array.of(2), header, list, nothing, nothing]);
    expect(code(readPayload(empty, HASH, PLAIN))).toBe("payload.version");
    const next = listOf([Uint8Array.of(3), header, list, nothing, nothing]);
    expect(code(readPayload(next, HASH))).toBe("payload.version");
  });

  it("is refused with any byte changed, and with bytes behind it", () => {
    const bytes = payload(FULL, BOTH);
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(readPayload(changed, HASH, BOTH).ok).toBe(false);
    }
    expect(readPayload(new Uint8Array([...bytes, 0x80]), HASH, BOTH).ok).toBe(false);
  });

  it("is refused where a source lacks what it needs, by name", () => {
    const { withdrawals: _, ...withoutWithdrawals } = GOERLI;
    expect(code(payloadOf(withoutWithdrawals, BODY))).toBe("payload.withdrawals-missing");
    expect(code(payloadOf({ ...GOERLI, withdrawals: [] }, BODY))).toBe("payload.withdrawals-mismatch");
    const { parent: __, ...withoutParent } = FULL;
    expect(code(payloadOf(withoutParent, BOTH))).toBe("payload.parent-missing");
    expect(code(payloadOf({ ...FULL, parent: FULL }, BOTH))).toBe("payload.parent-mismatch");
    expect(payloadOf(withoutParent, BODY).ok).toBe(true);
    expect(code(payloadOf({ ...FULL, requests: ["0x00ff"] }, BODY))).toBe("payload.requests-mismatch");
  });

  it("payload.requests-missing: a block with requests names them, since no standard call gives them", () => {
    const requests = ["0x00aa", "0x02bb"];
    const hashes = requests.map((each) => sha256(Buffer.from(each.slice(2), "hex")));
    const hash = bytesToHex(sha256(Buffer.concat(hashes)));
    expect(requestsHash(requests.map((each) => new Uint8Array(Buffer.from(each.slice(2), "hex"))))).toBe(hash);
    const source = withHash({ ...FULL, requestsHash: `0x${hash}` });
    expect(code(payloadOf(source, BODY))).toBe("payload.requests-missing");
    expect(payloadOf(source, PLAIN).ok).toBe(true);
    expect(payloadOf({ ...source, requests }, BODY).ok).toBe(true);
    expect(code(payloadOf({ ...source, requests: requests.toReversed() }, BODY))).toBe("payload.requests-mismatch");
  });

  it("payload.access-list-missing: a block of Amsterdam names its block access list", () => {
    const fields = { ...FULL, blockAccessListHash: `0x${"ab".repeat(32)}`, slotNumber: "0x7" };
    expect(code(payloadOf(withHash(fields), BODY))).toBe("payload.access-list-missing");
    expect(code(payloadOf(withHash({ ...fields, blockAccessList: "0xc0" }), BODY))).toBe(
      "payload.access-list-mismatch",
    );
  });

  it("stands in a range as the other does", () => {
    for (const form of [PLAIN, BOTH]) {
      const bytes = listOf([payload(FULL, form)]);
      expect(readEither(bytes, HASH)).toMatchObject({ ok: true, value: { blocks: 1 } });
      expect(code(readRange(bytes, HASH, 2, form))).toBe("payload.blocks-mismatch");
    }
  });
});

/** The header in a payload of version 1. */
function headerOf(bytes: Uint8Array): Uint8Array {
  const list = encode([]);
  return bytes.subarray(3, bytes.length - list.length);
}

/** The block under the hash that its fields have. */
function withHash(fields: Record<string, unknown>): Record<string, unknown> {
  const found = payloadOf({ ...fields, hash: `0x${"00".repeat(32)}` });
  const hash = found.ok ? "" : /hash to ([0-9a-f]{64})/.exec(found.fault.message)?.[1];
  return { ...fields, hash: `0x${hash}` };
}
