import { describe, expect, it } from "vitest";
import { Abilities, type AbilityAction } from "../../src/scheduler/abilities.ts";

const PACE = { quietMs: 10, retryMsMin: 100, retryMsMax: 400 };
const FAULT = { code: "process.start", message: "no such program" };
const kinds = (actions: readonly AbilityAction[]): string[] =>
  actions.map((action) => ("executor" in action ? `${action.kind} ${action.executor}` : action.kind));

function machine(...executors: string[]): Abilities {
  return new Abilities(
    executors.map((executor) => ({ executor, uses: [executor], takesOthers: false })),
    PACE,
  );
}

describe("the trials of a node's provers", () => {
  it("wait for the whole pause after a task that failed, though a trial was due before", () => {
    const abilities = machine("a", "b");
    abilities.step({ kind: "started", nowMs: 0 });
    // The trial of b is due, and waits for the trial of a.
    const end = { kind: "failed", fault: FAULT, disabled: true } as const;
    abilities.step({ kind: "task-began", executor: "b", nowMs: 5 });
    abilities.step({ kind: "task-ended", executor: "b", end, nowMs: 6 });
    const proved = { kind: "proved", provingMs: 1 } as const;
    expect(kinds(abilities.step({ kind: "trial-ended", end: proved, nowMs: 7 }))).toEqual(["report-able a"]);
    expect(abilities.nextMs).toBe(106);
    expect(kinds(abilities.step({ kind: "due", nowMs: 106 }))).toEqual(["try b"]);
  });

  it("come after pauses that double up to the longest (TRIAL-1)", () => {
    const abilities = machine("a");
    let nowMs = 0;
    abilities.step({ kind: "started", nowMs });
    const pauses = [1, 2, 3, 4].map(() => {
      abilities.step({ kind: "trial-ended", end: { kind: "failed", fault: FAULT, at: "a" }, nowMs });
      const pauseMs = (abilities.nextMs ?? nowMs) - nowMs;
      nowMs += pauseMs;
      abilities.step({ kind: "due", nowMs });
      return pauseMs;
    });
    expect(pauses).toEqual([100, 200, 400, 400]);
  });

  it("run one at a time, none beside a task of the prover, and stop for one (TRIAL-2)", () => {
    const abilities = machine("a", "b");
    expect(kinds(abilities.step({ kind: "started", nowMs: 0 }))).toEqual(["try a"]);
    expect(kinds(abilities.step({ kind: "task-began", executor: "a", nowMs: 1 }))).toEqual(["stop-trial"]);
    const stopped = { kind: "failed", fault: FAULT, at: "a" } as const;
    expect(kinds(abilities.step({ kind: "trial-ended", end: stopped, nowMs: 2 }))).toEqual(["try b"]);
    expect(kinds(abilities.step({ kind: "due", nowMs: 12 }))).toEqual([]);
    const proved = { kind: "proved", provingMs: 1 } as const;
    expect(kinds(abilities.step({ kind: "trial-ended", end: proved, nowMs: 13 }))).toEqual(["report-able b"]);
    // The prover has its task still.
    expect(kinds(abilities.step({ kind: "due", nowMs: 100 }))).toEqual([]);
  });

  it("tell the core once that a prover is unable, and once that it is able again (TRIAL-3)", () => {
    const abilities = machine("a");
    const failed = { kind: "failed", fault: FAULT, at: "a" } as const;
    const changes = (actions: readonly AbilityAction[]) => actions.filter(({ kind }) => kind === "changed");
    abilities.step({ kind: "started", nowMs: 0 });
    const told = [failed, failed, { kind: "proved", provingMs: 1 } as const].flatMap((end, at) => {
      const said = changes(abilities.step({ kind: "trial-ended", end, nowMs: 1000 * at }));
      abilities.step({ kind: "due", nowMs: 1000 * at + 500 });
      return said;
    });
    expect(told).toEqual([
      { kind: "changed", executor: "a", isAble: false },
      { kind: "changed", executor: "a", isAble: true },
    ]);
  });

  it("ignore the end of a trial that nobody runs", () => {
    const abilities = machine("a");
    expect(abilities.step({ kind: "trial-ended", end: { kind: "proved", provingMs: 1 }, nowMs: 0 })).toEqual([]);
  });
});
