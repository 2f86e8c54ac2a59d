/** Restarts of nodes whose own feeds are longer than the look-ahead of a feed. */
import { describe, expect, it } from "vitest";
import { Cluster, type SimNode } from "../../simnet/virtual/cluster.ts";
import { Chance } from "../../simnet/virtual/world.ts";

const BATCH_AHEAD_MAX = 32;
const BLOCK_MS = 300;

class Run {
  readonly excluded: string[] = [];
  readonly cluster: Cluster;
  readonly #chance = new Chance(1, "kill");

  constructor(nodes: number) {
    this.cluster = new Cluster(
      {
        seed: 1,
        nodes,
        attesters: nodes,
        joiners: 0,
        shards: 3,
        window: 4,
        retentionBlocks: 64,
        limits: { batchAheadMax: BATCH_AHEAD_MAX },
        links: { loss: 0, duplicate: 0, replay: 0, delayMsMin: 5, delayMsMax: 20, wan: false },
        times: { proveMsMin: 10, proveMsMax: 40, verifyMs: 2, wrong: 0, failing: 0, wrongFirst: 0, tooLarge: 0 },
        diskMs: 2,
        hooks: {},
      },
      (node, event, fields) => {
        if (event === "key.out" || event === "feed.equivocation")
          this.excluded.push(`${node.name} ${event} ${String(fields["from"] ?? fields["number"])}`);
      },
    );
    for (const node of this.cluster.nodes) this.cluster.start(node);
  }

  /** Mines blocks and waits until every node has certified all of them. */
  mine(count: number): void {
    const { world, chain, nodes } = this.cluster;
    for (let at = 0; at < count; at++) world.after(at * BLOCK_MS, () => chain.mine());
    const target = chain.blocks.length + count;
    const isDone = () => chain.blocks.length === target && nodes.every((node) => this.cluster.hasAll(node));
    world.run(world.nowMs + count * BLOCK_MS + 60_000, isDone);
    if (!isDone()) throw new Error(`not all of ${target} blocks are certified`);
  }

  restart(...nodes: readonly SimNode[]): void {
    const { world } = this.cluster;
    for (const node of nodes) this.cluster.crash(node, "intact", this.#chance, 500);
    const areUp = () => nodes.every(({ runtime }) => runtime !== null);
    world.run(world.nowMs + 10_000, areUp);
    if (!areUp()) throw new Error("a node did not come back");
  }

  own({ key, runtime }: SimNode): number {
    return runtime?.state.log.feed(key)?.next ?? 0;
  }
}

describe("a node whose own feed is longer than the look-ahead of a feed", () => {
  it("certifies on after each of its restarts where it is the only attester", () => {
    const run = new Run(1);
    const [node] = run.cluster.nodes;
    if (node === undefined) throw new Error("no node");
    for (let restarts = 0; restarts < 4; restarts++) {
      run.mine(10);
      run.restart(node);
    }
    run.mine(1);
    expect(run.own(node)).toBeGreaterThan(4 * BATCH_AHEAD_MAX);
    expect(run.excluded).toEqual([]);
  });

  it("restarts with all others at once, and one after the other", () => {
    const run = new Run(4);
    run.mine(8);
    run.restart(...run.cluster.nodes);
    run.mine(2);
    for (const node of run.cluster.nodes) {
      run.restart(node);
      run.mine(2);
    }
    for (const node of run.cluster.nodes) expect(run.own(node)).toBeGreaterThan(2 * BATCH_AHEAD_MAX);
    expect(run.excluded).toEqual([]);
  });
});
