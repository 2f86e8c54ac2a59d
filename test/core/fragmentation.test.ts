/**
 * Ten partial results of a block, three collectors: what push0 needs partition-affine routing for.
 *
 * Collectors that compete for messages on one subject each get some of a block's results, and none of them ever has all:
 * the barrier of a block fills with a chance of R^-(K-1). Here the results of a block travel on its partition's topic to
 * every node of it, and each is a collector of all.
 */
import { describe, expect, it } from "vitest";
import { manifestJson } from "../protocol/fixtures.ts";
import { blockAt } from "./harness.ts";
import { certifiedHeights, Net } from "./net.ts";

const RESULTS = 10;
const COLLECTORS = ["a", "b", "c"];
const SHARDS = RESULTS - 1;

/** Numbers below `bound`, the same in every run (xorshift32). */
function drawer(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

describe("a barrier of ten results before three collectors", () => {
  it("almost never fills where they compete for messages: 1 block in 19,683", () => {
    const draw = drawer(1);
    const blocks = 200_000;
    let filled = 0;
    for (let block = 0; block < blocks; block++) {
      const first = draw(COLLECTORS.length);
      let together = 1;
      while (together < RESULTS && draw(COLLECTORS.length) === first) together++;
      if (together === RESULTS) filled++;
    }
    const expected = blocks * COLLECTORS.length ** -(RESULTS - 1);
    expect(filled).toBeGreaterThan(expected / 3);
    expect(filled).toBeLessThan(expected * 3);
  });

  it("fills at each of them, for every block, where all results travel to the whole partition", () => {
    const { workflows } = manifestJson([]);
    const [shard, aggregate] = workflows["block"]?.stages ?? [];
    if (shard === undefined || aggregate === undefined) throw new Error("no stages");
    const stages = [{ ...shard, tasks: { shards: SHARDS, itemsMax: 8 } }, aggregate];
    const net = new Net(COLLECTORS, { workflows: { block: { window: 2, stages } } });
    const heights = Array.from({ length: 8 }, (_, at) => at + 1);
    for (const height of heights) net.mine(blockAt(height));
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual(heights);
    const receipts = net.cores.flatMap((core) => core.said().filter((line) => line.startsWith("receipt")));
    expect(receipts).toHaveLength(heights.length * RESULTS);
  });
});
