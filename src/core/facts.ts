/**
 * Facts: what somebody has signed, as far as this node has it.
 *
 * A fact is bound to its author and to its place in the author's feed, and is written once: of two statements about one
 * thing the earlier one stands, whatever the order of arrival. Facts only grow. The one exception is a key that is out:
 * what it signed from its offence on is no fact (`evidence.ts`). Replay fills facts and nothing else.
 *
 * Each type has three parts. The signed part is written by the functions of this file alone: elsewhere its maps are
 * read-only. The found part is what this node has computed from bytes that a fact names, so it is the same on each node
 * that has computed it. The settled part is what the last step found to follow, kept so that a change is acted on once.
 *
 * Views (`views.ts`) take these types. Soft state (`soft.ts`) is no part of them, so a view that read a clock, an
 * estimate or a plan of this node would not compile.
 */
import type { Closed } from "../protocol/certificate.ts";
import { type Batch, voteOf } from "../protocol/batch.ts";
import type { Evidence } from "../protocol/evidence.ts";
import type { Announced, Hash, Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { Entry, EntryOf, Vote } from "../protocol/messages.ts";
import type { Stage, Variant } from "../protocol/workflow.ts";
import { type BlockChanges, type Changes, factsChanged, type Memos } from "./changes.ts";
import type { Prepared } from "./event.ts";
import type { CoreOptions } from "./options.ts";

/** Where in its author's feed something was said: the batch's number, and the entry's place in it. */
export interface Place {
  readonly number: number;
  readonly index: number;
}

/** A statement somebody signed, its place in the author's feed, and where its signature is. */
export interface Signed extends Place {
  readonly author: Key;
  readonly shown: { readonly batch: Batch; readonly index: number } | { readonly vote: Vote };
}

/** An entry of the log and its place in its author's feed. */
export interface Located {
  readonly signed: Signed;
  readonly entry: Entry;
}

/** By author: the statement that stands. */
export type Votes<V extends Place = Signed> = ReadonlyMap<Key, V>;

/** Whether its author said it earlier than the other: by the order of the feed, whatever the order of arrival. */
export function isEarlier(a: Place, b: Place): boolean {
  return a.number === b.number ? a.index < b.index : a.number < b.number;
}

export function show(signed: Signed): Vote {
  return "vote" in signed.shown ? signed.shown.vote : voteOf(signed.shown.batch, signed.shown.index);
}

/** One attempt of one task. */
export interface AttemptFacts {
  readonly number: number;
  /** Claims by whoever made one; only the owner's counts. At most one a roster member. */
  readonly claims: Votes;
  /** Attesters that granted it, by the prover they granted it to. */
  readonly grants: ReadonlyMap<Key, Votes>;
  /** The last grant of an attester that said one again: an earlier timeout forbids it. */
  readonly regrants: Votes;
  /** Attesters that hold it to be over, and why. */
  readonly timeouts: Votes<TimeoutVote>;
  /** Attesters that attested, by the prover. */
  readonly attests: ReadonlyMap<Key, Votes>;
  /** How each prover has ended it first: by a release, a failure, or a receipt whose proof is not the one that it names. */
  readonly ends: Votes<EndVote>;
  /** In an `agree` stage: the first commitment of each prover. */
  readonly commits: Votes<CommitVote>;
  /** In an `agree` stage: the commitment that each attester has sealed, one at most. */
  readonly seals: Votes<SealVote>;

  /** Found: what is behind the sealed commitment, as its prover's receipt will name it; `null` while it is not here. */
  opened: Receipt | null;
}

interface TimeoutVote extends Signed {
  readonly code: string;
}

/** A prover's statement that it does not prove the task in an attempt. */
export interface EndVote extends Signed {
  readonly code: string;
  readonly logical: boolean;
}

/** A prover's commitment to a result. */
interface CommitVote extends Signed {
  readonly hash: Hash;
}

/** An attester's statement that it holds a commitment. */
interface SealVote extends Signed {
  readonly prover: Key;
  readonly hash: Hash;
}

/** An operator's wish that the pauses of a task begin anew, by its attester. */
export interface RequeueVote extends Signed {
  /** The attempt that its author saw open. */
  readonly attempt: number;
}

/** What a prover signed of a proof. */
export interface Receipt extends EntryOf<"receipt"> {
  /** Where its author said so first. */
  readonly signed: Signed;
  /** The commitment that it opens; `null` outside `agree` stages. */
  readonly commitment: Hash | null;
}

/** All receipts of one author for one task (`receipts.ts`). */
export interface Receipts {
  /** By artefact: one for each attempt in which the author named it. */
  readonly byArtefact: Map<Hash, Receipt[]>;
  /** By attempt: the first ones of different artefacts, in feed order. */
  readonly first: Map<number, readonly Receipt[]>;
}

/** A proof that somebody made for a task. */
export interface ProofFacts {
  readonly artefact: Hash;
  /** Whose proof it is said to be, and for whom it is verified; `null` for a result without a proof. */
  readonly maker: Key | null;
  /** All receipts that name it, by author; `receiptsOf` says which of them count. */
  readonly receipts: ReadonlyMap<Key, readonly Receipt[]>;
  /** Attesters that say it does not verify, by the prover whose receipt they mean. */
  readonly rejects: ReadonlyMap<Key, Votes>;
  /** Attesters that say it verifies: by attest or complete. */
  readonly vouchers: Votes;
  /** Attesters that are said to have vouched for it though it does not verify, and who says so. */
  readonly accused: Map<Key, Map<Key, { readonly signed: Signed; readonly accusation: Out }>>;

  /** Found: the public values that the task implies for the maker, once they were asked for. */
  values: Uint8Array | null;
  /** Found: whether it verifies; `unknown` until this node has verified it. */
  verdict: "unknown" | "valid" | "invalid";
  /** Found: how long it is, once this node has verified it itself; what it verified before a restart it verifies again. */
  bytes: number | null;
  /** Found: what receipts of its maker have to show beside it (`protocol/payee.ts`); set together with `bytes`. */
  possession: Uint8Array;
  /** Found: why it does not verify. */
  fault: string | null;
}

export interface TaskFacts {
  readonly block: BlockFacts;
  readonly stage: Stage;
  readonly index: number;
  readonly variant: Variant;
  /** By number: an attempt is made when something is heard of it. */
  readonly attempts: ReadonlyMap<number, AttemptFacts>;
  readonly proofs: ReadonlyMap<string, ProofFacts>;
  /** By prover: what it handed in. */
  readonly receipts: ReadonlyMap<Key, Receipts>;
  /** By attester: the highest attempt that its operator has requeued. */
  readonly requeues: Votes<RequeueVote>;

  /** Settled: the proof that stands for it; `null` while it is not complete. */
  readonly output: Hash | null;
  /** No attempt below this one is open, as long as no more facts than so many were taken back (`makers.ts`). */
  openFrom: { attempt: number; takenBack: number };
}

export interface BlockFacts extends Announced {
  readonly id: Hash;
  /** By source: where it first announced the block, where it did so in a round, and where it took the block back. */
  readonly announcers: Votes<Place>;
  readonly rounds: ReadonlyMap<number, Votes<Place>>;
  /** A source may take a block back once. */
  readonly retracts: Votes<Place & { readonly round: number }>;
  readonly cancels: Votes<Place & { readonly round: number }>;
  /** Attesters' barrier votes by content hash. */
  readonly votes: ReadonlyMap<Hash, Votes>;
  readonly stages: readonly Stage[];
  /**
   * Empty until this node has read the payload or learned the certificate, so that an announcement alone costs no more
   * than itself (`makeTasks`).
   */
  readonly tasks: readonly TaskFacts[];
  readonly tasksByStage: ReadonlyMap<string, readonly TaskFacts[]>;

  /** Found: what the tasks must prove; `null` until this node has derived it from the payload. */
  readonly prepared: Prepared | null;
  /** Found: why the payload is not this block's: nothing is signed for it. */
  readonly invalid: string | null;
  /** Found: by stage whose output is a list, how many items that has, once it is accepted and has been read. */
  readonly counts: ReadonlyMap<string, number>;

  /** Settled: into how many pieces it is cut: an index into its stages' `levels` (`split.ts`). */
  readonly level: number;
  /** Settled: how often it was given up and announced again; a round begins only where the one before was cancelled. */
  readonly round: number;
  readonly certificate: Hash | null;

  readonly changes: BlockChanges;
  /** What was computed from the facts (`views.ts`). */
  readonly memos: Memos;
}

/** By prover: attempts of a certified block that it proved and that it lost. */
export type Tally = ReadonlyMap<Key, { readonly proven: number; readonly lost: number }>;

export interface MemberFacts {
  readonly key: Key;
  readonly weight: number;
  readonly slots: number;
  /** By chain: the heights from which on it owns tasks, one for each admission, ascending. A turn ends with a bench. */
  readonly turns: Map<number, number[]>;
}

/** A key that broke a rule, and what shows it. */
export interface Out extends Evidence {
  readonly shown: readonly Vote[];
  /** Who said it, and where in its feed; `null` where this node has noticed it and nobody has said it yet. */
  readonly accuser: Key | null;
  readonly place: Place | null;
}

/** Votes to admit a prover to a chain from a height on. */
export interface Admission {
  readonly prover: Key;
  readonly chain: number;
  readonly height: number;
  readonly slots: number;
  readonly voters: Map<Key, Place>;
}

/** Votes that the turn of a prover that began at height `turn` is over, with the height from which on they hold it to be. */
export interface Benching {
  readonly prover: Key;
  readonly chain: number;
  readonly turn: number;
  readonly voters: Map<Key, Place & { readonly height: number }>;
}

/** What a view may read of a node. */
export interface Facts {
  readonly manifest: Manifest;
  readonly options: CoreOptions;
  readonly changes: Changes;
  readonly blocks: ReadonlyMap<Hash, BlockFacts>;
  /** By chain and hash: blocks that were announced so. Several where somebody lies, one of which its payload proves. */
  readonly named: ReadonlyMap<string, readonly BlockFacts[]>;
  /** Certified blocks by id, and by chain and hash, kept for their children and for peers that lag. */
  readonly closed: ReadonlyMap<Hash, Closed>;
  readonly closedNames: ReadonlyMap<string, Closed>;
  /** By certified block: what its certificate says of the attempts of provers. Kept as long as the block in `closed`. */
  readonly tallies: ReadonlyMap<Hash, Tally>;
  /** By chain: the highest certified height, -1 for none. */
  readonly chains: ReadonlyMap<number, { readonly certified: number }>;
  readonly roster: ReadonlyMap<Key, MemberFacts>;
  /** Votes to admit a prover, by `prover/chain/height/slots`. */
  readonly admissions: ReadonlyMap<string, Admission>;
  /** Votes that a prover's turn is over, by `prover/chain/turn`. */
  readonly benches: ReadonlyMap<string, Benching>;
  /** Keys that broke a rule. What they said from the offence on is no fact. */
  readonly out: ReadonlyMap<Key, Out>;
  /** Who accused somebody of what is not so: it owns tasks only after everybody else. */
  readonly discredited: ReadonlyMap<Key, Place>;
}

/**
 * Writes down a statement of which the earliest counts, so that what is kept does not depend on the order of arrival.
 * Whether it is the first that was heard.
 */
export function keepVote<V extends Place>(votes: Votes<V>, author: Key, vote: V): boolean {
  const known = votes.get(author);
  if (known === undefined || isEarlier(vote, known)) write(votes).set(author, vote);
  return known === undefined;
}

/** Writes down a fact about a task of the block. */
export function keepFact<V extends Signed>(block: Pick<BlockFacts, "changes">, votes: Votes<V>, vote: V): boolean {
  const known = votes.get(vote.author);
  // mutant: latest-counts
  if (known !== undefined && !isEarlier(vote, known)) return false;
  write(votes).set(vote.author, vote);
  // An earlier statement may say something else than the one that it replaces.
  // mutant: memo-kept
  factsChanged(block);
  return known === undefined;
}

/** Writes down a statement of which another than the earliest counts; the caller has compared them. */
export function replaceVote<V extends Place>(votes: Votes<V>, author: Key, vote: V): void {
  write(votes).set(author, vote);
}

/** The votes for one value, made when first needed. */
export function votesFor<K, V extends Place>(all: ReadonlyMap<K, Votes<V>>, value: K): Votes<V> {
  const votes = all.get(value) ?? new Map<Key, V>();
  write(all).set(value, votes);
  return votes;
}

/** All receipts of one author that name the proof. */
export function keepReceipts(proof: ProofFacts, author: Key, receipts: readonly Receipt[]): void {
  write(proof.receipts).set(author, receipts);
}

/** Lets go of a statement that is no fact any more, or that nothing rests on. */
export function dropVote(votes: Votes<Place>, author: Key): void {
  write(votes).delete(author);
}

/** Lets go of the votes for a value that nobody votes for any more. */
export function dropVotes<K>(all: ReadonlyMap<K, Votes<Place>>, value: K): void {
  write(all).delete(value);
}

/** Each of these maps was made as a `Map`; only this file writes to them. */
function write<K, V>(facts: ReadonlyMap<K, V>): Map<K, V> {
  return facts as Map<K, V>;
}

export function weightOf({ manifest }: Pick<Facts, "manifest">, keys: Iterable<Key>): number {
  let weight = 0;
  for (const key of keys) weight += manifest.weights.get(key) ?? 0;
  return weight;
}

export function isQuorum(facts: Pick<Facts, "manifest">, keys: Iterable<Key>): boolean {
  return weightOf(facts, keys) >= facts.manifest.quorum;
}
