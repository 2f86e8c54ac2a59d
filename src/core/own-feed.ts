/**
 * Whether this node may sign: its own feed as its peers know it, and whether another process signs with its key.
 *
 * At each start a node signs a start record and asks its peers how far its own feed has come. A peer stores the record
 * durably, and then answers with the latest records of the key that it has. An answer counts only if it shows this
 * start's own record: the peer will recognise a later start from an old copy.
 *
 * A journal that agrees with the signing state beside the key is intact. The node then needs, together with itself, a
 * quorum of attesters. Their answers could only show that another process uses the key.
 *
 * Otherwise the disk is lost, and the node counts among the f faults until it signs again. A quorum of the others has to
 * answer (2f+1 of 3f+1), because every certificate that a lost vote is part of was also signed by f+1 honest others,
 * and one of them is then among those that answer. A peer that has signed nothing, or is recovering itself, does not
 * count. The node takes over what the peers have of its feed, waits one lease, and takes no lock any more in an attempt
 * that may have been open when the disk was lost (`bar`). It leaves out the numbers that it may have signed and nobody
 * has: a second batch under one of them would be evidence against it.
 *
 * One lock it takes even there: a timeout, once f+1 others have signed theirs. Where one more attester is away the
 * attempt would else stay open for ever. Such a timeout could contradict only a lost attest that none of those who
 * answered has, and both attempts get a certificate only if f others sign both as well.
 */
import type { Batch } from "../protocol/batch.ts";
import type { Key } from "../protocol/ids.ts";
import type { StartRecord } from "../protocol/start.ts";
import type { Twin } from "../protocol/sync.ts";
import { startOf, touch } from "./blocks.ts";
import { openAttempt } from "./makers.ts";
import { weightOf } from "./facts.ts";
import type { Mute } from "./soft.ts";
import { type Block, report, type State, type Task } from "./state.ts";

/** What was asked before this node began may be answered so much later: no sign that anybody else still runs. */
const LATE_MS_MAX = 3_000;
/** A process of this key that a peer heard so lately may still run; a live one would have asked again by then. */
const LINGER_MS = 10_000;

/** Reasons not to sign that pass by themselves. */
const PASSING: ReadonlySet<Mute | null> = new Set(["feed.unchecked", "feed.behind", "feed.waiting"]);

/** Whether this node signs nothing until others have confirmed its own feed. */
export function isUnconfirmed({ mute }: Pick<State, "mute">): boolean {
  return PASSING.has(mute);
}

/** What a peer has answered about the own key. */
export interface Answer {
  /** How far the own feed has come there, and how far the peer's own feed has. */
  readonly seen: number;
  readonly peerNext: number;
  /** The peer has lost its journal and does not sign yet. */
  readonly recovers: boolean;
  /** Start records of the own key whose signature holds. */
  readonly starts: readonly StartRecord[];
  readonly twins: readonly Twin[];
}

/** This start of the node, as its record says. `isLost`: its journal is not all that it has signed. */
export function begin(
  state: State,
  start: { readonly counter: number; readonly nonce: string },
  isLost: boolean,
): void {
  state.start = start;
  state.outrun = Math.max(state.outrun, start.counter);
  if (isLost) state.lostOwn = true;
  state.confirmed.clear();
}

export function askBeforeSigning(state: State): void {
  state.startedMs = state.nowMs;
  if (state.mute === null && weightToConfirm(state) > 0) state.mute = "feed.unchecked";
}

/** The weight of other attesters that have to answer. Where no disk may be lost, all of them stand in for 2f+1. */
function weightToConfirm(state: State): number {
  const { quorum, weight, weights } = state.manifest;
  const own = weights.get(state.options.self) ?? 0;
  // LOST-2.
  // mutant: recover-alone
  if (state.lostOwn) return Math.min(quorum, weight - own);
  // FEED-1.
  return quorum - own;
}

/** Whether anybody could show what a lost journal of this node held. */
export function hasOthers(state: State): boolean {
  const { weight, weights } = state.manifest;
  return weight > (weights.get(state.options.self) ?? 0);
}

/** Whether this node has lost its journal and does not sign yet: what it does not know of others says nothing. */
export function isRecovering(state: State): boolean {
  return state.lostOwn && isUnconfirmed(state);
}

/** A peer had a batch of ours that we did not: only our own signature can say so, so nobody can silence us by lying. */
export function foundOwn(state: State, batch: Batch): void {
  const { number, start } = batch.head;
  const isAsking = isUnconfirmed(state);
  // FEED-2.
  // This start has signed nothing yet, so the batch is of a later one, or of a copy of it.
  if (start >= state.start.counter && isAsking) noteLaterStart(state, start);
  if (!isAsking && state.mute !== null) return;
  if (!isAsking && start >= state.start.counter) {
    // START-6.
    // mutant: go-on-beside
    report(state, "key.in-use", { key: state.options.self, here: "stops", number, start });
    state.mute = "key.in-use";
    return;
  }
  state.confirmed.clear();
  if (state.mute !== "feed.behind") report(state, "feed.behind", { own: number });
  state.mute = "feed.behind";
  // mutant: own-batch-unheeded
  lose(state);
}

function lose(state: State): void {
  if (state.lostOwn) return;
  state.lostOwn = true;
  remember(state);
}

/** Has the signing state say so before anything else is signed. */
function remember(state: State): void {
  state.effects.push({ kind: "remember", counter: state.outrun, lost: state.lostOwn });
}

/** What a peer says of our feed and of other processes with our key; returns the peers to ask as well. */
export function hearOfOwnFeed(state: State, peer: Key, answer: Answer): readonly Key[] {
  const { seen, twins } = answer;
  hearOfTwins(state, peer, twins);
  const isShown = hearOfStarts(state, answer.starts);
  if (state.mute !== "feed.unchecked" && state.mute !== "feed.behind") return [];
  const feed = state.log.feed(state.options.self);
  const whole = feed?.isGapped !== true;
  if (!whole || seen > (feed?.next ?? 0)) return [];
  // What is dead will not be heard again; what lives will, and then we are the ones to go.
  if (twins.some((twin) => isElder(state, twin) && twin.agoMs < LINGER_MS)) return [];
  if (!isShown) return [];
  if (state.lostOwn && (answer.recovers || answer.peerNext === 0)) return [];
  if (state.manifest.weights.has(peer)) state.confirmed.add(peer);
  if (weightOf(state, state.confirmed) >= weightToConfirm(state)) {
    report(state, "feed.confirmed", { own: feed?.next ?? 0, by: state.confirmed.size });
    if (state.lostOwn) wait(state);
    else speak(state);
    return [];
  }
  // Only attesters count, and asking the others as well had left no turn for those that come late in the list.
  return [...state.peers].filter((other) => state.manifest.weights.has(other) && !state.confirmed.has(other));
}

/** Whether this start's own record is among those shown. */
function hearOfStarts(state: State, starts: readonly StartRecord[]): boolean {
  const { counter, nonce } = state.start;
  for (const record of starts) {
    if (record.counter > counter) noteLaterStart(state, record.counter);
    else if (record.counter === counter && record.nonce !== nonce) copied(state, counter);
  }
  // START-3.
  // mutant: unshown-counts
  return starts.some((record) => record.counter === counter && record.nonce === nonce);
}

/** Two starts with one counter began from one disk. Which of them is the copy nobody can say, so both stop signing. */
function copied(state: State, counter: number): void {
  if (state.mute === null || isUnconfirmed(state)) {
    report(state, "key.copied", { key: state.options.self, counter });
    // START-4.
    // mutant: copies-both-sign
    state.mute = "key.copied";
  }
}

/**
 * The key has started later than this process. Before this one has signed, its disk is an old copy: it begins again above
 * that start, as one that is lost. Afterwards the other one has to ask first (`hearOfTwins`); the next start of this disk
 * goes above it.
 */
function noteLaterStart(state: State, counter: number): void {
  const isKnown = counter <= state.outrun;
  state.outrun = Math.max(state.outrun, counter);
  if (!isUnconfirmed(state)) return isKnown ? undefined : remember(state);
  // START-5.
  // mutant: outrun-unheeded
  report(state, "start.outrun", { counter: state.start.counter, latest: counter });
  state.lostOwn = true;
  // No record fits until there is a new one.
  begin(state, { counter: counter + 1, nonce: "" }, true);
  if (state.mute === "feed.waiting") state.mute = "feed.behind";
  state.effects.push({ kind: "renew", counter: counter + 1 });
}

function wait(state: State): void {
  const { workflows, timing } = state.manifest.json;
  const leases = Object.values(workflows).flatMap(({ stages }) =>
    stages.map(({ leaseMs }) => leaseMs ?? timing.leaseMs),
  );
  state.mute = "feed.waiting";
  state.speakMs = state.nowMs + Math.max(...leases);
  report(state, "feed.waiting", { untilInMs: state.speakMs - state.nowMs });
}

/** When the wait is over, if there is one. */
export function nextSpeakMs(state: State): number {
  return state.mute === "feed.waiting" ? state.speakMs : Number.POSITIVE_INFINITY;
}

export function settleSpeech(state: State): void {
  if (state.lostOwn && state.mute === null) settleLoss(state);
  if (state.mute !== "feed.waiting" || state.nowMs < state.speakMs) return;
  // LOST-3.
  // mutant: bar-nothing, recover-alone/bar
  bar(state);
  state.effects.push({ kind: "leap" });
  report(state, "feed.recovered", { own: state.log.feed(state.options.self)?.next ?? 0 });
  speak(state);
}

/** Takes no lock any more in what this node may have voted on before its disk was lost. */
function bar(state: State): void {
  // Where no quorum is without this node nobody else could end the attempt, and no other word than its own counts.
  const { quorum, weights } = state.manifest;
  if ((weights.get(state.options.self) ?? 0) >= quorum) return;
  for (const block of state.blocks.values()) {
    if (block.certificate === null) block.bars = true;
    barTasks(state, block);
  }
  // A block that nobody else has heard of may have been open here.
  for (const chain of state.chains.values()) {
    const start = startOf(state, chain.id);
    const window = Math.max(...Object.values(state.manifest.json.workflows).map((each) => each.window));
    if (typeof start === "number") chain.barred = Math.max(chain.certified, start - 1) + 2 * window;
  }
}

/** Tasks are made once the payload is read, which may be after the recovery. */
function barTasks(state: State, block: Block): void {
  if (!block.bars || block.tasks.length === 0) return;
  for (const task of block.tasks) task.barred = Math.max(task.barred, lastVotable(state, task));
  block.bars = false;
}

/**
 * The highest attempt that this node can have voted in. It votes in an attempt once a quorum has timed out the one before;
 * of that quorum all but its own weight and that of the attesters which did not answer is known by now.
 */
function lastVotable(state: State, task: Task): number {
  const { quorum, weight, weights } = state.manifest;
  const own = weights.get(state.options.self) ?? 0;
  const absent = weight - own - weightOf(state, state.confirmed);
  const known = Math.max(quorum - own - absent - Math.max(weight - quorum - own, 0), 1);
  let { number } = openAttempt(state, task);
  const isOver = (attempt: number): boolean => {
    const others = [...(task.attempts.get(attempt)?.timeouts.keys() ?? [])];
    return (
      weightOf(
        state,
        others.filter((key) => key !== state.options.self),
      ) >= known
    );
  };
  while (isOver(number)) number++;
  return number;
}

/** The loss is over once nothing is open any more that this node may have voted on. */
function settleLoss(state: State): void {
  for (const block of state.blocks.values()) barTasks(state, block);
  for (const { certified, barred } of state.chains.values()) if (certified < barred) return;
  for (const { certificate, state: at, tasks, bars } of state.blocks.values())
    if (certificate === null && at !== "cancelled" && (bars || tasks.some((task) => task.barred >= 0))) return;
  state.lostOwn = false;
  remember(state);
}

function speak(state: State): void {
  state.mute = null;
  for (const block of state.blocks.values()) touch(state, block);
}

/**
 * Another process that signs with our key, heard by a peer since we began. The later of the two goes: by how long each
 * has run, so no clock is compared. One peer may lie; as much weight of attesters has to say so as holds an honest one.
 */
function hearOfTwins(state: State, peer: Key, twins: readonly Twin[]): void {
  const { oneHonest } = state.manifest;
  const alive = twins.filter((twin) => twin.agoMs + LATE_MS_MAX < upMs(state));
  if (alive.length === 0 || !state.manifest.weights.has(peer)) return;
  const elder = alive.some((twin) => isElder(state, twin));
  const heard = elder ? state.elders : state.juniors;
  const before = weightOf(state, heard);
  heard.add(peer);
  // FEED-3.
  if (before >= oneHonest || weightOf(state, heard) < oneHonest) return;
  report(state, "key.in-use", { key: state.options.self, here: elder ? "stops" : "goes on" });
  // mutant: younger-stays
  if (elder) state.mute = "key.in-use";
}

/** How long this process has run. */
export function upMs(state: State): number {
  return Math.floor(state.nowMs - state.startedMs);
}

function isElder(state: State, twin: Twin): boolean {
  const theirs = twin.upMs + twin.agoMs;
  const ours = upMs(state);
  return theirs === ours ? twin.instance < (state.options.instance ?? "") : theirs > ours;
}
