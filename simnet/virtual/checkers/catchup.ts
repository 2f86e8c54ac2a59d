/**
 * That a node catches up (L3), and skips nothing on the way that it needs: what it skips an honest attester has let go
 * of. And that it does not ask its peers in a loop (R1).
 */
import type { Feed } from "../../../src/log/feed.ts";
import type { Key } from "../../../src/protocol/ids.ts";
import type { Cluster, SimNode } from "../cluster.ts";

/** Questions of one node within a second. Nodes that catch up need up to 16 in the runs below; a loop has hundreds. */
const QUESTIONS_MAX = 50;

export class CatchUp {
  readonly #cluster: Cluster;
  readonly #honest: () => readonly SimNode[];
  readonly #asked = new Map<string, number>();

  constructor(cluster: Cluster, honest: () => readonly SimNode[]) {
    this.#cluster = cluster;
    this.#honest = honest;
  }

  /** Called once a second. */
  look(): string[] {
    return this.#honest().flatMap(({ name, address }) => {
      const asked = this.#cluster.network.asked.get(address) ?? 0;
      const since = asked - (this.#asked.get(address) ?? 0);
      this.#asked.set(address, asked);
      if (since <= QUESTIONS_MAX) return [];
      return [`R1: ${name} has asked its peers ${since} times within a second; allowed: ${QUESTIONS_MAX}`];
    });
  }

  /** A node has skipped these numbers of a feed. */
  skipped(node: SimNode, author: Key, from: number, to: number): string[] {
    if (!this.#honest().includes(node)) return [];
    const attesters = this.#honest().filter(({ attests, key }) => attests && key !== node.key);
    // Where no honest attester is left to ask, or one of them is down, nobody can say what it had let go of.
    if (attesters.length === 0 || attesters.some(({ runtime }) => runtime === null)) return [];
    const own = node.runtime?.state.log.feed(author);
    const feeds = attesters.flatMap(({ runtime }) => runtime?.state.log.feed(author) ?? []);
    for (let number = from; number < to; number++) {
      if (own?.get(number) !== undefined || feeds.some((feed) => hasLetGo(feed, number))) continue;
      return [
        `L3: ${node.name} has skipped batch ${number} of ${author.slice(0, 8)}, which no honest node has let go of`,
      ];
    }
    return [];
  }
}

function hasLetGo(feed: Feed, number: number): boolean {
  return number < feed.next && feed.get(number) === undefined;
}
