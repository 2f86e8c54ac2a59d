import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Feed } from "../../src/log/feed.ts";
import { LOG_LIMITS } from "../../src/log/limits.ts";
import { Log } from "../../src/log/log.ts";
import { type Batch, openBatch, sealBatch } from "../../src/protocol/batch.ts";
import { type Hash, type Key, ZERO_HASH } from "../../src/protocol/ids.ts";
import { FRONTIER_SPANS_MAX } from "../../src/protocol/limits.ts";
import type { SyncFrame } from "../../src/protocol/sync.ts";
import { hashOf } from "../protocol/fixtures.ts";

const network = hashOf("network");
const [alice, bob] = [hashOf("alice"), hashOf("bob")];

function batch(author: Key, number: number, previous: Hash, round = 0): Batch {
  const entry = { kind: "retract", block: hashOf("block"), round } as const;
  return sealBatch(network, { author, number, previous }, [entry], () => new Uint8Array(64));
}

/** The first batches of a feed. */
function chain(author: Key, count: number): Batch[] {
  const batches: Batch[] = [];
  for (let number = 0; number < count; number++) {
    batches.push(batch(author, number, batches.at(-1)?.hash ?? ZERO_HASH));
  }
  return batches;
}

function at(batches: readonly Batch[], number: number): Batch {
  const found = batches[number];
  if (found === undefined) throw new RangeError(`no batch ${number}`);
  return found;
}

function logOf(...batches: readonly Batch[]): Log {
  const log = new Log();
  for (const each of batches) log.add(each);
  return log;
}

/** What the frames would add, in words. */
function summary(frames: readonly SyncFrame[]): string[] {
  return frames.map((frame) => {
    if (frame.kind === "forgotten") return `forgotten ${frame.from}..${frame.to - 1}`;
    if (frame.kind !== "batch") return frame.kind;
    const opened = openBatch(frame.bytes);
    return opened.ok ? `batch ${opened.value.head.number}` : opened.code;
  });
}

describe("a feed", () => {
  it("counts on over what has come, and stops at a gap", () => {
    const batches = chain(alice, 4);
    const feed = new Feed(alice);
    expect([feed.next, feed.highest, feed.last]).toEqual([0, -1, undefined]);
    expect(feed.add(at(batches, 0))).toBe("new");
    expect(feed.add(at(batches, 3))).toBe("new");
    expect([feed.next, feed.highest, feed.last]).toEqual([1, 3, batches[0]]);
    expect(feed.add(at(batches, 2))).toBe("new");
    expect(feed.add(at(batches, 1))).toBe("new");
    expect([feed.next, feed.highest, feed.last]).toEqual([4, 3, batches[3]]);
    expect(feed.add(at(batches, 2))).toBe("known");
  });

  it("refuses what is too far ahead to be worth a gap (BATCH-11)", () => {
    const feed = new Feed(alice);
    expect(feed.add(batch(alice, 4097, ZERO_HASH))).toBe("too-far");
    expect(feed.add(batch(alice, Number.MAX_SAFE_INTEGER, ZERO_HASH))).toBe("too-far");
    expect(feed.add(batch(alice, 4096, ZERO_HASH))).toBe("new");
  });

  it("remembers the highest number that its author has signed, also of what it has refused", () => {
    const feed = new Feed(alice, 10);
    expect([feed.seen, feed.isGapped]).toEqual([-1, false]);
    feed.add(batch(alice, 0, ZERO_HASH));
    expect([feed.seen, feed.isGapped]).toEqual([0, false]);
    feed.add(batch(alice, 40, ZERO_HASH));
    feed.add(batch(alice, 30, ZERO_HASH));
    expect([feed.seen, feed.highest, feed.isGapped]).toEqual([40, 0, true]);
    expect(feed.beyond(9)).toEqual([]);
    feed.cut(20);
    expect([feed.seen, feed.isGapped]).toEqual([19, true]);
  });

  it("refuses what does not name the one before, from either side (BATCH-13)", () => {
    const batches = chain(alice, 3);
    const forward = new Feed(alice);
    forward.add(at(batches, 0));
    expect(forward.add(batch(alice, 1, hashOf("another")))).toBe("chain-broken");
    const backward = new Feed(alice);
    backward.add(at(batches, 2));
    expect(backward.add(batch(alice, 1, at(batches, 0).hash, 9))).toBe("chain-broken");
    expect(backward.add(at(batches, 1))).toBe("new");
  });

  it("says which batch no one feed can hold together with another, and takes nothing from where its author is out (BATCH-7)", () => {
    const feed = new Feed(alice);
    const [one, other] = [batch(alice, 0, ZERO_HASH, 1), batch(alice, 0, ZERO_HASH, 2)];
    feed.add(one);
    const next = batch(alice, 1, one.hash);
    feed.add(next);
    expect(feed.add(other)).toBe("equivocation");
    expect(feed.forkOf(other)).toBe(one);
    const broken = batch(alice, 2, one.hash);
    expect(feed.add(broken)).toBe("chain-broken");
    expect(feed.forkOf(broken)).toBe(next);
    feed.cut(1);
    expect(feed.kept()).toEqual([one]);
    expect([feed.next, feed.highest, feed.end]).toEqual([1, 0, 1]);
    expect(feed.add(next)).toBe("out");
    feed.skipTo(5);
    expect(feed.next).toBe(1);
    expect(feed.get(0)).toBe(one);
  });

  it("skips what others have compacted away, and still takes it where it comes all the same", () => {
    const batches = chain(alice, 5);
    const feed = new Feed(alice);
    feed.add(at(batches, 3));
    feed.skipTo(3);
    expect([feed.next, feed.highest]).toEqual([4, 3]);
    feed.skipTo(2);
    expect(feed.next).toBe(4);
    expect(feed.add(at(batches, 1))).toBe("new");
    expect(feed.kept().map(({ head }) => head.number)).toEqual([1, 3]);
  });

  it("forgets without going back", () => {
    const batches = chain(alice, 3);
    const feed = new Feed(alice);
    for (const each of batches) feed.add(each);
    feed.forget(0);
    feed.forget(1);
    expect([feed.next, feed.highest, feed.kept().length]).toEqual([3, 2, 1]);
    expect(feed.last).toBe(batches[2]);
  });

  it("knows what it has forgotten: said again by anybody it is no news", () => {
    const batches = chain(alice, 8);
    const feed = new Feed(alice);
    for (const each of batches) feed.add(each);
    for (const number of [2, 0, 4, 1, 3, 6]) feed.forget(number);
    const again = new Feed(alice);
    again.restore(feed.gone());
    for (const number of [5, 7]) again.add(at(batches, number));
    for (const each of [feed, again]) {
      expect(batches.map((said) => each.knows(said))).toEqual(batches.map(() => true));
      expect(batches.map((said) => each.add(said))).toEqual(batches.map(() => "known"));
      expect(each.kept().map(({ head }) => head.number)).toEqual([5, 7]);
    }
    // Of another feed of the author it still sees where that leaves this one.
    const other = batch(alice, 4, at(batches, 3).hash, 1);
    expect([feed.knows(other), feed.add(other)]).toEqual([false, "chain-broken"]);
  });

  it("takes nothing for a gap after a restart that it had let go of before, and everything else", () => {
    const batches = chain(alice, 9);
    const feed = new Feed(alice);
    for (const number of [0, 1, 2, 3, 4, 5, 7, 8]) feed.add(at(batches, number));
    for (const number of [0, 1, 3, 7]) feed.forget(number);
    const gone = feed.gone();
    expect(gone).toEqual([
      { from: 0, to: 2 },
      { from: 3, to: 4 },
    ]);
    const again = new Feed(alice);
    again.restore(gone);
    expect([again.next, again.highest, again.gone()]).toEqual([2, 1, [{ from: 0, to: 2 }]]);
    // The disk has lost number 5 besides.
    for (const number of [8, 4, 2]) again.add(at(batches, number));
    expect([again.next, again.highest]).toEqual([5, 8]);
    again.add(at(batches, 5));
    expect([again.next, again.gone()]).toEqual([6, gone]);
    const cut = new Feed(alice);
    cut.cut(1);
    cut.restore(gone);
    expect([cut.next, cut.gone()]).toEqual([1, [{ from: 0, to: 1 }]]);
  });
});

describe("a log", () => {
  it("has one frontier, in whatever order the batches came", () => {
    const batches = [...chain(alice, 6), ...chain(bob, 4)];
    const indices = fc.shuffledSubarray(batches, { minLength: batches.length });
    fc.assert(
      fc.property(indices, (order) => {
        const log = logOf(...order);
        expect(log.frontier()).toEqual(
          new Map([
            [alice, 6],
            [bob, 4],
          ]),
        );
        expect(log.gaps).toBe(0);
        expect(log.frontierHash()).toBe(logOf(...batches).frontierHash());
      }),
    );
  });

  it("names its frontier by what is here without a gap", () => {
    const batches = chain(alice, 3);
    const names = [1, 2, 3].map((count) => logOf(...batches.slice(0, count)).frontierHash());
    expect(new Set([logOf().frontierHash(), ...names]).size).toBe(4);
    expect(logOf(at(batches, 0), at(batches, 2)).frontierHash()).toBe(names[0]);
    expect(logOf(...chain(bob, 1)).frontierHash()).not.toBe(names[0]);
  });

  it("knows a batch again, whoever it came from (BATCH-6)", () => {
    const [first] = chain(alice, 1);
    if (first === undefined) throw new Error("no batch");
    const log = logOf(first);
    expect(log.has(first)).toBe(true);
    expect(log.has(batch(alice, 0, ZERO_HASH, 5))).toBe(false);
    expect(log.has(batch(bob, 0, ZERO_HASH))).toBe(false);
    expect(log.add(first)).toBe("known");
  });

  it("counts its gaps, and knows when a peer is further", () => {
    const batches = chain(alice, 3);
    const log = logOf(at(batches, 0), at(batches, 2));
    expect(log.gaps).toBe(1);
    expect(log.lacks(new Map([[alice, 1]]))).toBe(false);
    expect(log.lacks(new Map([[alice, 2]]))).toBe(true);
    expect(log.lacks(new Map([[bob, 1]]))).toBe(true);
  });

  it("gives a peer what it lacks, lower numbers first, and never more than was asked for", () => {
    const batches = chain(alice, 10);
    const log = logOf(...batches);
    expect(summary(log.missing({ feeds: new Map([[alice, 7]]) }, 1 << 20))).toEqual(["batch 7", "batch 8", "batch 9"]);
    expect(log.missing({ feeds: new Map([[alice, 10]]) }, 1 << 20)).toEqual([]);
    const size = at(batches, 1).bytes.length;
    expect(summary(log.missing({ feeds: new Map() }, 3 * size))).toEqual(["batch 0", "batch 1", "batch 2"]);
    expect(log.missing({ feeds: new Map([[alice, 1]]) }, size - 1)).toEqual([]);
  });

  it("gives nothing again that the peer has behind a gap, and says of it where the gap cannot be filled", () => {
    const batches = chain(alice, 10);
    const log = logOf(...batches);
    const other = logOf(...[0, 3, 4, 7].map((number) => at(batches, number)));
    expect(other.beyond().get(alice)).toEqual([
      { from: 3, to: 5 },
      { from: 7, to: 8 },
    ]);
    const given = (full: Log) => summary(full.missing({ feeds: other.frontier(), beyond: other.beyond() }, 1 << 20));
    expect(given(log)).toEqual(["batch 1", "batch 2", "batch 5", "batch 6", "batch 8", "batch 9"]);
    for (const number of [1, 2]) log.forget(alice, number);
    expect(given(log)).toEqual(["forgotten 1..2", "batch 5", "batch 6", "batch 8", "batch 9"]);
    expect(logOf(...batches).beyond().size).toBe(0);
  });

  it("gives all of a feed whose last batch is another there, so that the other sees where the two part", () => {
    const [one, other] = [0, 1].map((round) => {
      const common = chain(alice, 4);
      const fork = batch(alice, 4, at(common, 3).hash, round);
      return [...common, fork, batch(alice, 5, fork.hash, round)];
    }) as [Batch[], Batch[]];
    const [here, there] = [logOf(...one, ...chain(bob, 2)), logOf(...other, ...chain(bob, 2))];
    const asked = { feeds: there.frontier(), tips: there.tips() };
    expect(here.missing({ feeds: asked.feeds }, 1 << 20)).toEqual([]);
    expect(summary(here.missing(asked, 1 << 20))).toEqual(one.map(({ head }) => `batch ${head.number}`));
    expect(one.map((each) => there.add(each))).toEqual([
      "known",
      "known",
      "known",
      "known",
      "equivocation",
      "equivocation",
    ]);
    for (const log of [here, there]) log.cut(alice, 4);
    expect(here.missing({ feeds: there.frontier(), tips: there.tips() }, 1 << 20)).toEqual([]);
  });

  it("names so many runs behind the gaps of a feed, and of all feeds, and no more", () => {
    const odd = (author: Key, count: number) => chain(author, count).filter((_, number) => number % 2 === 1);
    expect(
      logOf(...odd(alice, 100))
        .beyond()
        .get(alice),
    ).toHaveLength(16);
    const many = Array.from({ length: 40 }, (_, index) => odd(hashOf(`author ${index}`), 100));
    const spans = [
      ...logOf(...many.flat())
        .beyond()
        .values(),
    ].flat();
    expect(spans).toHaveLength(FRONTIER_SPANS_MAX);
  });

  it("says what it has forgotten, right after the batch behind it", () => {
    const log = logOf(...chain(alice, 4));
    log.forget(alice, 0);
    log.forget(alice, 2);
    expect(summary(log.missing({ feeds: new Map() }, 1 << 20))).toEqual([
      "batch 1",
      "forgotten 0..0",
      "batch 3",
      "forgotten 2..2",
    ]);
    expect(summary(log.missing({ feeds: new Map([[alice, 3]]) }, 1 << 20))).toEqual(["batch 3"]);
  });

  it("moves the other's frontier by everything it gives, until both are the same", () => {
    // The last batch of a feed is never forgotten.
    const steps = fc.array(fc.integer({ min: 0, max: 10 }), { maxLength: 12 });
    const look = fc.integer({ min: 1, max: 12 });
    fc.assert(
      fc.property(steps, steps, fc.integer({ min: 300, max: 2000 }), look, (mine, theirs, bytesMax, batchAheadMax) => {
        const batches = chain(alice, 12);
        const limits = { ...LOG_LIMITS, batchAheadMax };
        const [full, other] = [new Log(), new Log(limits)].map((log, index) => {
          for (const each of index === 0 ? batches : theirs.map((number) => at(batches, number))) log.add(each);
          return log;
        }) as [Log, Log];
        for (const number of mine) full.forget(alice, number);
        for (let round = 0; other.lacks(full.frontier()); round++) {
          expect(round).toBeLessThan(20);
          for (const frame of full.missing({ feeds: other.frontier() }, bytesMax)) {
            const feed = other.feed(alice);
            if (frame.kind === "forgotten" && feed !== undefined && frame.from <= feed.next)
              other.skipTo(frame.author, Math.min(frame.to, feed.seen + 1));
            const opened = frame.kind === "batch" ? openBatch(frame.bytes) : null;
            if (opened?.ok === true) other.add(opened.value);
          }
        }
        expect(other.frontier().get(alice)).toBe(12);
      }),
    );
  });

  it("gives one batch more than the other can take in, and what is gone before it", () => {
    const batches = chain(alice, 9);
    const log = new Log({ ...LOG_LIMITS, batchAheadMax: 3 });
    for (const each of batches) log.add(each);
    for (const number of [1, 2, 3, 4]) log.forget(alice, number);
    const given = (next: number) => summary(log.missing({ feeds: new Map([[alice, next]]) }, 1 << 20));
    expect(given(1)).toEqual(["batch 5", "forgotten 1..4"]);
    expect(given(5)).toEqual(["batch 5", "batch 6", "batch 7", "batch 8"]);
    expect(given(0)).toEqual(["batch 0", "batch 5", "forgotten 1..4"]);
  });

  it("opens no more feeds than it has room for", () => {
    const log = new Log();
    for (let author = 0; author < 4096; author++) log.add(batch(hashOf(`author ${author}`), 0, ZERO_HASH));
    expect(log.add(batch(hashOf("one more"), 0, ZERO_HASH))).toBe("too-far");
    expect(log.add(batch(hashOf("author 1"), 0, ZERO_HASH))).toBe("known");
  });
});

describe("the costs of all feeds of a class", () => {
  it("are those of its feeds, whatever comes and goes, and follow authors that change their class", () => {
    const members = new Set<Key>([alice]);
    const log = new Log(LOG_LIMITS, (author) => (members.has(author) ? "member" : "stranger"));
    const costs = (version: number) => ["member", "stranger"].map((name) => ({ ...log.sumOf(name, version) }));
    const counted = () =>
      ["member", "stranger"].map((name) => {
        const feeds = [...log.feeds()].filter(({ author }) => members.has(author) === (name === "member"));
        return { cost: feeds.reduce((sum, { cost }) => sum + cost, 0), feeds: feeds.length };
      });
    for (const each of [...chain(alice, 4), ...chain(bob, 3)]) log.add(each);
    expect(costs(0)).toEqual(counted());
    log.forget(alice, 1);
    log.cut(bob, 2);
    expect(costs(0)).toEqual(counted());
    members.add(bob);
    expect(costs(1)).toEqual(counted());
    log.drop(bob);
    expect(costs(1)).toEqual(counted());
    expect(costs(1)[0]?.cost).toBeGreaterThan(0);
  });
});
