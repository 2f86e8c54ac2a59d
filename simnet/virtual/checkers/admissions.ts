/** S1 and R1: an honest attester admits provers to the beginnings of epochs, and votes at most once an epoch, prover and chain. */
import type { Key } from "../../../src/protocol/ids.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";

const EPOCH_BLOCKS = 16;

export class Admissions {
  readonly #complain: (violation: string) => void;
  /** By attester, prover and chain: the height of the latest vote. */
  readonly #latest = new Map<string, number>();

  constructor(complain: (violation: string) => void) {
    this.#complain = complain;
  }

  /** An honest attester's vote. */
  heard(author: Key, { prover, chain, height }: EntryOf<"admit">): void {
    const who = `${author.slice(0, 8)} admits ${prover.slice(0, 8)} to chain ${chain}`;
    if (height % EPOCH_BLOCKS !== 0) this.#complain(`S1: ${who} from height ${height}, where no epoch begins`);
    const name = `${author}/${prover}/${chain}`;
    const latest = this.#latest.get(name) ?? -1;
    if (height <= latest) this.#complain(`R1: ${who} from height ${height} after a vote for ${latest}`);
    this.#latest.set(name, Math.max(height, latest));
  }
}
