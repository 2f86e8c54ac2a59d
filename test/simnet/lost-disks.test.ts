/** Disks that lose what was synced, up to exactly f, and what the votes of both lives add up to. */
import { describe, expect, it } from "vitest";
import type { VirtualOptions } from "../../simnet/virtual/options.ts";
import { runVirtual } from "../../simnet/virtual/run.ts";
import type { Fault } from "../../simnet/virtual/schedule.ts";

const base = { nodes: 4, attesters: 4, blocks: 14, shards: 3, delayMs: 20 } as const;

type Unnumbered<F> = F extends Fault ? Omit<F, "number"> : never;

function script(...faults: readonly Unnumbered<Fault>[]): Fault[] {
  return faults.map((fault, number) => ({ ...fault, number }));
}

const cut = (atMs: number, side: readonly number[], forMs: number) =>
  ({ kind: "partition", atMs, side, way: "both", flaps: 1, forMs }) as const;

/**
 * Nodes 0 and 2 vote while the other two cannot hear them. Node 0 comes back from the copy of its disk that is older
 * than those votes, and node 2, which has them, cannot be reached.
 */
const restored = (damage: "old" | "empty") =>
  script({ kind: "backup", atMs: 2_000, node: 0 }, cut(2_500, [0, 2], 2_000), cut(4_490, [2], 8_000), {
    kind: "crash",
    atMs: 4_480,
    node: 0,
    sites: null,
    damage,
    downMs: 200,
  });

describe("a node whose journal is lost", () => {
  it.each([
    ["restored from a copy", 1, "old"],
    ["restored from a copy", 4, "old"],
    ["replaced by an empty disk", 2, "empty"],
    ["replaced by an empty disk", 5, "empty"],
  ] as const)("%s (seed %i) signs nothing that its first life excludes", (_, seed, damage) => {
    const options: VirtualOptions = { ...base, seed, script: restored(damage) };
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
        script: restored("old"),
        beyondF: true,
      };
      const { violations } = runVirtual(options);
      expect(violations.filter((each) => !each.startsWith("L"))).toEqual([]);
    },
  );
});
