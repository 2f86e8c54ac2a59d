/** Hostile nodes whose runs take seconds, and the command that shows that the checkers notice a mutant. */
import { describe, expect, it } from "vitest";
import { runVirtual } from "../../simnet/virtual/run.ts";
import { simnet } from "../simnet/command.ts";

const base = { nodes: 6, attesters: 4, blocks: 1, shards: 3 } as const;

describe("provers that call every input unprovable", () => {
  const shape = { nodes: 11, attesters: 4, attestersOnlyAttest: true, blocks: 5, shards: 3, seed: 2 } as const;

  for (const count of [3, 6]) {
    it(`stop no chain, ${count} of seven: the honest ones prove all blocks`, () => {
      const hostile = { byzantineProvers: count, behaviours: ["fail-logically"] };
      const { violations, certificates } = runVirtual({ ...shape, ...hostile });
      expect(violations).toEqual([]);
      expect(certificates).toBe((shape.nodes - count) * shape.blocks);
    });
  }
});

describe("a prover that proves nothing and hands in the proofs of others as its own", () => {
  const thief = { nodes: 7, attesters: 4, attestersOnlyAttest: true, blocks: 12, shards: 3, slowEveryMs: 1000 };

  it("is paid nothing where their proofs come late", () => {
    const copy = { byzantineProvers: 1, behaviours: ["copy"], delayMs: 300 };
    expect(runVirtual({ ...thief, ...copy, seed: 2 }).violations).toEqual([]);
  });

  it("is paid nothing where two of four do it", () => {
    const copy = { nodes: 8, byzantineProvers: 2, behaviours: ["copy"], failing: 0.2 };
    expect(runVirtual({ ...thief, ...copy, seed: 3 }).violations).toEqual([]);
  });
});

describe("what hostile attesters sign against themselves", () => {
  for (const seed of [2, 3]) {
    it(`names those who are more than f on every honest node, whatever they break (seed ${seed})`, () => {
      const two = { byzantineAttesters: 2, behaviours: ["grant-twice", "vote-both"] };
      const report = runVirtual({ ...base, ...two, seed, loss: 0.2, delayMs: 400 });
      const { guilty, hostile, evidence, violations, verdict } = report;
      // Either they break a rule, or they are out before; then no quorum is left.
      expect(verdict).toBe(violations.some((each) => each.startsWith("S1")) ? "safety" : "unrecoverable");
      expect(violations.join()).not.toContain("attribution");
      const names = Object.keys(hostile).sort();
      expect(Object.keys(guilty).sort()).toEqual(names);
      expect(Object.keys(evidence).sort()).toEqual(names);
      for (const name of names) {
        expect(guilty[name]).toContain("two-grants");
        expect(evidence[name]).toEqual({ offences: ["two-grants"], nodes: base.nodes - 2 });
      }
    });
  }
});

describe("a mutant", () => {
  it("that breaks a rule is caught, with the run and the seed that shows it", () => {
    const child = simnet("mutants", "--only", "other-owners", "--json");
    expect(child.stderr).toContain("caught   other-owners (all compute the same owner) by run quiet, seed 1");
    const { survivors, whole } = JSON.parse(child.stdout) as { survivors: unknown; whole: unknown };
    expect([child.status, survivors, whole]).toEqual([0, [], []]);
  });
});

describe("what hostile attesters sign against themselves", () => {
  it("names those who are more than f on every honest node, whatever they break (seed 1)", () => {
    const two = { byzantineAttesters: 2, behaviours: ["grant-twice", "vote-both"] };
    const report = runVirtual({ ...base, ...two, seed: 1, loss: 0.2, delayMs: 400 });
    const { guilty, hostile, evidence, violations, verdict } = report;
    // Either they break a rule, or they are out before; then no quorum is left.
    expect(verdict).toBe(violations.some((each) => each.startsWith("S1")) ? "safety" : "unrecoverable");
    expect(violations.join()).not.toContain("attribution");
    const names = Object.keys(hostile).sort();
    expect(Object.keys(guilty).sort()).toEqual(names);
    expect(Object.keys(evidence).sort()).toEqual(names);
    for (const name of names) {
      expect(guilty[name]).toContain("two-grants");
      expect(evidence[name]).toEqual({ offences: ["two-grants"], nodes: base.nodes - 2 });
    }
  });
});
