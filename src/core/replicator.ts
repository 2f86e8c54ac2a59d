/**
 * Anti-entropy: compares logs with peers, and lets go of what nobody needs any more.
 *
 * Gossip is the fast path and loses messages by design; this pull is what makes the log complete.
 */
import type { Closed } from "../protocol/certificate.ts";
import type { Feed } from "../log/feed.ts";
import type { Batch } from "../protocol/batch.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { readEvidence } from "../protocol/evidence.ts";
import { MESSAGE_BYTES_MAX, WANTED_MAX } from "../protocol/limits.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Frontier, SyncFrame } from "../protocol/sync.ts";
import { blockId } from "../protocol/ids.ts";
import { closedAs, forget, trimClosed } from "./ancestry.ts";
import { startOf } from "./blocks.ts";
import type { Event } from "./event.ts";
import { silentAbout } from "./gaps.ts";
import { abandon } from "./moves.ts";
import { hearOfOwnFeed, isRecovering } from "./own-feed.ts";
import { contradictsSource, hasSource, isConfirmed } from "./own-source.ts";
import { dropForgotten, dropUnannounced } from "./pending.ts";
import { compactRoster } from "./standing.ts";
import type { Place } from "./facts.ts";
import type { Chain } from "./soft.ts";
import type { Block, State } from "./state.ts";

/** How often a peer is asked while there is a gap to fill. */
const GAP_MS = 250;
/** Peers asked at once. */
const SYNCING_MAX = 3;
/** Sources that turn back beyond the retention tell the other branch within this time, or the block is given up. */
const LEFT_BEHIND_MS = 600_000;
/** Compaction waits until the retention is exceeded by this part of it. */
const COMPACT_SHARE = 4;

export function frontierOf(state: State): Frontier {
  const chains = new Map<number, number>();
  for (const chain of state.chains.values()) if (chain.certified >= 0) chains.set(chain.id, chain.certified);
  return { feeds: state.log.frontier(), chains };
}

/**
 * Hashes of blocks whose certificates are missing below the highest that is certified: a reorg certifies heights again, and a node
 * that was away for some of that has a hole that no height tells. The parents of certified blocks are certified
 * somewhere; blocks known here may be.
 */
export function wantedOf(state: State): Hash[] {
  const wanted = new Set(holesOf(state));
  for (const { chain, height, hash, certificate } of state.blocks.values())
    if (certificate === null && height <= (state.chains.get(chain)?.certified ?? -1)) wanted.add(hash);
  return [...wanted].slice(0, WANTED_MAX);
}

function holesOf(state: State): Hash[] {
  const holes: Hash[] = [];
  for (const { parent, chain, height } of state.closed.values()) {
    const certified = state.chains.get(chain)?.certified ?? height;
    if (parent === null || height <= certified - state.limits.holeDepthMax) continue;
    if (closedAs(state, chain, parent) === undefined) holes.push(parent);
  }
  return holes;
}

/** The answer to a peer's frontier, without the certificates, which are on disk. */
export function answerSync(state: State, theirs: Frontier, bytesMax: number): SyncFrame[] {
  const frontier = { ...frontierOf(state), ...(isRecovering(state) ? { recovers: true } : {}) };
  const room = isFarBehind(state, theirs) ? Math.min(bytesMax, MESSAGE_BYTES_MAX) : bytesMax;
  return [{ kind: "frontier", frontier }, ...state.log.missing(theirs, room)];
}

/** Whether the peer refuses what is announced now. It needs certificates first, and hardly a batch would be taken in. */
function isFarBehind(state: State, theirs: Frontier): boolean {
  return [...state.chains.values()].some(({ id, certified }) => {
    const start = startOf(state, id);
    if (typeof start !== "number") return false;
    return certified > Math.max(theirs.chains.get(id) ?? -1, start) + state.limits.blockAheadMax;
  });
}

/** Asks the next peer in turn; sooner where there is a gap to fill. */
export function settleSync(state: State): void {
  if (state.replaying || state.nowMs < state.syncMs || state.peers.size === 0) return;
  const { syncMs } = state.manifest.json.timing;
  state.syncMs = state.nowMs + (state.log.gaps > 0 ? Math.min(syncMs, GAP_MS) : syncMs);
  const turn = state.syncTurn++;
  const peers = [...state.peers].filter((peer) => !state.syncing.has(peer));
  // In turn, never by the clock: its steps may fall on one peer again and again, and that one may be a liar.
  const peer = peers[turn % Math.max(peers.length, 1)];
  // mutant: never-compare
  if (peer !== undefined) askPeer(state, peer);
  // Beside the turn: a network has many peers, and few of them can confirm that a gap will not be filled.
  const silent = silentAbout(state, peers);
  const witness = silent[turn % Math.max(silent.length, 1)];
  if (witness !== undefined) askPeer(state, witness);
}

export function askPeer(state: State, peer: Key): void {
  if (state.syncing.has(peer) || state.syncing.size >= SYNCING_MAX) return;
  state.syncing.add(peer);
  state.effects.push({ kind: "sync", peer });
}

/** Notes that the peer's answer has brought this node forward. */
export function gain(state: State, peer: Key): void {
  state.gained.add(peer);
}

/**
 * A peer has answered. What it had for us is applied by now. The peer is asked again at once only if its answer brought
 * this node forward: an answer that the log refused would be given again, as often as somebody asks.
 */
export function applySynced(state: State, event: Extract<Event, { kind: "synced" }>): void {
  const { peer, frontier: theirs, twins = [], starts = [] } = event;
  state.syncing.delete(peer);
  const hasGained = state.gained.delete(peer);
  if (theirs === null) return;
  if (state.manifest.weights.has(peer)) state.frontiers.set(peer, theirs.feeds);
  const [seen, peerNext] = [theirs.feeds.get(state.options.self) ?? 0, theirs.feeds.get(peer) ?? 0];
  const answer = { seen, peerNext, recovers: theirs.recovers === true, starts, twins };
  for (const other of hearOfOwnFeed(state, peer, answer)) askPeer(state, other);
  const certificatesMissing = [...theirs.chains].some(
    ([chain, height]) => height > (state.chains.get(chain)?.certified ?? -1),
  );
  const lacks = certificatesMissing || state.log.lacks(theirs.feeds) || holesOf(state).length > 0;
  // mutant: ask-in-a-loop
  if (hasGained && lacks) askPeer(state, peer);
  if (state.log.gaps > 0) state.syncMs = Math.min(state.syncMs, state.nowMs + GAP_MS);
}

/**
 * Whether a block at a height that is certified and compacted will never be certified: a branch that a reorg gave up, or
 * one that was on no chain. A reorg may be deeper than the retention, so a block stays that the own source has told, or
 * that confirmation may still come for (ANNOUNCE-6).
 */
function isLeftBehind(state: State, block: Block): boolean {
  if (block.told) return false;
  if (contradictsSource(state, block)) return true;
  return !isConfirmed(state, block) && state.nowMs >= block.announcedMs + LEFT_BEHIND_MS;
}

/**
 * Lets go of blocks whose barrier is certified and whose retention is over: their entries. Certificates
 * and proofs stay. Ends with the batches that hold nothing anybody could still need, once enough have them: a gap in a
 * feed that nobody can fill, and too few can vouch for, would stay for ever.
 */
export function compact(state: State): void {
  const { retentionBlocks } = state.manifest.json.limits;
  // The whole log is looked through, so not for every single block.
  const overdue = retentionBlocks + Math.floor(retentionBlocks / COMPACT_SHARE);
  let retired = false;
  for (const chain of state.chains.values()) {
    const done = [...state.blocks.values()].filter((block) => block.chain === chain.id && block.certificate !== null);
    done.sort((a, b) => (a.closedMs ?? 0) - (b.closedMs ?? 0) || a.height - b.height);
    if (done.length <= overdue) continue;
    retired = true;
    const branch = confirmedBranch(state, chain);
    for (const block of done.slice(0, done.length - retentionBlocks)) {
      forget(state, block);
      // A height of another branch retires nothing: a certified block that is on no chain would end the true one else.
      if (branch.has(block.id)) chain.retired = Math.max(chain.retired, block.height);
    }
    // Heights mean nothing where runs of blocks come in any order.
    if (startOf(state, chain.id) === "any") continue;
    for (const block of state.blocks.values()) {
      if (block.chain !== chain.id || block.certificate !== null || block.height > chain.retired) continue;
      if (isLeftBehind(state, block)) abandon(state, block);
    }
  }
  if (!retired) return;
  trimClosed(state);
  dropUnannounced(state);
  compactRoster(state);
  // By their own names: the id of each announced block would have to be hashed again.
  const announced = new Set([...state.blocks.values()].map(({ chain, hash }) => `${chain} ${hash}`));
  const batches = [...state.log.feeds()].flatMap((feed) => {
    const kept = feed.kept();
    const last = kept.at(-1);
    const spread = spreadOf(state, feed);
    return kept.filter(
      (batch) =>
        batch !== last &&
        // L3.
        // mutant: let-go-early
        batch.head.number < spread &&
        isOver(state, batch, announced),
    );
  });
  for (const { head } of batches) state.log.forget(head.author, head.number);
  if (batches.length === 0) return;
  dropForgotten(state);
  const authors = new Set(batches.map(({ head }) => head.author));
  state.effects.push({
    kind: "forget",
    batches: batches.map(({ head }) => ({ author: head.author, number: head.number })),
    gone: [...authors].map((author) => ({ author, spans: state.log.feed(author)?.gone() ?? [] })),
  });
}

/**
 * The newest certified block that the own source confirms, and its ancestors as far as they are known, by id. A node
 * without a source takes the highest certified block.
 */
function confirmedBranch(state: State, chain: Chain): ReadonlySet<Hash> {
  let tip: Closed | undefined;
  for (const closed of state.closed.values()) {
    if (closed.chain !== chain.id || (tip !== undefined && closed.height <= tip.height)) continue;
    if (!hasSource(chain) || chain.canonical.get(closed.height)?.hash === closed.hash) tip = closed;
  }
  const branch = new Set<Hash>();
  while (tip !== undefined && !branch.has(tip.id)) {
    branch.add(tip.id);
    tip = tip.parent === null ? undefined : closedAs(state, chain.id, tip.parent);
  }
  return branch;
}

/** Below which number a quorum of attesters has all of the feed, or had it: of those f+1 are honest. */
function spreadOf(state: State, feed: Feed): number {
  const { weights, quorum } = state.manifest;
  const said = [...weights].map(([key, weight]) => {
    const next = key === state.options.self ? feed.next : (state.frontiers.get(key)?.get(feed.author) ?? 0);
    return { next, weight };
  });
  said.sort((a, b) => b.next - a.next);
  let heard = 0;
  const lowest = said.find(({ weight }) => (heard += weight) >= quorum);
  return Math.min(lowest?.next ?? 0, feed.next);
}

/** Whether nothing in the batch is about a block that is still kept, or about the roster. */
function isOver(state: State, batch: Batch, announced: ReadonlySet<string>): boolean {
  return batch.entries.every((entry, index) => {
    switch (entry.kind) {
      case "join":
        return true;
      case "evidence":
        return isSpent(state, batch, index, entry);
      case "admit":
        return isSuperseded(state, entry.prover, entry.chain, entry.height);
      case "bench":
        return isSuperseded(state, entry.prover, entry.chain, entry.turn);
      case "beat":
        return entry.tasks.every((task) => isGone(state, task.block));
      case "announce":
        if (announced.has(`${entry.chain} ${entry.hash}`)) return false;
        return isGone(state, blockId(state.manifest.network, entry));
      case "retract":
      case "cancel":
      case "claim":
      case "grant":
      case "release":
      case "fail":
      case "receipt":
      case "commit":
      case "seal":
      case "attest":
      case "complete":
      case "reject":
      case "timeout":
      case "requeue":
      case "barrier":
        return isGone(state, entry.block);
    }
  });
}

/** Of the evidence against a key one is kept for good, and each accuser's first that is false. */
function isSpent(state: State, { head }: Batch, index: number, { shown }: EntryOf<"evidence">): boolean {
  const isHere = (place: Place | null | undefined) => place?.number === head.number && place.index === index;
  if (isHere(state.discredited.get(head.author))) return false;
  const read = readEvidence(shown);
  const out = read === null ? undefined : state.out.get(read.offender);
  if (read === null || out === undefined) return read?.about == null || isGone(state, read.about.block);
  return !(out.accuser === head.author && isHere(out.place));
}

/** Whether the roster has gone on so far beyond this fact that no kept block can need it. */
function isSuperseded(state: State, prover: string, chain: number, height: number): boolean {
  // `compactRoster` has let go of earlier turns by now, unless a block that is kept needs them.
  const [first] = state.roster.get(prover)?.turns.get(chain) ?? [];
  return first !== undefined && height < first && first <= (state.chains.get(chain)?.retired ?? -1);
}

function isGone(state: State, block: Hash): boolean {
  return !state.blocks.has(block) && !state.pending.has(block);
}
