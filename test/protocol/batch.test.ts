import { create, toBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openBatch, openVote, sealBatch, verifyBatch, voteOf } from "../../src/protocol/batch.ts";
import { ZERO_HASH } from "../../src/protocol/ids.ts";
import { BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX } from "../../src/protocol/limits.ts";
import type { Entry, Vote } from "../../src/protocol/messages.ts";
import { BatchSchema } from "../../src/protocol/wire_pb.js";
import { nativeEquation } from "../../src/storage/keystore.ts";
import { anyEntry } from "./entries.ts";
import { hashOf, signerNamed } from "./fixtures.ts";

const network = hashOf("network");
const author = signerNamed("author");
const feed = { author: author.key, number: 0, previous: ZERO_HASH };

function retracts(count: number): Entry[] {
  return Array.from({ length: count }, (_, round) => ({ kind: "retract", block: hashOf("block"), round }));
}

function sealed(entries: readonly Entry[], number = 0) {
  return sealBatch(network, { ...feed, number }, entries, author.sign);
}

function opened(bytes: Uint8Array) {
  const result = openBatch(bytes);
  if (!result.ok) throw new Error(result.code);
  return result.value;
}

function codeOf(bytes: Uint8Array): string {
  const result = openBatch(bytes);
  return result.ok ? "ok" : result.code;
}

describe("a batch", () => {
  it("is read as it was sealed, and its signature holds", () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { minLength: 1, maxLength: 5 }), fc.maxSafeNat(), (entries, number) => {
        const batch = sealed(entries, number);
        expect(opened(batch.bytes)).toEqual(batch);
        expect(verifyBatch(network, opened(batch.bytes), nativeEquation)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it("is valid on no other network", () => {
    expect(verifyBatch(hashOf("other"), sealed(retracts(1)), nativeEquation)).toBe(false);
  });

  it("says who signed any one of its entries, for every number of entries and every place", () => {
    for (let count = 1; count <= 17; count++) {
      const batch = sealed(retracts(count));
      for (let index = 0; index < count; index++) {
        const shown = openVote(network, voteOf(batch, index), nativeEquation);
        expect(shown).toEqual({
          author: author.key,
          number: batch.head.number,
          index,
          entry: batch.entries[index],
          hash: batch.hash,
        });
      }
    }
  });

  it("shows no entry in a place where it does not stand", () => {
    for (let count = 1; count <= 9; count++) {
      const batch = sealed(retracts(count));
      for (let index = 0; index < count; index++) {
        const vote = voteOf(batch, index);
        const other = voteOf(batch, (index + 1) % count);
        const wrong: Vote[] = [
          { ...vote, index: count },
          { ...vote, path: [...vote.path, new Uint8Array(32)] },
          { ...vote, signature: new Uint8Array(64) },
          { ...vote, head: vote.head.subarray(0, vote.head.length - 1) },
        ];
        if (count > 1)
          wrong.push(
            { ...vote, path: vote.path.slice(1) },
            { ...vote, entry: other.entry },
            { ...vote, index: other.index },
          );
        for (const each of wrong) expect(openVote(network, each, nativeEquation)).toBe(null);
        expect(openVote(hashOf("other"), vote, nativeEquation)).toBe(null);
      }
    }
  });

  it("is refused after any flipped bit, for its shape, its root or its signature", () => {
    const batch = sealed(retracts(3));
    const codes = new Set<string>();
    for (let bit = 0; bit < batch.bytes.length * 8; bit++) {
      const bytes = Uint8Array.from(batch.bytes);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const result = openBatch(bytes);
      if (!result.ok) codes.add(result.code);
      else expect(verifyBatch(network, result.value, nativeEquation), `bit ${bit}`).toBe(false);
    }
    expect([...codes].sort()).toEqual(["message.malformed", "message.root-mismatch", "signature.malformed"]);
  });

  it("is refused cut off at any byte, with bytes behind it, and where it is no batch at all", () => {
    const { bytes } = sealed(retracts(2));
    for (let length = 0; length < bytes.length; length++) expect(openBatch(bytes.subarray(0, length)).ok).toBe(false);
    expect(openBatch(new Uint8Array([...bytes, 0])).ok).toBe(false);
    expect(openBatch(new Uint8Array([...bytes, ...bytes])).ok).toBe(false);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (random) => {
        expect(openBatch(random).ok).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a batch is refused with the code", () => {
  const good = sealed(retracts(2));
  const built = (fields: { head?: Uint8Array; signature?: Uint8Array; entries?: Uint8Array[] }) =>
    toBinary(
      BatchSchema,
      create(BatchSchema, {
        head: good.headBytes,
        signature: good.signature,
        entries: [...good.entryBytes],
        ...fields,
      }),
    );

  it("message.too-large for more bytes or entries than the limits allow (BATCH-1)", () => {
    expect(codeOf(new Uint8Array(MESSAGE_BYTES_MAX + 1))).toBe("message.too-large");
    expect(codeOf(sealed(retracts(BATCH_ENTRIES_MAX)).bytes)).toBe("ok");
    expect(codeOf(sealed(retracts(BATCH_ENTRIES_MAX + 1)).bytes)).toBe("message.too-large");
  });

  it("message.empty where it says nothing (BATCH-4)", () =>
    expect(codeOf(built({ entries: [] }))).toBe("message.empty"));

  it("signature.malformed where the signature has another length (BATCH-3)", () => {
    expect(codeOf(built({ signature: good.signature.subarray(1) }))).toBe("signature.malformed");
  });

  it("message.malformed where the head counts other entries or is no head (BATCH-2)", () => {
    expect(codeOf(built({ entries: [...good.entryBytes, ...good.entryBytes] }))).toBe("message.malformed");
    expect(codeOf(built({ head: new Uint8Array(8) }))).toBe("message.malformed");
  });

  it("message.root-mismatch where an entry is another, or two change places (BATCH-5)", () => {
    expect(codeOf(built({ entries: [...good.entryBytes].reverse() }))).toBe("message.root-mismatch");
  });
});
