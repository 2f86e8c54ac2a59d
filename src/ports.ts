/**
 * The outside world, on one page.
 *
 * The runtime knows the world only through these interfaces; `node.ts` gives it real ones, the simulator gives it
 * ones on a virtual clock. Work that takes time ends in a callback, never in a promise: the simulator has to own the
 * moment of every completion, and a promise would hand that moment to the engine's microtask queue.
 *
 * Expected faults are values (`Fault`), and a completion is called exactly once. A port that finds its own invariants
 * broken throws, which ends the process.
 */
import type { BarrierContent, Closed } from "./protocol/certificate.ts";
import type { BlockPlace, Hash, Key } from "./protocol/ids.ts";
import type { Statement } from "./protocol/statement.ts";
import type { Span } from "./protocol/sync.ts";
import type { Verdict } from "./protocol/verdict.ts";
import type { StageRow } from "./protocol/workflow.ts";

/** A fault that was expected: a stable code and one sentence for a person. */
export interface Fault {
  /** A name for people and logs. Nothing is decided by it. */
  readonly code: string;
  readonly message: string;
  readonly reason?: FaultReason;
}

/**
 * What a fault says that somebody acts on.
 *
 * payload: the payload is not the block's, so every node finds the same. Any other fault of a preparation may pass.
 * own: the own machine or set-up failed, which says nothing of whoever made what it was to look at.
 * verdictless: the verifier gives no verdict on this proof, neither here nor elsewhere. The attempt ends by the fault's code.
 */
export type FaultReason = "payload" | "own" | "verdictless";

export type Result<T, F extends Fault = Fault> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: F };

export type Done<T, F extends Fault = Fault> = (result: Result<T, F>) => void;

/** Stops what was started; calling it late or twice does nothing. The completion is not called afterwards. */
export type Cancel = () => void;

export interface Clock {
  /** Milliseconds on a clock that never goes back; its zero means nothing. */
  now(): number;
  /** Milliseconds since 1970; for display only, no decision rests on it. */
  wall(): number;
  after(delayMs: number, run: () => void): Cancel;
}

/** Signs with the node's one key. Synchronous: 34 us natively, less than handing it to a thread would cost. */
export interface Signer {
  readonly key: Key;
  sign(message: Uint8Array): Uint8Array;
}

/** Native in a node; a keyed hash in most simulations. */
export type { Equation } from "./protocol/signing.ts";

/**
 * The node's own feed, durable before it is sent.
 *
 * A journal that cannot write or finds a hole ends the node's right to sign: nothing may be sent after a failed append.
 */
export interface Journal {
  /** Called once at start, before any append: every record kept, oldest first. */
  load(): { readonly floor: JournalFloor | null; readonly records: readonly Uint8Array[] };
  /** `done` is called when all records are on disk (fdatasync), in order of the calls. */
  append(records: readonly Uint8Array[], done: Done<void>): void;
  /** Replaces everything by the floor and these records, atomically and durably. */
  compact(floor: JournalFloor, records: readonly Uint8Array[], done: Done<void>): void;
  /** Bytes on disk, to decide when to compact. */
  size(): number;
}

/** What remains of a feed whose old batches were compacted away: the next number, and the hash it must name. */
export interface JournalFloor {
  readonly next: number;
  readonly previous: Hash;
  /** Heights up to which this node signs nothing any more, by chain id (as a decimal string). */
  readonly closed: Readonly<Record<string, number>>;
}

/**
 * How far this node has signed: a small file beside its key, apart from the journal. A journal that is older than this
 * was restored from a copy.
 */
export interface SigningState {
  /** Counter of the latest start of this key that this node knows of; 0 where it never started. */
  readonly counter: number;
  /** The number that the next own batch has, and the hash of the head before it. */
  readonly next: number;
  readonly head: Hash;
  /** A journal was lost, and something that was open then is not over yet. */
  readonly lost: boolean;
}

/** Where the signing state is. */
export interface SigningRecord {
  /** As it was when the node was opened; `null` where it is missing. */
  load(): SigningState | null;
  /** Durable when `done` is called, in order of the calls. After any crash it is one of the states written, whole. */
  write(state: SigningState, done: Done<void>): void;
}

/** The latest start record of a key, as sent; of one counter there may be two. */
export interface StoredStart {
  readonly author: Key;
  readonly records: readonly Uint8Array[];
}

export interface StoredBatch {
  readonly author: Key;
  readonly number: number;
  readonly bytes: Uint8Array;
}

export interface StoredCertificate {
  readonly chain: number;
  readonly height: number;
  /** The block's id (`protocol/ids.ts`), not its hash. */
  readonly block: Hash;
  readonly bytes: Uint8Array;
}

/**
 * What was let go of in an author's feed, ascending. A restart must not take it for gaps that somebody could fill.
 */
export interface StoredGone {
  readonly author: Key;
  readonly spans: readonly Span[];
}

export interface StoredFacts {
  readonly batches: readonly StoredBatch[];
  readonly certificates: readonly StoredCertificate[];
  readonly gone: readonly StoredGone[];
  readonly starts: readonly StoredStart[];
}

/** What can be rebuilt from peers: batches of all feeds, and certificates. Every value is checksummed. */
export interface Store {
  load(done: Done<StoredFacts>): void;
  write(change: StoreChange, done: Done<void>): void;
  /** Certificates of a chain from a height on, in order of height. */
  certificates(chain: number, fromHeight: number, countMax: number, done: Done<readonly StoredCertificate[]>): void;
  certificate(block: Hash, done: Done<StoredCertificate | null>): void;
  /** The certified block that the chain names by this hash. */
  closed(chain: number, hash: Hash, done: Done<Closed | null>): void;
}

export interface StoreChange {
  readonly batches?: readonly StoredBatch[];
  readonly certificates?: readonly StoredCertificate[];
  /** Entries of the index of certified blocks. */
  readonly closed?: readonly Closed[];
  readonly forget?: readonly { readonly author: Key; readonly number: number }[];
  /** In place of what was said of these authors before. */
  readonly gone?: readonly StoredGone[];
  /** In place of what was stored for these keys before; without a record the key is let go of. */
  readonly starts?: readonly StoredStart[];
  /** Also force to disk before `done`. */
  readonly sync?: boolean;
}

/** Files named by their SHA-256. */
export interface Artefacts {
  has(hash: Hash, done: Done<boolean>): void;
  read(hash: Hash, bytesMax: number, done: Done<Uint8Array | null>): void;
  /** Length in bytes; `null` where it is not there. */
  size(hash: Hash, done: Done<number | null>): void;
  /** At most `bytesMax` bytes from `offset` on, of an artefact of any length; what is damaged is not there. */
  readPart(hash: Hash, offset: number, bytesMax: number, done: Done<Uint8Array | null>): void;
  /** Takes in an artefact piece by piece, and goes on where an earlier try ended, a restart in between or not. */
  receive(hash: Hash, length: number, done: Done<Incoming>): void;
  /** Durable when `done` is called. */
  write(bytes: Uint8Array, done: Done<Hash>): void;
  /** Readable when `done` is called, and may be gone after a power cut: for what peers or the log have as well. */
  keep(bytes: Uint8Array, done: Done<Hash>): void;
  forget(hashes: readonly Hash[], done: Done<void>): void;
}

/** An artefact on its way in. One call at a time. */
export interface Incoming {
  /** How many bytes are there by now. */
  readonly bytes: number;
  /** No more than the length that was said when it began. */
  append(bytes: Uint8Array, done: Done<void>): void;
  /** `true`: it is whole and of its hash, and an artefact from now on. `false`: it is not, and nothing of it is left. */
  finish(done: Done<boolean>): void;
  /** Lets go of it; what is there stays for the next try as long as there is room. */
  pause(): void;
}

/** What peers ask each other over a stream of its own. */
export type Request = "sync" | "manifest";

export interface Transport {
  /** Best effort to everyone on the network's topic; a batch of at most `limits.messageBytesMax`. */
  publish(bytes: Uint8Array): void;
  peers(): readonly Key[];
  /** Peers with a connection, whether or not gossip reaches them; where this is not told, `peers` are all. */
  connected?(): readonly Key[];
  /** Answers with whole frames; at most `bytesMax` of them together. Cut off after `timeoutMs`. */
  request(
    peer: Key,
    request: Request,
    body: Uint8Array,
    bytesMax: number,
    timeoutMs: number,
    done: Done<readonly Uint8Array[]>,
  ): Cancel;
  /** Fetches an artefact from a peer into the artefact store, checking its hash while it arrives. */
  fetch(peer: Key, hash: Hash, bytesMax: number, timeoutMs: number, done: Done<void>): Cancel;
}

/** What the transport calls. Given when it is made; never called before `listen` and never after `close`. */
export interface TransportHandler {
  /** Must answer at once: size, shape, known, signature. The verdict decides whether gossip passes the message on. */
  message(bytes: Uint8Array, from: Key): Verdict;
  request(peer: Key, request: Request, body: Uint8Array, answer: (frames: readonly Uint8Array[]) => void): void;
  peer(peer: Key, state: "up" | "down"): void;
  /**
   * Whether this peer may not have a file now, and is answered as if the file was not here. `bytes` is what the answer
   * would show of the file. Left out, every file but an opening may be had.
   */
  withholds?(peer: Key, artefact: Hash, bytes: Uint8Array): boolean;
}

/** A block as its chain's source sees it, and its own bytes. */
export interface SourceBlock {
  readonly chain: number;
  readonly height: number;
  readonly hash: Hash;
  readonly parent: Hash;
  /** Self-authenticating bytes of the block (`protocol/ethereum.ts`). */
  readonly payload: Uint8Array;
  /** How many items (transactions) it has. */
  readonly items: number;
}

export type SourceEvent =
  | { readonly kind: "block"; readonly block: SourceBlock }
  | { readonly kind: "retract"; readonly chain: number; readonly hash: Hash }
  /** The source has looked at its chain and the chain answered, with news or without. */
  | { readonly kind: "seen"; readonly chain: number }
  /** The source cannot go on for now (`fault`) or is well again (`null`). It keeps trying by itself. */
  | { readonly kind: "trouble"; readonly chain: number; readonly fault: Fault | null }
  /** A source of finite length has ended. */
  | { readonly kind: "end" };

/** Where a promise is returned, the source tells nothing more before it resolves: the node is slower than the chain. */
export type Tell = (event: SourceEvent) => Promise<void> | void;

export interface Source {
  /** Starts at the height after `after` (or at the chain's start); calls `emit` in chain order, one at a time. */
  start(after: { readonly height: number; readonly hash: Hash } | null, emit: Tell): void;
  close(): Promise<void>;
}

/** A certified block as a sink gets it. */
export interface CertifiedBlock extends StoredCertificate {
  readonly content: BarrierContent;
  readonly contentHash: Hash;
}

/** What a place that takes certified blocks has of one of them. */
export type Presence =
  /** The block, or one after it: whoever handed it on. */
  | { readonly kind: "there" }
  | { readonly kind: "missing" }
  /** Not even those before it: the place takes blocks in order, and goes on at this height. */
  | { readonly kind: "behind"; readonly from: number };

export interface SinkFault extends Fault {
  /** How long the place asked to be left alone. */
  readonly retryAfterMs?: number;
  /** This node lacks what it takes and will not get it. */
  readonly hopeless?: true;
}

/** What becomes of a block. `queued`: it is announced; `proving`: its tasks may be claimed. */
export interface Notice {
  readonly state: "queued" | "proving" | "certified";
  readonly chain: number;
  readonly height: number;
  readonly hash: Hash;
  /** The block's id. */
  readonly block: Hash;
}

/**
 * Where certified blocks go, in chain order, one at a time for each chain.
 *
 * What counts is what is there: a crash may come between handing on and writing down that it was done, and other nodes
 * may hand on to the same place.
 */
export interface Sink {
  look(block: CertifiedBlock, done: Done<Presence, SinkFault>): void;
  /** `done` means durable there. Doing it again changes nothing. */
  deliver(block: CertifiedBlock, done: Done<void, SinkFault>): void;
  /**
   * For places that want to know of a block before it is certified. Best effort; what is to be told in public, only the
   * node whose turn the block is is told. Of a certified block each node is.
   */
  notice?(notice: Notice): void;
  /** Ends what is under way. */
  close(): Promise<void>;
}

/** Up to which block a sink has got on each chain, on disk. It saves asking the place; the place is right. */
export interface Cursor {
  load(): ReadonlyMap<number, CursorPosition>;
  /** What waits for the disk is replaced by what comes after it. */
  save(positions: ReadonlyMap<number, CursorPosition>, done: Done<void>): void;
}

export interface CursorPosition {
  readonly height: number;
  readonly block: Hash;
}

/** Which part of which block's workflow a statement is about. */
export interface StatementId {
  readonly chain: number;
  readonly height: number;
  /** The block's id and its hash on the chain. */
  readonly block: Hash;
  readonly hash: Hash;
  readonly stage: string;
  readonly index: number;
  /** Hash of the block before. */
  readonly parent: Hash;
  /** What the chain's own nodes answer to `eth_chainId`. */
  readonly chainId: number;
}

/** A GPU of this machine. */
export interface Device {
  readonly vendor: "nvidia" | "amd";
  /** What CUDA_VISIBLE_DEVICES or ROCR_VISIBLE_DEVICES calls it. */
  readonly id: string;
  /** Its index for the vendor's programs; left out where a configuration names it by its UUID. */
  readonly index?: string;
  readonly name: string;
  /** `null` where nobody knows. */
  readonly memoryBytes: number | null;
}

/** Everything a prover may need for one task. Bytes are read by the runtime, so that a prover needs no network. */
export interface ProveJob {
  readonly id: StatementId;
  readonly attempt: number;
  readonly system: string;
  /** Hash of the verifying key that the manifest names for the stage. */
  readonly key: Hash;
  /** What the public values have to be; `values` follow from it and from the block. "shard-fold" if left out. */
  readonly statement?: Statement;
  readonly payload: Uint8Array;
  /** The chain's running commitment before the block. */
  readonly before: Uint8Array;
  /** Who is paid for the proof: the key that its public values name, where the proof system has room for one. */
  readonly prover: Key;
  /** Public values of the task for this prover, derived from the block: what the proof has to be for. */
  readonly values: Uint8Array;
  /** Which of its stage's outputs the task is for; several tasks are, where several proof systems prove it side by side. */
  readonly group: number;
  /** Into how many shards the stage cuts the block, an output each; 0 where each output is about the whole block. */
  readonly shards: number;
  /** Accepted proofs of the stages that this one takes, in their order. */
  readonly inputs: readonly Uint8Array[];
  /** Of each input who made it. */
  readonly makers: readonly Key[];
  /** GPUs that are the task's alone until it ends. Left out, nobody counts them. */
  readonly devices?: readonly Device[];
}

export type ProveEvent =
  /** `units` only ever grows, and only when the work really moves; it renews the lease. */
  | { readonly kind: "progress"; readonly units: number }
  | { readonly kind: "proved"; readonly proof: Uint8Array; readonly values: Uint8Array; readonly provingMs: number }
  /**
   * `logical`: the same input will fail again anywhere. Otherwise the machine failed (killed, out of memory, timed out).
   * `disabled`: the prover cannot begin any task on this machine now, so the node uses it again only after a trial.
   */
  | { readonly kind: "failed"; readonly logical: boolean; readonly disabled?: boolean; readonly fault: Fault };

export interface Prover {
  /** What manifests call it: the proof system, or a stage's executor. */
  readonly system: string;
  /** How many jobs run at once. */
  readonly slots: number;
  /** Emits progress and then exactly one of proved, failed. `Cancel` kills the work at once and emits nothing more. */
  prove(job: ProveJob, emit: (event: ProveEvent) => void): Cancel;
  /**
   * Of a machine that cannot be stopped: calls `done` when nothing of ours runs there any more, at once if nothing does, and
   * until then `moved` as long as it works. Left out, a cancel frees the machine.
   */
  vacate?(moved: () => void, done: () => void): void;
  close(): Promise<void>;
}

/** What the tasks of one block must prove, derived from the block's own bytes. */
export interface Preparation {
  /** The chain's running commitment after the block. */
  readonly after: Uint8Array;
  /** Public values by stage name and task index, for nobody (`protocol/payee.ts`). */
  readonly values: Readonly<Record<string, readonly Uint8Array[]>>;
}

export interface PrepareJob {
  readonly chain: number;
  /** What the chain's own nodes answer to `eth_chainId`. */
  readonly chainId: number;
  readonly height: number;
  readonly block: Hash;
  readonly hash: Hash;
  readonly parent: Hash;
  readonly items: number;
  readonly payload: Uint8Array;
  /** How many blocks that has: one, or as many as the workflow proves together. */
  readonly range: number;
  /** `null` where a run of blocks starts: the commitment is then derived from the parent's hash. */
  readonly before: Uint8Array | null;
  readonly stages: readonly StageRow[];
}

export interface VerifyJob {
  readonly system: string;
  readonly key: Hash;
  /** "shard-fold" if left out. */
  readonly statement?: Statement;
  /** The block that the proof has to be about, for programs that ask for it. A verifier of ours needs only `values`. */
  readonly about?: BlockPlace;
  /** Public values that the task implies for the proof's maker, derived here, never taken from a message. */
  readonly values: Uint8Array;
  /** Public values of the tasks that this one aggregates, in order and for nobody; empty for others. */
  readonly parts: readonly Uint8Array[];
  readonly proof: Uint8Array;
}

/** Runs off the network's thread, under a deadline. A verifier that dies is a fault, never an answer. */
export interface Verifier {
  /** The payload must be the block's: for a payload that does not hash to the block the fault has the reason `payload`. */
  prepare(job: PrepareJob, done: Done<Preparation & { readonly before: Uint8Array }>): Cancel;
  /** `{ valid: false }` is objective: anyone else would find the same. `code` says why. */
  verify(
    job: VerifyJob,
    done: Done<{ readonly valid: true } | { readonly valid: false; readonly code: string }>,
  ): Cancel;
  close(): Promise<void>;
}

/** Log lines, counters and spans. `event` is a stable dotted name; values are JSON. */
export interface Telemetry {
  emit(event: string, fields?: Readonly<Record<string, unknown>>): void;
  count(name: string, label: string): void;
}
