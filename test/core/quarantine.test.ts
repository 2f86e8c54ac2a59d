import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pausedUntilMs } from "../../src/core/attempts.ts";
import { bundleOf } from "../../src/core/bundle.ts";
import { blockStatus } from "../../src/core/lifecycle.ts";
import { pauseMs, quarantineOf } from "../../src/core/quarantine.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { blockAt, keyOf } from "./harness.ts";
import { certifiedHeights, Net } from "./net.ts";
import { PARTIES, Subject, type SubjectOptions } from "./subject.ts";

const RETRY = {
  attempts: 3,
  logicalProvers: 16,
  backoffMs: 1000,
  backoffMsMax: 4000,
  pauseMs: 30_000,
  pauseMsMax: 3_600_000,
};
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

/** Attesters' operators requeue the first task. */
function requeued(test: Subject, who: readonly string[], attempt: number): string[] {
  const said = who.flatMap((name) => test.hear(name, { kind: "requeue", ...test.task(0), attempt }));
  return said.filter((line) => line.includes("shard/0"));
}

function stateOf(test: Subject) {
  const task = blockStatus(test.core.state, test.core.block(blockAt(1))).tasks[0];
  if (task === undefined) throw new Error("no task");
  return task;
}

/** Three failures of machines. */
function quarantined(test: Subject): void {
  for (let attempt = 0; attempt < 3; attempt++) {
    test.pass(waitMs(test));
    failed(test, attempt, "machine.lost");
  }
  expect(stateOf(test).state).toBe("quarantined");
}

/** How long the open attempt still waits. */
function waitMs(test: Subject): number {
  return stateOf(test).waitMs;
}

/** Until when nobody claims the attempt. */
function untilMs(test: Subject, attempt: number): number | null {
  const known = test.core.block(blockAt(1)).tasks[0]?.attempts.get(attempt);
  return known === undefined ? null : pausedUntilMs(known);
}

describe("a failed attempt", () => {
  it("is followed by the next at once, the second failure by a wait, and each further one by twice as long (PACE-1)", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 10 } } });
    const waits: number[] = [];
    for (let attempt = 0; attempt < 6; attempt++) {
      failed(test, attempt, "machine.lost");
      waits.push((untilMs(test, attempt + 1) ?? 0) - test.core.nowMs);
    }
    expect(waits).toEqual([0, 1000, 2000, 4000, 4000, 4000]);
  });

  it("that nobody claimed or that was given back makes nobody wait and is no reason for quarantine", () => {
    for (const [code, count] of [
      ["not-claimed", 20],
      ["released", 16],
    ] as const) {
      const test = subject();
      for (let attempt = 0; attempt < count; attempt++)
        OTHERS.forEach((who) => test.hear(who, timeout(test, attempt, code)));
      expect(untilMs(test, count)).toBe(test.core.nowMs);
      expect(stateOf(test).state).toBe("ready");
      expect(stateOf(test).failures).toEqual({
        infrastructure: 0,
        logical: 0,
        "not-claimed": 0,
        released: 0,
        [code]: count,
      });
    }
  });

  it("makes the next wait where owners have given the task back for whole rounds, so that nobody fills the log (PACE-5)", () => {
    const test = subject();
    for (let attempt = 0; attempt < 17; attempt++)
      OTHERS.forEach((who) => test.hear(who, timeout(test, attempt, "released")));
    expect(waitMs(test)).toBeGreaterThan(1000);
  });

  it("of the input makes nobody wait before all able provers have had their turn", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 100 } } });
    for (const attempt of [0, 1]) {
      failed(test, attempt, "input.unprovable", true);
      expect(waitMs(test)).toBe(0);
    }
  });

  it("keeps the votes and what its owner has said, and of the others' claims nothing (PACE-6)", () => {
    const test = subject();
    const others = test.parties.provers.filter((name) => name !== test.owner("shard", 0));
    for (const other of others) test.hear(other, test.claim(0, 0));
    failed(test, 0, "machine.lost");
    const over = test.core.block(blockAt(1)).tasks[0]?.attempts.get(0);
    expect([...(over?.claims.keys() ?? [])]).toEqual([keyOf(test.owner("shard", 0))]);
    expect(over?.timeouts.size).toBe(4);
    for (const other of others) test.hear(other, test.claim(0, 0));
    expect(over?.claims.size).toBe(1);
  });

  it("is not timed out while it waits, and its owner does not claim it", () => {
    const test = subject({
      name: "p",
      parties: { ...PARTIES, provers: ["p"] },
      roles: { prover: true },
      change: { retry: { ...RETRY, attempts: 10 } },
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
  const whyOf = (test: Subject) => {
    const task = test.core.block(blockAt(1)).tasks[0];
    const found = task === undefined ? null : quarantineOf(test.core.state, task);
    return found === null ? null : `${found.code} since ${found.since}${found.logical ? " logical" : ""}`;
  };

  it("comes after as many failures as the manifest allows, with what the last failed with (PACE-2)", () => {
    const test = subject();
    failed(test, 0, "machine.lost");
    expect(whyOf(test)).toBe(null);
    failed(test, 1, "no-memory");
    expect(whyOf(test)).toBe(null);
    failed(test, 2, "disk.full");
    expect(whyOf(test)).toBe("disk.full since 2");
  });

  it("comes for one logical code of all provers, long before the limit (FAIL-3)", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 100 } } });
    failed(test, 0, "input.unprovable", true);
    failed(test, 1, "input.unprovable", true);
    expect(whyOf(test)).toBe(null);
    failed(test, 2, "input.unprovable", true);
    expect(whyOf(test)).toBe("input.unprovable since 2 logical");
  });

  it("needs no logical failure of a prover that let its turn pass, or whose machine failed", () => {
    for (const code of ["not-claimed", "no-progress"]) {
      const test = subject({ change: { retry: { ...RETRY, attempts: 100 } } });
      OTHERS.forEach((who) => test.hear(who, timeout(test, 0, code)));
      failed(test, 1, "input.unprovable", true);
      expect(whyOf(test)).toBe(null);
      failed(test, 2, "input.unprovable", true);
      expect(whyOf(test)).toBe("input.unprovable since 2 logical");
    }
  });

  it("needs the logical failure of no more provers than the manifest asks for", () => {
    const provers = ["p", "q", "r", "t", "u"];
    const change = { retry: { ...RETRY, attempts: 100, logicalProvers: 4 } };
    const test = subject({ parties: { ...PARTIES, provers }, change });
    const whys = [0, 1, 2, 3].map((attempt) => {
      failed(test, attempt, "input.unprovable", true);
      return whyOf(test);
    });
    expect(whys).toEqual([null, null, null, "input.unprovable since 3 logical"]);
  });

  it("does not come for one prover's logical failure, nor for as many codes as provers", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 100 } } });
    for (const attempt of [0, 1, 2]) {
      failed(test, attempt, `code-${attempt}`, true);
      expect(whyOf(test)).toBe(null);
    }
    expect(stateOf(test).failures.logical).toBe(3);
  });

  it("never comes before each prover on duty had its turn", () => {
    const provers = ["p", "q", "r", "t", "u"];
    const test = subject({ parties: { ...PARTIES, provers }, change: { retry: { ...RETRY, attempts: 1 } } });
    const whys = [0, 1, 2, 3, 4].map((attempt) => {
      failed(test, attempt, "machine.lost");
      return whyOf(test);
    });
    expect(whys).toEqual([null, null, null, null, "machine.lost since 4"]);
  });

  it("is no prover's to bring about by what it says of attempts of others (RELEASE-1, FAIL-1)", () => {
    const test = subject({ change: { retry: { ...RETRY, attempts: 100 } } });
    for (const attempt of [0, 1, 2]) {
      const other = test.other("shard", 0, attempt);
      test.hear(other, test.claim(0, attempt));
      test.hear(other, { kind: "fail", ...test.task(0), attempt, code: "lie", logical: true });
      OTHERS.forEach((who) => test.hear(who, timeout(test, attempt, "no-progress")));
    }
    expect(stateOf(test).failures).toMatchObject({ infrastructure: 3, logical: 0 });
    expect(whyOf(test)).toBe(null);
  });

  it("lets the attempts go on by themselves, after pauses from 30 s that double up to an hour (PACE-3)", () => {
    const test = subject();
    quarantined(test);
    const waits: number[] = [];
    for (let attempt = 3; attempt < 13; attempt++) {
      waits.push(waitMs(test) / 1000);
      test.tick(waitMs(test));
      expect(failed(test, attempt, "machine.lost")).toContain(
        `grant shard/0#${attempt} ${test.owner("shard", 0, attempt)}`,
      );
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
    expect(stateOf(test)).toMatchObject({ state: "quarantined", attempt: 13 });
  });

  it("slows no other task of the block", () => {
    const test = subject();
    quarantined(test);
    OTHERS.forEach((who) => test.hear(who, test.timeout(1)));
    expect(test.claimed(1, 1)).toEqual([`grant shard/1#1 ${test.owner("shard", 1, 1)}`]);
  });

  it("ends no attempt within its pause, neither unclaimed nor for an owner that fails at once (PACE-4)", () => {
    const test = subject();
    quarantined(test);
    const owner = test.owner("shard", 0, 3);
    expect(test.pass(20_000).filter((line) => line.includes("shard/0"))).toEqual([]);
    test.hear(owner, test.claim(0, 3));
    test.hear(owner, { kind: "fail", ...test.task(0), attempt: 3, code: "machine.lost", logical: false });
    expect(test.pass(9_000).filter((line) => line.startsWith("timeout shard/0"))).toEqual([]);
    expect(test.pass(2_000)).toContain("timeout shard/0#3 machine.lost");
  });

  it("pauses no owner's turn where the one before let its own pass", () => {
    const test = subject();
    quarantined(test);
    test.pass(waitMs(test));
    OTHERS.forEach((who) => test.hear(who, timeout(test, 3, "not-claimed")));
    expect(stateOf(test)).toMatchObject({ state: "quarantined", attempt: 4, waitMs: 0 });
  });

  it("is over at once for a valid proof, late or unclaimed", () => {
    for (const [attempt, prover] of [[1, 1] as const, [5, 5] as const]) {
      const test = subject();
      quarantined(test);
      test.hear(test.owner("shard", 0, prover), test.receipt(0, "late", attempt));
      expect(test.verdict(0, "late")).toEqual(["complete shard/0"]);
      ["b", "c"].forEach((who) => test.hear(who, test.complete(0, "late", "shard", test.owner("shard", 0, prover))));
      expect(stateOf(test).state).toBe("complete");
    }
  });

  it("is loud once: a line with what failed how often", () => {
    const test = subject();
    quarantined(test);
    test.tick(waitMs(test));
    failed(test, 3, "machine.lost");
    const [line, ...more] = test.core.reports("task.quarantined");
    expect(more).toEqual([]);
    expect(line).toMatchObject({
      height: 1,
      stage: "shard",
      index: 0,
      code: "machine.lost",
      infrastructure: 3,
      since: 2,
    });
    expect(stateOf(test).why).toContain("proofmesh tasks requeue 1/1/shard/0");
  });

  it("outlives a restart, with the pause that belongs to it", () => {
    const test = subject();
    quarantined(test);
    test.tick(waitMs(test));
    failed(test, 3, "machine.lost");
    expect(test.restart().filter((line) => line.includes("shard/0"))).toEqual([]);
    expect(stateOf(test)).toMatchObject({ state: "quarantined", attempt: 4, waitMs: 60_000 });
  });

  it("is exported with the signed statements that brought it about", () => {
    const test = subject();
    quarantined(test);
    const task = test.core.block(blockAt(1)).tasks[0];
    const bundle = task === undefined ? null : bundleOf(test.core.state, task);
    expect(bundle?.failures.map(({ attempt, code }) => `${attempt} ${code}`)).toEqual([
      "0 machine.lost",
      "1 machine.lost",
      "2 machine.lost",
    ]);
    expect(bundle?.quarantine).toMatchObject({ code: "machine.lost", logical: false, since: 2 });
    // Each attempt has four timeouts and the failure of its owner.
    expect(bundle?.quarantine?.votes).toHaveLength(15);
  });
});

describe("a requeue", () => {
  const requeue = (test: Subject) => test.core.step({ kind: "requeue", task: test.task(0) });

  it("is voted when the operator asks, once an attempt, and only for a task in quarantine (REQUEUE-1)", () => {
    const test = subject();
    expect(requeue(test)).toEqual([]);
    quarantined(test);
    expect(requeue(test)).toEqual(["requeue shard/0#3"]);
    expect(requeue(test)).toEqual([]);
    expect(stateOf(test).state).toBe("quarantined");
    test.tick(waitMs(test));
    failed(test, 3, "machine.lost");
    expect(requeue(test)).toEqual(["requeue shard/0#4"]);
  });

  it("by one operator changes nothing, whatever attempt it names", () => {
    const test = subject();
    quarantined(test);
    const before = waitMs(test);
    expect(requeued(test, ["b"], 3)).toEqual([]);
    expect(requeued(test, ["b"], 4_000_000_000)).toEqual([]);
    expect(stateOf(test)).toMatchObject({ state: "quarantined", waitMs: before });
  });

  it("by f+1 operators opens the attempt at once, and the pauses begin anew", () => {
    const test = subject();
    quarantined(test);
    requeued(test, ["b", "c"], 3);
    expect(stateOf(test)).toMatchObject({ state: "ready", attempt: 3, waitMs: 0 });
    expect(stateOf(test).failures).toEqual({ infrastructure: 0, logical: 0, "not-claimed": 0, released: 0 });
    const waits = [3, 4, 5].map((attempt) => {
      test.tick(waitMs(test));
      expect(failed(test, attempt, "machine.lost")).toContain(
        `grant shard/0#${attempt} ${test.owner("shard", 0, attempt)}`,
      );
      return waitMs(test);
    });
    expect(waits).toEqual([0, 1000, 30_000]);
    expect(test.core.reports("task.requeued")).toMatchObject([{ attempt: 3 }]);
  });

  it("counts from the highest attempt that one honest operator at least has named (REQUEUE-2)", () => {
    const test = subject();
    quarantined(test);
    requeued(test, ["d"], 4_000_000_000);
    requeued(test, ["b"], 3);
    expect(stateOf(test)).toMatchObject({ state: "ready", attempt: 3 });
    failed(test, 3, "machine.lost");
    expect(stateOf(test).failures.infrastructure).toBe(1);
  });

  it("gives an attempt that was claimed before its lease again", () => {
    const test = subject();
    quarantined(test);
    test.hear(test.owner("shard", 0, 3), test.claim(0, 3));
    test.pass(29_000);
    expect(requeued(test, ["b", "c"], 3).filter((line) => line.startsWith("timeout"))).toEqual([]);
    expect(test.pass(10_000).filter((line) => line.includes("shard/0"))[0]).toMatch(
      /^timeout shard\/0#3 (no-progress|not-claimed)$/,
    );
  });
});

describe("a network", () => {
  it("shows a task that fails everywhere as quarantined, goes on with others, and proves it once its cause is gone", () => {
    const net = new Net(["a", "b", "c", "d"], { retry: RETRY });
    net.failing = ({ stage, index }) => (stage === "shard" && index === 0 ? "input.unprovable" : null);
    net.mine(blockAt(1));
    net.pass(20_000);
    const states = () =>
      net.cores.map((core) => blockStatus(core.state, core.block(blockAt(1))).tasks.map(({ state }) => state));
    for (const each of states()) expect(each).toEqual(["quarantined", "complete", "waiting"]);
    const fails = net.batches.flatMap(({ entries }) => entries).filter(({ kind }) => kind === "fail");
    expect(fails).toHaveLength(4);
    net.failing = () => null;
    net.pass(15_000);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
  });

  it("tries the task at once where operators of f+1 attesters requeue it", () => {
    const net = new Net(["a", "b", "c", "d"], { retry: RETRY });
    net.failing = ({ stage, index }) => (stage === "shard" && index === 0 ? "input.unprovable" : null);
    net.mine(blockAt(1));
    net.pass(5_000);
    net.failing = () => null;
    for (const name of ["a", "b"]) {
      const core = net.core(name);
      core.step({ kind: "requeue", task: { block: core.block(blockAt(1)).id, stage: "shard", index: 0 } });
    }
    net.settle();
    net.pass(5_000);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
  });

  it("agrees on failures, attempts and quarantine whatever the order of the facts (S6)", () => {
    const net = new Net(["a", "b", "c", "d"], { retry: { ...RETRY, backoffMs: 100, pauseMs: 500 } });
    net.failing = ({ index }, attempt) => (index === 0 ? (attempt % 2 === 0 ? "machine.lost" : "no-memory") : null);
    net.mine(blockAt(1));
    net.pass(4_000);
    for (const core of net.cores)
      core.step({ kind: "requeue", task: { block: core.block(blockAt(1)).id, stage: "shard", index: 0 } });
    net.settle();
    net.pass(4_000);
    const see = (order: typeof net.batches) => {
      const core = net.observer();
      for (const batch of order) core.hear(batch);
      const block = core.block(blockAt(1));
      const { tasks } = blockStatus(core.state, block);
      return tasks.map(({ failures, attempt }, at) => {
        const task = block.tasks[at];
        const paced = task === undefined ? null : [quarantineOf(core.state, task), pauseMs(core.state, task)];
        return { failures, attempt, paced };
      });
    };
    const expected = see(net.batches);
    const [first] = expected;
    expect(first?.attempt).toBeGreaterThan(first?.failures.infrastructure ?? 99);
    expect(first?.paced).not.toEqual([null, 0]);
    fc.assert(
      fc.property(fc.shuffledSubarray(net.batches, { minLength: net.batches.length }), (order) => {
        expect(see(order)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });
});
