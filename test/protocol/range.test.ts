import { describe, expect, it } from "vitest";
import type { EncodedBlock } from "../../src/protocol/ethereum.ts";
import { rangeEndingAt, rangeOf, readEither, readRange } from "../../src/protocol/range.ts";
import { listOf } from "../../src/protocol/rlp.ts";
import { chainOf } from "./blocks.ts";

function ranged(blocks: readonly EncodedBlock[]): EncodedBlock {
  const range = rangeOf(blocks);
  if (!range.ok) throw new Error(range.fault.message);
  return range.value;
}

const codeOf = (payload: Uint8Array, hash: string): string => {
  const read = readEither(payload, hash);
  return read.ok ? "ok" : read.fault.code;
};

describe("a range of blocks", () => {
  const blocks = chainOf(20, 5);
  const range = ranged(blocks);

  it("has the hash of its last block, the parent of its first, and all their transactions in order", () => {
    expect(range).toMatchObject({ height: 4, hash: blocks[4]?.hash, parent: blocks[0]?.parent, items: 8 });
    const read = readRange(range.payload, range.hash, 5);
    if (!read.ok) throw new Error(read.fault.message);
    expect(read.value).toMatchObject({ height: 24, parent: blocks[0]?.parent, blocks: 5 });
    const each = blocks.flatMap(({ payload, hash }) => {
      const block = readRange(payload, hash, 1);
      return block.ok ? block.value.items : [];
    });
    expect(read.value.items).toEqual(each);
    expect(each).toHaveLength(8);
  });

  it("is no payload of a block alone, whose list would be a second id of the same block", () => {
    const refused = (payload: Uint8Array, hash: string, size: number) => {
      const read = readRange(payload, hash, size);
      return read.ok ? "ok" : read.fault.code;
    };
    const [block] = blocks;
    if (block === undefined) throw new Error("no block");
    expect(refused(block.payload, block.hash, 1)).toBe("ok");
    expect(refused(listOf([block.payload]), block.hash, 1)).toBe("payload.header-mismatch");
    expect(refused(range.payload, range.hash, 4)).toBe("payload.blocks-mismatch");
    expect(refused(block.payload, block.hash, 5)).toBe("payload.blocks-mismatch");
  });

  it("begins and ends where ranges do, and has every block in between", () => {
    expect([rangeEndingAt(4, 5), rangeEndingAt(5, 5), rangeEndingAt(99, 100)]).toEqual([0, null, 0]);
    expect(rangeOf(chainOf(21, 5)).ok).toBe(false);
    expect(rangeOf([...blocks.slice(0, 2), ...blocks.slice(3)]).ok).toBe(false);
    expect(rangeOf([...blocks.slice(0, 4), ...chainOf(24, 1)]).ok).toBe(false);
    expect(rangeOf([]).ok).toBe(false);
  });

  it("is refused with a block that is missing, moved, another's or changed", () => {
    const payloads = blocks.map(({ payload }) => payload);
    expect(codeOf(listOf(payloads.slice(1)), range.hash)).toBe("ok");
    expect(codeOf(listOf(payloads.toSpliced(2, 1)), range.hash)).toBe("payload.header-mismatch");
    expect(codeOf(listOf(payloads.toReversed()), range.hash)).toBe("payload.header-mismatch");
    expect(codeOf(listOf(payloads), blocks[3]?.hash ?? "")).toBe("payload.header-mismatch");
    expect(codeOf(listOf([...payloads, new Uint8Array([0xc0])]), range.hash)).toBe("payload.malformed");
    expect(codeOf(new Uint8Array([0xc0]), range.hash)).toBe("payload.malformed");
    for (let at = 0; at < range.payload.length; at += 7) {
      const changed = range.payload.map((byte, i) => (i === at ? byte ^ 1 : byte));
      expect(codeOf(changed, range.hash)).toMatch(/^payload\./);
    }
    for (let length = 0; length < range.payload.length; length += 97)
      expect(codeOf(range.payload.subarray(0, length), range.hash)).toMatch(/^payload\./);
  });

  it("has no more blocks than a manifest may ask for", () => {
    const many = listOf(Array.from({ length: 1025 }, () => listOf([new Uint8Array([0xc0])])));
    expect(codeOf(many, range.hash)).toBe("payload.malformed");
  });
});
