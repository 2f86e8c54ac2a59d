import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeFrontier,
  decodeSyncFrame,
  encodeFrontier,
  encodeSyncFrame,
  type Frontier,
  type SyncFrame,
} from "../../src/protocol/sync.ts";
import { REQUEST } from "../../src/network/limits.ts";
import { FRONTIER_BYTES_MAX, FRONTIER_MAX, FRONTIER_SPANS_MAX, WANTED_MAX } from "../../src/protocol/limits.ts";
import { bytesToHex } from "@noble/hashes/utils.js";

const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => bytesToHex(bytes));
const instance = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((value) => bytesToHex(value));
const from = fc.record({ instance, upMs: fc.maxSafeNat() });
const twin = fc.record({ instance, upMs: fc.maxSafeNat(), agoMs: fc.maxSafeNat() });
const plain = fc.record({
  feeds: fc.array(fc.tuple(key, fc.maxSafeNat()), { maxLength: 5 }).map((feeds) => new Map(feeds)),
  chains: fc.array(fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()), { maxLength: 5 }).map((chains) => new Map(chains)),
});
/** Ascending numbers in pairs; the first is the frontier itself, and no two are neighbours. */
const beyond = fc
  .tuple(key, fc.uniqueArray(fc.integer({ min: 1, max: 1e9 }), { minLength: 1, maxLength: 9 }))
  .map(([author, numbers]) => {
    const [next = 0, ...bounds] = numbers.toSorted((a, b) => a - b).map((number) => 2 * number);
    const spans = bounds.flatMap((first, at) => {
      const to = bounds[at + 1];
      return at % 2 === 1 || to === undefined ? [] : [{ from: first, to }];
    });
    return { feeds: new Map([[author, next]]), chains: new Map<number, number>(), spans, author };
  })
  .map(({ feeds, chains, spans, author }) =>
    spans.length === 0 ? { feeds, chains } : { feeds, chains, beyond: new Map([[author, spans]]) },
  );
const frontier = fc.oneof(
  plain,
  beyond,
  fc.tuple(plain, from).map(([asked, who]) => ({ ...asked, from: who })),
  fc
    .tuple(plain, fc.uniqueArray(key, { minLength: 1, maxLength: WANTED_MAX }))
    .map(([asked, wanted]) => ({ ...asked, wanted })),
  fc
    .tuple(plain, fc.array(fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 }))))
    .filter(([{ feeds }, tips]) => [...feeds].some((_, at) => tips[at] != null))
    .map(([asked, tips]) => {
      const named = [...asked.feeds.keys()].flatMap((author, at) =>
        tips[at] == null ? [] : [[author, bytesToHex(tips[at])] as const],
      );
      return { ...asked, tips: new Map(named) };
    }),
  fc.tuple(plain, fc.array(twin, { minLength: 1, maxLength: 4 })).map(([answered, twins]) => ({ ...answered, twins })),
);
const bytes = fc.uint8Array({ maxLength: 64 });
const frame: fc.Arbitrary<SyncFrame> = fc.oneof(
  frontier.map((value): SyncFrame => ({ kind: "frontier", frontier: value })),
  bytes.map((value): SyncFrame => ({ kind: "batch", bytes: value })),
  bytes.map((value): SyncFrame => ({ kind: "certificate", bytes: value })),
  fc.tuple(key, fc.uniqueArray(fc.maxSafeNat(), { minLength: 2, maxLength: 2 })).map(
    ([author, [a = 0, b = 1]]): SyncFrame => ({
      kind: "forgotten",
      author,
      from: Math.min(a, b),
      to: Math.max(a, b),
    }),
  ),
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
    const many = (count: number): Frontier => ({
      feeds: new Map(Array.from({ length: count }, (_, i) => [i.toString(16).padStart(64, "0"), i + 1])),
      chains: new Map(),
    });
    const most = encodeFrontier(many(FRONTIER_MAX));
    expect(decodeFrontier(most)?.feeds.size).toBe(FRONTIER_MAX);
    const more = encodeFrontier({ feeds: new Map([["ff".repeat(32), 1]]), chains: new Map() });
    expect(decodeFrontier(new Uint8Array([...most, ...more]))).toBe(null);
  });

  it("is refused where it says that nothing is compacted away, or as much as no number can name", () => {
    const author = "ab".repeat(32);
    const said = (first: number, to: number) =>
      decodeSyncFrame(encodeSyncFrame({ kind: "forgotten", author, from: first, to }));
    expect(said(2, 5)).toEqual({ kind: "forgotten", author, from: 2, to: 5 });
    for (const [first, to] of [
      [5, 5],
      [5, 2],
      [0, Number.MAX_SAFE_INTEGER + 1],
    ] as const)
      expect(said(first, to)).toBe(null);
    expect(decodeSyncFrame(encodeSyncFrame({ kind: "forgotten", author: "ab", from: 2, to: 5 }))).toBe(null);
  });

  it("is refused where runs behind a gap are out of order, touch, are cut in half or are too many", () => {
    const author = "ab".repeat(32);
    const said = (next: number, ...bounds: [number, number][]) => {
      const spans = bounds.map(([first, to]) => ({ from: first, to }));
      const asked = { feeds: new Map([[author, next]]), chains: new Map(), beyond: new Map([[author, spans]]) };
      return encodeFrontier(asked);
    };
    expect(decodeFrontier(said(3, [5, 7], [8, 9]))?.beyond?.get(author)).toHaveLength(2);
    for (const bad of [said(3, [3, 7]), said(3, [5, 5]), said(3, [5, 7], [7, 9]), said(3, [8, 9], [5, 7])])
      expect(decodeFrontier(bad)).toBe(null);
    const runs = (count: number) =>
      Array.from({ length: count }, (_, at): [number, number] => [2 * at + 2, 2 * at + 3]);
    expect(decodeFrontier(said(0, ...runs(FRONTIER_SPANS_MAX)))?.beyond?.get(author)).toHaveLength(FRONTIER_SPANS_MAX);
    expect(decodeFrontier(said(0, ...runs(FRONTIER_SPANS_MAX + 1)))).toBe(null);
    const half = said(3, [5, 7]);
    const feedBytes = half[1] ?? 0;
    const cut = Uint8Array.from([...half.subarray(0, half.length - 2), 1, 5]);
    cut[1] = feedBytes - 1;
    expect(decodeFrontier(cut.subarray(0, feedBytes + 1))).toBe(null);
  });

  it("fits a request where a frontier names all that it may, with the largest numbers", () => {
    const number = Number.MAX_SAFE_INTEGER;
    const author = (i: number) => i.toString(16).padStart(64, "0");
    const span = [{ from: number - 1, to: number }];
    const bytesOf = encodeFrontier({
      feeds: new Map(Array.from({ length: FRONTIER_MAX }, (_, i) => [author(i), number])),
      beyond: new Map(Array.from({ length: FRONTIER_SPANS_MAX }, (_, i) => [author(i), span])),
      tips: new Map(Array.from({ length: FRONTIER_MAX }, (_, i) => [author(i), "ff".repeat(16)])),
      chains: new Map(Array.from({ length: FRONTIER_MAX }, (_, i) => [number - i, number])),
      from: { instance: "ff".repeat(16), upMs: number },
      wanted: Array.from({ length: WANTED_MAX }, (_, i) => i.toString(16).padStart(64, "0")),
    }).length;
    expect(bytesOf).toBeLessThanOrEqual(FRONTIER_BYTES_MAX);
    expect(bytesOf).toBeLessThanOrEqual(REQUEST.bodyBytesMax);
  });

  it("has one encoding: a feed named twice, a default written out, an age of nobody and a frame of another kind's size are refused", () => {
    // The asker's age without its name.
    expect(decodeFrontier(Uint8Array.from([0x20, 0xff, 0xff, 0xff, 0x0f]))).toBe(null);
    const one = [0x0a, 0x22, 0x0a, 0x20, ...new Uint8Array(32)];
    expect(decodeFrontier(Uint8Array.from(one))?.feeds.size).toBe(1);
    expect(decodeFrontier(Uint8Array.from([...one, ...one]))).toBe(null);
    const want = [0x32, 0x20, ...new Uint8Array(32)];
    expect(decodeFrontier(Uint8Array.from(want))?.wanted).toHaveLength(1);
    expect(decodeFrontier(Uint8Array.from([...want, ...want]))).toBe(null);
    expect(decodeFrontier(Uint8Array.from([0x32, 0x01, 0x07]))).toBe(null);
    expect(decodeFrontier(Uint8Array.from([0x12, 0x00, 0x12, 0x00]))).toBe(null);
    expect(decodeFrontier(Uint8Array.from([0x12, 0x02, 0x08, 0x00]))).toBe(null);
    expect(decodeSyncFrame(Uint8Array.from([0x0a, 0x00]))).toEqual({
      kind: "frontier",
      frontier: { feeds: new Map(), chains: new Map() },
    });
    for (const bad of [
      [0x0a, 0x80, 0x00],
      [0x12, 0x01, 0x07, 0x0a, 0x00],
      [0x0a, 0x00, 0x2a, 0x00],
    ])
      expect(decodeSyncFrame(Uint8Array.from(bad))).toBe(null);
    for (const tag of [0x0a, 0x12, 0x1a, 0x22, 0x2a]) {
      const large = new Uint8Array(2_000_000).fill(0x0a);
      large[0] = tag;
      expect(decodeSyncFrame(large)).toBe(null);
    }
  });
});
