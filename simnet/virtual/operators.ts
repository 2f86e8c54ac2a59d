/**
 * Operators, who hand in the blocks of a second chain that no source follows: each at its own attester, one block
 * after the other. Where no answer comes, or the node is down, the operator hands the same block in again.
 */
import type { SourceBlock } from "../../src/ports.ts";
import { domainHash, type Hash, type Key, u64 } from "../../src/protocol/ids.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { HANDED_CHAIN } from "./manifest.ts";
import { payloadOf } from "./provers.ts";
import type { World } from "./world.ts";

/** What an operator waits before the next try, and for an answer. */
const RETRY_MS = 500;
const ANSWER_MS = 5_000;

interface Node {
  readonly name: string;
  readonly key: Key;
  readonly runtime: Runtime | null;
}

export class Operators<N extends Node> {
  readonly blocks: readonly SourceBlock[];
  /** Told of each block that a node has acknowledged. */
  acknowledged: (node: N, block: SourceBlock) => void = () => {};
  readonly #world: World;

  constructor(world: World, blocks: number) {
    this.#world = world;
    this.blocks = Array.from({ length: blocks }, (_, at) => blockAt(at + 1));
  }

  /** Each of these nodes gets all blocks, the first ones by the time `withinMs` is over. */
  begin(nodes: readonly N[], withinMs: number): void {
    const everyMs = withinMs / (this.blocks.length + 1);
    for (const node of nodes) this.#world.after(everyMs, () => this.#handIn(node, 0, everyMs));
  }

  #handIn(node: N, at: number, everyMs: number): void {
    const block = this.blocks[at];
    if (block === undefined) return;
    const again = () => this.#world.after(RETRY_MS, () => this.#handIn(node, at, everyMs));
    if (node.runtime === null) return void again();
    let isOver = false;
    const giveUp = this.#world.after(ANSWER_MS, () => {
      isOver = true;
      again();
    });
    node.runtime.submit(block, (result) => {
      // An answer that comes late is an answer: what is acknowledged is durable.
      if (result.ok) this.acknowledged(node, block);
      if (isOver) return;
      giveUp();
      if (!result.ok) return void again();
      this.#world.after(everyMs, () => this.#handIn(node, at + 1, everyMs));
    });
  }
}

function blockAt(height: number): SourceBlock {
  const place = { chain: HANDED_CHAIN, height, hash: hashAt(height), parent: hashAt(height - 1) };
  return { ...place, payload: payloadOf(place), items: 0 };
}

function hashAt(height: number): Hash {
  return domainHash("sim-handed", u64(height));
}
