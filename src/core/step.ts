/**
 * The node as a function: an event goes in, effects come out. Synchronous and pure of everything but its own state.
 *
 * Two halves. First the event's facts are added to the state. Then the step settles: whatever the facts touched is
 * looked at again until nothing changes. What a node decides is therefore a function of the facts it has, not of the
 * order in which they came.
 */
import type { Closed } from "../protocol/certificate.ts";
import type { Added } from "../log/feed.ts";
import type { Batch } from "../protocol/batch.ts";
import type { Hash } from "../protocol/ids.ts";
import { BATCH_ENTRIES_MAX } from "../protocol/limits.ts";
import { asCode, type Entry } from "../protocol/messages.ts";
import type { Equation } from "../protocol/signing.ts";
import type { Refusal } from "../protocol/verdict.ts";
import * as accounts from "./account.ts";
import { maySign, requeue } from "./attester.ts";
import * as blocks from "./blocks.ts";
import * as branch from "./branch.ts";
import * as collector from "./collector.ts";
import { assertStep } from "./assertions.ts";
import * as dispatcher from "./dispatcher.ts";
import * as drawing from "./drawing.ts";
import type { Effect } from "./effect.ts";
import type { Event } from "./event.ts";
import * as evidence from "./evidence.ts";
import * as gaps from "./gaps.ts";
import { tallyOf } from "./griefing.ts";
import * as lists from "./lists.ts";
import * as ownAdmission from "./own-admission.ts";
import * as ownFeed from "./own-feed.ts";
import * as ownSource from "./own-source.ts";
import { takePending } from "./pending.ts";
import * as replicator from "./replicator.ts";
import { applyOpened } from "./reveals.ts";
import * as standing from "./standing.ts";
import * as strangers from "./strangers.ts";
import { report, type State, type Task } from "./state.ts";
import { applyVerdict } from "./verifying.ts";
import { applyEntries, applyAgain, applyPending, refused } from "./entries.ts";
import { settle } from "./settle.ts";

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
