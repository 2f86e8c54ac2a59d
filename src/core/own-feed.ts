/**
 * Whether this node may speak: its own feed as its peers know it, and whether another process signs with its key.
 *
 * Before its first word a node asks how far its own feed has come: a restored backup or a cloned key must not vote
 * twice. Enough have answered when together with this node they are a quorum: whatever it said that ever counted, one
 * of them has heard.
 *
 * A node whose feed had gone further than its journal takes it over from them, waits one lease, so that what it may have
 * said last is over or known, and takes no lock any more in an attempt that was open by then: some of what it signed may be
 * lost with the disk. Such an attempt is left to the other attesters, and to a proof that comes all the same.
 *
 * One lock it takes even there: a timeout, once f+1 others have said theirs. Where one more attester is away the attempt
 * would else stay open for ever. It could contradict only a lost attest, and that only those can hold who did not answer
 * while this node asked; for them its next batch, whatever is in it, is a second one with its number, so that
 * nothing it says from there on counts on any node.
 */
import type { Batch } from "../protocol/batch.ts";
import type { Key } from "../protocol/ids.ts";
import type { Twin } from "../protocol/sync.ts";
import { touch } from "./blocks.ts";
import { openAttempt } from "./makers.ts";
import { report, type State, weightOf } from "./state.ts";

/** What was asked before this node began may be answered so much later: no sign that anybody else still runs. */
const LATE_MS_MAX = 3_000;
/** A process of this key that a peer heard so lately may still run; a live one would have asked again by then. */
const LINGER_MS = 10_000;

export function askBeforeSigning(state: State): void {
  state.startedMs = state.nowMs;
  if (state.mute === null && weightToConfirm(state) > 0) state.mute = "feed.unchecked";
}

function weightToConfirm(state: State): number {
  const { quorum, weights } = state.manifest;
  return quorum - (weights.get(state.options.self) ?? 0);
}

/** A peer had a batch of ours that we did not: only our own signature can say so, so nobody can silence us by lying. */
export function foundOwn(state: State, batch: Batch): void {
  state.confirmed.clear();
  if (state.mute !== null && !PASSING.has(state.mute)) return;
  if (state.mute !== "feed.behind") report(state, "feed.behind", { own: batch.head.number });
  state.mute = "feed.behind";
  state.lostOwn = true;
}

const PASSING: ReadonlySet<string> = new Set(["feed.unchecked", "feed.behind", "feed.waiting"]);

/** What a peer says of our feed and of other processes with our key; returns the peers to ask as well. */
export function hearOfOwnFeed(state: State, peer: Key, seen: number, twins: readonly Twin[]): readonly Key[] {
  hearOfTwins(state, peer, twins);
  if (state.mute !== "feed.unchecked" && state.mute !== "feed.behind") return [];
  const feed = state.log.feed(state.options.self);
  const whole = feed === undefined || feed.highest < feed.next;
  if (!whole || seen > (feed?.next ?? 0)) return [];
  // What is dead will not be heard again; what lives will, and then we are the ones to go.
  if (twins.some((twin) => isElder(state, twin) && twin.agoMs < LINGER_MS)) return [];
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
  if (state.mute !== "feed.waiting" || state.nowMs < state.speakMs) return;
  state.lostOwn = false;
  // Where no quorum is without this node nobody else could end the attempt, and no other word than its own counts.
  if (weightToConfirm(state) > 0) {
    for (const block of state.blocks.values()) {
      if (block.certificate !== null) continue;
      for (const task of block.tasks) task.barred = openAttempt(state, task).number;
    }
  }
  report(state, "feed.recovered", { own: state.log.feed(state.options.self)?.next ?? 0 });
  speak(state);
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
  if (before >= oneHonest || weightOf(state, heard) < oneHonest) return;
  report(state, "key.in-use", { key: state.options.self, here: elder ? "stops" : "goes on" });
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
