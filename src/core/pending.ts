/**
 * Entries of the log that cannot be judged yet: their block is not announced or not prepared here, or the accused prover
 * is not on the roster.
 *
 * The log has them already, so they are an index and no store: nothing is refused here, and nothing that an attester
 * signed is lost because others have filled a room (S6). The account of their author bounds them (`account.ts`).
 */
import type { Hash } from "../protocol/ids.ts";
import type { Located } from "./facts.ts";
import type { State } from "./state.ts";

/** A block that nobody announces for so long, while others are certified, is on no chain. */
const UNANNOUNCED_MS = 600_000;

export function addPending(state: State, subject: Hash, located: Located): void {
  const pending = state.pending.get(subject) ?? {
    sinceMs: state.nowMs,
    sinceCertified: state.certifiedCount,
    entries: [],
  };
  // mutant: lose-early-votes
  pending.entries.push(located);
  state.pending.set(subject, pending);
}

export function takePending(state: State, subject: Hash): readonly Located[] {
  const { entries = [] } = state.pending.get(subject) ?? {};
  state.pending.delete(subject);
  return entries;
}

/**
 * Drops entries about blocks that never came, so that compaction lets go of their batches. Entries of this node itself
 * may hold a lock, so they stay.
 */
export function dropUnannounced(state: State): void {
  const { retentionBlocks } = state.manifest.json.limits;
  for (const [subject, pending] of state.pending) {
    if (state.blocks.has(subject) || state.nowMs - pending.sinceMs < UNANNOUNCED_MS) continue;
    if (state.certifiedCount - pending.sinceCertified <= retentionBlocks) continue;
    const own = pending.entries.filter(({ signed }) => signed.author === state.options.self);
    if (own.length === 0) state.pending.delete(subject);
    else state.pending.set(subject, { ...pending, entries: own });
  }
}

/** Drops entries whose batch compaction has let go of. */
export function dropForgotten(state: State): void {
  for (const [subject, { entries, ...since }] of state.pending) {
    const kept = entries.filter(
      ({ signed: { author, number } }) =>
        author === state.options.self || state.log.feed(author)?.get(number) !== undefined,
    );
    if (kept.length === 0) state.pending.delete(subject);
    else if (kept.length < entries.length) state.pending.set(subject, { ...since, entries: kept });
  }
}
