import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bundleOf } from "../../src/core/bundle.ts";
import { blockStatus } from "../../src/core/lifecycle.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { blockAt } from "./harness.ts";
import { certifiedHeights, Net } from "./net.ts";
import { PARTIES, Subject, type SubjectOptions } from "./subject.ts";

const RETRY = { attempts: 3, logicalProvers: 2, backoffMs: 1000, backoffMsMax: 4000 };
const OTHERS = ["b", "c", "d"];

function subject(options: SubjectOptions = {}): Subject {
  return new Subject({ ...options, change: { retry: RETRY, ...options.change } });
}

/** The owner claims and fails, and the others end the attempt with its code. */
function failed(test: Subject, attempt: number, code: string, logical = false): string[] {
  const owner = test.owner("shard", 0, attempt);
  const said = test.hear(owner, test.claim(0, attempt));
  const fail: EntryOf<"fail"> = { kind: "fail", ...test.task(0), attempt, code, logical };
  said.push(...test.hear(owner, fail));
  for (const who of OTHERS) said.push(...test.hear(who, timeout(test, attempt, code)));
  return said.filter((line) => line.includes("shard/0"));
}

function timeout(test: Subject, attempt: number, code: string): EntryOf<"timeout"> {
  return { ...test.timeout(0, attempt), code };
}

function votes(test: Subject, kind: "quarantine" | "requeue", who: readonly string[], attempt = 0, round = 0) {
  const entry =
    kind === "quarantine"
      ? ({ kind, ...test.task(0), round, code: "machine.lost", logical: false } as const)
      : ({ kind, ...test.task(0), round, attempt } as const);
  return who.flatMap((name) => test.hear(name, entry)).filter((line) => line.includes("shard/0"));
}

function stateOf(test: Subject) {
  const task = blockStatus(test.core.state, test.core.block(blockAt(1))).tasks[0];
  if (task === undefined) throw new Error("no task");
  return task;
}

/** Three failures of machines, and the others' votes. */
function quarantined(test: Subject): void {
  for (let attempt = 0; attempt < 3; attempt++) {
    failed(test, attempt, "machine.lost");
    test.pass(4000);
  }
  votes(test, "quarantine", OTHERS);
  expect(stateOf(test).state).toBe("quarantined");
}

describe("a failed attempt", () => {
  it("is followed by the next at once, the second failure by a wait, and each further one by twice as long", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 10 } } });
    const waits: number[] = [];
    for (let attempt = 0; attempt < 6; attempt++) {
      failed(test, attempt, "machine.lost");
      const open = test.core.block(blockAt(1)).tasks[0]?.attempts.get(attempt + 1);
      waits.push((open?.waitUntilMs ?? 0) - test.core.nowMs);
    }
    expect(waits).toEqual([0, 1000, 2000, 4000, 4000, 4000]);
  });

  it("that nobody claimed or that was given back makes nobody wait and is no reason for quarantine", () => {
    for (const code of ["not-claimed", "released"]) {
      const test = subject();
      for (let attempt = 0; attempt < 20; attempt++)
        OTHERS.forEach((who) => test.hear(who, timeout(test, attempt, code)));
      expect(test.core.block(blockAt(1)).tasks[0]?.attempts.get(20)?.waitUntilMs).toBe(test.core.nowMs);
      expect(test.core.said().filter((line) => line.startsWith("quarantine"))).toEqual([]);
      expect(stateOf(test).failures).toEqual({
        infrastructure: 0,
        logical: 0,
        "not-claimed": 0,
        released: 0,
        [code]: 20,
      });
    }
  });

  it("is not timed out while it waits, and its owner does not claim it", () => {
    const test = subject({
      name: "p",
      parties: { ...PARTIES, provers: ["p"] },
      roles: { prover: true },
      change: { retry: { ...RETRY, attempts: 10, logicalProvers: 5 } },
    });
    const end = (attempt: number) => {
      const code = "machine.lost";
      test.core.step({ kind: "prove-failed", task: test.task(0), attempt, code, logical: false, message: "" });
      OTHERS.forEach((who) => test.hear(who, timeout(test, attempt, code)));
    };
    end(0);
    end(1);
    const claims = () => test.core.said().filter((line) => line.startsWith("claim shard/0"));
    expect(claims()).toEqual(["claim shard/0#0", "claim shard/0#1"]);
    test.tick(999);
    expect(claims()).toHaveLength(2);
    test.tick(1);
    expect(claims()).toEqual(["claim shard/0#0", "claim shard/0#1", "claim shard/0#2"]);
  });
});

describe("a failure of the node's own prover", () => {
  it("is kept with its last words, which no peer gets", () => {
    const test = subject({ name: "p", parties: { ...PARTIES, provers: ["p"] }, roles: { prover: true } });
    const failure = { attempt: 0, code: "process.failed", logical: false, message: "status 101: out of memory" };
    test.core.step({ kind: "prove-failed", task: test.task(0), ...failure });
    const entries = test.core.feed.batches.at(-1)?.entries ?? [];
    expect(entries).toMatchObject([{ kind: "fail", code: "process.failed" }]);
    expect(Object.values(entries[0] ?? {})).not.toContain(failure.message);
    const [task] = test.core.block(blockAt(1)).tasks;
    if (task === undefined) throw new Error("no task");
    expect(bundleOf(test.core.state, task).ownFailure).toEqual(failure);
  });
});

describe("quarantine", () => {
  it("comes after as many failures as the manifest allows, with what the last failed with", () => {
    const test = subject();
    expect(failed(test, 0, "machine.lost")).not.toContain("quarantine shard/0 machine.lost round 0");
    expect(failed(test, 1, "no-memory")).not.toContain("quarantine shard/0 no-memory round 0");
    expect(failed(test, 2, "disk.full")).toContain("quarantine shard/0 disk.full round 0");
  });

  it("comes for one logical code of several provers, more than a third, long before the limit", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 100 } } });
    failed(test, 0, "input.unprovable", true);
    expect(failed(test, 1, "input.unprovable", true)).toContain("quarantine shard/0 input.unprovable round 0");
  });

  it("does not come for one prover's logical failure, nor for as many codes as provers", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 100 } } });
    const said = [0, 1, 2].flatMap((attempt) => failed(test, attempt, `code-${attempt}`, true));
    expect(said.filter((line) => line.startsWith("quarantine"))).toEqual([]);
    expect(stateOf(test).failures.logical).toBe(3);
  });

  it("never comes before each prover on duty had its turn", () => {
    const provers = ["p", "q", "r", "t", "u"];
    const test = subject({ parties: { ...PARTIES, provers }, change: { retry: { ...RETRY, attempts: 1 } } });
    const said = [0, 1, 2, 3, 4].map((attempt) => failed(test, attempt, "machine.lost"));
    expect(said.map((lines) => lines.some((line) => line.startsWith("quarantine")))).toEqual([
      false,
      false,
      false,
      false,
      true,
    ]);
  });

  it("is no prover's to bring about by what it says of attempts of others", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 100 } } });
    for (const attempt of [0, 1, 2]) {
      const other = test.other("shard", 0, attempt);
      test.hear(other, test.claim(0, attempt));
      test.hear(other, { kind: "fail", ...test.task(0), attempt, code: "lie", logical: true });
      OTHERS.forEach((who) => test.hear(who, timeout(test, attempt, "no-progress")));
    }
    expect(stateOf(test).failures).toMatchObject({ infrastructure: 3, logical: 0 });
    expect(test.core.said().filter((line) => line.startsWith("quarantine"))).toEqual([]);
  });

  it("is joined when f+1 others have voted, and not for one", () => {
    const test = subject();
    expect(votes(test, "quarantine", ["b"])).toEqual([]);
    expect(votes(test, "quarantine", ["c"])).toEqual(["quarantine shard/0 machine.lost round 0"]);
    expect(stateOf(test).state).toBe("quarantined");
  });

  it("stops claims, grants and timeouts of the task, and of no other", () => {
    const test = subject();
    quarantined(test);
    expect(test.hear(test.owner("shard", 0, 3), test.claim(0, 3)).filter((line) => line.includes("shard/0"))).toEqual(
      [],
    );
    expect(test.pass(20_000).filter((line) => line.includes("shard/0"))).toEqual([]);
    OTHERS.forEach((who) => test.hear(who, test.timeout(1)));
    expect(test.claimed(1, 1)).toEqual([`grant shard/1#1 ${test.owner("shard", 1, 1)}`]);
  });

  it("is not voted for a task whose proof is known to be valid, and a late proof still completes it", () => {
    const test = subject();
    quarantined(test);
    test.hear(test.owner("shard", 0, 1), test.receipt(0, "late", 1));
    expect(test.verdict(0, "late")).toEqual(["complete shard/0"]);
    ["b", "c"].forEach((who) => test.hear(who, test.complete(0, "late", "shard", test.owner("shard", 0, 1))));
    expect(stateOf(test).state).toBe("complete");
  });

  it("is loud once: a line with what failed how often", () => {
    const test = subject();
    quarantined(test);
    const [line, ...more] = test.core.reports("task.quarantined");
    expect(more).toEqual([]);
    expect(line).toMatchObject({ height: 1, stage: "shard", index: 0, code: "machine.lost", infrastructure: 3 });
    expect(stateOf(test).why).toContain("proofmesh tasks requeue 1/1/shard/0");
  });

  it("and the own vote for it outlive a restart", () => {
    const test = subject();
    quarantined(test);
    expect(test.restart().filter((line) => line.includes("shard/0"))).toEqual([]);
    expect(stateOf(test).state).toBe("quarantined");
    expect(test.pass(10_000).filter((line) => line.includes("shard/0"))).toEqual([]);
  });
});

describe("a requeue", () => {
  const requeue = (test: Subject) => test.core.step({ kind: "requeue", task: test.task(0) });

  it("is voted when the operator asks, once, and only for what is in quarantine", () => {
    const test = subject();
    expect(requeue(test)).toEqual([]);
    quarantined(test);
    expect(requeue(test)).toEqual(["requeue shard/0#3 round 0"]);
    expect(requeue(test)).toEqual([]);
    expect(stateOf(test).state).toBe("quarantined");
  });

  it("is joined when f+1 others' operators want it, and not for one", () => {
    const test = subject();
    quarantined(test);
    expect(votes(test, "requeue", ["b"], 3)).toEqual([]);
    expect(votes(test, "requeue", ["c"], 3)).toContain("requeue shard/0#3 round 0");
  });

  it("opens a round of attempts with new numbers, no memory of the old failures, and a limit of its own", () => {
    const test = subject();
    quarantined(test);
    votes(test, "requeue", OTHERS, 3);
    expect(stateOf(test)).toMatchObject({ state: "ready", attempt: 3, round: 1 });
    expect(stateOf(test).failures).toEqual({ infrastructure: 0, logical: 0, "not-claimed": 0, released: 0 });
    const said = [3, 4, 5].map((attempt) => failed(test, attempt, "machine.lost"));
    expect(said[0]).toContain(`grant shard/0#3 ${test.owner("shard", 0, 3)}`);
    expect(said.map((lines) => lines.filter((line) => line.startsWith("quarantine")))).toEqual([
      [],
      [],
      ["quarantine shard/0 machine.lost round 1"],
    ]);
    const numbers = test.core
      .said()
      .filter((line) => line.startsWith("grant shard/0"))
      .map((line) => line.split(" ")[1]);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  it("gives an attempt that was claimed before the quarantine its lease again", () => {
    const test = subject();
    for (let attempt = 0; attempt < 3; attempt++) failed(test, attempt, "machine.lost");
    test.hear(test.owner("shard", 0, 3), test.claim(0, 3));
    votes(test, "quarantine", OTHERS);
    test.pass(30_000);
    const said = votes(test, "requeue", OTHERS, 3);
    expect(said.filter((line) => line.startsWith("timeout"))).toEqual([]);
    expect(test.pass(10_000).filter((line) => line.includes("shard/0"))[0]).toMatch(
      /^timeout shard\/0#3 (no-progress|not-claimed)$/,
    );
  });
});

describe("a network", () => {
  it("keeps a task in quarantine while others go on, and certifies the block after a requeue", () => {
    const net = new Net(["a", "b", "c", "d"], { retry: RETRY });
    net.failing = ({ stage, index }) => (stage === "shard" && index === 0 ? "input.unprovable" : null);
    net.mine(blockAt(1));
    net.pass(20_000);
    const states = () =>
      net.cores.map((core) => blockStatus(core.state, core.block(blockAt(1))).tasks.map(({ state }) => state));
    for (const each of states()) expect(each).toEqual(["quarantined", "complete", "waiting"]);
    const fails = net.batches.flatMap(({ entries }) => entries).filter(({ kind }) => kind === "fail");
    expect(fails).toHaveLength(2);
    net.failing = () => null;
    for (const name of ["a", "b"]) {
      const core = net.core(name);
      core.step({ kind: "requeue", task: { block: core.block(blockAt(1)).id, stage: "shard", index: 0 } });
    }
    net.settle();
    net.pass(5000);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
  });

  it("agrees on failures, rounds and quarantine whatever the order of the facts (S6)", () => {
    const net = new Net(["a", "b", "c", "d"], { retry: { ...RETRY, backoffMs: 100 } });
    net.failing = ({ index }, attempt) => (index === 0 ? (attempt % 2 === 0 ? "machine.lost" : "no-memory") : null);
    net.mine(blockAt(1));
    net.pass(10_000);
    for (const core of net.cores)
      core.step({ kind: "requeue", task: { block: core.block(blockAt(1)).id, stage: "shard", index: 0 } });
    net.settle();
    net.pass(10_000);
    const see = (order: typeof net.batches) => {
      const core = net.observer();
      for (const batch of order) core.hear(batch);
      const { tasks } = blockStatus(core.state, core.block(blockAt(1)));
      return tasks.map(({ state, round, failures, attempt }) => ({ state, round, failures, attempt }));
    };
    const expected = see(net.batches);
    expect(expected[0]).toMatchObject({ round: 1 });
    fc.assert(
      fc.property(fc.shuffledSubarray(net.batches, { minLength: net.batches.length }), (order) => {
        expect(see(order).map(({ round, failures, attempt }) => ({ round, failures, attempt }))).toEqual(
          expected.map(({ round, failures, attempt }) => ({ round, failures, attempt })),
        );
      }),
      { numRuns: 40 },
    );
  });
});
