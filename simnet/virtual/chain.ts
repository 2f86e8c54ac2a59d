/** The chain that all sources follow: it grows, stalls, and gives up its newest blocks for others. */
import type { Source, SourceBlock, SourceEvent, Tell } from "../../src/ports.ts";
import { domainHash, type Hash, u64 } from "../../src/protocol/ids.ts";
import { CHAIN } from "./manifest.ts";
import { payloadOf } from "./provers.ts";
import type { World } from "./world.ts";

/** How many blocks a source tells again where the branch is gone that it knew. */
const REPEAT_BLOCKS = 64;
/** How often a source looks at its chain. */
const LOOK_MS = 5_000;
/** How soon a source looks again whether the node wants the next block. */
const WAIT_MS = 250;

export class SimChain {
  /** The canonical blocks, in order of height; the first has height 1. */
  readonly blocks: SourceBlock[] = [];
  /** All blocks that were ever part of the chain, by hash. */
  readonly told = new Map<Hash, SourceBlock>();
  /** Grows with every reorg: what is mined then has another hash. */
  #branch = 0;
  readonly #followers = new Set<Follower>();

  mine(): void {
    const height = this.blocks.length + 1;
    const hash = hashOf(height, this.#branch);
    const parent = this.blocks.at(-1)?.hash ?? hashOf(0, 0);
    const place = { chain: CHAIN, height, hash, parent };
    const block = { ...place, payload: payloadOf(place), items: 0 };
    this.blocks.push(block);
    this.told.set(hash, block);
    this.#tell({ kind: "block", block });
  }

  /** The newest blocks are gone, and as many others take their place. */
  reorganise(depth: number): void {
    const gone = this.blocks.splice(Math.max(this.blocks.length - depth, 0)).reverse();
    this.#branch++;
    for (const { hash } of gone) this.#tell({ kind: "retract", chain: CHAIN, hash });
    for (const _ of gone) this.mine();
  }

  /**
   * What a node's source sees of the chain through its link; `close` ends it with the node. `highest` is the height up to
   * which the node wants to be told now.
   */
  follow(world: World, link: SourceLink, highest: () => number): Source {
    let follower: Follower | null = null;
    return {
      start: (after, emit) => {
        follower = new Follower(world, link, emit, highest);
        const isKnown = after === null || this.blocks[after.height - 1]?.hash === after.hash;
        if (!isKnown) follower.hear({ kind: "retract", chain: CHAIN, hash: after.hash });
        const height = after?.height ?? 0;
        for (const block of this.blocks.slice(isKnown ? height : Math.max(height - REPEAT_BLOCKS, 0)))
          follower.hear({ kind: "block", block });
        this.#followers.add(follower);
      },
      close: () => {
        if (follower !== null) this.#followers.delete(follower);
        follower?.close();
        return Promise.resolve();
      },
    };
  }

  #tell(event: SourceEvent): void {
    for (const follower of this.#followers) follower.hear(event);
  }
}

/** How a node's source stands to the chain. It outlives the node's processes. */
export class SourceLink {
  /** How many faults keep the source from answering. */
  away = 0;
  /** How many blocks it is behind. */
  lagBlocks = 0;
}

/** Holds back what a source that is away, or behind, does not know yet. */
class Follower {
  readonly #world: World;
  readonly #link: SourceLink;
  readonly #emit: Tell;
  readonly #highest: () => number;
  #events: SourceEvent[] = [];
  #closed = false;
  #waits = false;

  constructor(world: World, link: SourceLink, emit: Tell, highest: () => number) {
    this.#world = world;
    this.#link = link;
    this.#emit = emit;
    this.#highest = highest;
    this.#look();
  }

  hear(event: SourceEvent): void {
    if (event.kind === "retract" && this.#forgets(event.hash)) return;
    this.#events.push(event);
    this.#pass();
  }

  /** A source that waits for its node has not asked for the block yet, and asks for the one that the chain has by then. */
  #forgets(hash: Hash): boolean {
    if (this.#link.away > 0 || this.#link.lagBlocks > 0) return false;
    const at = this.#events.findIndex((event) => event.kind === "block" && event.block.hash === hash);
    if (at < 0) return false;
    this.#events.splice(at, 1);
    return true;
  }

  close(): void {
    this.#closed = true;
  }

  /** As a real source does: it looks at its chain now and then, and knows that the chain answers. */
  #look(): void {
    if (this.#closed) return;
    if (this.#link.away === 0) void this.#emit({ kind: "seen", chain: CHAIN });
    this.#pass();
    this.#world.after(LOOK_MS, () => this.#look());
  }

  #pass(): void {
    const blocks = () => this.#events.filter(({ kind }) => kind === "block").length;
    while (!this.#closed && this.#link.away === 0 && this.#events.length > 0 && blocks() > this.#link.lagBlocks) {
      if (this.#isTooHigh()) return this.#wait();
      for (const event of this.#events.splice(0, 1)) void this.#emit(event);
    }
  }

  #isTooHigh(): boolean {
    const [next] = this.#events;
    return next?.kind === "block" && next.block.height > this.#highest();
  }

  #wait(): void {
    if (this.#waits) return;
    this.#waits = true;
    this.#world.after(WAIT_MS, () => {
      this.#waits = false;
      this.#pass();
    });
  }
}

function hashOf(height: number, branch: number): Hash {
  return branch === 0 ? domainHash("sim-block", u64(height)) : domainHash("sim-block", u64(height), u64(branch));
}
