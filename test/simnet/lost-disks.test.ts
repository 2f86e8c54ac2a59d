/** Disks that lose what was synced; the long suite has more of them. */
import { describe, expect, it } from "vitest";
import { restoredUnheard, restoredWhileProving, restoredWithoutWitness } from "../../simnet/virtual/lost-disks.ts";
import { runVirtual } from "../../simnet/virtual/run.ts";

const base = { nodes: 4, attesters: 4, blocks: 14, shards: 3, delayMs: 20 } as const;

describe("a node whose journal is lost", () => {
  it("restored from a copy (seed 1) signs nothing that its first life excludes", () => {
    const { violations } = runVirtual({ ...base, seed: 1, script: restoredWithoutWitness("old") });
    expect(violations).toEqual([]);
  });

  it("and that nobody heard before (seed 3, old) leaves out what it may have signed", () => {
    const { violations, guilty } = runVirtual({ ...base, seed: 3, script: restoredUnheard("old") });
    expect([violations, guilty]).toEqual([[], {}]);
  });

  it("and whose grants nobody heard (seed 1) grants none of their attempts again", () => {
    const { violations } = runVirtual({ ...base, seed: 1, script: restoredWhileProving("old") });
    expect(violations).toEqual([]);
  });
});
