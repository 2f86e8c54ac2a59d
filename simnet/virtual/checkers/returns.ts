/** S8: a source announces a block in a new round only where its chain has the block. */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { Entry } from "../../../src/protocol/messages.ts";
import type { SimChain } from "../chain.ts";

export class Returns {
  readonly #chain: SimChain;
  readonly #complain: (violation: string) => void;
  /** The chain at the last look: what a source told just before a reorg may be announced just after it. */
  #before: ReadonlySet<Hash> = new Set();

  constructor(chain: SimChain, complain: (violation: string) => void) {
    this.#chain = chain;
    this.#complain = complain;
  }

  look(): void {
    this.#before = new Set(this.#chain.blocks.map(({ hash }) => hash));
  }

  /** Called with each statement of an honest node that it has just sent. */
  sent(author: Key, entry: Entry): void {
    if (entry.kind !== "announce" || entry.round === 0) return;
    if (this.#before.has(entry.hash) || this.#chain.blocks.some(({ hash }) => hash === entry.hash)) return;
    this.#complain(`S8: ${author.slice(0, 8)} announced height ${entry.height} again, which its chain has given up`);
  }
}
