/**
 * The node as a function: an event goes in, effects come out. Synchronous and pure of everything but its own state.
 *
 * Two halves. First the event's facts are added to the state. Then the step settles: whatever the facts touched is
 * looked at again until nothing changes. What a node decides is therefore a function of the facts it has, not of the
 * order in which they came.
 */
import type { Closed } from "../protocol/certificate.ts";
import type { Added } from "../log/feed.ts";
import { type Batch, openVote, readVote } from "../protocol/batch.ts";
import { blockId, type Hash } from "../protocol/ids.ts";
import { BATCH_ENTRIES_MAX } from "../protocol/limits.ts";
import { readEvidence } from "../protocol/evidence.ts";
import { asCode, type Entry, MESSAGES } from "../protocol/messages.ts";
import type { Equation } from "../protocol/signing.ts";
import type { Refusal } from "../protocol/verdict.ts";
import * as accounts from "./account.ts";
import * as admission from "./admission.ts";
import { maySign, requeue, settleBarrierVote, settleVotes } from "./attester.ts";
import * as blocks from "./blocks.ts";
import { restartWindow } from "./attempts.ts";
import * as branch from "./branch.ts";
import * as collector from "./collector.ts";
import { assertStep, type Touched } from "./assertions.ts";
import { applyBarrier, isContentOpen, settleBarrier } from "./barrier.ts";
import { counts } from "./conflict.ts";
import * as dispatcher from "./dispatcher.ts";
import * as drawing from "./drawing.ts";
import type { Effect } from "./effect.ts";
import type { Event } from "./event.ts";
import * as evidence from "./evidence.ts";
import * as gaps from "./gaps.ts";
import { tallyOf } from "./griefing.ts";
import { hasRivals, isVoid, missingInput } from "./graph.ts";
import { learnLock } from "./locks.ts";
import * as lists from "./lists.ts";
import * as ownAdmission from "./own-admission.ts";
import * as ownFeed from "./own-feed.ts";
import * as ownSource from "./own-source.ts";
import { addPending, takePending } from "./pending.ts";
import { applyRequeue, settlePause } from "./quarantine.ts";
import * as replicator from "./replicator.ts";
import { applyOpened, settleReveals } from "./reveals.ts";
import { settleLevel, settlePiece } from "./split.ts";
import * as standing from "./standing.ts";
import * as strangers from "./strangers.ts";
import type { Signed } from "./facts.ts";
import { report, type State, type Task } from "./state.ts";
import { applyVerdict } from "./verifying.ts";

/** Runs one event at `nowMs` (a clock that never goes back) and returns what has to be done, in order. */
export function step(state: State, event: Event, nowMs: number, equation: Equation): Effect[] {
  state.nowMs = Math.max(state.nowMs, nowMs);
  const certifiedBefore = state.certifiedCount;
  apply(state, event, equation);
  applyAgain(state, equation);
  if (!state.replaying) assertStep(state, settle(state, equation, certifiedBefore));
  return takeEffects(state);
}

/** Adds a fact from disk without acting on it; `resume` then settles everything at once. */
export function replay(state: State, event: Event, equation: Equation): void {
  replaying(state, () => {
    apply(state, event, equation);
    applyAgain(state, equation);
  });
}

function replaying(state: State, run: () => void): void {
  state.replaying = true;
  run();
  state.replaying = false;
  state.effects = state.effects.filter((effect) => effect.kind === "forget");
}

/** What became of a batch from disk. */
export interface Replayed {
  readonly batch: Batch;
  readonly added: Added;
}

/**
 * Adds the batches of the log from disk, without acting on them. First each feed takes in all its batches, in the order
 * in which the author signed them: a feed refuses numbers far above a gap. Then the state takes in their entries, in
 * passes over the log. Each pass keeps the order of signing. Roster and blocks come first, because other entries refer
 * to them and would have to wait.
 */
export function replayLog(state: State, batches: readonly Batch[], equation: Equation): readonly Replayed[] {
  const signed = batches.toSorted((a, b) => a.head.number - b.head.number);
  const replayed: Replayed[] = [];
  replaying(state, () => {
    for (const batch of signed) replayed.push({ batch, added: addToLog(state, batch) });
    const taken = replayed.filter(({ added }) => added === "new").map(({ batch }) => batch);
    for (const pass of REPLAY_PASSES) {
      for (const batch of taken) applyEntries(state, batch, equation, (entry) => passOf(entry) === pass);
      applyAgain(state, equation);
    }
  });
  return replayed;
}

const REPLAY_PASSES = ["roster", "blocks", "rest"] as const;

function passOf({ kind }: Entry): (typeof REPLAY_PASSES)[number] {
  if (kind === "admit" || kind === "bench" || kind === "evidence") return "roster";
  return kind === "announce" ? "blocks" : "rest";
}

export function resume(state: State, nowMs: number, equation: Equation): Effect[] {
  state.nowMs = nowMs;
  state.beatMs = nowMs;
  // Nobody can have been heard while this node was away.
  for (const member of state.roster.values()) member.heardMs = nowMs;
  // So long ago its source may have told the last block: it has its time to answer.
  for (const chain of state.chains.values()) chain.sourceMs = nowMs;
  for (const block of state.blocks.values()) {
    // The content that this node has signed gets its time again: the others' votes for it may only come now.
    block.votedMs = nowMs;
    blocks.touch(state, block);
  }
  // mutant: speak-unasked
  ownFeed.askBeforeSigning(state);
  return step(state, { kind: "tick" }, nowMs, equation);
}

/** When the core wants to be called again though nothing happens; by the same clock as `nowMs`. */
export function nextWakeMs(state: State): number {
  // Only what may be done then: a moment that passes without a deed would come again at once, for ever.
  let wake = state.peers.size > 0 ? state.syncMs : Number.POSITIVE_INFINITY;
  if (dispatcher.beats(state)) wake = Math.min(wake, dispatcher.nextBeatMs(state));
  wake = Math.min(wake, evidence.nextDoubtMs(state), ownFeed.nextSpeakMs(state), ownSource.nextSourceMs(state));
  if (state.joinMs !== null && maySign(state)) wake = Math.min(wake, state.joinMs, ownAdmission.nextOwnProofMs(state));
  if (maySign(state)) wake = Math.min(wake, drawing.nextPlaceMs(state));
  for (const block of state.live) {
    if (block.wakeMs !== null) wake = Math.min(wake, block.wakeMs);
    for (const task of block.tasks) if (task.wakeMs !== null) wake = Math.min(wake, task.wakeMs);
  }
  return wake;
}

function takeEffects(state: State): Effect[] {
  const { effects, outbox } = state;
  state.effects = [];
  state.outbox = [];
  const appends: Effect[] = [];
  for (let at = 0; at < outbox.length; at += BATCH_ENTRIES_MAX) {
    appends.push({ kind: "append", entries: outbox.slice(at, at + BATCH_ENTRIES_MAX) });
  }
  return [...appends, ...effects];
}

function apply(state: State, event: Event, equation: Equation): void {
  switch (event.kind) {
    case "tick":
      return;
    case "batch":
      recall(state, event.closed);
      return applyBatch(state, event, equation);
    case "certificate":
      return applyCertificate(state, event, equation);
    case "peer":
      if (event.state === "down") {
        state.peers.delete(event.peer);
        state.syncing.delete(event.peer);
        state.gained.delete(event.peer);
        return;
      }
      state.peers.add(event.peer);
      return replicator.askPeer(state, event.peer);
    case "synced":
      return replicator.applySynced(state, event);
    case "renewed":
      ownFeed.begin(state, event, true);
      for (const peer of state.peers) if (state.manifest.weights.has(peer)) replicator.askPeer(state, peer);
      return;
    case "forgotten":
      if (gaps.hearForgotten(state, event.peer, event.author, event.span)) replicator.gain(state, event.peer);
      return;
    case "source-block":
      recall(state, event.closed);
      return branch.sourceBlock(state, event.block, event.handed === true);
    case "source-seen": {
      const chain = state.chains.get(event.chain);
      if (chain !== undefined) ownSource.sourceAnswers(state, chain);
      return;
    }
    case "source-retract":
      return branch.sourceRetract(state, event.chain, event.hash);
    case "source-trouble": {
      const chain = state.chains.get(event.chain);
      if (chain !== undefined) chain.sourceFault = event.fault;
      return;
    }
    case "prepared":
      blocks.applyPrepared(state, event.block, event.result);
      return applyPending(state, event.block, equation);
    case "verified":
      if (event.candidate != null) return drawing.applyAdmissionVerdict(state, event);
      return withTask(state, event.task, (task) => applyVerdict(state, task, event));
    case "opened":
      return withTask(state, event.task, (task) =>
        applyOpened(state, task, event.attempt, event.commitment, event.opening),
      );
    case "counted":
      return withTask(state, event.task, (task) => lists.applyCounted(state, task, event.artefact, event.items));
    case "progress":
      return withTask(state, event.task, (task) => dispatcher.applyProgress(state, task, event.attempt, event.units));
    case "proved":
      if (event.isAdmission === true) return ownAdmission.applyOwnProof(state, event.task, event.proof);
      return withTask(state, event.task, (task) => dispatcher.applyProved(state, task, event.attempt, event.proof));
    case "prove-failed":
      if (event.isAdmission === true)
        return ownAdmission.applyOwnFailure(state, event.task, { ...event, code: asCode(event.code) });
      return withTask(state, event.task, (task) =>
        dispatcher.applyProveFailed(state, task, { ...event, code: asCode(event.code) }),
      );
    case "ability":
      return dispatcher.applyAbility(state, event.executor, event.isAble);
    case "requeue":
      return withTask(state, event.task, (task) => requeue(state, task));
    case "verifier":
      state.unverifiable = event.fault;
      if (event.fault === null) for (const block of state.blocks.values()) blocks.touch(state, block);
      return;
    case "drain":
      dispatcher.releaseAll(state);
      state.mute = "draining";
      return;
  }
}

/** Entries that wait for a block that was certified long ago wait for nothing. */
function recall(state: State, closed: readonly Closed[] = []): void {
  for (const each of closed) {
    blocks.recallClosed(state, each);
    takePending(state, each.id);
  }
}

function withTask(
  state: State,
  ref: { readonly block: Hash; readonly stage: string; readonly index: number },
  run: (task: Task) => void,
): void {
  const task = collector.findTask(state, ref);
  if (task !== undefined) run(task);
}

/** Whether this author's batches may be taken in at all; the same answer on every node that has the same facts. */
export function isKnownAuthor(state: State, batch: Batch): boolean {
  const { author } = batch.head;
  const { manifest, roster } = state;
  if (manifest.weights.has(author) || manifest.sources.has(author) || roster.has(author)) return true;
  const isOpen = manifest.json.provers.admission === "open" && strangers.hasRoomForStranger(state, author);
  return isOpen && batch.entries.every((entry) => entry.kind === "join");
}

function applyBatch(
  state: State,
  { batch, from, isPulled = false }: Extract<Event, { kind: "batch" }>,
  equation: Equation,
): void {
  const { author, number } = batch.head;
  const isOwn = author === state.options.self;
  // Left with the peers: the log would take it for known and the block would be lost. An own batch is durable already,
  // and a gap in the own feed would let this node sign its number again.
  if (!isOwn && blocks.isTooFar(state, batch)) return refused(state, author, "batch", "block.too-far");
  const over = accounts.charge(state, batch);
  if (over !== null) return refused(state, author, "batch", over);
  const { next = 0 } = state.log.feed(author) ?? {};
  if (addToLog(state, batch) !== "new") return;
  if (isPulled && from !== null) replicator.gain(state, from);
  gaps.settleGap(state, author);
  // A node that signs is alive to itself as well.
  standing.alive(state, author);
  if (isOwn && from !== null && number >= next) ownFeed.foundOwn(state, batch);
  applyEntries(state, batch, equation);
}

const REFUSED: Readonly<Record<Exclude<Added, "new" | "known">, Refusal>> = {
  "too-far": "batch.too-far",
  "chain-broken": "batch.chain-broken",
  equivocation: "batch.equivocation",
  out: "author.out",
};

function addToLog(state: State, batch: Batch): Added {
  if (!state.replaying) strangers.makeRoomFor(state, batch.head.author);
  const added = state.log.add(batch);
  // A batch that is refused may have opened a feed as well.
  if (added === "new" || !state.strangers.has(batch.head.author)) strangers.heardStranger(state, batch.head.author);
  if (added === "new" || added === "known") return added;
  if (added === "chain-broken" || added === "equivocation") forked(state, batch);
  refused(state, batch.head.author, "batch", REFUSED[added]);
  return added;
}

function applyEntries(
  state: State,
  batch: Batch,
  equation: Equation,
  isWanted: (entry: Entry) => boolean = () => true,
): void {
  const { author, number } = batch.head;
  for (const [index, entry] of batch.entries.entries())
    if (isWanted(entry)) applyEntry(state, { author, number, index, shown: { batch, index } }, entry, equation);
}

/** Somebody signs two feeds with this key. */
function forked(state: State, batch: Batch): void {
  const { author, number } = batch.head;
  const other = state.log.feed(author)?.forkOf(batch);
  if (other === undefined) return;
  report(state, "feed.equivocation", { author, number });
  // FEED-4.
  // mutant: clone-signs
  if (author === state.options.self) state.mute = "key.cloned";
  evidence.noticeBatches(state, batch, other);
}

/** What was hidden by facts that are none any more. Said before, so nobody hears of it as news. */
function applyAgain(state: State, equation: Equation): void {
  for (let batch = state.again.pop(); batch !== undefined; batch = state.again.pop()) {
    const { author, number } = batch.head;
    for (const [index, entry] of batch.entries.entries()) {
      if (entry.kind === "reject" || !counts(state, author, number)) continue;
      refusalOf(state, { author, number, index, shown: { batch, index } }, entry, equation);
      evidence.settleConflicts(state);
    }
  }
}

function applyEntry(state: State, signed: Signed, entry: Entry, equation: Equation): void {
  const code = refusalOf(state, signed, entry, equation);
  evidence.settleConflicts(state);
  if (code === null) return;
  // ENTRY-7.
  if (code === "proof.unknown" && "artefact" in entry) return addPending(state, entry.artefact, { signed, entry });
  // ENTRY-6.
  if (code === "attempt.ahead") return waitForAttempt(state, signed, entry);
  // ENTRY-3.
  const isEarly = code === "block.unknown" || code === "block.unprepared";
  const waitsFor = isEarly || entry.kind === "evidence" ? subjectOf(entry, code) : null;
  if (waitsFor !== null) {
    if (code === "block.unprepared" || !state.closed.has(waitsFor)) addPending(state, waitsFor, { signed, entry });
    return;
  }
  // Saying again what was said is how gossip works; it is no news.
  if (
    code !== "vote.duplicate" &&
    code !== "claim.duplicate" &&
    code !== "commit.duplicate" &&
    code !== "task.complete"
  )
    refused(state, signed.author, entry.kind, code);
}

/** What has to be known before the entry can be judged: its block, or the accused prover's admission. */
function subjectOf(entry: Entry, code: Refusal): Hash | null {
  if (entry.kind !== "evidence") return "block" in entry ? entry.block : null;
  const read = readEvidence(entry.shown);
  if (code === "author.unknown") return read?.offender ?? null;
  return code === "block.unknown" || code === "block.unprepared" ? (read?.about?.block ?? null) : null;
}

/** Applies what was signed about a block or a prover before this node could judge it. */
function applyPending(state: State, subject: Hash, equation: Equation): void {
  for (const { signed, entry } of takePending(state, subject)) applyEntry(state, signed, entry, equation);
}

function waitForAttempt(state: State, signed: Signed, entry: Entry): void {
  if ("stage" in entry) collector.findTask(state, entry)?.ahead.push({ signed, entry });
}

/** Applies what was signed about attempts that the open one has come near to since. */
function settleAhead(state: State, task: Task, equation: Equation): void {
  while (task.ahead.some(({ entry }) => "attempt" in entry && !collector.isAhead(state, task, entry.attempt))) {
    const ahead = task.ahead;
    task.ahead = [];
    for (const { signed, entry } of ahead) applyEntry(state, signed, entry, equation);
  }
}

function refused(state: State, author: string, entry: string, code: Refusal): void {
  if (!state.replaying) state.effects.push({ kind: "refused", code, author, entry });
}

function refusalOf(state: State, signed: Signed, entry: Entry, equation: Equation): Refusal | null {
  // ENTRY-1, S7.
  // mutant: roles-unchecked
  if (!mayHold(state, signed.author, entry)) return "author.role";
  if (!counts(state, signed.author, signed.number)) return "author.out";
  // ENTRY-2.
  if (signed.author === state.options.self) learnLock(state, entry);
  switch (entry.kind) {
    case "announce":
      return applyAnnounce(state, signed, entry, equation);
    case "retract":
      return branch.applyRetract(state, signed, entry);
    case "cancel":
      return branch.applyCancel(state, signed, entry);
    case "join":
      return admission.applyJoin(state, signed, entry);
    case "admit":
      return applyAdmit(state, signed, entry, equation);
    case "bench":
      return standing.applyBench(state, signed, entry);
    case "claim":
      // CLAIM-1.
      applyShown(state, entry.timeouts, equation);
      // Its author may have voted against itself in what it shows.
      if (!counts(state, signed.author, signed.number)) return "author.out";
      return collector.applyClaim(state, signed, entry);
    case "grant":
      return collector.applyGrant(state, signed, entry);
    case "beat":
      return collector.applyBeat(state, signed, entry);
    case "release":
    case "fail":
      return collector.applyEnd(state, signed, entry);
    case "receipt":
      return applyReceipt(state, signed, entry, equation);
    case "commit":
      return collector.applyCommit(state, signed, entry);
    case "seal":
      return collector.applySeal(state, signed, entry);
    case "attest":
      return collector.applyAttest(state, signed, entry);
    case "complete":
      return collector.applyComplete(state, signed, entry);
    case "reject":
      return collector.applyReject(state, signed, entry);
    case "timeout":
      return collector.applyTimeout(state, signed, entry);
    case "requeue":
      return applyRequeue(state, signed, entry);
    case "barrier":
      return applyBarrier(state, signed, entry);
    case "evidence":
      return evidence.applyEvidence(state, signed, entry, equation);
  }
}

function mayHold(state: State, author: string, entry: Entry): boolean {
  switch (MESSAGES[entry.kind].by) {
    case "source":
      return state.manifest.sources.has(author);
    case "attester":
      return state.manifest.weights.has(author);
    case "prover":
      return state.roster.has(author);
    case "anyone":
      return true;
  }
}

/** Facts that came before the announcement of their block are applied with it. */
function applyAnnounce(
  state: State,
  signed: Signed,
  entry: Extract<Entry, { kind: "announce" }>,
  equation: Equation,
): Refusal | null {
  const code = blocks.applyAnnounce(state, signed, entry);
  const id = blockId(state.manifest.network, entry);
  if (state.blocks.has(id)) applyPending(state, id, equation);
  return code;
}

/** Votes about a proof that nobody had handed in are counted with its receipt. */
function applyReceipt(
  state: State,
  signed: Signed,
  entry: Extract<Entry, { kind: "receipt" }>,
  equation: Equation,
): Refusal | null {
  const code = collector.applyReceipt(state, signed, entry);
  if (state.pending.has(entry.artefact)) applyPending(state, entry.artefact, equation);
  return code;
}

/** What was shown against a stranger counts once it is on the roster. */
function applyAdmit(
  state: State,
  signed: Signed,
  entry: Extract<Entry, { kind: "admit" }>,
  equation: Equation,
): Refusal | null {
  const code = admission.applyAdmit(state, signed, entry);
  if (!state.roster.has(entry.prover)) return code;
  applyPending(state, entry.prover, equation);
  return code;
}

/** Votes that a claim carries are as good as heard from their authors. What was heard before costs no signature. */
function applyShown(state: State, votes: readonly Parameters<typeof openVote>[1][], equation: Equation): void {
  for (const vote of votes) {
    const read = readVote(vote);
    if (read === null || read.entry.kind !== "timeout" || !state.manifest.weights.has(read.author)) continue;
    // While its block has no tasks the claim waits, and shows its votes again then.
    if (collector.findTask(state, read.entry) === undefined) continue;
    if (collector.hasTimeout(state, read, read.entry)) continue;
    const opened = openVote(state.manifest.network, vote, equation);
    if (opened === null) continue;
    const { author, number, index, entry } = opened;
    applyEntry(state, { author, number, index, shown: { vote } }, entry, equation);
  }
}

function applyCertificate(state: State, event: Extract<Event, { kind: "certificate" }>, equation: Equation): void {
  const { content, contentHash, block: id } = event.certificate;
  if (state.closed.has(id)) return;
  if (event.from !== undefined) replicator.gain(state, event.from);
  drawing.noteCertified(state, content, contentHash);
  const block = state.blocks.get(id);
  if (block !== undefined) {
    blocks.settleCertified(state, block, contentHash, content);
    applyPending(state, id, equation);
  } else {
    state.tallies.set(id, tallyOf(content));
    blocks.settleClosed(state, blocks.closedOf({ ...content, id }, content.after));
    // Nobody will announce it here any more; what waits for that would keep its batches in the log for ever.
    takePending(state, id);
  }
  if (state.replaying) return;
  const { chain, height, after } = content;
  const closed = blocks.closedOf({ ...content, id }, after);
  state.effects.push({ kind: "certify", chain, height, block: id, bytes: event.bytes, closed });
  report(state, "block.learned", {
    chain: content.chain,
    height: content.height,
    hash: content.hash,
    content: contentHash,
  });
}

/** What was said may be needed until the own feed is confirmed; a node that will never sign again lets go like others. */
function mayForget(state: State): boolean {
  return !ownFeed.isUnconfirmed(state);
}

/** Looks at everything that facts or time have touched, until nothing is left to look at. */
function settle(state: State, equation: Equation, certifiedBefore: number): Touched {
  const touched: Touched = { tasks: new Set(), blocks: new Set() };
  ownFeed.settleSpeech(state);
  ownSource.settleSources(state);
  wakeDue(state);
  evidence.settleEvidence(state);
  applyAgain(state, equation);
  while (state.dirtyBlocks.size > 0 || state.dirtyTasks.size > 0) {
    for (const block of state.dirtyBlocks) {
      state.dirtyBlocks.delete(block);
      touched.blocks.add(block);
      branch.settleReturn(state, block);
      blocks.settleBlock(state, block);
      lists.settleLists(state, block);
      settleLevel(state, block);
      settleBarrier(state, block);
      settleBarrierVote(state, block);
    }
    for (const task of state.dirtyTasks) {
      state.dirtyTasks.delete(task);
      touched.tasks.add(task);
      settleAhead(state, task, equation);
      settleTask(state, task);
    }
  }
  drawing.settleDrawings(state);
  ownAdmission.announceSelf(state);
  dispatcher.settleWork(state);
  dispatcher.settleBeat(state);
  replicator.settleSync(state);
  if (state.certifiedCount !== certifiedBefore && mayForget(state)) replicator.compact(state);
  return touched;
}

function settleTask(state: State, task: Task): void {
  const { block } = task;
  task.wakeMs = null;
  if (block.certificate !== null) return settleLate(state, task);
  // Objective, and a block that is cancelled may come back.
  collector.settleCompletion(state, task);
  if (block.state === "cancelled") return;
  if (task.readyMs === null && isReady(state, task)) {
    task.readyMs = state.nowMs;
    // The claim window of the open attempt runs from here.
    for (const attempt of task.attempts.values()) restartWindow(attempt, state.nowMs);
  }
  settlePause(state, task);
  settlePiece(state, task);
  settleVotes(state, task);
  settleReveals(state, task);
  // What came once the block was closed may change what this node says of it.
  if (block.state === "closed" && isContentOpen(state, block)) state.dirtyBlocks.add(block);
}

/** A proof that the barrier did without: recorded and credited like any other, and nobody waits for it. */
function settleLate(state: State, task: Task): void {
  const { block } = task;
  if (!hasRivals(task)) return;
  collector.settleCompletion(state, task);
  if (block.prepared !== null) settleVotes(state, task);
  if (block.tasks.some(({ wakeMs }) => wakeMs !== null)) state.live.add(block);
  else state.live.delete(block);
}

function isReady(state: State, task: Task): boolean {
  const { block } = task;
  if (block.state !== "open" || block.prepared === null) return false;
  return missingInput(state, task) === null && !isVoid(task);
}

function wakeDue(state: State): void {
  for (const block of state.live) {
    if (block.wakeMs !== null && block.wakeMs <= state.nowMs) state.dirtyBlocks.add(block);
    for (const task of block.tasks) if (task.wakeMs !== null && task.wakeMs <= state.nowMs) state.dirtyTasks.add(task);
  }
}
