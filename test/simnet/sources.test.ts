/** What hostile sources, and sources that do not answer, cost the network. Each run replays from its seed. */
import { describe, expect, it } from "vitest";
import type { VirtualOptions } from "../../simnet/virtual/options.ts";
import { runVirtual } from "../../simnet/virtual/run.ts";

const base = { nodes: 5, attesters: 4, shards: 2 } as const;
const one = { byzantineAttesters: 1 } as const;
/** Provers are faster than the chain, so that a false block has the time of a slot. */
const slots = { ...base, ...one, blockMs: 12_000 } as const;

function violationsOf(options: VirtualOptions): readonly string[] {
  return runVirtual(options).violations;
}

describe("one hostile source of four", () => {
  it("certifies no block that is on no chain (seed 1)", () => {
    expect(violationsOf({ ...slots, seed: 1, blocks: 6, behaviours: ["fake-tip"] })).toEqual([]);
  });

  it("stops no true chain by a run of false blocks above it (seed 1)", () => {
    expect(violationsOf({ ...slots, seed: 1, blocks: 14, behaviours: ["fake-ladder"] })).toEqual([]);
  });

  for (const seed of [1, 3])
    it(`has no block certified or paid under a second id (seed ${seed})`, () => {
      const twice = { ...base, ...one, blocks: 8, delayMs: 400, behaviours: ["two-ids"] };
      expect(violationsOf({ ...twice, seed })).toEqual([]);
    });
});
