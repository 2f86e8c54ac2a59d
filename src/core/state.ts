/**
 * All that a node knows and has decided: facts (`facts.ts`), what follows from them (`views.ts`), the locks that this node
 * has taken (`locks.ts`), and soft state (`soft.ts`). Facts and locks are rebuilt from the log; the own feed is durable
 * before it is sent.
 */
import type { Closed } from "../protocol/certificate.ts";
import { Log } from "../log/log.ts";
import type { Batch } from "../protocol/batch.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { Entry } from "../protocol/messages.ts";
import { classOf } from "./classes.ts";
import type { Prepared } from "./event.ts";
import { type Changes, createChanges } from "./changes.ts";
import type {
  Admission,
  AttemptFacts,
  Benching,
  BlockFacts,
  Facts,
  MemberFacts,
  Out,
  Place,
  ProofFacts,
  Receipts,
  Signed,
  Tally,
  TaskFacts,
} from "./facts.ts";
import { CORE_LIMITS, type CoreLimits } from "./limits.ts";
import type { CoreOptions } from "./options.ts";
import type { AttemptSoft, BlockSoft, Chain, LockTable, MemberSoft, ProofSoft, Soft, TaskSoft } from "./soft.ts";

export type Attempt = AttemptFacts & AttemptSoft;
export interface Proof extends ProofFacts, ProofSoft {}
export interface Member extends MemberFacts, MemberSoft {}

export interface Task extends TaskFacts, TaskSoft {
  readonly block: Block;
  readonly attempts: Map<number, Attempt>;
  readonly proofs: Map<string, Proof>;
  readonly receipts: Map<Key, Receipts>;
  output: Hash | null;
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

export interface Block extends BlockFacts, BlockSoft {
  tasks: readonly Task[];
  tasksByStage: ReadonlyMap<string, readonly Task[]>;
  prepared: Prepared | null;
  invalid: string | null;
  readonly counts: Map<string, number>;
  level: number;
  round: number;
  certificate: Hash | null;
  state: BlockState;
}

export interface State extends Facts, Soft {
  readonly limits: CoreLimits;
  readonly log: Log;
  readonly blocks: Map<Hash, Block>;
  /** Tasks of all these blocks together. */
  taskCount: number;
  /** Those of them of which a receipt names the artefact. */
  readonly namedArtefacts: Map<Hash, Set<Task>>;
  /** Those of them that are open, or closed and not certified: all that time or a vote can still move. */
  readonly live: Set<Block>;
  readonly named: Map<string, Block[]>;
  readonly closed: Map<Hash, Closed>;
  readonly closedNames: Map<string, Closed>;
  readonly tallies: Map<Hash, Tally>;
  readonly chains: Map<number, Chain>;
  /** Each lock that this node has taken, and for which value (`locks.ts`). */
  readonly locks: LockTable;
  readonly roster: Map<Key, Member>;
  readonly changes: Changes;
  readonly admissions: Map<string, Admission>;
  readonly benches: Map<string, Benching>;
  readonly out: Map<Key, Out>;
  readonly discredited: Map<Key, Place>;
  /** Tasks with proofs that somebody vouches for and somebody says do not verify. */
  readonly suspects: Set<Task>;
  /** Votes of one author that exclude each other, noted while an entry is applied. */
  readonly conflicts: (readonly [Signed, Signed])[];
  /** Batches to apply once more: what they say was hidden by something that is no fact any more. */
  readonly again: Batch[];
  readonly dirtyTasks: Set<Task>;
  readonly dirtyBlocks: Set<Block>;
  /** Tasks this node works on or has claimed. */
  readonly working: Set<Task>;
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
    namedArtefacts: new Map(),
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
    candidates: new Map(),
    certified: [],
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
    joinPauseMs: 0,
    syncMs: 0,
    syncTurn: options.seed,
    syncing: new Set(),
    gained: new Set(),
    frontiers: new Map(),
    forgotten: new Map(),
    peers: new Set(),
    mute: null,
    unverifiable: null,
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
    bases: new Map(),
    returning: new Map(),
    drawing: null,
    ownAdmission: { proving: null, made: null, failures: 0, retryMs: null },
  };
}

/** The attempt with this number, made when first heard of. */
export function attemptOf(task: Task, number: number): Attempt {
  let attempt = task.attempts.get(number);
  if (attempt === undefined) {
    attempt = {
      number,
      phase: { name: "shut" },
      claims: new Map(),
      grants: new Map(),
      regrants: new Map(),
      timeouts: new Map(),
      attests: new Map(),
      claimHeardMs: null,
      progress: new Map(),
      ends: new Map(),
      foundEnds: new Map(),
      commits: new Map(),
      seals: new Map(),
      opened: null,
      reveal: null,
    };
    task.attempts.set(number, attempt);
  }
  return attempt;
}

/** Decides to say something. It is signed, made durable and sent with whatever else this step decides. */
export function say(state: State, entry: Entry): void {
  if (state.mute === null) state.outbox.push(entry);
}

export function report(state: State, event: string, fields: Readonly<Record<string, unknown>>): void {
  if (!state.replaying) state.effects.push({ kind: "report", event, fields });
}
