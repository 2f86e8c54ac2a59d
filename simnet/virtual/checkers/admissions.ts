/**
 * Admission, judged once more on what was sent: an honest attester admits provers to the beginnings of epochs, at most
 * once an epoch, prover and chain, and a limited number of newcomers an epoch. On a chain that starts at `any` it admits
 * only keys that it has known for long enough.
 *
 * Where links lose nothing, two more rules can be judged. Nobody is admitted whose join came after the block that it was
 * drawn by, and those with the lowest tickets are admitted. And an honest newcomer is admitted in time.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { domainHash, type Hash, type Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";

const EPOCH_BLOCKS = 16;
const KNOWN_BLOCKS = 64;
/** An attester may have counted so many certified blocks fewer than were certified when the join was sent. */
const LAG_BLOCKS = 16;
/** A join and an announcement that were sent within this time may come in any order. */
const RACE_MS = 500;
/** By then an honest newcomer has been drawn: its own epoch, the next one, and some blocks that are on their way. */
const ADMITTED_BLOCKS = 3 * EPOCH_BLOCKS;

interface Join {
  readonly saidMs: number;
  /** How many blocks were certified. */
  readonly blocks: number;
  isAdmitted: boolean;
}

export interface AdmissionsOptions {
  readonly manifest: Manifest;
  readonly now: () => number;
  readonly isHostile: (key: Key) => boolean;
  readonly complain: (violation: string) => void;
  readonly newcomersMax: number;
  /** Links lose nothing and nobody stands still. */
  readonly isQuiet: boolean;
}

export class Admissions {
  readonly #options: AdmissionsOptions;
  /** By attester, prover and chain: the height of the latest vote. */
  readonly #latest = new Map<string, number>();
  /** By attester, chain and height: newcomers that it admits. */
  readonly #admitted = new Map<string, Set<Key>>();
  readonly #voters = new Map<string, Set<Key>>();
  /** By chain: blocks for which a quorum has signed a barrier, and the heights of such blocks. */
  readonly #certified = new Map<number, Set<Hash>>();
  readonly #heights = new Map<number, Set<number>>();
  /** By chain and prover: its first join. */
  readonly #joins = new Map<number, Map<Key, Join>>();
  /** By chain and height: the blocks that were announced, and when first. */
  readonly #announced = new Map<string, { readonly hashes: Set<Hash>; readonly saidMs: number }>();
  /** Provers whose turn a quorum has ended. Where all that are listed are among them, a chain may be without provers. */
  readonly benched = new Set<Key>();

  constructor(options: AdmissionsOptions) {
    this.#options = options;
  }

  announced({ chain, height, hash }: EntryOf<"announce">): void {
    const name = `${chain}/${height}`;
    const known = this.#announced.get(name) ?? { hashes: new Set<Hash>(), saidMs: this.#options.now() };
    known.hashes.add(hash);
    this.#announced.set(name, known);
  }

  join(author: Key, { chain }: EntryOf<"join">): void {
    const joins = this.#joins.get(chain) ?? new Map<Key, Join>();
    this.#joins.set(chain, joins);
    if (joins.has(author) || this.#isListed(author)) return;
    joins.set(author, { saidMs: this.#options.now(), blocks: this.#countOf(chain), isAdmitted: false });
  }

  /** A quorum has signed a barrier of the block. */
  certified(chain: number, height: number, block: Hash): void {
    this.#heights.set(chain, (this.#heights.get(chain) ?? new Set<number>()).add(height));
    const blocks = (this.#certified.get(chain) ?? new Set<Hash>()).add(block);
    this.#certified.set(chain, blocks);
    const waiting = [...(this.#joins.get(chain) ?? [])].filter(([, join]) => !join.isAdmitted);
    if (!this.#options.isQuiet || this.#startsAnywhere(chain) || waiting.length > this.#options.newcomersMax) return;
    for (const [key, join] of waiting) {
      if (this.#options.isHostile(key) || blocks.size <= join.blocks + ADMITTED_BLOCKS) continue;
      join.isAdmitted = true;
      this.#options.complain(`L1: ${nameOf(key)} is not admitted ${ADMITTED_BLOCKS} blocks after its first join`);
    }
  }

  /** An attester's vote. */
  heard(author: Key, entry: EntryOf<"admit">, isQuorum: (keys: Iterable<Key>) => boolean): void {
    const { prover, chain, height } = entry;
    const voters = (this.#voters.get(`${prover}/${chain}/${height}`) ?? new Set<Key>()).add(author);
    this.#voters.set(`${prover}/${chain}/${height}`, voters);
    if (!this.#options.isHostile(author)) this.#honest(author, entry);
    const join = this.#joins.get(chain)?.get(prover);
    if (join !== undefined && isQuorum(voters)) join.isAdmitted = true;
  }

  #honest(author: Key, { prover, chain, height }: EntryOf<"admit">): void {
    const { complain, newcomersMax } = this.#options;
    const who = `${nameOf(author)} admits ${nameOf(prover)} to chain ${chain}`;
    // ADMIT-4.
    if (height % EPOCH_BLOCKS !== 0) complain(`S1: ${who} from height ${height}, where no epoch begins`);
    const name = `${author}/${prover}/${chain}`;
    const latest = this.#latest.get(name) ?? -1;
    // ADMIT-5.
    if (height <= latest) complain(`R1: ${who} from height ${height} after a vote for ${latest}`);
    this.#latest.set(name, Math.max(height, latest));
    const join = this.#joins.get(chain)?.get(prover);
    const { list } = this.#options.manifest.json.provers;
    if (list.every(({ key }) => this.benched.has(key)) || join === undefined || join.isAdmitted) return;
    if (this.#startsAnywhere(chain)) return this.#knownLongEnough(who, chain, join);
    const admitted = (this.#admitted.get(`${author}/${chain}/${height}`) ?? new Set<Key>()).add(prover);
    this.#admitted.set(`${author}/${chain}/${height}`, admitted);
    // ADMIT-9.
    if (admitted.size > newcomersMax)
      complain(`R1: ${who} from height ${height}, one newcomer more than ${newcomersMax}`);
    // ADMIT-8.
    if (this.#heights.get(chain)?.has(height - EPOCH_BLOCKS) !== true)
      complain(`S1: ${who} from height ${height} before the block that draws for it is certified`);
    if (this.#options.isQuiet) this.#drawn(who, chain, height - EPOCH_BLOCKS, { prover, join, admitted });
  }

  /** Attesters vote in the order of the tickets. */
  #drawn(
    who: string,
    chain: number,
    height: number,
    { prover, join, admitted }: { readonly prover: Key; readonly join: Join; readonly admitted: ReadonlySet<Key> },
  ): void {
    const { hashes, saidMs } = this.#announced.get(`${chain}/${height}`) ?? { hashes: new Set<Hash>(), saidMs: 0 };
    const [seed] = hashes;
    if (seed === undefined || hashes.size > 1) return;
    if (join.saidMs > saidMs + RACE_MS)
      this.#options.complain(`S1: ${who}, which first asked once the block of height ${height} was announced`);
    const ticket = (key: Key) => domainHash("drawing", hexToBytes(key), hexToBytes(seed));
    for (const [other, { blocks, isAdmitted }] of this.#joins.get(chain) ?? []) {
      const isWaiting = !isAdmitted && !admitted.has(other) && blocks <= height - 2 * EPOCH_BLOCKS;
      if (isWaiting && ticket(other) < ticket(prover))
        this.#options.complain(`S1: ${who} and not ${nameOf(other)}, whose ticket is lower`);
    }
  }

  #knownLongEnough(who: string, chain: number, join: Join): void {
    const blocks = this.#countOf(chain) - join.blocks;
    // ADMIT-6.
    if (blocks < KNOWN_BLOCKS - LAG_BLOCKS)
      this.#options.complain(`S1: ${who} ${blocks} certified blocks after its first join, and not ${KNOWN_BLOCKS}`);
  }

  #startsAnywhere(chain: number): boolean {
    return this.#options.manifest.json.chains.find(({ id }) => id === chain)?.start === "any";
  }

  #isListed(prover: Key): boolean {
    return this.#options.manifest.json.provers.list.some(({ key }) => key === prover);
  }

  #countOf(chain: number): number {
    return this.#certified.get(chain)?.size ?? 0;
  }
}

function nameOf(key: Key): string {
  return key.slice(0, 8);
}
