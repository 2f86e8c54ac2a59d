import { describe, expect, it } from "vitest";
import { MODELS } from "../../simnet/virtual/models/models.ts";
import { RUNS } from "../../simnet/virtual/mutants.ts";
import { expectSound } from "./sound.ts";

describe("the state machines that decide beside the core break no rule in", () => {
  for (const [name, { seed, run }] of Object.entries(MODELS))
    it(name, () => {
      // The network of keepers takes seconds.
      const seeds = seed === 0 || name === "keepers" ? [seed] : [1, 2, 3];
      expect(seeds.flatMap((each) => run(each))).toEqual([]);
    });
});

describe("the prover scheduler of each simulated node breaks no rule", () => {
  for (const name of ["lingering", "unable"] as const)
    it(`in the run ${name}`, () => {
      const options = RUNS[name];
      if (options === undefined) throw new Error(`no run ${name}`);
      expectSound(options);
    });
});
