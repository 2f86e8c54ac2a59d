import { describe, expect, it } from "vitest";
import { Feed } from "../../src/log/feed.ts";
import { LOG_LIMITS } from "../../src/log/limits.ts";
import { Log } from "../../src/log/log.ts";
import { type Batch, openBatch, sealBatch } from "../../src/protocol/batch.ts";
import { readEvidence, showHead } from "../../src/protocol/evidence.ts";
import { ZERO_HASH } from "../../src/protocol/ids.ts";

const NETWORK = "00".repeat(32);
const AUTHOR = "0a".repeat(32);
const SIGNED = () => new Uint8Array(64);

function batch(
  number: number,
  before: Batch | null,
  change: { readonly start?: number; readonly skipped?: number } = {},
): Batch {
  const head = { author: AUTHOR, number, previous: before?.hash ?? ZERO_HASH, ...change };
  return sealBatch(NETWORK, head, [{ kind: "beat", tasks: [] }], SIGNED);
}

const first = batch(0, null);
const second = batch(1, first);
const leap = batch(1002, second, { start: 2, skipped: 1000 });
const after = batch(1003, leap, { start: 2 });

describe("a feed whose author has lost numbers", () => {
  it("goes on behind them, in whatever order its batches come (LOST-4)", () => {
    for (const order of [
      [first, second, leap, after],
      [after, leap, second, first],
      [leap, first, after, second],
    ]) {
      const feed = new Feed(AUTHOR, 64);
      expect(order.map((each) => feed.add(each)).filter((added) => added !== "new" && added !== "too-far")).toEqual([]);
      for (const each of order) feed.add(each);
      expect([feed.next, feed.highest, feed.beyond(9)]).toEqual([1004, 1003, []]);
    }
  });

  it("is one answer for a node that has none of it, however many numbers are left out", () => {
    const limits = { ...LOG_LIMITS, batchAheadMax: 3 };
    const [full, fresh] = [new Log(limits), new Log(limits)];
    for (const each of [first, second, leap, after, batch(1004, after, { start: 2 })]) full.add(each);
    const frames = full.missing({ feeds: new Map() }, 1e6);
    const given = frames.flatMap((frame) => (frame.kind === "batch" ? [openBatch(frame.bytes)] : []));
    for (const opened of given) {
      if (!opened.ok) throw new Error(opened.code);
      expect(fresh.isTooFar(opened.value)).toBe(false);
      expect(fresh.add(opened.value)).toBe("new");
    }
    expect([fresh.feed(AUTHOR)?.next, fresh.gaps]).toEqual([1005, 0]);
  });

  it("takes a lost batch in that turns up later, and is not forked by it", () => {
    const feed = new Feed(AUTHOR);
    for (const each of [first, second, leap]) feed.add(each);
    expect(feed.add(batch(2, second))).toBe("new");
    expect(feed.next).toBe(1003);
  });

  it("goes on behind a second loss whose first one got lost as well", () => {
    const feed = new Feed(AUTHOR);
    const again = batch(5002, second, { start: 3, skipped: 5000 });
    for (const each of [first, second, leap, again]) expect(feed.add(each)).toBe("new");
    expect(feed.next).toBe(5003);
  });

  it.each([
    ["numbers left out in the same start", batch(1002, second, { start: 1, skipped: 1000 }), second],
    ["a start below that of the batch before", batch(1003, leap, { start: 1 }), leap],
    ["numbers left out behind another batch", batch(1002, first, { start: 2, skipped: 1000 }), second],
  ])("is broken by %s, which is evidence (BATCH-17)", (_, wrong, before) => {
    const feed = new Feed(AUTHOR);
    for (const each of before === leap ? [first, second, leap] : [first, second]) feed.add(each);
    expect(feed.add(wrong)).toBe("chain-broken");
    const shown = [before, wrong].map(({ headBytes, signature }) => showHead({ head: headBytes, signature }));
    expect(readEvidence(shown)?.offence).toBe("two-batches");
    const reversed = new Feed(AUTHOR);
    reversed.add(wrong);
    expect(reversed.add(before)).toBe("chain-broken");
  });
});
