import { RLP } from "@ethereumjs/rlp";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type EncodedBlock,
  PAYLOAD_BYTES_MAX,
  payloadOf,
  readPayload,
  SHARD_ITEMS_MAX,
  shardCount,
  shardRange,
} from "../../src/protocol/ethereum.ts";
import { listOf, orderedRoot } from "../../src/protocol/rlp.ts";
import { block, rpcBlock } from "../provers/fixtures.ts";

const NAMES = ["mainnet-2000004", "mainnet-15571241", "goerli-10536893", "unichain-sepolia-35535698", "anvil-1"];

type Rpc = Record<string, unknown> & { readonly hash: string; readonly parentHash: string; readonly number: string };
type RpcTransaction = Readonly<Record<string, string | null>>;

const rpc = (name: string): Rpc => rpcBlock(name) as Rpc;
const transactions = (of: Rpc): RpcTransaction[] => of["transactions"] as RpcTransaction[];
const code = (result: ReturnType<typeof payloadOf> | ReturnType<typeof readPayload>): string =>
  result.ok ? "" : result.fault.code;

const SMALL: EncodedBlock = block("mainnet-2000004");

/** A block that names what it is given, whatever that is. */
function forged(
  raw: readonly Uint8Array[],
  list: Uint8Array = RLP.encode([...raw]),
): { payload: Uint8Array; hash: string } {
  const fields = [0, 1, 2, 3].map(() => new Uint8Array(32));
  const header = RLP.encode([...fields, orderedRoot(raw), ...[5, 6, 7].map(() => new Uint8Array(1)), 9]);
  return { payload: listOf([header, list]), hash: bytesToHex(keccak_256(header)) };
}

describe("the payload of a block", () => {
  it.each(NAMES)("of %s hashes to the block and reads back as the chain has it", (name) => {
    const source = rpc(name);
    const encoded = payloadOf(source);
    if (!encoded.ok) throw new Error(encoded.fault.message);
    expect(encoded.value).toMatchObject({
      height: Number(source.number),
      hash: source.hash.slice(2),
      parent: source.parentHash.slice(2),
      items: transactions(source).length,
    });
    const read = readPayload(encoded.value.payload, encoded.value.hash);
    if (!read.ok) throw new Error(read.fault.message);
    expect(read.value.height).toBe(Number(source.number));
    expect(read.value.parent).toBe(source.parentHash.slice(2));
    const expected = transactions(source).map((one) => ({
      sender: one["from"]?.slice(2),
      recipient: one["to"]?.slice(2) ?? null,
      value: BigInt(one["value"] ?? 0),
      // The price of a deposit is 0.
      feeLimit: BigInt(one["gas"] ?? 0) * BigInt(one["maxFeePerGas"] ?? one["gasPrice"] ?? 0),
    }));
    expect(read.value.items).toEqual(expected);
  });

  /** The block under a header with more fields, hashed in the order of their fork. */
  const withFields = (fields: Readonly<Record<string, string>>, hashed: readonly string[]): Rpc => {
    const source = { ...rpc("anvil-1"), ...fields };
    const encoded = payloadOf(rpc("anvil-1"));
    if (!encoded.ok) throw new Error(encoded.fault.message);
    const [header] = RLP.decode(encoded.value.payload) as unknown as [Uint8Array[]];
    const more = hashed.map((name) => hexToBytes((fields[name] ?? "").slice(2)));
    return { ...source, hash: `0x${bytesToHex(keccak_256(RLP.encode([...header, ...more])))}` };
  };
  const AMSTERDAM = { blockAccessListHash: `0x${"ba".repeat(32)}`, slotNumber: "0x1234" };

  it("has the fields of the Amsterdam fork, under both names of the first", () => {
    const names = Object.keys(AMSTERDAM);
    const { blockAccessListHash: balHash, slotNumber } = AMSTERDAM;
    for (const source of [
      withFields(AMSTERDAM, names),
      withFields({ balHash, slotNumber }, ["balHash", "slotNumber"]),
      withFields({ balHash }, ["balHash"]),
    ]) {
      const encoded = payloadOf(source);
      if (!encoded.ok) throw new Error(encoded.fault.message);
      expect(readPayload(encoded.value.payload, source.hash.slice(2))).toMatchObject({ ok: true });
    }
  });

  it("payload.header-unknown: names the fields that this version does not know", () => {
    const next = { ...AMSTERDAM, futureRoot: `0x${"0f".repeat(32)}` };
    const result = payloadOf(withFields(next, Object.keys(next)));
    expect(code(result)).toBe("payload.header-unknown");
    expect(result.ok ? "" : result.fault.message).toMatch(
      /^the block has futureRoot, which this version does not know/,
    );
    // A field after one that is missing belongs to no fork that is known.
    const { slotNumber } = AMSTERDAM;
    const gap = payloadOf(withFields({ slotNumber }, ["slotNumber"]));
    expect(gap.ok ? "" : gap.fault.message).toMatch(/^the block has slotNumber, which this version does not know/);
  });

  it("payload.header-mismatch: names what was hashed and what was said", () => {
    const source = rpc("goerli-10536893");
    for (const field of ["blobGasUsed", "baseFeePerGas", "gasUsed", "number", "timestamp"]) {
      const result = payloadOf({ ...source, [field]: "0x123456" });
      expect(code(result), field).toBe("payload.header-mismatch");
      expect(result.ok ? "" : result.fault.message).toContain(source.hash.slice(2));
    }
  });

  it("payload.transaction-mismatch: every transaction has to have its hash and its place", () => {
    const source = rpc("goerli-10536893");
    const list = transactions(source);
    list.slice(0, 6).forEach((one, i) => {
      const changed = list.with(i, { ...one, value: "0x7" });
      const result = payloadOf({ ...source, transactions: changed });
      expect(code(result)).toBe("payload.transaction-mismatch");
      expect(result.ok ? "" : result.fault.message).toContain(`transaction ${i} `);
    });
    expect(code(payloadOf({ ...source, transactions: list.toReversed() }))).toBe("payload.transaction-mismatch");
    expect(code(payloadOf({ ...source, transactions: list.slice(1) }))).toBe("payload.transaction-mismatch");
  });

  it("payload.transaction-type: names a type that it does not know", () => {
    const source = rpc("goerli-10536893");
    const [first, ...rest] = transactions(source);
    const result = payloadOf({ ...source, transactions: [{ ...first, type: "0x6a" }, ...rest] });
    expect(code(result)).toBe("payload.transaction-type");
    expect(result.ok ? "" : result.fault.message).toContain("0x6a");
    const { payload, hash } = forged([Uint8Array.of(0x6a, 1, 2)]);
    expect(readPayload(payload, hash)).toMatchObject({ ok: true, value: { items: [{ value: 0n }] } });
  });

  it("payload.malformed: what is no block at all is a fault, not an error", () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.anything()), (junk) => {
        expect(payloadOf(junk).ok).toBe(false);
      }),
    );
    const source = rpc("mainnet-2000004");
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(source)), fc.jsonValue(), (field, junk) => {
        const ignored = ["uncles", "withdrawals", "size", "totalDifficulty"].includes(field) || junk === source[field];
        expect(payloadOf({ ...source, [field]: junk }).ok).toBe(ignored);
      }),
    );
  });

  it("is accepted with no byte changed, cut off or added", () => {
    const { payload, hash } = SMALL;
    fc.assert(
      fc.property(fc.nat(payload.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = payload.map((byte, i) => (i === at ? byte ^ mask : byte));
        expect(readPayload(changed, hash).ok).toBe(false);
      }),
    );
    fc.assert(
      fc.property(fc.nat(payload.length - 1), fc.uint8Array({ minLength: 1, maxLength: 40 }), (length, more) => {
        expect(readPayload(payload.subarray(0, length), hash).ok).toBe(false);
        expect(readPayload(new Uint8Array([...payload, ...more]), hash).ok).toBe(false);
      }),
    );
  });

  it("is no other's: another block's payload does not pass", () => {
    expect(code(readPayload(block("mainnet-15571241").payload, SMALL.hash))).toBe("payload.header-mismatch");
  });

  it("never throws for bytes whose hash the attacker chose too", () => {
    const raw = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc
        .tuple(
          fc.constantFrom(-1, 1, 2, 3, 4),
          fc.array(fc.uint8Array({ maxLength: 34 }), { minLength: 8, maxLength: 15 }),
        )
        .map(([type, fields]) => Uint8Array.from([...(type < 0 ? [] : [type]), ...RLP.encode(fields)])),
    );
    fc.assert(
      fc.property(fc.array(raw, { minLength: 1, maxLength: 3 }), (list) => {
        const { payload, hash } = forged(list);
        // A few random bytes are a transaction in form, and are read as one.
        expect(code(readPayload(payload, hash))).toMatch(/^$|^payload\./);
      }),
      { examples: [[[Uint8Array.from([2, 0xcc, ...Array.from({ length: 10 }, () => 0x80), 1, 1])]]] },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(readPayload(bytes, bytesToHex(keccak_256(bytes))).ok).toBe(false);
      }),
    );
  });

  it("does not hang on deep nesting or long lists", () => {
    const brackets = new Uint8Array(2_000_000).fill(0xc1);
    const bracketed = forged([brackets]);
    expect(readPayload(bracketed.payload, bracketed.hash)).toMatchObject({
      ok: true,
      value: { items: [{ value: 0n }] },
    });
    const many = forged([], RLP.encode(Array.from({ length: 9000 }, () => 1)));
    expect(code(readPayload(many.payload, many.hash))).toBe("payload.too-large");
    expect(code(readPayload(new Uint8Array(PAYLOAD_BYTES_MAX + 1), SMALL.hash))).toBe("payload.too-large");
  });
});

describe("the shards of a block", () => {
  it("take all items once, in order, none more than its circuit holds", () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.integer({ min: 1, max: 64 }), (items, shardsMin) => {
        const shards = shardCount(items, shardsMin);
        expect(shards).toBeGreaterThanOrEqual(shardsMin);
        let next = 0;
        for (let index = 0; index < shards; index++) {
          const { from, to } = shardRange(items, shards, index);
          expect(from).toBe(next);
          expect(to - from).toBeLessThanOrEqual(SHARD_ITEMS_MAX);
          expect(to - from).toBeGreaterThanOrEqual(Math.floor(items / shards));
          next = to;
        }
        expect(next).toBe(items);
      }),
    );
  });
});
