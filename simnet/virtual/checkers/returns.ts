/** S8, ANNOUNCE-15: a source announces a block in a new round only where its chain has the block. */
import { blockId, type Hash, type Key } from "../../../src/protocol/ids.ts";
import type { Entry } from "../../../src/protocol/messages.ts";
import type { SimChain } from "../chain.ts";

export class Returns {
  readonly #chain: SimChain;
  readonly #complain: (violation: string) => void;
  /** The chain at the last look: what a source told just before a reorg may be announced just after it. */
  #before: ReadonlySet<Hash> = new Set();
  /** By id: the hash of the block. */
  readonly #hashes = new Map<Hash, Hash>();
  readonly #network: Hash;
  readonly #isPrompt: boolean;

  /** `isPrompt`: sources know the chain as it is, and nodes sign at once. */
  constructor(network: Hash, chain: SimChain, isPrompt: boolean, complain: (violation: string) => void) {
    this.#isPrompt = isPrompt;
    this.#network = network;
    this.#chain = chain;
    this.#complain = complain;
  }

  look(): void {
    this.#before = new Set(this.#chain.blocks.map(({ hash }) => hash));
  }

  /** Called with each statement of an honest node that it has just sent. */
  sent(author: Key, entry: Entry): void {
    if (entry.kind === "announce") this.#hashes.set(blockId(this.#network, entry), entry.hash);
    if (entry.kind === "cancel") this.#cancelled(author, this.#hashes.get(entry.block));
    if (entry.kind !== "announce" || entry.round === 0) return;
    if (!this.#isPrompt || this.#before.has(entry.hash) || this.#chain.blocks.some(({ hash }) => hash === entry.hash))
      return;
    this.#complain(`S8: ${author.slice(0, 8)} announced height ${entry.height} again, which its chain has given up`);
  }

  /** RETRACT-2, RETRACT-3, CANCEL-4: nobody gives up a block of the chain. What the chain gives up never comes back. */
  #cancelled(author: Key, hash: Hash | undefined): void {
    const block = this.#chain.blocks.find((each) => each.hash === hash);
    if (block !== undefined)
      this.#complain(`S8: ${author.slice(0, 8)} cancelled height ${block.height}, which its chain has`);
  }
}
