/**
 * Admission, judged once more on what was sent: an honest attester admits provers to the beginnings of epochs, at most
 * once an epoch, prover and chain, and a limited number of newcomers an epoch. On a chain that starts at `any` it admits
 * only keys that it has known for long enough. It admits nobody whose joins name no admission proof of its own, of a
 * certified block that is young enough.
 *
 * The checker judges two more rules where links lose nothing. Nobody is admitted whose proof came after the block that it was
 * drawn by, and those with the lowest tickets are admitted. And an honest newcomer is admitted in time.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { domainHash, type Hash, type Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { AdmissionProof, EntryOf } from "../../../src/protocol/messages.ts";
import { admissionStageIn, type Truth } from "./truth.ts";

const EPOCH_BLOCKS = 16;
const KNOWN_BLOCKS = 64;
/** A base block is at most so many epochs, and two windows, older than the drawing. */
const AGE_EPOCHS = 4;
/** An attester may have counted so many certified blocks fewer than were certified when the join was sent. */
const LAG_BLOCKS = 16;
/** A join and an announcement that were sent within this time may come in any order. */
const RACE_MS = 500;
/** By then an honest newcomer with a proof has been drawn: its own epoch, the next one, and some blocks that are on their way. */
const ADMITTED_BLOCKS = 3 * EPOCH_BLOCKS;
/** By then an honest newcomer has shown its first admission proof. */
const PROVEN_BLOCKS = 2 * EPOCH_BLOCKS;
/** A suspended prover asks again after pauses of half a minute, and its join and the votes may be lost once. */
const RETURN_MS = 45_000;
/** An attester has verified the proofs of all that it draws so many blocks after the drawing. */
const VERIFIED_BLOCKS = 8;

interface Shown extends AdmissionProof {
  readonly saidMs: number;
  /** How many blocks were certified. */
  readonly blocks: number;
}

interface Join {
  /** How many blocks were certified when its first join came. */
  readonly blocks: number;
  readonly saidMs: number;
  readonly proofs: Shown[];
  isAdmitted: boolean;
}

export interface AdmissionsOptions {
  readonly manifest: Manifest;
  readonly truth: Truth;
  readonly now: () => number;
  readonly isHostile: (key: Key) => boolean;
  readonly complain: (violation: string) => void;
  readonly newcomersMax: number;
  /** Links lose nothing and nobody stands still. */
  readonly isQuiet: boolean;
}

/** A suspended prover of a chain that starts at `any` that asks for its next turn. */
interface Return {
  /** How many blocks were certified when it first asked. */
  readonly blocks: number;
  /** When it has to be back, once enough blocks are certified; `null` before. */
  dueMs: number | null;
  isBack: boolean;
}

interface Drawn {
  readonly who: string;
  readonly chain: number;
  readonly height: number;
  readonly prover: Key;
  readonly admitted: ReadonlySet<Key>;
}

export class Admissions {
  readonly #options: AdmissionsOptions;
  /** By attester, prover and chain: the height of the latest vote. */
  readonly #latest = new Map<string, number>();
  /** By attester, chain and height: newcomers that it admits. */
  readonly #admitted = new Map<string, Set<Key>>();
  readonly #voters = new Map<string, Set<Key>>();
  /** By chain: blocks for which a quorum has signed a barrier, with their heights, and these heights. */
  readonly #certified = new Map<number, Map<Hash, number>>();
  readonly #heights = new Map<number, Set<number>>();
  /** By chain and prover: its joins. */
  readonly #joins = new Map<number, Map<Key, Join>>();
  /** By chain and height: the blocks that were announced, and when first. */
  readonly #announced = new Map<string, { readonly hashes: Set<Hash>; readonly saidMs: number }>();
  /** By prover and chain. */
  readonly #returns = new Map<string, Return>();
  /** Votes whose order of tickets is judged later. */
  #drawn: Drawn[] = [];
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

  join(author: Key, { chain, proofs }: EntryOf<"join">): void {
    const joins = this.#joins.get(chain) ?? new Map<Key, Join>();
    this.#joins.set(chain, joins);
    const isSuspended = this.benched.has(author) && this.#startsAnywhere(chain);
    if (isSuspended && !this.#returns.has(`${author}/${chain}`))
      this.#returns.set(`${author}/${chain}`, { blocks: this.#countOf(chain), dueMs: null, isBack: false });
    if (this.#isListed(author)) return;
    const said = { saidMs: this.#options.now(), blocks: this.#countOf(chain) };
    const join = joins.get(author) ?? { ...said, proofs: [], isAdmitted: false };
    joins.set(author, join);
    for (const proof of proofs) {
      const isKnown = join.proofs.some(({ base, artefact }) => base === proof.base && artefact === proof.artefact);
      if (!isKnown) join.proofs.push({ ...proof, ...said });
    }
  }

  /** A quorum has signed a barrier of the block. */
  certified(chain: number, height: number, block: Hash): void {
    this.#heights.set(chain, (this.#heights.get(chain) ?? new Set<number>()).add(height));
    const blocks = (this.#certified.get(chain) ?? new Map<Hash, number>()).set(block, height);
    this.#certified.set(chain, blocks);
    this.#judgeDrawn(chain, height);
    this.#judgeReturns(chain);
    const hasPaid = (key: Key, join: Join) => !this.#isDue(chain) || this.#ownProofs(key, chain, join).length > 0;
    const waiting = [...(this.#joins.get(chain) ?? [])].filter(
      ([key, join]) => !join.isAdmitted && (!this.#options.isHostile(key) || hasPaid(key, join)),
    );
    // ADMIT-12.
    if (!this.#options.isQuiet || this.#startsAnywhere(chain) || waiting.length > this.#options.newcomersMax) return;
    for (const [key, join] of waiting) {
      const [first] = this.#ownProofs(key, chain, join);
      const late =
        first === undefined
          ? {
              blocks: join.blocks + PROVEN_BLOCKS,
              what: `has shown no admission proof ${PROVEN_BLOCKS} blocks after its first join`,
            }
          : {
              blocks: first.blocks + ADMITTED_BLOCKS,
              what: `is not admitted ${ADMITTED_BLOCKS} blocks after its first proof`,
            };
      // The checker does not judge a newcomer that has shown a wrong proof, because its prover is broken.
      const isJudged = first !== undefined || (this.#isDue(chain) && join.proofs.length === 0);
      if (this.#options.isHostile(key) || !isJudged || blocks.size <= late.blocks) continue;
      join.isAdmitted = true;
      this.#options.complain(`L1: ${nameOf(key)} ${late.what}`);
    }
  }

  /** An attester's vote. */
  heard(author: Key, entry: EntryOf<"admit">, isQuorum: (keys: Iterable<Key>) => boolean): void {
    const { prover, chain, height } = entry;
    const voters = (this.#voters.get(`${prover}/${chain}/${height}`) ?? new Set<Key>()).add(author);
    this.#voters.set(`${prover}/${chain}/${height}`, voters);
    if (!this.#options.isHostile(author)) this.#honest(author, entry);
    const join = this.#joins.get(chain)?.get(prover);
    if (!isQuorum(voters)) return;
    if (join !== undefined) join.isAdmitted = true;
    const back = this.#returns.get(`${prover}/${chain}`);
    // The suspended turn is named by 0, because no prover of such a run is suspended twice.
    if (back !== undefined && height > 0) back.isBack = true;
  }

  // BENCH-4.
  #judgeReturns(chain: number): void {
    for (const [name, back] of this.#returns) {
      if (!name.endsWith(`/${chain}`) || back.isBack || this.#countOf(chain) < back.blocks + this.#returnBlocks(chain))
        continue;
      back.dueMs ??= this.#options.now() + RETURN_MS;
      if (this.#options.now() < back.dueMs) continue;
      back.isBack = true;
      this.#options.complain(
        `L2: ${nameOf(name)} stays suspended on chain ${chain}, ${RETURN_MS} ms after its return was due`,
      );
    }
  }

  /** So many blocks are certified between the first join of a suspended prover and its next turn, at least. */
  #returnBlocks(chain: number): number {
    const { chains, workflows } = this.#options.manifest.json;
    const { workflow = "", confirmations = 0 } = chains.find(({ id }) => id === chain) ?? {};
    return EPOCH_BLOCKS + confirmations + (workflows[workflow]?.window ?? 1);
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
    const back = this.#returns.get(`${prover}/${chain}`);
    const blocks = back === undefined ? null : this.#countOf(chain) - back.blocks;
    // BENCH-4.
    if (back?.isBack === false && blocks !== null && blocks < this.#returnBlocks(chain) - LAG_BLOCKS)
      complain(`S1: ${who} ${blocks} certified blocks after it first asked to return`);
    const join = this.#joins.get(chain)?.get(prover);
    const { list } = this.#options.manifest.json.provers;
    if (list.every(({ key }) => this.benched.has(key)) || join === undefined || join.isAdmitted) return;
    this.#hasPaid(who, chain, prover, join, height - EPOCH_BLOCKS);
    if (this.#startsAnywhere(chain)) return this.#knownLongEnough(who, chain, join);
    const admitted = (this.#admitted.get(`${author}/${chain}/${height}`) ?? new Set<Key>()).add(prover);
    this.#admitted.set(`${author}/${chain}/${height}`, admitted);
    // ADMIT-9.
    if (admitted.size > newcomersMax)
      complain(`R1: ${who} from height ${height}, one newcomer more than ${newcomersMax}`);
    // ADMIT-8.
    if (this.#heights.get(chain)?.has(height - EPOCH_BLOCKS) !== true)
      complain(`S1: ${who} from height ${height} before the block that draws for it is certified`);
    if (this.#options.isQuiet) this.#drawn.push({ who, chain, height: height - EPOCH_BLOCKS, prover, admitted });
  }

  /** Whether the newcomer has shown a proof of its own that was young enough for the drawing. */
  #hasPaid(who: string, chain: number, prover: Key, join: Join, height: number): void {
    if (!this.#isDue(chain)) return;
    const own = this.#ownProofs(prover, chain, join);
    // ADMIT-10.
    if (own.length === 0) return this.#options.complain(`S1: ${who}, which has shown no admission proof of its own`);
    const ages = own.map((proof) => height - this.#heightOf(chain, proof));
    // ADMIT-11.
    if (!this.#startsAnywhere(chain) && Math.min(...ages) > this.#ageMax(chain))
      this.#options.complain(`S1: ${who}, whose base block is ${Math.min(...ages)} blocks older than its drawing`);
  }

  /** Its admission proofs that are true and of certified blocks. */
  #ownProofs(prover: Key, chain: number, { proofs }: Join): readonly Shown[] {
    return proofs.filter(
      (proof) =>
        this.#certified.get(chain)?.has(proof.base) === true &&
        this.#options.truth.isAdmission(prover, chain, proof) === true,
    );
  }

  #heightOf(chain: number, { base }: AdmissionProof): number {
    return this.#certified.get(chain)?.get(base) ?? 0;
  }

  #ageMax(chain: number): number {
    const { chains, workflows } = this.#options.manifest.json;
    const workflow = chains.find(({ id }) => id === chain)?.workflow ?? "";
    return AGE_EPOCHS * EPOCH_BLOCKS + 2 * (workflows[workflow]?.window ?? 1);
  }

  #isDue(chain: number): boolean {
    const { chains, workflows } = this.#options.manifest.json;
    const workflow = chains.find(({ id }) => id === chain)?.workflow ?? "";
    return admissionStageIn(workflows[workflow]?.stages ?? []) !== undefined;
  }

  /** Verifications end in any order, so the votes of a drawing are judged together. */
  #judgeDrawn(chain: number, height: number): void {
    const isDone = (each: Drawn) => each.chain === chain && height >= each.height + VERIFIED_BLOCKS;
    const done = this.#drawn.filter(isDone);
    this.#drawn = this.#drawn.filter((each) => !isDone(each));
    for (const each of done) this.#judgeTicket(each);
  }

  #judgeTicket({ who, chain, height, prover, admitted }: Drawn): void {
    const { hashes, saidMs } = this.#announced.get(`${chain}/${height}`) ?? { hashes: new Set<Hash>(), saidMs: 0 };
    const [seed] = hashes;
    const joins = this.#joins.get(chain) ?? new Map<Key, Join>();
    const join = joins.get(prover);
    if (seed === undefined || hashes.size > 1 || join === undefined) return;
    const askedMs = this.#isDue(chain)
      ? this.#ownProofs(prover, chain, join).map((each) => each.saidMs)
      : [join.saidMs];
    if (Math.min(...askedMs) > saidMs + RACE_MS)
      this.#options.complain(`S1: ${who}, which first asked once the block of height ${height} was announced`);
    const ticket = (key: Key) => domainHash("drawing", hexToBytes(key), hexToBytes(seed));
    for (const [other, waiting] of joins) {
      if (waiting.isAdmitted || admitted.has(other) || ticket(other) >= ticket(prover)) continue;
      const [latest] = this.#ownProofs(other, chain, waiting).slice(-1);
      const since = this.#isDue(chain) ? latest?.blocks : waiting.blocks;
      const isYoung = latest === undefined || height - this.#heightOf(chain, latest) <= this.#ageMax(chain);
      if (since !== undefined && since <= height - 2 * EPOCH_BLOCKS && isYoung)
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
