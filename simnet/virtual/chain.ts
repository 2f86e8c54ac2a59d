/** The chain that all sources follow: it grows, stalls, and gives up its newest blocks for others. */
import type { Source, SourceBlock, SourceEvent, Tell } from "../../src/ports.ts";
import { domainHash, type Hash, u64 } from "../../src/protocol/ids.ts";
import { CHAIN } from "./manifest.ts";
import { payloadOf } from "./provers.ts";

/** How many blocks a source tells again where the branch is gone that it knew. */
const REPEAT_BLOCKS = 64;

export class SimChain {
  /** The canonical blocks, in order of height; the first has height 1. */
  readonly blocks: SourceBlock[] = [];
  /** Grows with every reorg: what is mined then has another hash. */
  #branch = 0;
  readonly #followers = new Set<Tell>();

  mine(): void {
    const height = this.blocks.length + 1;
    const hash = hashOf(height, this.#branch);
    const parent = this.blocks.at(-1)?.hash ?? hashOf(0, 0);
    const place = { chain: CHAIN, height, hash, parent };
    const block = { ...place, payload: payloadOf(place), items: 0 };
    this.blocks.push(block);
    this.#tell({ kind: "block", block });
  }

  /** The newest blocks are gone, and as many others take their place. */
  reorganise(depth: number): void {
    const gone = this.blocks.splice(Math.max(this.blocks.length - depth, 0)).reverse();
    this.#branch++;
    for (const { hash } of gone) this.#tell({ kind: "retract", chain: CHAIN, hash });
    for (const _ of gone) this.mine();
  }

  /** What a node's source sees of the chain; `close` ends it with the node. */
  follow(): Source {
    let told: Tell | null = null;
    return {
      start: (after, emit) => {
        const isKnown = after === null || this.blocks[after.height - 1]?.hash === after.hash;
        if (!isKnown) void emit({ kind: "retract", chain: CHAIN, hash: after.hash });
        const height = after?.height ?? 0;
        for (const block of this.blocks.slice(isKnown ? height : Math.max(height - REPEAT_BLOCKS, 0)))
          void emit({ kind: "block", block });
        told = emit;
        this.#followers.add(emit);
      },
      close: () => {
        if (told !== null) this.#followers.delete(told);
        return Promise.resolve();
      },
    };
  }

  #tell(event: SourceEvent): void {
    for (const follower of this.#followers) void follower(event);
  }
}

function hashOf(height: number, branch: number): Hash {
  return branch === 0 ? domainHash("sim-block", u64(height)) : domainHash("sim-block", u64(height), u64(branch));
}
