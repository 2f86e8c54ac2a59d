/**
 * Blocks: announced, opened head-of-chain first, prepared, closed in chain order, retracted by reorgs.
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Batch } from "../protocol/batch.ts";
import type { BarrierContent, Closed } from "../protocol/certificate.ts";
import { type Announced, blockId, type Hash, type Key } from "../protocol/ids.ts";
import { ROUNDS_MAX } from "../protocol/limits.ts";
import { chainIdOf } from "../protocol/manifest.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { rowsOf, type Stage, stagesOf, variantOf } from "../protocol/workflow.ts";
import {
  announcedAs,
  childrenOf,
  closedAs,
  heirsOf,
  isParentClosed,
  parentOf,
  remember,
  rememberClosed,
  trimClosed,
} from "./ancestry.ts";
import { noteBase } from "./admission-proof.ts";
import type { PreparedResult } from "./event.ts";
import { tallyOf } from "./griefing.ts";
import { abandon, moveBlock } from "./moves.ts";
import { isConfirmed, isSame } from "./own-source.ts";
import { isEarlier, isQuorum, type Place, type Signed, keepVote, votesFor } from "./facts.ts";
import type { Chain } from "./soft.ts";
import { type Block, report, type State, type Task } from "./state.ts";
import { factsChanged, settledChanged } from "./changes.ts";

/** A payload that cannot be had is asked for again: first after this, then doubling up to a minute. */
const RETRY_MS = 250;

/** Where a chain's proving starts; `any` chains start wherever a source says. */
export function startOf(state: State, chain: number): number | "any" | null {
  return state.manifest.json.chains.find(({ id }) => id === chain)?.start ?? null;
}

/** Whether the batch should wait with the peers for what it announces: taking it in now would cost unbounded memory. */
export function isTooFar(state: State, batch: Batch): boolean {
  // BATCH-9.
  // mutant: follow-too-far
  return batch.entries.some((entry) => entry.kind === "announce" && isAhead(state, entry));
}

function isAhead(state: State, announce: EntryOf<"announce">): boolean {
  const chain = state.chains.get(announce.chain);
  const start = startOf(state, announce.chain);
  if (chain === undefined || start === "any" || start === null) return false;
  return announce.height > Math.max(chain.certified, start) + state.limits.blockAheadMax;
}

export function applyAnnounce(state: State, signed: Signed, entry: EntryOf<"announce">): Refusal | null {
  const chain = state.chains.get(entry.chain);
  const json = state.manifest.json.chains.find(({ id }) => id === entry.chain);
  // ANNOUNCE-1.
  if (chain === undefined || json === undefined) return "block.chain-unknown";
  // ANNOUNCE-2.
  if (entry.workflow !== json.workflow) return "block.workflow-unknown";
  // ANNOUNCE-3.
  if (json.start !== "any" && (entry.height < json.start || entry.start !== (entry.height === json.start))) {
    return "block.before-start";
  }
  // ANNOUNCE-4.
  // mutant: reorg-retired, rounds-unbounded
  if (entry.round >= ROUNDS_MAX) return "round.too-many";
  const id = blockId(state.manifest.network, entry);
  // ANNOUNCE-5.
  // mutant: certified-again
  if (closedAs(state, entry.chain, entry.hash) !== undefined && !state.blocks.has(id)) return null;
  const known = state.blocks.get(id);
  if (known !== undefined) {
    announceAgain(state, known, signed, entry.round);
    noteTold(state, chain, known, signed.author);
    return null;
  }
  const block = createBlock(state, id, signed, entry);
  // ANNOUNCE-7.
  if (block === null) return "block.too-large";
  // mutant: tasks-before-payload
  remember(state, block);
  noteTold(state, chain, block, signed.author);
  // Of the ids that a block was announced under one counts.
  for (const twin of announcedAs(state, block.chain, block.hash)) state.dirtyBlocks.add(twin);
  chain.announced = Math.max(chain.announced, block.height);
  state.dirtyBlocks.add(block);
  report(state, "block.announced", { chain: block.chain, height: block.height, hash: block.hash, items: block.items });
  return null;
}

/** Whether the own source has told the block: it has announced the block itself, or somebody else was first. */
function noteTold(state: State, chain: Chain, block: Block, author: Key): void {
  const seen = chain.canonical.get(block.height);
  if (seen !== undefined && isSame(block, seen)) {
    block.told = true;
    block.isToldAnew = true;
  }
  if (author !== state.options.self) return;
  block.ownAnnounce = true;
  if (!chain.takenBack.has(block.hash)) block.told = true;
}

export function placeOf({ number, index }: Place): Place {
  return { number, index };
}

/** Whether the same was said there or earlier. */
export function isKnownPlace(known: Place | undefined, place: Place): boolean {
  return known !== undefined && !isEarlier(place, known);
}

// ANNOUNCE-8.
/** Several sources may announce one block: the announcements are one fact. */
function announceAgain(state: State, block: Block, signed: Signed, round: number): void {
  const { author } = signed;
  keepVote(block.announcers, author, placeOf(signed));
  const before = block.state;
  // mutant: round-unheard
  sayRound(block, signed, round);
  settleRounds(state, block);
  if (before === "cancelled" && block.state === "waiting")
    report(state, "block.returned", { chain: block.chain, height: block.height, hash: block.hash });
  touch(state, block);
}

function sayRound(block: Block, signed: Signed, round: number): void {
  keepVote(votesFor(block.rounds, round), signed.author, placeOf(signed));
}

/** In which round it is, and whether it is given up in that, by all announcements and cancellations heard so far. */
export function settleRounds(state: State, block: Block): void {
  const isGivenUp = () => {
    const voters = [...block.cancels].filter(([, { round }]) => round >= block.round).map(([key]) => key);
    // CANCEL-2.
    // mutant: cancel-alone
    return isQuorum(state, voters);
  };
  // CANCEL-3.
  // A quorum's certificate outweighs what it thought before.
  if (block.certificate !== null) return;
  block.round = 0;
  // mutant: never-reopened
  while (isGivenUp() && (block.rounds.get(block.round + 1)?.size ?? 0) > 0) block.round++;
  if (isGivenUp() === (block.state === "cancelled")) return;
  moveBlock(state, block, block.state === "cancelled" ? "waiting" : "cancelled");
  state.live.delete(block);
  for (const task of block.tasks) task.readyMs = null;
}

function createBlock(state: State, id: Hash, signed: Signed, entry: EntryOf<"announce">): Block | null {
  const known = stagesOf(state.manifest, entry.workflow, entry.items);
  if (known === null) return null;
  const stages = known.map((stage) => withSelect(state, stage));
  return {
    id,
    chain: entry.chain,
    height: entry.height,
    hash: entry.hash,
    parent: entry.parent,
    start: entry.start,
    workflow: entry.workflow,
    items: entry.items,
    payload: entry.payload,
    announcers: new Map([[signed.author, placeOf(signed)]]),
    announcedMs: state.nowMs,
    stages,
    tasks: [],
    tasksByStage: new Map(),
    level: 0,
    counts: new Map(),
    lists: new Map(),
    state: "waiting",
    openedMs: null,
    closedMs: null,
    round: 0,
    rounds: new Map([[entry.round, new Map([[signed.author, placeOf(signed)]])]]),
    retracts: new Map(),
    ownRetract: false,
    told: false,
    isToldAnew: false,
    ownAnnounce: false,
    cancels: new Map(),
    ownCancel: null,
    ownReturn: null,
    prepared: null,
    preparing: false,
    retryMs: null,
    tries: 0,
    invalid: null,
    votes: new Map(),
    contents: new Map(),
    ownContent: null,
    votedMs: 0,
    certificate: null,
    changes: { all: state.changes, facts: 0, settled: 0 },
    memos: new Map(),
    wakeMs: null,
    bars: false,
  };
}

/** Makes the block's tasks, once it is certain how many it has: its payload says so, or a quorum has signed it. */
function makeTasks(state: State, block: Block): void {
  if (block.tasks.length > 0) return;
  // mutant: bar-nothing/unknown
  const barred = block.bars || block.height <= (state.chains.get(block.chain)?.barred ?? -1) ? 0 : -1;
  const tasks: Task[] = [];
  const tasksByStage = new Map<string, Task[]>();
  for (const stage of block.stages) {
    const own: Task[] = [];
    tasksByStage.set(stage.name, own);
    for (let index = 0; index < stage.count; index++) {
      own.push({
        block,
        stage,
        index,
        variant: variantOf(stage, index),
        attempts: new Map(),
        proofs: new Map(),
        openFrom: { attempt: 0, takenBack: 0 },
        overTo: 0,
        receipts: new Map(),
        barred,
        requeues: new Map(),
        base: 0,
        reportedSince: null,
        isGivenUp: false,
        readyMs: null,
        completeMs: null,
        output: null,
        work: null,
        ownFailure: null,
        ahead: [],
        wakeMs: null,
      });
    }
    tasks.push(...own);
  }
  block.tasks = tasks;
  state.taskCount += tasks.length;
  block.tasksByStage = tasksByStage;
  settledChanged(block);
}

function withSelect({ options }: State, stage: Stage): Stage {
  const { custom } = stage;
  if (custom === null) return stage;
  return { ...stage, custom: { ...custom, select: options.selects?.get(custom.sha256) ?? null } };
}

/** Looks at a block and all its tasks again before this step ends. */
export function touch(state: State, block: Block): void {
  state.dirtyBlocks.add(block);
  for (const task of block.tasks) state.dirtyTasks.add(task);
}

/** Opens what the window allows, asks for what opened blocks need, and lets the children know. */
export function settleBlock(state: State, block: Block): void {
  block.wakeMs = null;
  if (block.state === "waiting" && mayOpen(state, block)) {
    moveBlock(state, block, "open");
    state.live.add(block);
    block.openedMs = state.nowMs;
    report(state, "block.opened", { chain: block.chain, height: block.height, hash: block.hash });
    for (const child of childrenOf(state, block)) state.dirtyBlocks.add(child);
    for (const task of block.tasks) state.dirtyTasks.add(task);
  }
  // Where others' words closed it first: its content, and its children, still rest on what its payload implies.
  if (block.state === "open" || (block.state === "closed" && block.certificate === null)) prepare(state, block);
}

function mayOpen(state: State, block: Block): boolean {
  // Announced by nobody whose word counts.
  if (block.announcers.size === 0) return false;
  // ANNOUNCE-10, ANNOUNCE-13, S8.
  if (!isConfirmed(state, block)) return false;
  const window = state.manifest.json.workflows[block.workflow]?.window ?? 1;
  // ANNOUNCE-11.
  let [at, unclosed] = [block, 0];
  while (!at.start) {
    const parent = parentOf(state, at);
    if (parent === undefined) return isParentClosed(state, at);
    if (parent.state === "closed") return true;
    // A block on a branch that is given up, or behind one that cannot be proven, waits.
    // mutant: window-unbounded
    if (parent.state !== "open" || ++unclosed >= window) return false;
    at = parent;
  }
  return true;
}

/** Asks for the payload and for what it implies, once. */
export function prepare(state: State, block: Block): void {
  if (block.prepared !== null || block.preparing || block.invalid !== null || state.replaying) return;
  if (block.retryMs !== null && state.nowMs < block.retryMs) {
    block.wakeMs = block.retryMs;
    return;
  }
  const before = commitmentBefore(state, block);
  if (before === undefined) return;
  block.preparing = true;
  state.effects.push({
    kind: "prepare",
    block: block.id,
    chain: block.chain,
    chainId: chainIdOf(state.manifest, block.chain),
    height: block.height,
    hash: block.hash,
    parent: block.parent,
    items: block.items,
    payload: block.payload,
    before,
    range: state.manifest.json.workflows[block.workflow]?.range ?? 1,
    stages: rowsOf(block.stages),
    holders: [...block.announcers.keys()],
  });
}

/** The chain's running commitment before the block; `null` where a run starts, `undefined` while it is not known. */
function commitmentBefore(state: State, block: Block): Uint8Array | null | undefined {
  if (block.start) return null;
  const closed = closedAs(state, block.chain, block.parent);
  return closed === undefined ? parentOf(state, block)?.prepared?.after : hexToBytes(closed.after);
}

export function applyPrepared(state: State, id: Hash, result: PreparedResult): void {
  const block = state.blocks.get(id);
  if (block === undefined) return;
  block.preparing = false;
  switch (result.kind) {
    case "ready":
      makeTasks(state, block);
      block.prepared = result.prepared;
      noteBase(state, block);
      factsChanged(block);
      block.retryMs = null;
      for (const child of childrenOf(state, block)) state.dirtyBlocks.add(child);
      break;
    case "invalid":
      // ANNOUNCE-12.
      // mutant: false-payload-again
      block.invalid = result.code;
      report(state, "block.invalid", { chain: block.chain, height: block.height, hash: block.hash, code: result.code });
      break;
    case "unavailable":
      block.tries++;
      block.retryMs = state.nowMs + Math.min(RETRY_MS * 2 ** Math.min(block.tries, 8), 60_000);
      report(state, "block.unavailable", {
        chain: block.chain,
        height: block.height,
        code: result.code,
        tries: block.tries,
      });
      break;
  }
  touch(state, block);
}

/** The barrier of a block is certified: its children may count on it, and its work is over. */
export function settleCertified(state: State, block: Block, contentHash: Hash, content: BarrierContent): void {
  makeTasks(state, block);
  block.certificate = contentHash;
  state.live.delete(block);
  if (block.state !== "closed") {
    moveBlock(state, block, "closed");
    block.closedMs = state.nowMs;
  }
  state.tallies.set(block.id, tallyOf(content));
  settleClosed(state, closedOf(block, content.after));
  noteBase(state, block);
  touch(state, block);
}

export function closedOf(block: Announced & { readonly id: Hash }, after: string): Closed {
  const { id, chain, height, hash, start, parent } = block;
  return { id, chain, height, hash, parent: start ? null : parent, after };
}

/** The disk's index has a certified block that left memory, which an announcement is about or builds on. */
export function recallClosed(state: State, closed: Closed): void {
  if (state.closed.has(closed.id)) return;
  settleClosed(state, closed);
  trimClosed(state);
}

/** Whatever else was announced under its hash is false. */
export function settleClosed(state: State, closed: Closed): void {
  rememberClosed(state, closed);
  for (const other of announcedAs(state, closed.chain, closed.hash)) if (other.id !== closed.id) abandon(state, other);
  for (const heir of heirsOf(state, closed)) touch(state, heir);
}

/** What its announcement says, to which its id commits. */
export function announcementOf(block: Announced): Announced {
  const { chain, height, hash, parent, start, workflow, items, payload } = block;
  return { chain, height, hash, parent, start, workflow, items, payload };
}

export function afterOf(block: Pick<Block, "prepared">): string | null {
  return block.prepared === null ? null : bytesToHex(block.prepared.after);
}
