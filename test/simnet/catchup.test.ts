/** A network that is many times older than a node may look ahead: a newcomer joins it, and an attester comes back. */
import { describe, expect, it } from "vitest";
import { Cluster, type NodeHooks, type SimNode } from "../../simnet/virtual/cluster.ts";
import { Chance } from "../../simnet/virtual/world.ts";

const AHEAD_MAX = 32;
const BLOCK_MS = 400;
/** Blocks while the attester is away: its peers' feeds grow by at least a batch a block and task meanwhile. */
const AWAY_BLOCKS = 25;
/** How long the two have until they know all that the others know. */
const CATCH_UP_MS = 5_000;

class Network {
  readonly cluster: Cluster;
  refused = 0;

  constructor(hooks: NodeHooks = {}) {
    this.cluster = new Cluster(
      {
        seed: 3,
        nodes: 5,
        attesters: 4,
        joiners: 1,
        shards: 2,
        window: 4,
        retentionBlocks: 4,
        limits: { batchAheadMax: AHEAD_MAX },
        links: { loss: 0, duplicate: 0, replay: 0, delayMsMin: 1, delayMsMax: 20, wan: false },
        times: { proveMsMin: 50, proveMsMax: 200, verifyMs: 5, wrong: 0, wrongFirst: 0, failing: 0, tooLarge: 0 },
        diskMs: 2,
        hooks,
      },
      (_, event, fields) => {
        if (event === "refused" && fields["code"] === "batch.too-far") this.refused++;
      },
    );
    for (const node of this.cluster.nodes) if (!node.gone) this.cluster.start(node);
  }

  node(at: number): SimNode {
    const node = this.cluster.nodes[at];
    if (node === undefined) throw new RangeError(`no node ${at}`);
    return node;
  }

  pass(forMs: number): void {
    let over = false;
    this.cluster.world.after(forMs, () => {
      over = true;
    });
    this.cluster.world.run(this.cluster.world.nowMs + forMs + 1, () => over);
  }

  mine(blocks: number): void {
    for (let block = 0; block < blocks; block++) {
      this.cluster.chain.mine();
      this.pass(BLOCK_MS);
    }
  }

  next(node: SimNode, author: SimNode): number {
    return node.runtime?.state.log.feed(author.key)?.next ?? 0;
  }

  /** Batches of each feed that the node lacks of those that the others had at that moment. */
  lacking(node: SimNode, known: readonly number[]): number[] {
    return known.map((next, at) => Math.max(next - this.next(node, this.node(at)), 0));
  }

  known(): number[] {
    return this.cluster.nodes.map((author) => Math.max(...this.cluster.nodes.map((node) => this.next(node, author))));
  }
}

describe("in a network many times older than the look-ahead of a feed", () => {
  it("a newcomer and an attester that was away have all logs within seconds, and take part again (L3)", () => {
    const network = new Network();
    const { cluster } = network;
    const [back, newcomer] = [network.node(3), network.node(5)];
    network.mine(3);
    cluster.crash(back, "intact", new Chance(1, "away"), 600_000);
    network.mine(AWAY_BLOCKS);
    const before = network.known();
    expect(Math.min(...before.slice(0, 3))).toBeGreaterThan(6 * AHEAD_MAX);
    const own = network.next(network.node(0), back);
    const asked = cluster.network.requests;

    newcomer.gone = false;
    cluster.start(back);
    cluster.start(newcomer);
    network.pass(CATCH_UP_MS);
    const nothing = before.map(() => 0);
    expect(network.lacking(back, before)).toEqual(nothing);
    expect(network.lacking(newcomer, before)).toEqual(nothing);
    // Six nodes ask once a second, and those with gaps four times.
    expect(cluster.network.requests - asked).toBeLessThan(200);

    // A newcomer is drawn at the beginning of an epoch, and begins with the next one.
    network.mine(48);
    network.pass(CATCH_UP_MS);
    expect(cluster.nodes.filter((node) => !cluster.hasAll(node)).map(({ name }) => name)).toEqual([]);
    expect(network.next(network.node(0), back)).toBeGreaterThan(own + 12);
    const receipts = [...(network.node(0).runtime?.state.log.feed(newcomer.key)?.kept() ?? [])]
      .flatMap(({ entries }) => entries)
      .filter(({ kind }) => kind === "receipt");
    expect(receipts.length).toBeGreaterThan(0);
  });
});
