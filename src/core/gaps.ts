/**
 * Gaps in a feed that nobody fills any more, because the batches are compacted away. Without leave to skip them a node
 * that comes late would wait for them for ever.
 *
 * A peer claims spans of numbers that it has let go of. The node skips a number once attesters of more than a third of
 * the weight claim it: one of them is honest. An honest attester lets go of a batch only when a quorum has it and all
 * that is in it is over, so an honest node needs none of the skipped batches. A claim names its numbers one by one and
 * says nothing about the numbers below, because a batch that an honest peer keeps may have been refused here for now.
 *
 * The skip ends at the highest number that the author is known to have signed. The number of a batch that was refused
 * as too far above the gap counts, too: that batch is the reason for the skip.
 */
import type { Feed } from "../log/feed.ts";
import type { Key } from "../protocol/ids.ts";
import type { Span } from "../protocol/sync.ts";
import { report, type State } from "./state.ts";

/** Spans kept of one peer about one feed. The lowest are kept; the peer claims the others again in its next answer. */
const SPANS_MAX = 8;

/** Notes the claim; `true` where the feed goes on behind a gap because of it. */
export function hearForgotten(state: State, peer: Key, author: Key, { from, to }: Span): boolean {
  const feed = state.log.feed(author);
  if (feed === undefined || to <= feed.next || !mayClaim(state, peer, author)) return false;
  const claims = state.forgotten.get(author) ?? new Map<Key, readonly Span[]>();
  claims.set(peer, withSpan(claims.get(peer) ?? [], { from: Math.max(from, feed.next), to }));
  state.forgotten.set(author, claims);
  return settleGap(state, author);
}

/** Skips as far as the claims allow. Called again whenever the feed has come to its next gap. */
export function settleGap(state: State, author: Key): boolean {
  const [feed, claims] = [state.log.feed(author), state.forgotten.get(author)];
  if (feed === undefined || claims === undefined) return false;
  const before = feed.next;
  for (let to = goneTo(state, feed, claims); to > feed.next; to = goneTo(state, feed, claims)) {
    const skipped = feed.next;
    state.log.skipTo(author, to);
    // A feed that ends where its author is excluded goes no further.
    if (feed.next === skipped) break;
    report(state, "feed.skipped", { author, from: skipped, to });
  }
  for (const [peer, spans] of claims) {
    const left = spans.filter((span) => span.to > feed.next);
    if (left.length > 0) claims.set(peer, left);
    else claims.delete(peer);
  }
  if (claims.size === 0) state.forgotten.delete(author);
  if (feed.next === before) return false;
  // Durable: after a restart the batches behind the gap would be too far above it again.
  state.effects.push({ kind: "forget", batches: [], gone: [{ author, spans: feed.gone() }] });
  return true;
}

/** Attesters among these peers that have not said yet whether they have let go of a gap that others claim. */
export function silentAbout(state: State, peers: readonly Key[]): readonly Key[] {
  const open = [...state.forgotten].filter(([author]) => state.log.feed(author)?.isGapped === true);
  return peers.filter((peer) => open.some(([author, claims]) => mayClaim(state, peer, author) && !claims.has(peer)));
}

/**
 * Where other attesters are, their word counts. Where this node is the only attester, only the author's own word does:
 * any other peer could hide from it what the author has said.
 */
function mayClaim(state: State, peer: Key, author: Key): boolean {
  return weightNeeded(state) > 0 ? state.manifest.weights.has(peer) : peer === author;
}

function weightNeeded({ manifest: { weight, weights, oneHonest }, options }: State): number {
  return Math.min(oneHonest, weight - (weights.get(options.self) ?? 0));
}

/** Below which number all from the gap on is claimed by enough weight. */
function goneTo(state: State, feed: Feed, claims: ReadonlyMap<Key, readonly Span[]>): number {
  const said = [...claims].flatMap(([peer, spans]) => {
    const span = spans.find(({ from, to }) => from <= feed.next && feed.next < to);
    return span === undefined ? [] : [{ to: span.to, weight: state.manifest.weights.get(peer) ?? 0 }];
  });
  said.sort((a, b) => b.to - a.to);
  let heard = 0;
  // mutant: skip-alone
  const lowest = said.find(({ weight }) => (heard += weight) >= weightNeeded(state));
  return Math.min(lowest?.to ?? 0, feed.seen + 1);
}

/** In order, and one where they touch. */
function withSpan(spans: readonly Span[], span: Span): readonly Span[] {
  const apart = spans.filter(({ from, to }) => to < span.from || from > span.to);
  const touched = spans.filter((other) => !apart.includes(other));
  const from = Math.min(span.from, ...touched.map((other) => other.from));
  const to = Math.max(span.to, ...touched.map((other) => other.to));
  return [...apart, { from, to }].sort((a, b) => a.from - b.from).slice(0, SPANS_MAX);
}
