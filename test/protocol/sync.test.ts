import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeFrontier,
  decodeSyncFrame,
  encodeFrontier,
  encodeSyncFrame,
  type SyncFrame,
} from "../../src/protocol/sync.ts";
import { bytesToHex } from "@noble/hashes/utils.js";

const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytesToHex(bytes));
const frontier = fc.record({
  feeds: fc.array(fc.tuple(key, fc.maxSafeNat()), { maxLength: 5 }).map((feeds) => new Map(feeds)),
  chains: fc.array(fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()), { maxLength: 5 }).map((chains) => new Map(chains)),
});
const bytes = fc.uint8Array({ maxLength: 64 });
const frame: fc.Arbitrary<SyncFrame> = fc.oneof(
  frontier.map((value): SyncFrame => ({ kind: "frontier", frontier: value })),
  bytes.map((value): SyncFrame => ({ kind: "batch", bytes: value })),
  bytes.map((value): SyncFrame => ({ kind: "certificate", bytes: value })),
  fc.tuple(key, fc.maxSafeNat()).map(([author, next]): SyncFrame => ({ kind: "forgotten", author, next })),
);

describe("what two nodes say when they compare their logs", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(frontier, frame, (said, framed) => {
        expect(decodeFrontier(encodeFrontier(said))).toEqual(said);
        expect(decodeSyncFrame(encodeSyncFrame(framed))).toEqual(framed);
      }),
    );
  });

  it("is null and never an exception where it is cut off, flipped or random", () => {
    const decode = (said: Uint8Array) => {
      decodeFrontier(said);
      decodeSyncFrame(said);
    };
    fc.assert(
      fc.property(frame, (framed) => {
        const said = encodeSyncFrame(framed);
        for (let length = 0; length < said.length; length++) decode(said.subarray(0, length));
        for (let bit = 0; bit < said.length * 8; bit++) {
          const flipped = Uint8Array.from(said);
          flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          decode(flipped);
        }
      }),
      { numRuns: 20 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decode), { numRuns: 2000 });
    expect(decodeSyncFrame(new Uint8Array())).toBe(null);
    expect(decodeSyncFrame(Uint8Array.from([0x22, 0x02, 0x0a, 0x00]))).toBe(null);
  });

  it("is refused with more feeds than a frontier may name", () => {
    const one = [0x0a, 0x22, 0x0a, 0x20, ...new Uint8Array(32)];
    const many = (count: number) => Uint8Array.from({ length: count * one.length }, (_, i) => one[i % one.length] ?? 0);
    expect(decodeFrontier(many(4096))?.feeds.size).toBe(1);
    expect(decodeFrontier(many(4097))).toBe(null);
  });
});
