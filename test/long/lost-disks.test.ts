/** Disks that lose what was synced, up to exactly f, and what the votes of both lives add up to. */
import { describe, expect, it } from "vitest";
import type { VirtualOptions } from "../../simnet/virtual/options.ts";
import { restoredUnheard, restoredWhileProving, restoredWithoutWitness } from "../../simnet/virtual/lost-disks.ts";
import { runVirtual } from "../../simnet/virtual/run.ts";

const base = { nodes: 4, attesters: 4, blocks: 14, shards: 3, delayMs: 20 } as const;

describe("a node whose journal is lost", () => {
  it.each([
    ["restored from a copy", 4, "old"],
    ["replaced by an empty disk", 2, "empty"],
    ["replaced by an empty disk", 5, "empty"],
  ] as const)("%s (seed %i) signs nothing that its first life excludes", (_, seed, damage) => {
    const options: VirtualOptions = { ...base, seed, script: restoredWithoutWitness(damage) };
    expect(runVirtual(options).violations).toEqual([]);
  });

  it.each([
    [6, "empty"],
    [7, "unsigned"],
  ] as const)("and that nobody heard before (seed %i, %s) leaves out what it may have signed", (seed, damage) => {
    const options: VirtualOptions = { ...base, seed, script: restoredUnheard(damage) };
    const { violations, guilty } = runVirtual(options);
    expect([violations, guilty]).toEqual([[], {}]);
  });

  it.each([2])("and whose grants nobody heard (seed %i) grants none of their attempts again", (seed) => {
    const options: VirtualOptions = { ...base, seed, script: restoredWhileProving("old") };
    expect(runVirtual(options).violations).toEqual([]);
  });

  it.each([
    ["stale-answers", 3],
    ["empty-peer", 2],
  ] as const)(
    "is not confirmed by a hostile attester (%s, seed %i) in place of one that is away",
    (behaviour, seed) => {
      const options: VirtualOptions = {
        ...base,
        seed,
        byzantineAttesters: 1,
        behaviours: [behaviour],
        script: restoredWithoutWitness("old"),
        beyondF: true,
      };
      const { violations } = runVirtual(options);
      expect(violations.filter((each) => !each.startsWith("L"))).toEqual([]);
    },
  );
});
