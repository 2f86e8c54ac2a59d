/**
 * All that a node knows and has decided. Everything soft in it is rebuilt by replaying the log; the locks (what this
 * node has voted) are rebuilt from its own feed, which is durable before it is sent.
 */
import { Log } from "../log/log.ts";
import { type Batch, voteOf } from "../protocol/batch.ts";
import type { BarrierContent } from "../protocol/certificate.ts";
import type { Select } from "../protocol/custom.ts";
import type { Evidence } from "../protocol/evidence.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { Entry, EntryOf, Vote } from "../protocol/messages.ts";
import type { ownersOf } from "../protocol/owner.ts";
import type { Span } from "../protocol/sync.ts";
import type { Resources, Stage, Variant } from "../protocol/workflow.ts";
import { classOf } from "./classes.ts";
import type { Effect } from "./effect.ts";
import type { Closed, Prepared } from "./event.ts";
import { CORE_LIMITS, type CoreLimits } from "./limits.ts";
import { type BlockChanges, type Changes, createChanges, type Memos } from "./changes.ts";

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

/** Whether its author said it earlier than the other: by the order of the feed, whatever the order of arrival. */
export function isEarlier(a: Place, b: Place): boolean {
  return a.number === b.number ? a.index < b.index : a.number < b.number;
}

/**
 * Keeps a vote. Said twice, the earlier one stays, so that what is kept does not depend on the order of arrival.
 * Whether it is news.
 */
export function keepVote<V extends Signed>(votes: Map<Key, V>, signed: V): boolean {
  const known = votes.get(signed.author);
  if (known === undefined || isEarlier(signed, known)) votes.set(signed.author, signed);
  return known === undefined;
}

export function show(signed: Signed): Vote {
  return "vote" in signed.shown ? signed.shown.vote : voteOf(signed.shown.batch, signed.shown.index);
}

/** One attempt of one task, as far as this node has heard. */
export interface Attempt {
  readonly number: number;
  /** When this node saw it open, by its own clock; `null` before. */
  openedMs: number | null;
  /** Until when nobody claims it, because earlier attempts have failed; `null` before it opens. */
  waitUntilMs: number | null;
  /** Claims by whoever made one; only the owner's counts. At most one a roster member. */
  readonly claims: Map<Key, Signed>;
  /** Attesters that granted it, by the prover they granted it to. */
  readonly grants: Map<Key, Map<Key, Signed>>;
  /** The last grant of an attester that said one again: an earlier timeout forbids it. */
  readonly regrants: Map<Key, Signed>;
  /** Attesters that hold it to be over, and why. */
  readonly timeouts: Map<Key, Signed & { readonly code: string }>;
  /** Attesters that attested, by the prover. */
  readonly attests: Map<Key, Map<Key, Signed>>;
  /** Whose claim counts: the owner's when it claimed. A change of the roster later takes nothing from it. */
  claimant: Key | null;
  /** When this node heard the owner's claim; `null` where that was before a restart. */
  claimHeardMs: number | null;
  /** When the claim that counts was first seen, and when its progress last moved. */
  claimedMs: number | null;
  /** When each prover's count of work last grew; only the claimant's counts. */
  readonly progress: Map<Key, { readonly units: number; readonly atMs: number }>;
  /** Provers that said they stop, or whose proof was rejected or cannot be had, with the code. Only the claimant's counts. */
  readonly ends: Map<Key, string>;
  /** Provers that said they failed, and how. */
  readonly fails: Map<Key, FailureVote>;
  /** Why the first attester that said so held it to be over. */
  overCode: string | null;
  /** A timeout certificate of it was held against its owner. */
  lossNoted: boolean;
}

/** What a prover signed of a proof. */
export interface Receipt extends EntryOf<"receipt"> {
  /** Where its author said so first. */
  readonly signed: Signed;
}

/** All receipts of one author for one task (`receipts.ts`). */
export interface Receipts {
  /** By artefact: one for each attempt in which the author named it. */
  readonly byArtefact: Map<Hash, Receipt[]>;
  /** By attempt: the first ones of different artefacts, in feed order. */
  readonly first: Map<number, readonly Receipt[]>;
}

/** A proof that somebody made for a task. */
export interface Proof {
  readonly artefact: Hash;
  /** Whose proof it is said to be, and for whom it is verified; `null` where the proof system has no room for a payee. */
  readonly maker: Key | null;
  /** Public values that the task implies for the maker, once they were asked for. */
  values: Uint8Array | null;
  /** All receipts that name it, by author; `receiptsOf` says which of them count. */
  readonly receipts: Map<Key, readonly Receipt[]>;
  /** Provers whose receipt this node has rejected. */
  readonly rejected: Set<Key>;
  /** Attesters that say it does not verify, by the prover whose receipt they mean. */
  readonly rejects: Map<Key, Map<Key, Signed>>;
  /** Attesters that say it verifies: by attest or complete. */
  readonly vouchers: Map<Key, Signed>;
  /** Attesters that are said to have vouched for it though it does not verify, and who says so. */
  readonly accused: Map<Key, Map<Key, { readonly signed: Signed; readonly accusation: Out }>>;
  verdict: "unknown" | "valid" | "invalid";
  /** Whether it is being verified here, or waits for that. */
  asked: boolean;
  /** How many receipts and vouchers there were, and how many authors could pay, when its verification was last considered. */
  askers: number;
  payers: number;
  /** How long it is, once this node has verified it itself; what it verified before a restart it verifies again. */
  bytes: number | null;
  /** Why it does not verify. */
  fault: string | null;
  /** When this node learned that it is valid; an attest waits a little for its assignment certificate. */
  validMs: number | null;
  tries: number;
  retryMs: number | null;
  vouched: boolean;
}

/** A prover's statement that it cannot prove the task in an attempt. */
export interface FailureVote extends Signed {
  readonly code: string;
  readonly logical: boolean;
}

/** An operator's wish that the pauses of a task begin anew, by its attester. */
export interface RequeueVote extends Signed {
  /** The attempt that its author saw open. */
  readonly attempt: number;
}

/** How this node's own prover failed. The message stays here: peers get the code alone. */
export interface OwnFailure {
  readonly attempt: number;
  readonly code: string;
  readonly logical: boolean;
  readonly message: string;
}

export interface Task {
  readonly block: Block;
  readonly stage: Stage;
  readonly index: number;
  readonly variant: Variant;
  /** By number: an attempt is made when something is heard of it. */
  readonly attempts: Map<number, Attempt>;
  /** No attempt below this one is open; soft, and 0 after votes were taken back. */
  openFrom: number;
  /** Below this one what no signed fact rests on is gone from the attempts (`collector.ts`). */
  overTo: number;
  readonly proofs: Map<string, Proof>;
  /** By prover: what it handed in. */
  readonly receipts: Map<Key, Receipts>;
  /** By attester: the highest attempt that its operator has requeued. */
  readonly requeues: Map<Key, RequeueVote>;
  /** Up to this attempt this node takes no lock: what it signed there may be lost. -1 for none. */
  barred: number;
  /** The first attempt that counted when the clock of the open one was last set (`quarantine.ts`). */
  base: number;
  /** Since which attempt it was in quarantine when this node last reported that. */
  reportedSince: number | null;
  /** Whether it was, or is, in quarantine, as its block was last told (`split.ts`). */
  isGivenUp: boolean;
  /** Inputs are accepted and the block is open, by this node's view. */
  readyMs: number | null;
  completeMs: number | null;
  /** The proof that stands for it once it is complete. */
  output: Hash | null;
  /** What this node itself does about it, as a prover. */
  work: Work | null;
  /** The last failure of its own prover, for the operator. Only one, because its message may be long. */
  ownFailure: OwnFailure | null;
  /** Entries about attempts further above the open one than `ATTEMPTS_AHEAD_MAX`; applied once the open one gets there. */
  ahead: Located[];
  /** When it has to be looked at again. */
  wakeMs: number | null;
}

/** The accepted output of a stage that others count by. */
export interface List {
  readonly artefact: Hash;
  tries: number;
  /** When it is read again; `null` while it is, and once it has been. */
  retryMs: number | null;
}

export interface Work {
  readonly attempt: number;
  /**
   * queued -> running: a prover of this node is free. running -> done: the proof is made and its receipt is to be signed.
   * From each of them the work is dropped where the task is complete, given back or somebody else's.
   */
  state: "queued" | "running" | "done";
  /** Signs of progress of this task, and of all the node's work when it began: a beat must never go back. */
  units: number;
  baseUnits: number;
  /** Begun at this node's own risk, while the attempt before is open: nothing is claimed. */
  hedge: boolean;
  readonly claimedMs: number;
  startedMs: number | null;
}

/**
 * How far a block is. `moveBlock` makes the moves and refuses any other.
 *
 * waiting -> open: its parent is closed, or is open and inside the window, and the own source or enough sources confirm it.
 * open -> closed: all its tasks are complete and its parent is closed.
 * closed -> open: a task is not complete any more, because a vote or a receipt is no fact since its author is out.
 * waiting, open, closed -> cancelled: a quorum of attesters cancels it, or another block of its hash is certified.
 * cancelled -> waiting: a source has announced it again in a new round, or a cancellation is no fact any more.
 * open, closed -> waiting: no announcement of it is a fact any more.
 * waiting, open, cancelled -> closed: this node has learned its certificate. A certified block stays closed.
 */
export type BlockState = "waiting" | "open" | "closed" | "cancelled";

export interface Block {
  readonly id: Hash;
  readonly chain: number;
  readonly height: number;
  readonly hash: Hash;
  readonly parent: Hash;
  readonly start: boolean;
  readonly workflow: string;
  readonly items: number;
  readonly payload: Hash;
  readonly announcers: Map<Key, Place>;
  readonly announcedMs: number;
  readonly stages: readonly Stage[];
  /**
   * Empty until this node has read the payload or learned the certificate, so that an announcement alone costs no more
   * than itself (`makeTasks`).
   */
  tasks: readonly Task[];
  tasksByStage: ReadonlyMap<string, readonly Task[]>;
  /** Into how many pieces it is cut, by the facts heard so far: an index into its stages' `levels` (`split.ts`). */
  level: number;
  /** By stage whose output is a list: how many items that has, once it is accepted and has been read. */
  readonly counts: Map<string, number>;
  /** Which output that is, or is being read; soft. */
  readonly lists: Map<string, List>;
  state: BlockState;
  openedMs: number | null;
  closedMs: number | null;
  /** How often it was given up and announced again; a round begins only where the one before was cancelled. */
  round: number;
  /** Who has announced it in which round. */
  readonly rounds: Map<number, Map<Key, Place>>;
  /** By source: where it first took the block back, and in which round. A source may do so once. */
  readonly retracts: Map<Key, Place & { readonly round: number }>;
  /** This node has said that its source took the block back; soft. */
  ownRetract: boolean;
  /** The own source has told exactly this block, or the operator has handed it in, and nobody took it back here; soft. */
  told: boolean;
  /** The same, but not by what this node has announced before its start. */
  isToldAnew: boolean;
  /** This node has announced it; soft, because its own batch comes back late. */
  ownAnnounce: boolean;
  readonly cancels: Map<Key, Place & { readonly round: number }>;
  ownCancel: number | null;
  /** The last round after whose cancellation this node has announced it again; soft. */
  ownReturn: number | null;
  /** What the tasks must prove; `null` until this node has derived it from the payload. */
  prepared: Prepared | null;
  preparing: boolean;
  retryMs: number | null;
  tries: number;
  /** The payload is not this block's: nothing is signed for it. */
  invalid: string | null;
  /** Attesters' barrier votes by content hash. */
  readonly votes: Map<Hash, Map<Key, Signed>>;
  /** Contents this node has signed or built, by hash. */
  readonly contents: Map<Hash, BarrierContent>;
  ownContent: Hash | null;
  votedMs: number;
  certificate: Hash | null;
  readonly changes: BlockChanges;
  /** What was computed from the facts (`views.ts`). */
  readonly memos: Memos;
  wakeMs: number | null;
  /** It was known when a disk was lost, and its tasks have to be barred once there are any. */
  bars: boolean;
}

/** By prover: attempts of a certified block that it proved and that it lost. */
export type Tally = ReadonlyMap<Key, { readonly proven: number; readonly lost: number }>;

/** A block as the own source tells of it. */
export type Seen = Omit<EntryOf<"announce">, "kind" | "round" | "workflow" | "start">;

export interface Chain {
  readonly id: number;
  /** Highest certified height, -1 for none. */
  certified: number;
  /** Highest height announced, -1 for none. */
  announced: number;
  /** Certified blocks that this node has learned of since it started. */
  certifiedCount: number;
  /** Heights up to which entries are gone and nothing is signed any more. */
  retired: number;
  /** The blocks that this node's own source tells; only the last few hundred heights. */
  readonly canonical: Map<number, Seen>;
  /** Up to this height this node takes no lock in the first attempts of a block that it hears of: it may have. */
  barred: number;
  /** Blocks that the own source took back before their announcement was durable. */
  readonly takenBack: Set<Hash>;
  /** Whether a source of this node follows the chain, and when that source last answered by this node's clock. */
  follows: boolean;
  sourceMs: number;
  /** The source has not answered for too long: it counts as none. */
  sourceDown: boolean;
  /** The lowest and the last height that the own source has told in this life. */
  sourceFrom: number;
  sourceTip: number;
  sourceFault: string | null;
}

export interface Member {
  readonly key: Key;
  readonly weight: number;
  readonly slots: number;
  /** By chain: the heights from which on it owns tasks, one for each admission, ascending. A turn ends with a bench. */
  readonly turns: Map<number, number[]>;
  /** Attempts lost in a row since its last sign of life, and when that was, by this node's clock. */
  lost: number;
  heardMs: number;
  /** How long its claims take to get here, as this node has seen (`reclaim.ts`); soft, and lost with a restart. */
  claimDelay: { meanMs: number; deviationMs: number } | null;
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

export interface State {
  readonly manifest: Manifest;
  readonly options: CoreOptions;
  readonly limits: CoreLimits;
  nowMs: number;
  readonly log: Log;
  readonly blocks: Map<Hash, Block>;
  /** Tasks of all these blocks together. */
  taskCount: number;
  /** Those of them that are open, or closed and not certified: all that time or a vote can still move. */
  readonly live: Set<Block>;
  /** By chain and hash: blocks that were announced so. Several where somebody lies, one of which its payload proves. */
  readonly named: Map<string, Block[]>;
  /** Certified blocks by id, and by chain and hash, kept for their children and for peers that lag. */
  readonly closed: Map<Hash, Closed>;
  readonly closedNames: Map<string, Closed>;
  /** By certified block: what its certificate says of the attempts of provers. Kept as long as the block in `closed`. */
  readonly tallies: Map<Hash, Tally>;
  readonly chains: Map<number, Chain>;
  /** Each lock that this node has taken, and for which value (`locks.ts`). */
  readonly locks: LockTable;
  readonly roster: Map<Key, Member>;
  readonly changes: Changes;
  /** Votes to admit a prover, by `prover/chain/height/slots`. */
  readonly admissions: Map<string, Admission>;
  /** By `prover/chain`: the height of this node's latest vote to admit. */
  readonly ownAdmissions: Map<string, number>;
  /** By newcomer and chain that starts at `any`: the chain's `certifiedCount` when its first join came; soft. */
  readonly joins: Map<Key, Map<number, number>>;
  /** Votes that a prover's turn is over, by `prover/chain/turn`. */
  readonly benches: Map<string, Benching>;
  /** Turns that this node has voted to end. */
  readonly ownBenches: Set<string>;
  /** Keys that broke a rule. What they said from the offence on is no fact. */
  readonly out: Map<Key, Out>;
  /** Who accused somebody of what is not so: it owns tasks only after everybody else. */
  readonly discredited: Map<Key, Place>;
  /** What this node has noticed and not said yet, and what it has said, by offender. */
  readonly unsaid: Map<Key, { readonly evidence: Evidence; readonly shown: readonly Vote[] }>;
  readonly ownEvidence: Map<Key, { readonly from: number; readonly count: number }>;
  /** Tasks with proofs that somebody vouches for and somebody says do not verify. */
  readonly suspects: Set<Task>;
  /** Votes of one author that exclude each other, noted while an entry is applied. */
  readonly conflicts: (readonly [Signed, Signed])[];
  /** Batches to apply once more: what they say was hidden by something that is no fact any more. */
  readonly again: Batch[];
  /** Entries of the log that cannot be judged yet, by the block or the prover that they are about (`pending.ts`). */
  readonly pending: Map<Hash, Pending>;
  /** By author that is an attester, a source or a member of the roster (`account.ts`). */
  readonly accounts: Map<Key, Account>;
  readonly membersChecks: Bucket;
  readonly strangersChecks: Bucket;
  /** When each stranger with a feed was last heard, the longest ago first (`strangers.ts`). */
  readonly strangers: Map<Key, number>;
  /** How many certified blocks this node has learned of since it started. */
  certifiedCount: number;
  /** Statements decided in this step, to be signed and sent in one batch. */
  outbox: Entry[];
  effects: Effect[];
  readonly dirtyTasks: Set<Task>;
  readonly dirtyBlocks: Set<Block>;
  /** Tasks this node works on or has claimed. */
  readonly working: Set<Task>;
  /** Executors of `options.systems` that have shown that they do not work now. */
  readonly unable: Set<string>;
  workUnits: number;
  /** When one of this node's provers last became free. */
  slotFreeMs: number;
  beatMs: number;
  /** How long tasks took from claim to completion, by workflow and stage: the latest that this node has seen itself. */
  readonly tookMs: Map<string, number[]>;
  /** When this node looks next whether it has more than it can start while others stand idle. */
  yieldMs: number;
  joinMs: number | null;
  syncMs: number;
  /** Counts the questions, so that every peer is asked in turn; begins anywhere. */
  syncTurn: number;
  readonly syncing: Set<Key>;
  /** Peers whose answer, as far as it is applied, has brought this node forward. */
  readonly gained: Set<Key>;
  /** By attester: how much of each feed it has said it holds, or has let go of. */
  readonly frontiers: Map<Key, ReadonlyMap<Key, number>>;
  /** By author and peer: which batches the peer says that it has let go of, where they are missing here (`gaps.ts`). */
  readonly forgotten: Map<Key, Map<Key, readonly Span[]>>;
  readonly peers: Set<Key>;
  /**
   * Why this node signs nothing; `null` where it signs.
   *
   * null -> feed.unchecked: the process begins, and other attesters are needed for a quorum.
   * feed.unchecked -> null: enough attesters have confirmed the own feed.
   * null, feed.unchecked, feed.waiting -> feed.behind: a peer had an own batch that this node had not.
   * feed.behind -> feed.waiting -> null: enough attesters have confirmed the feed since, and one lease is over.
   * Every state -> draining, key.in-use, key.out, key.cloned: for the rest of this process.
   */
  mute: string | null;
  /** Attesters that have confirmed since the last doubt that they know no more of our feed than we do. */
  readonly confirmed: Set<Key>;
  /** When this process began, by its own clock. */
  startedMs: number;
  /** This start of the node: the counter and the random bytes of its record. */
  start: { readonly counter: number; readonly nonce: string };
  /** Counter of the latest start of the own key that this node knows of. */
  outrun: number;
  /** The journal was lost, and something that was open then is not over yet; until when it waits therefore. */
  lostOwn: boolean;
  speakMs: number;
  /** Attesters that hear another process with our key: one that began before this one, and one that began after. */
  readonly elders: Set<Key>;
  readonly juniors: Set<Key>;
  replaying: boolean;
  /** Counts the steps that assertions have looked at, and has what they have reported (`assertions.ts`). */
  readonly checks: { steps: number; readonly reported: Set<string> };
}

/** What the locks of one attempt were taken for; `null` for a free lock. */
export interface AttemptLocks {
  grant: Key | null;
  end: string | null;
}

/** By block, then by stage, index and attempt. */
export type LockTable = Map<Hash, Map<string, AttemptLocks>>;

/** Signature checks that were made for somebody and are not paid back by time yet. */
export interface Bucket {
  spent: number;
  /** When that was counted. */
  atMs: number;
}

export interface Account {
  readonly checks: Bucket;
  /** Whether its last batch was refused because the account was full; the report is made once. */
  isFull: boolean;
}

/** An entry of the log and its place in its author's feed. */
export interface Located {
  readonly signed: Signed;
  readonly entry: Entry;
}

/** Entries that wait for one block or one prover, in the order of their arrival. */
export interface Pending {
  readonly sinceMs: number;
  /** `certifiedCount` when the first of them came. */
  readonly sinceCertified: number;
  readonly entries: Located[];
}

export interface CoreOptions {
  readonly self: Key;
  readonly roles: { readonly source: boolean; readonly attester: boolean; readonly prover: boolean };
  /** Chains that a source of this node follows. Blocks that an operator hands in are no such source. */
  readonly follows?: readonly number[];
  /** How many proofs this node makes at once; 0 for none. */
  readonly slots: number;
  /** Proof systems that this node can prove. */
  readonly systems: readonly string[];
  /** What it has; a task that asks for more is for others. Left out, everything. */
  readonly resources?: Resources;
  /** By the SHA-256 of their modules: the functions that stages with `custom` collection name. */
  readonly selects?: ReadonlyMap<Hash, Select>;
  /** Stands in for the owner function's arithmetic: simulated nodes share what each of them would compute. */
  readonly ownersOf?: typeof ownersOf;
  /** Names this process among all that may run with the same key; 32 hex digits, drawn once by the runtime. */
  readonly instance?: string;
  /** Decides which peer to compare logs with next; drawn once by the runtime. */
  readonly seed: number;
  /** Every so many steps the assertions look at the whole state (simulator and tests); left out, only at what a step touched. */
  readonly checkAllEvery?: number;
  /** Limits that differ from those of production (`CORE_LIMITS`). */
  readonly limits?: Partial<CoreLimits>;
}

export function createState(manifest: Manifest, options: CoreOptions): State {
  const roster = new Map<Key, Member>(
    manifest.json.provers.list.map(({ key, weight, slots }) => {
      const turns = new Map(manifest.json.chains.map(({ id }) => [id, [0]]));
      return [key, { key, weight, slots, turns, lost: 0, heardMs: 0, claimDelay: null }];
    }),
  );
  const chains = new Map<number, Chain>(manifest.json.chains.map(({ id }) => [id, createChain(id, options)]));
  const limits = Object.freeze({ ...CORE_LIMITS, ...options.limits });
  const log = new Log(limits, (author) => classOf({ manifest, roster }, author));
  return {
    manifest,
    options,
    limits,
    nowMs: 0,
    log,
    blocks: new Map(),
    taskCount: 0,
    live: new Set(),
    named: new Map(),
    closed: new Map(),
    closedNames: new Map(),
    tallies: new Map(),
    chains,
    locks: new Map(),
    roster,
    changes: createChanges(),
    admissions: new Map(),
    ownAdmissions: new Map(),
    joins: new Map(),
    benches: new Map(),
    ownBenches: new Set(),
    out: new Map(),
    discredited: new Map(),
    unsaid: new Map(),
    ownEvidence: new Map(),
    suspects: new Set(),
    conflicts: [],
    again: [],
    pending: new Map(),
    accounts: new Map(),
    membersChecks: { spent: 0, atMs: 0 },
    strangersChecks: { spent: 0, atMs: 0 },
    strangers: new Map(),
    certifiedCount: 0,
    outbox: [],
    effects: [],
    dirtyTasks: new Set(),
    dirtyBlocks: new Set(),
    working: new Set(),
    unable: new Set(),
    workUnits: 0,
    slotFreeMs: 0,
    beatMs: 0,
    tookMs: new Map(),
    yieldMs: 0,
    joinMs: null,
    syncMs: 0,
    syncTurn: options.seed,
    syncing: new Set(),
    gained: new Set(),
    frontiers: new Map(),
    forgotten: new Map(),
    peers: new Set(),
    mute: null,
    confirmed: new Set(),
    startedMs: 0,
    start: { counter: 1, nonce: "" },
    outrun: 1,
    lostOwn: false,
    speakMs: 0,
    elders: new Set(),
    juniors: new Set(),
    replaying: false,
    checks: { steps: 0, reported: new Set() },
  };
}

function createChain(id: number, { follows = [] }: CoreOptions): Chain {
  return {
    id,
    certified: -1,
    certifiedCount: 0,
    announced: -1,
    retired: -1,
    barred: -1,
    canonical: new Map(),
    takenBack: new Set(),
    follows: follows.includes(id),
    sourceMs: 0,
    sourceDown: false,
    sourceFrom: Number.POSITIVE_INFINITY,
    sourceTip: -1,
    sourceFault: null,
  };
}

/** The attempt with this number, made when first heard of. */
export function attemptOf(task: Task, number: number): Attempt {
  let attempt = task.attempts.get(number);
  if (attempt === undefined) {
    attempt = {
      number,
      openedMs: null,
      waitUntilMs: null,
      claims: new Map(),
      grants: new Map(),
      regrants: new Map(),
      timeouts: new Map(),
      attests: new Map(),
      claimant: null,
      claimHeardMs: null,
      claimedMs: null,
      progress: new Map(),
      ends: new Map(),
      fails: new Map(),
      overCode: null,
      lossNoted: false,
    };
    task.attempts.set(number, attempt);
  }
  return attempt;
}

export function weightOf(state: State, keys: Iterable<Key>): number {
  let weight = 0;
  for (const key of keys) weight += state.manifest.weights.get(key) ?? 0;
  return weight;
}

export function isQuorum(state: State, keys: Iterable<Key>): boolean {
  return weightOf(state, keys) >= state.manifest.quorum;
}

/** Decides to say something. It is signed, made durable and sent with whatever else this step decides. */
export function say(state: State, entry: Entry): void {
  if (state.mute === null) state.outbox.push(entry);
}

export function report(state: State, event: string, fields: Readonly<Record<string, unknown>>): void {
  if (!state.replaying) state.effects.push({ kind: "report", event, fields });
}
