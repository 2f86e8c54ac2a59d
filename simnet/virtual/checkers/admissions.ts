/**
 * S1 and R1: an honest attester admits provers to the beginnings of epochs, votes at most once an epoch, prover and
 * chain, and admits to a chain that starts at `any` only keys that it has known for long enough.
 */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";

const EPOCH_BLOCKS = 16;
const KNOWN_BLOCKS = 64;
/** An attester may have counted so many certified blocks fewer than were certified when the join was sent. */
const LAG_BLOCKS = 16;

export class Admissions {
  readonly #manifest: Manifest;
  readonly #complain: (violation: string) => void;
  /** By attester, prover and chain: the height of the latest vote. */
  readonly #latest = new Map<string, number>();
  /** By chain: blocks for which a quorum has signed a barrier. */
  readonly #certified = new Map<number, Set<Hash>>();
  /** By prover and chain: how many blocks were certified when it first asked. */
  readonly #joined = new Map<string, number>();
  /** A quorum has benched somebody: a chain may have been without provers. */
  isTroubled = false;

  constructor(manifest: Manifest, complain: (violation: string) => void) {
    this.#manifest = manifest;
    this.#complain = complain;
  }

  join(author: Key, { chain }: EntryOf<"join">): void {
    const name = `${author}/${chain}`;
    if (!this.#joined.has(name)) this.#joined.set(name, this.#countOf(chain));
  }

  /** A quorum has signed a barrier of the block. */
  certified(chain: number, block: Hash): void {
    this.#certified.set(chain, (this.#certified.get(chain) ?? new Set<Hash>()).add(block));
  }

  /** An honest attester's vote. */
  heard(author: Key, { prover, chain, height }: EntryOf<"admit">): void {
    const who = `${author.slice(0, 8)} admits ${prover.slice(0, 8)} to chain ${chain}`;
    // ADMIT-4.
    if (height % EPOCH_BLOCKS !== 0) this.#complain(`S1: ${who} from height ${height}, where no epoch begins`);
    const name = `${author}/${prover}/${chain}`;
    const latest = this.#latest.get(name) ?? -1;
    // ADMIT-5.
    if (height <= latest) this.#complain(`R1: ${who} from height ${height} after a vote for ${latest}`);
    this.#latest.set(name, Math.max(height, latest));
    this.#knownLongEnough(who, prover, chain);
  }

  #knownLongEnough(who: string, prover: Key, chain: number): void {
    const { chains, provers } = this.#manifest.json;
    if (chains.find(({ id }) => id === chain)?.start !== "any" || this.isTroubled) return;
    if (provers.list.length === 0 || provers.list.some(({ key }) => key === prover)) return;
    const blocks = this.#countOf(chain) - (this.#joined.get(`${prover}/${chain}`) ?? this.#countOf(chain));
    if (blocks < KNOWN_BLOCKS - LAG_BLOCKS)
      this.#complain(`S1: ${who} ${blocks} certified blocks after its first join, and not ${KNOWN_BLOCKS}`);
  }

  #countOf(chain: number): number {
    return this.#certified.get(chain)?.size ?? 0;
  }
}
