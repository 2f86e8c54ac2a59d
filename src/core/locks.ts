/**
 * The locks of this node: one table that says for which value each of them was taken.
 *
 * Three locks belong to each attempt of a task. `grant` has the prover that the attempt was granted to. `end` has either the
 * timeout or the attest that this node has signed, so that it never signs both. `seal` has the commitment
 * that this node has sealed. A lock is taken once and never released;
 * the table of a block goes with the block. `sayLocked` takes a lock for a vote that is about to be signed. `learnLock`
 * fills the table from this node's own batches, in the order in which it signed them: after a restart from the journal,
 * otherwise when a batch is durable.
 *
 * A vote for a lock that is taken already is a fault of this program, so `sayLocked` throws. Own batches that contradict
 * each other are evidence against the own key (`evidence.ts`), so `learnLock` keeps the first value and does not throw.
 */
import type { Hash, Key } from "../protocol/ids.ts";
import type { Entry, EntryOf } from "../protocol/messages.ts";
import { broken } from "./invariant.ts";
import type { AttemptLocks } from "./soft.ts";
import { type State, say, type Task } from "./state.ts";

export type LockedVote = EntryOf<"grant"> | EntryOf<"timeout"> | EntryOf<"attest"> | EntryOf<"seal">;

const TIMEOUT = "timeout";

function lockOf(vote: LockedVote): readonly [lock: keyof AttemptLocks, value: string] {
  if (vote.kind === "grant") return ["grant", vote.prover];
  if (vote.kind === "seal") return ["seal", `${vote.hash} of ${vote.prover}`];
  if (vote.kind === "timeout") return ["end", TIMEOUT];
  return ["end", `attest of ${vote.artefact} by ${vote.prover}`];
}

function nameOf(stage: string, index: number, attempt: number): string {
  return `${stage}/${index}#${attempt}`;
}

function find({ locks }: State, block: Hash, stage: string, index: number, attempt: number): AttemptLocks | undefined {
  const known = locks.get(block);
  return known === undefined || known.size === 0 ? undefined : known.get(nameOf(stage, index, attempt));
}

function make({ locks }: State, { block, stage, index, attempt }: LockedVote): AttemptLocks {
  const ofBlock = locks.get(block) ?? new Map<string, AttemptLocks>();
  locks.set(block, ofBlock);
  const name = nameOf(stage, index, attempt);
  const held = ofBlock.get(name) ?? { grant: null, end: null, seal: null };
  ofBlock.set(name, held);
  return held;
}

/** Takes the lock of the vote and signs it in the same step. */
export function sayLocked(state: State, vote: LockedVote): void {
  const held = make(state, vote);
  const [lock, value] = lockOf(vote);
  const taken = held[lock] ?? (vote.kind === "grant" && held.end === TIMEOUT ? TIMEOUT : null);
  if (taken !== null) {
    const where = `${nameOf(vote.stage, vote.index, vote.attempt)} of block ${vote.block}`;
    broken("S4", `the lock ${lock} of ${where} was taken for "${taken}" and shall be taken for "${value}"`);
  }
  held[lock] = value;
  say(state, vote);
}

export function isLockedVote(entry: Entry): entry is LockedVote {
  return entry.kind === "grant" || entry.kind === "timeout" || entry.kind === "attest" || entry.kind === "seal";
}

/** A batch of this node is durable, or comes from its journal. */
export function learnLock(state: State, entry: Entry): void {
  if (!isLockedVote(entry)) return;
  // Nothing is signed about a block that is not kept.
  if (!state.blocks.has(entry.block)) return;
  // mutant: forget-grants
  if (entry.kind === "grant") learn(state, entry);
  // mutant: forget-timeouts
  if (entry.kind === "timeout") learn(state, entry);
  if (entry.kind === "attest") learn(state, entry);
  // mutant: forget-seals
  if (entry.kind === "seal") learn(state, entry);
}

function learn(state: State, vote: LockedVote): void {
  const [lock, value] = lockOf(vote);
  make(state, vote)[lock] ??= value;
}

/** Whether the table has this vote, as it has each vote that this node is about to sign. */
export function isLocked(state: State, vote: LockedVote): boolean {
  const [lock, value] = lockOf(vote);
  return find(state, vote.block, vote.stage, vote.index, vote.attempt)?.[lock] === value;
}

/** The prover that this node has granted the attempt to. */
export function grantedTo(state: State, { block, stage, index }: Task, attempt: number): Key | null {
  return find(state, block.id, stage.name, index, attempt)?.grant ?? null;
}

export function hasTimedOut(state: State, { block, stage, index }: Task, attempt: number): boolean {
  return find(state, block.id, stage.name, index, attempt)?.end === TIMEOUT;
}

export function hasAttested(state: State, { block, stage, index }: Task, attempt: number): boolean {
  const end = find(state, block.id, stage.name, index, attempt)?.end ?? null;
  return end !== null && end !== TIMEOUT;
}

export function hasSealed(state: State, { block, stage, index }: Task, attempt: number): boolean {
  return (find(state, block.id, stage.name, index, attempt)?.seal ?? null) !== null;
}

export function forgetLocks(state: State, block: Hash): void {
  state.locks.delete(block);
}
