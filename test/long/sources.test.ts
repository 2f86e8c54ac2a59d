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
  it("stops no true chain by a run of false blocks above it (seed 1)", () => {
    expect(violationsOf({ ...slots, seed: 1, blocks: 14, behaviours: ["fake-ladder"] })).toEqual([]);
  });

  it("certifies no false block while the sources of two attesters do not answer (seed 2)", () => {
    const away = { sourcesAway: 2, sourcesAwayMs: 90_000 };
    const behaviours = ["fake-tip", "fake-ladder"];
    expect(violationsOf({ ...slots, ...away, seed: 2, blocks: 10, behaviours })).toEqual([]);
  });

  it("has no block certified or paid under a second id (seed 3)", () => {
    const twice = { ...base, ...one, blocks: 8, delayMs: 400, behaviours: ["two-ids"] };
    expect(violationsOf({ ...twice, seed: 3 })).toEqual([]);
  });
});

describe("a block that was certified long ago", () => {
  it("is not opened again on a chain whose runs start anywhere (seed 1)", () => {
    const limits = { closedMax: 8, retentionBlocks: 4, holeDepthMax: 4 };
    const again = { ...base, ...one, anyStart: true, limits, behaviours: ["old-block-again"] };
    expect(violationsOf({ ...again, seed: 1, blocks: 40 })).toEqual([]);
  });
});

describe("two hostile sources of seven", () => {
  it("certify no block that is on no chain (seed 4)", () => {
    const two = { nodes: 8, attesters: 7, shards: 2, byzantineAttesters: 2, blockMs: 12_000 };
    expect(violationsOf({ ...two, seed: 4, blocks: 5, behaviours: ["fake-tip"] })).toEqual([]);
  });
});

describe("a chain goes on", () => {
  /** How many blocks every node has certified at that time, of how many. */
  function certifiedAt(
    atMs: number,
    options: VirtualOptions,
  ): { readonly behind: number; readonly found: readonly string[] } {
    let behind = Number.POSITIVE_INFINITY;
    const progress = (nowMs: number, mined: number, certified: number) => {
      if (nowMs <= atMs) behind = mined - certified;
    };
    const found = violationsOf({ ...options, progress });
    return { behind, found };
  }

  it("while the sources of two attesters of four do not answer for ten minutes (seed 5)", () => {
    const alone = { nodes: 4, attesters: 4, shards: 1 };
    const away = { sourcesAway: 2, sourcesAwayMs: 600_000 };
    const run = certifiedAt(595_000, { ...alone, ...away, seed: 5, blockMs: 50_000, blocks: 13 });
    expect(run.found).toEqual([]);
    expect(run.behind).toBeLessThan(2);
  });

  it("while one source is 20 blocks behind (seed 6)", () => {
    const run = certifiedAt(39_000, { ...base, seed: 6, sourceLag: 20, blocks: 40 });
    expect(run.found).toEqual([]);
    expect(run.behind).toBeLessThan(5);
  });
});
