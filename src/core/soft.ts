/**
 * Soft state: clocks, estimates, and what this node itself plans and has decided.
 *
 * Nothing here decides what is true: nodes with the same facts have different soft state. It is lost with a restart. What
 * must not be lost is in the log or in the locks (`locks.ts`). Views do not read it: it is no part of the types that they
 * take (`facts.ts`).
 */
import type { BarrierContent } from "../protocol/certificate.ts";
import type { Evidence } from "../protocol/evidence.ts";
import type { BlockPlace, Hash, Key } from "../protocol/ids.ts";
import type { AdmissionProof, Entry, EntryOf, Vote } from "../protocol/messages.ts";
import type { Span } from "../protocol/sync.ts";
import type { AttemptPhase } from "./attempts.ts";
import type { Effect } from "./effect.ts";
import type { MadeProof, TaskRef } from "./event.ts";
import type { Located } from "./facts.ts";

export interface AttemptSoft {
  phase: AttemptPhase;
  /** When this node heard the owner's claim; `null` where that was before a restart. */
  claimHeardMs: number | null;
  /** When each prover's count of work last grew; only the claimant's counts. */
  readonly progress: Map<Key, { readonly units: number; readonly atMs: number }>;
  /** Provers whose proof this node rejects or cannot get, and its own prover while its statement is not durable (`ends.ts`). */
  readonly foundEnds: Map<Key, string>;
  /** How far this node is with the commitment of its prover; `null` where there is none. */
  reveal: Reveal | null;
}

export interface Reveal {
  /** Since when this node waits for the commitment to be sealed, and for its opening; `null` before. */
  sealMs: number | null;
  dueMs: number | null;
  asked: boolean;
  tries: number;
  retryMs: number | null;
  /** This node's own result, where it is the prover and has made it in this life. */
  made: MadeProof | null;
  /** This node has signed its receipt; its own batch comes back late. */
  isPublished: boolean;
}

export interface ProofSoft {
  /** Provers whose receipt this node has rejected. */
  readonly rejected: Set<Key>;
  /** Whether it is being verified here, or waits for that. */
  asked: boolean;
  /** How many receipts and vouchers there were, and how many authors could pay, when its verification was last considered. */
  askers: number;
  payers: number;
  /** When this node learned that it is valid; an attest waits a little for its assignment certificate. */
  validMs: number | null;
  tries: number;
  retryMs: number | null;
  vouched: boolean;
}

export interface TaskSoft {
  /** Below this one what no signed fact rests on is gone from the attempts (`collector.ts`). */
  overTo: number;
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
  /** What this node itself does about it, as a prover. */
  work: Work | null;
  /** The last failure of its own prover, for the operator. Only one, because its message may be long. */
  ownFailure: OwnFailure | null;
  /** Entries about attempts further above the open one than `ATTEMPTS_AHEAD_MAX`; applied once the open one gets there. */
  ahead: Located[];
  /** When it has to be looked at again. */
  wakeMs: number | null;
}

/** How this node's own prover failed. The message stays here: peers get the code alone. */
export interface OwnFailure {
  readonly attempt: number;
  readonly code: string;
  readonly logical: boolean;
  readonly message: string;
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

/** The accepted output of a stage that others count by. */
export interface List {
  readonly artefact: Hash;
  tries: number;
  /** When it is read again; `null` while it is, and once it has been. */
  retryMs: number | null;
}

export interface BlockSoft {
  readonly announcedMs: number;
  openedMs: number | null;
  closedMs: number | null;
  /** By stage whose output is a list: which output is counted, or is being read. */
  readonly lists: Map<string, List>;
  /** This node has said that its source took the block back. */
  ownRetract: boolean;
  /** The own source has told exactly this block, or the operator has handed it in, and nobody took it back here. */
  told: boolean;
  /** The same, but not by what this node has announced before its start. */
  isToldAnew: boolean;
  /** This node has announced it; its own batch comes back late. */
  ownAnnounce: boolean;
  ownCancel: number | null;
  /** The last round after whose cancellation this node has announced it again. */
  ownReturn: number | null;
  preparing: boolean;
  retryMs: number | null;
  tries: number;
  /** Contents this node has signed or built, by hash. */
  readonly contents: Map<Hash, BarrierContent>;
  ownContent: Hash | null;
  votedMs: number;
  wakeMs: number | null;
  /** It was known when a disk was lost, and its tasks have to be barred once there are any. */
  bars: boolean;
}

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
  /** Certified blocks that newcomers may prove a task of for their admission, by id, the oldest first (`admission-proof.ts`). */
  readonly bases: Map<Hash, AdmissionBase>;
  /** On an `any` chain: suspended provers that ask for their next turn, and `certifiedCount` when they first did. */
  readonly returning: Map<Key, number>;
  /** The latest drawing, as far as it goes on (`drawing.ts`). */
  drawing: Drawing | null;
  /** How far this node is with its own admission proof (`own-admission.ts`). */
  readonly ownAdmission: OwnAdmission;
}

/** A newcomer that waits for its first turn on a chain. */
export interface Newcomer {
  slots: number;
  /** Up to which height hashes may have been known when its first join came; on an `any` chain how many blocks were certified. */
  readonly since: number;
  /** When it asked last, by this node's clock. */
  heardMs: number;
  /** The admission proof that its latest join names. */
  proof: ShownProof | null;
}

/** An admission proof that a join names. */
export interface ShownProof extends AdmissionProof {
  /** As `since` of the newcomer, when the first join came that names the proof. */
  readonly since: number;
  /** This node has verified it. */
  isValid: boolean;
}

/** What all admission proofs of one base block rest on. */
export interface AdmissionBase {
  readonly about: BlockPlace;
  readonly height: number;
  /** How many blocks of the chain were certified with it, as far as this node has learned of them. */
  readonly count: number;
  /** Public values for nobody, by the task's index. */
  readonly values: ReadonlyMap<number, Uint8Array>;
}

export interface Drawing {
  /** Where the turns of the drawn begin. */
  readonly turn: number;
  /** Candidates that are not looked at yet, in the order of their tickets. */
  readonly waiting: Key[];
  /** Proofs that are being verified, by payee, and since when. */
  readonly asking: Map<Key, { readonly prover: Key; readonly artefact: Hash; readonly askedMs: number }>;
  /** How many were verified or are being verified, and how many were admitted. */
  asked: number;
  admitted: number;
}

/** Until when a node waits before it begins another proof, after so many failures in a row. */
export interface OwnAdmission {
  proving: OwnProof | null;
  /** The newest that is made, and is named in joins. */
  made: (OwnProof & { readonly proof: AdmissionProof; isInlineSaid: boolean }) | null;
  failures: number;
  retryMs: number | null;
}

/** A task of a certified block that this node proves, or has proven, for its admission. */
export interface OwnProof {
  readonly task: TaskRef;
  readonly height: number;
  readonly values: Uint8Array;
}

/** A block that is certified now, and the hash of what its barrier says. */
export interface Certified {
  readonly chain: number;
  readonly height: number;
  readonly hash: Hash;
  readonly content: Hash;
}

export interface MemberSoft {
  /** Attempts lost in a row since its last sign of life, and when that was, by this node's clock. */
  lost: number;
  heardMs: number;
  /** How long its claims take to get here, as this node has seen (`reclaim.ts`). */
  claimDelay: { meanMs: number; deviationMs: number } | null;
}

/** What the locks of one attempt were taken for; `null` for a free lock. */
export interface AttemptLocks {
  grant: Key | null;
  end: string | null;
  seal: string | null;
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

/** Entries that wait for one block or one prover, in the order of their arrival. */
export interface Pending {
  readonly sinceMs: number;
  /** `certifiedCount` when the first of them came. */
  readonly sinceCertified: number;
  readonly entries: Located[];
}

/**
 * Why a node signs nothing. The states and their legal moves; `null` is the state of a node that signs:
 *
 * null -> feed.unchecked: the process begins, and other attesters are needed for a quorum.
 * feed.unchecked -> null: enough attesters have confirmed the own feed.
 * null, feed.unchecked, feed.waiting -> feed.behind: a peer had an own batch that this node had not.
 * feed.behind -> feed.waiting -> null: enough attesters have confirmed the feed since, and one lease is over.
 * Every state -> draining, key.in-use, key.out, key.cloned, key.copied: for the rest of this process.
 */
export type Mute =
  | "feed.unchecked"
  | "feed.behind"
  | "feed.waiting"
  | "draining"
  | "key.in-use"
  | "key.out"
  | "key.cloned"
  | "key.copied";

export interface Soft {
  nowMs: number;
  /** By `prover/chain`: the height of this node's latest vote to admit. */
  readonly ownAdmissions: Map<string, number>;
  /** Newcomers that wait to be drawn, by key and chain (`admission.ts`). No more keys than there are feeds of strangers. */
  readonly candidates: Map<Key, Map<number, Newcomer>>;
  /** Blocks that were certified in this step. */
  readonly certified: Certified[];
  /** Turns that this node has voted to end. */
  readonly ownBenches: Set<string>;
  /** What this node has noticed and not said yet, and what it has said, by offender. */
  readonly unsaid: Map<Key, { readonly evidence: Evidence; readonly shown: readonly Vote[] }>;
  readonly ownEvidence: Map<Key, { readonly from: number; readonly count: number; readonly atMs: number }>;
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
  /** How long this node waited between its last two joins. */
  joinPauseMs: number;
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
  /** Why this node signs nothing; `null` where it signs. */
  mute: Mute | null;
  /** Why this node votes as no attester although it may sign: it cannot verify what others prove. `null` where it can. */
  unverifiable: string | null;
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

export function revealOf(attempt: AttemptSoft): Reveal {
  attempt.reveal ??= {
    sealMs: null,
    dueMs: null,
    asked: false,
    tries: 0,
    retryMs: null,
    made: null,
    isPublished: false,
  };
  return attempt.reveal;
}
