/** What a hostile source costs the network; the long suite has more of them, and sources that do not answer. */
import { describe, expect, it } from "vitest";
import { runVirtual } from "../../simnet/virtual/run.ts";

const base = { nodes: 5, attesters: 4, shards: 2, byzantineAttesters: 1, seed: 1 } as const;

describe("one hostile source of four", () => {
  it("certifies no block that is on no chain (seed 1) (S8)", () => {
    const { violations } = runVirtual({ ...base, blockMs: 12_000, blocks: 6, behaviours: ["fake-tip"] });
    expect(violations).toEqual([]);
  });

  it("has no block certified or paid under a second id (seed 1)", () => {
    const { violations } = runVirtual({ ...base, blocks: 8, delayMs: 400, behaviours: ["two-ids"] });
    expect(violations).toEqual([]);
  });
});

describe("a chain that turns back by more blocks than are kept", () => {
  it("goes on from where it turned, also at nodes without a source (ANNOUNCE-6, seed 1)", () => {
    const deep = { reorgEveryMs: 15_000, reorgDepth: 24, limits: { retentionBlocks: 8 } };
    const { violations } = runVirtual({ nodes: 5, attesters: 4, shards: 1, seed: 1, blocks: 40, ...deep });
    expect(violations).toEqual([]);
  });
});
