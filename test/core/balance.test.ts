import { describe, expect, it } from "vitest";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, type TestBlock } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

const BLOCKS = [blockAt(1), blockAt(2)] as const;
const VOTERS = ["a", "b", "c"];

/** p proves one shard of each block, one at a time; q proves the others. */
function busy(announced = true): Subject {
  const test = new Subject({ name: "p", roles: { prover: true }, parties: { ...PARTIES, provers: ["p", "q"] } });
  if (announced) test.announce(BLOCKS[1]);
  return test;
}

function indexOf(test: Subject, prover: string, block: TestBlock): number {
  return test.owner("shard", 0, 0, block) === prover ? 0 : 1;
}

function claimOf(test: Subject, prover: string, block: TestBlock): EntryOf<"claim"> {
  return { ...test.claim(indexOf(test, prover, block)), block: test.id(block) };
}

/** q has claimed its shards, and proven as many blocks of them. */
function others(test: Subject, proven: number): void {
  BLOCKS.forEach((block) => test.hear("q", claimOf(test, "q", block)));
  for (const block of BLOCKS.slice(0, proven))
    test.hear("q", test.receipt(indexOf(test, "q", block), `q ${block.height}`, 0, { block: test.id(block) }));
}

/** A quorum ends an attempt of p's shard of block 2. */
function over(test: Subject, attempt: number): void {
  const block = test.id(BLOCKS[1]);
  const index = indexOf(test, "p", BLOCKS[1]);
  for (const who of VOTERS) test.hear(who, { ...test.timeout(index, attempt), block, code: "released" });
}

function released(said: readonly string[]): string[] {
  return said.filter((line) => line.startsWith("release"));
}

describe("an owner that cannot start what it has claimed", () => {
  it("gives it back after a claim window, where the next owner stands idle (RELEASE-3)", () => {
    const test = busy();
    others(test, 2);
    expect(released(test.tick(499))).toEqual([]);
    expect(released(test.tick(251))).toEqual([`release shard/${indexOf(test, "p", BLOCKS[1])}#0`]);
    expect(released(test.pass(1500))).toEqual([]);
    // What it proves itself it keeps.
    expect(test.core.take("prove").map(({ height }) => height)).toEqual([1]);
    expect(test.core.take("cancel")).toEqual([]);
  });

  it("keeps it while the next owner works, or may be gone", () => {
    for (const proven of [0, 1]) {
      const test = busy();
      others(test, proven);
      expect(released(test.pass(3000))).toEqual([]);
    }
    for (const quietMs of [3000, 4000]) {
      const test = busy(false);
      others(test, 2);
      test.pass(quietMs);
      test.announce(BLOCKS[1]);
      expect(released(test.pass(950))).toHaveLength(quietMs === 3000 ? 1 : 0);
    }
  });

  it("never starts what it has given back, and leaves the next attempt to its owner (CLAIM-5)", () => {
    const test = busy();
    others(test, 2);
    test.pass(1000);
    over(test, 0);
    const [effect] = test.core.take("prove");
    if (effect === undefined) throw new Error("nothing to prove");
    const { task, attempt } = effect;
    test.core.step({ kind: "prove-failed", task, attempt, code: "machine.lost", logical: false, message: "" });
    expect(test.core.take("prove").filter(({ height }) => height === 2)).toEqual([]);
    expect(test.pass(1000).filter((line) => line.startsWith("claim"))).toEqual([]);
  });

  it("does not hand a task round for ever", () => {
    const test = busy();
    others(test, 2);
    const index = indexOf(test, "p", BLOCKS[1]);
    const place = { ...test.task(index, "shard", BLOCKS[1]) };
    const counts: number[] = [];
    for (let attempt = 0; attempt < 6; attempt += 2) {
      counts.push(released(test.pass(1000)).length);
      over(test, attempt);
      // q does the same with what it is given.
      test.hear("q", { kind: "claim", ...place, attempt: attempt + 1, timeouts: [] });
      test.hear("q", { kind: "release", ...place, attempt: attempt + 1 });
      over(test, attempt + 1);
    }
    expect(counts).toEqual([1, 1, 0]);
    expect(test.core.said().filter((line) => line === `claim shard/${index}#4`)).toHaveLength(1);
  });
});

describe("a straggler", () => {
  /** q has proven its shard of the only block and stands idle; p has claimed the other one. */
  function idle(hedgePercentile: number | null, known: number): { readonly test: Subject; readonly index: number } {
    const retry = hedgePercentile === null ? {} : { hedgePercentile };
    const parties = { ...PARTIES, provers: ["p", "q"] };
    const test = new Subject({ name: "q", roles: { prover: true }, parties, change: { retry } });
    const index = indexOf(test, "p", BLOCKS[0]);
    const [effect] = test.core.take("prove");
    if (effect === undefined) throw new Error("q has nothing to prove");
    const proof = {
      artefact: hashOf("own"),
      bytes: 100,
      values: effect.values,
      provingMs: 10,
      inline: new Uint8Array(),
      possession: new Uint8Array(),
    };
    test.core.step({ kind: "proved", task: effect.task, attempt: 0, proof });
    VOTERS.forEach((who) => test.hear(who, test.complete(effect.task.index, "own")));
    // What this node has seen of other blocks: 100 to 800 ms.
    test.core.state.tookMs.set(
      "block/shard",
      Array.from({ length: known }, (_, at) => 100 * (at + 1)),
    );
    test.hear("p", test.claim(index));
    return { test, index };
  }

  it("is begun by the next owner as well, once it takes longer than is usual, and nothing is claimed for it", () => {
    const { test, index } = idle(75, 8);
    expect(test.tick(600)).toEqual([]);
    expect(test.core.take("prove")).toEqual([]);
    expect(test.tick(1)).toEqual([]);
    expect(test.core.take("prove")).toMatchObject([{ task: { stage: "shard", index }, attempt: 1 }]);
    expect(test.pass(5000)).toEqual([]);
    expect(test.core.take("prove")).toEqual([]);
  });

  it("is left alone where the manifest does not ask for it, and while too little is known", () => {
    for (const { test } of [idle(null, 8), idle(75, 7)]) {
      test.pass(5000);
      expect(test.core.take("prove")).toEqual([]);
    }
  });

  it("is complete with the first valid proof, whoever made it; the other stops and is counted", () => {
    const { test, index } = idle(75, 8);
    test.pass(1000);
    test.hear("p", test.receipt(index, "late"));
    VOTERS.forEach((who) => test.hear(who, test.complete(index, "late", "shard", "p")));
    expect(test.core.take("cancel")).toMatchObject([{ task: { stage: "shard", index } }]);
    expect(test.core.reports("task.wasted")).toMatchObject([{ index, hedge: true }]);

    const first = idle(75, 8);
    first.test.pass(1000);
    const [effect] = first.test.core.take("prove");
    if (effect === undefined) throw new Error("nothing hedged");
    const proof = {
      artefact: hashOf("hedge"),
      bytes: 100,
      values: effect.values,
      provingMs: 10,
      inline: new Uint8Array(),
      possession: new Uint8Array(),
    };
    const said = first.test.core.step({ kind: "proved", task: effect.task, attempt: 1, proof });
    expect(said).toEqual([`receipt shard/${first.index}#1`]);
    VOTERS.forEach((who) =>
      first.test.hear(who, first.test.complete(first.index, "hedge", "shard", first.test.core.name)),
    );
    expect(first.test.core.block(BLOCKS[0]).tasks[first.index]?.completeMs).toBe(first.test.core.nowMs);
  });

  it("whose owner loses it is claimed by who works on it already", () => {
    const { test, index } = idle(75, 8);
    test.pass(1000);
    expect(test.core.take("prove")).toHaveLength(1);
    const said = VOTERS.flatMap((who) => test.hear(who, { ...test.timeout(index), code: "no-progress" }));
    expect(said).toEqual([`claim shard/${index}#1`]);
    expect(test.pass(1000)).toEqual([]);
    expect(test.core.take("prove")).toEqual([]);
  });
});

describe("an attempt that no quorum can end", () => {
  /** The subject's own turn comes so many attempts after the one that is open. */
  function stuck(turn: number): { readonly test: Subject; readonly index: number } {
    const parties = { ...PARTIES, provers: ["p", "q", "r", "t", "u"] };
    for (const name of parties.provers) {
      for (const index of [0, 1]) {
        const test = new Subject({ name, roles: { prover: true }, parties });
        if (test.owner("shard", index, turn) !== name || test.core.take("prove").length > 0) continue;
        return { test, index };
      }
    }
    throw new Error("nobody is idle and has that turn");
  }

  it("is begun by the next owner once it has lasted longer than any may, and by the one after it a limit later (CLAIM-7)", () => {
    for (const turn of [1, 2]) {
      const { test, index } = stuck(turn);
      test.hear(test.owner("shard", index), test.claim(index));
      const begun: number[] = [];
      for (let second = 1; second <= 60; second++) {
        test.pass(1000);
        const found = test.core.take("prove").filter(({ task }) => task.index === index);
        begun.push(...found.map(({ attempt }) => second * 1000 + attempt));
      }
      expect(begun).toEqual([turn === 1 ? 27_001 : 46_002]);
    }
  });
});
