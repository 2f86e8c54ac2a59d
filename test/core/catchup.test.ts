/** Gaps that nobody fills any more: when a node skips them, and when it asks again. */
import { describe, expect, it } from "vitest";
import { Log } from "../../src/log/log.ts";
import { type Batch, openBatch } from "../../src/protocol/batch.ts";
import type { Span } from "../../src/protocol/sync.ts";
import { blockAt, announceOf, keyOf } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

const Q = keyOf("q");

/** A feed of q, as many batches as asked for. */
function feedOf(test: Subject, count: number): Batch[] {
  return Array.from({ length: count }, () => test.batch("q", { kind: "beat", tasks: [] }));
}

function logOf(batches: readonly Batch[], gone: readonly Span[]): Log {
  const log = new Log();
  for (const batch of batches) log.add(batch);
  for (const { from, to } of gone) for (let number = from; number < to; number++) log.forget(Q, number);
  return log;
}

function next(test: Subject): number {
  return test.core.state.log.feed(Q)?.next ?? 0;
}

function forgotten(test: Subject, peer: string, from: number, to: number): void {
  test.core.step({ kind: "forgotten", peer: keyOf(peer), author: Q, span: { from, to } });
}

/** What a peer with this log answers; the peers that the node asks next. */
function answered(test: Subject, name: string, log: Log, chains: ReadonlyMap<number, number> = new Map()): string[] {
  const { core } = test;
  const peer = keyOf(name);
  const theirs = { feeds: core.state.log.frontier(), beyond: core.state.log.beyond() };
  core.take("sync");
  for (const frame of log.missing(theirs, 1 << 20)) {
    const opened = frame.kind === "batch" ? openBatch(frame.bytes) : null;
    if (opened?.ok === true) core.step({ kind: "batch", batch: opened.value, from: peer, isPulled: true });
    if (frame.kind === "forgotten")
      core.step({ kind: "forgotten", peer, author: frame.author, span: { from: frame.from, to: frame.to } });
  }
  core.step({ kind: "synced", peer, frontier: { feeds: log.frontier(), chains } });
  return core.take("sync").map((effect) => ["a", "b", "c", "d", "p"].find((each) => keyOf(each) === effect.peer) ?? "");
}

describe("a feed of 6000 batches of which 5500 are compacted away", () => {
  const batches = feedOf(new Subject(), 6001);
  const log = logOf(batches.slice(0, 6000), [{ from: 0, to: 5500 }]);

  it("is caught up with from nothing, by the answers of two attesters", () => {
    const test = new Subject();
    expect(answered(test, "b", log)).toEqual([]);
    expect(next(test)).toBe(0);
    expect(answered(test, "c", log)).toEqual(["c"]);
    expect(next(test)).toBe(5500);
    answered(test, "c", log);
    expect(next(test)).toBe(6000);
    expect(answered(test, "c", log)).toEqual([]);
  });

  it("is caught up with by a node that has the first 1000", () => {
    const test = new Subject();
    for (const batch of batches.slice(0, 1000)) test.core.hear(batch);
    for (const name of ["b", "c", "c"]) answered(test, name, log);
    expect(next(test)).toBe(6000);
  });

  it("goes on where its author goes on", () => {
    const test = new Subject();
    for (const name of ["b", "c", "c"]) answered(test, name, log);
    for (const batch of batches.slice(6000)) test.core.hear(batch);
    expect([next(test), test.core.state.log.gaps]).toEqual([6001, 0]);
  });

  it("is no reason to ask a peer again whose every batch is refused", () => {
    const test = new Subject();
    for (let times = 0; times < 3; times++) expect(answered(test, "b", log)).toEqual([]);
    expect(test.core.refusals()).toEqual(Array.from({ length: 3 }, () => "batch.too-far"));
  });

  it("is asked about at attesters that have not said yet whether the gap is one for good", () => {
    const test = new Subject();
    for (const peer of ["p", "b", "c", "d"]) test.core.step({ kind: "peer", peer: keyOf(peer), state: "up" });
    test.core.state.syncing.clear();
    answered(test, "b", log);
    const asked = new Set<string>();
    for (let times = 0; times < 2; times++) {
      test.core.take("sync");
      test.tick(250);
      for (const { peer } of test.core.take("sync")) asked.add(peer);
      test.core.state.syncing.clear();
    }
    expect([asked.has(keyOf("c")), asked.has(keyOf("d"))]).toEqual([true, true]);
  });

  it("is stored as gone once it is skipped, so that a restart takes in what is behind it", () => {
    const test = new Subject();
    for (const name of ["b", "c"]) answered(test, name, log);
    const [effect] = test.core.take("forget");
    expect(effect).toMatchObject({ batches: [], gone: [{ author: Q, spans: [{ from: 0, to: 5500 }] }] });
  });
});

describe("what a peer says it has let go of", () => {
  const gap = (test: Subject) => {
    const last = feedOf(test, 4).at(-1);
    if (last !== undefined) test.core.hear(last);
  };

  it("is believed from as many attesters as hold an honest one, and from nobody else", () => {
    const test = new Subject();
    gap(test);
    for (const peer of ["p", "q", "r", "s", "stranger"]) forgotten(test, peer, 0, 3);
    forgotten(test, "b", 0, 3);
    forgotten(test, "b", 0, 3);
    expect(next(test)).toBe(0);
    forgotten(test, "c", 0, 2);
    expect(next(test)).toBe(2);
    forgotten(test, "c", 2, 3);
    forgotten(test, "d", 0, 100);
    expect(next(test)).toBe(4);
    expect(test.core.state.forgotten.size).toBe(1);
    forgotten(test, "c", 4, 100);
    expect([next(test), test.core.state.forgotten.size]).toEqual([4, 1]);
  });

  it("is believed for the numbers that are named: a batch that one of them keeps below is waited for", () => {
    const test = new Subject();
    const batches = feedOf(test, 9);
    const last = batches.at(-1);
    if (last !== undefined) test.core.hear(last);
    // Both keep number 2, which is refused or lost on the way.
    for (const peer of ["b", "c"])
      for (const [from, to] of [
        [3, 8],
        [0, 2],
      ] as const)
        forgotten(test, peer, from, to);
    expect(next(test)).toBe(2);
    const second = batches[2];
    if (second !== undefined) test.core.hear(second);
    expect([next(test), test.core.state.forgotten.size]).toEqual([9, 0]);
  });

  it("is not believed of a batch that is refused for as long as it announces a block too far ahead", () => {
    const test = new Subject();
    const ahead = test.batch("q", { kind: "beat", tasks: [] }, announceOf(blockAt(5000)));
    const batches = [ahead, ...feedOf(test, 9)];
    const log = logOf(batches, [{ from: 1, to: 9 }]);
    for (const name of ["b", "c", "d"]) answered(test, name, log);
    expect(next(test)).toBe(0);
    expect(new Set(test.core.refusals())).toEqual(new Set(["block.too-far"]));
  });

  it("is no way to skip further than the author is known to have signed", () => {
    const test = new Subject();
    for (const peer of ["b", "c", "d"]) forgotten(test, peer, 0, 1000);
    expect(next(test)).toBe(0);
    gap(test);
    for (const peer of ["b", "c", "d"]) forgotten(test, peer, 0, 1000);
    expect(next(test)).toBe(4);
  });

  it("costs little, however often a peer says something else", () => {
    const test = new Subject();
    const last = feedOf(test, 2000).at(-1);
    if (last !== undefined) test.core.hear(last);
    for (let number = 1; number < 1999; number += 2) forgotten(test, "b", number, number + 1);
    const spans = [...test.core.state.forgotten.values()].flatMap((claims) => [...claims.values()]).flat();
    expect(spans).toHaveLength(8);
    forgotten(test, "b", 0, 1);
    forgotten(test, "c", 0, 4);
    expect(next(test)).toBe(2);
  });

  it("is believed from the author alone where this node is the only attester", () => {
    const test = new Subject({ parties: { ...PARTIES, attesters: ["a"] } });
    gap(test);
    for (const peer of ["p", "r", "s"]) forgotten(test, peer, 0, 3);
    expect(next(test)).toBe(0);
    forgotten(test, "q", 0, 3);
    expect(next(test)).toBe(4);
  });
});
