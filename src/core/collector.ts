/**
 * The collector: folds what was signed into certificates, completions and barriers.
 *
 * Nothing here depends on the order of arrival (S6): every function only adds a fact to a set, and what follows from the
 * sets is worked out afterwards, when the step settles.
 */
import { type Hash, type Key, artefactHash } from "../protocol/ids.ts";
import { NONCE_BYTES } from "../protocol/limits.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { claimOf, markOver, restartWindow } from "./attempts.ts";
import { touch } from "./blocks.ts";
import { isByAgreement } from "./commitments.ts";
import { noteConflicts } from "./conflict.ts";
import { endOf, failCode, keepEnd, RELEASED } from "./ends.ts";
import { heaviestCode } from "./failures.ts";
import { completionChanged, followersOf, isBlockDone } from "./graph.ts";
import { chosenProof, claimantOf, openAttempt, stands, where } from "./makers.ts";
import { copiesOf } from "./matching.ts";
import { learnDuration } from "./reclaim.ts";
import { moveBlock } from "./moves.ts";
import { findProof, keepReceipt, proofOf } from "./receipts.ts";
import { lost, ownerOfAttempt } from "./standing.ts";
import { type Place, type Signed, isEarlier, keepFact, replaceVote, votesFor, dropVote, type Votes } from "./facts.ts";
import { type Attempt, type State, type Task, attemptOf, report } from "./state.ts";

export function findTask(
  state: State,
  ref: { readonly block: Hash; readonly stage: string; readonly index: number },
): Task | undefined {
  const block = state.blocks.get(ref.block);
  return block?.tasksByStage.get(ref.stage)?.[ref.index];
}

/** The task and attempt that an entry is about, or why there is none. */
function locate(
  state: State,
  entry: { readonly block: Hash; readonly stage: string; readonly index: number; readonly attempt: number },
): { readonly task: Task; readonly attempt: Attempt } | Refusal {
  const task = findTask(state, entry);
  if (task === undefined) return noTask(state, entry.block);
  if (isAhead(state, task, entry.attempt)) return "attempt.ahead";
  return { task, attempt: attemptOf(task, entry.attempt) };
}

/** Why there is no such task: its block is not announced, its tasks are not made yet, or its workflow has no such task. */
export function noTask(state: State, id: Hash): Refusal {
  const block = state.blocks.get(id);
  if (block === undefined) return "block.unknown";
  // ENTRY-4.
  return block.tasks.length === 0 ? "block.unprepared" : "task.unknown";
}

/**
 * Attempts above the open one that are kept. An attempt that opens next may be claimed before the last timeout arrives,
 * and a hedge begins one attempt early.
 */
export const ATTEMPTS_AHEAD_MAX = 2;

export function isAhead(state: State, task: Task, attempt: number): boolean {
  // The first attempts need no look at the votes.
  // mutant: attempts-unbounded
  return attempt > ATTEMPTS_AHEAD_MAX && attempt > openAttempt(state, task).number + ATTEMPTS_AHEAD_MAX;
}

function keepLater(votes: Votes, signed: Signed): void {
  const known = votes.get(signed.author);
  if (known === undefined || isEarlier(known, signed)) replaceVote(votes, signed.author, signed);
}

export function applyClaim(state: State, signed: Signed, entry: EntryOf<"claim">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { task, attempt } = found;
  // PACE-6.
  // mutant: claims-of-what-is-over
  if (entry.attempt < task.overTo && !mayMatter(state, task, attempt, signed.author)) return "attempt.not-open";
  // CLAIM-2.
  // mutant: claims-dropped
  if (!keepFact(task.block, attempt.claims, signed)) return "claim.duplicate";
  state.dirtyTasks.add(task);
  const isOwner = ownerOfAttempt(state, task, entry.attempt) === signed.author;
  if (isOwner && !state.replaying) attempt.claimHeardMs ??= state.nowMs;
  // CLAIM-3.
  if (task.completeMs !== null) return "task.complete";
  // CLAIM-2.
  // Kept all the same: whose view of the roster is behind will be seen by the votes, not by us.
  return isOwner ? null : "claim.not-owner";
}

export function applyGrant(state: State, signed: Signed, entry: EntryOf<"grant">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  noteConflicts(state, found.attempt, signed, entry);
  const votes = votesFor(found.attempt.grants, entry.prover);
  const before = votes.get(signed.author);
  if (before !== undefined) keepLater(found.attempt.regrants, isEarlier(before, signed) ? signed : before);
  if (!keepFact(found.task.block, votes, signed)) return "vote.duplicate";
  state.dirtyTasks.add(found.task);
  return null;
}

export function applyTimeout(state: State, signed: Signed, entry: EntryOf<"timeout">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  noteConflicts(state, found.attempt, signed, entry);
  const { task, attempt } = found;
  // ENTRY-5.
  if (!keepFact(task.block, attempt.timeouts, { ...signed, code: entry.code })) return "vote.duplicate";
  state.dirtyTasks.add(found.task);
  touchAgreeing(state, found.task);
  return null;
}

/** Whether this timeout is known already, as said there or earlier. */
export function hasTimeout(state: State, signed: Place & { readonly author: Key }, entry: EntryOf<"timeout">): boolean {
  const known = findTask(state, entry)?.attempts.get(entry.attempt)?.timeouts.get(signed.author);
  return known !== undefined && !isEarlier(signed, known);
}

export function applyBeat(state: State, signed: Signed, entry: EntryOf<"beat">): Refusal | null {
  for (const beat of entry.tasks) {
    const task = findTask(state, beat);
    const attempt = task?.attempts.get(beat.attempt);
    if (task === undefined || attempt === undefined) continue;
    const { author } = signed;
    if (!attempt.claims.has(author)) continue;
    const knownUnits = attempt.progress.get(author)?.units ?? -1;
    // Only progress renews a lease.
    // BEAT-1.
    // mutant: beats-renew
    if (beat.units <= knownUnits) continue;
    attempt.progress.set(author, { units: beat.units, atMs: state.nowMs });
    state.dirtyTasks.add(task);
  }
  return null;
}

export function applyEnd(state: State, signed: Signed, entry: EntryOf<"release"> | EntryOf<"fail">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { attempt, task } = found;
  const { author } = signed;
  // FAIL-1.
  const end =
    entry.kind === "release"
      ? { code: RELEASED, logical: false }
      : { code: failCode(entry.code), logical: entry.logical };
  // RELEASE-2, FAIL-2.
  // mutant: deaf-to-release, deaf-to-fail
  keepEnd(task, attempt, signed, end);
  state.dirtyTasks.add(task);
  // RELEASE-1.
  // Kept all the same: the claim may come later, and nobody looks at what others than the claimant say.
  return attempt.claims.has(author) || ownerOfAttempt(state, task, entry.attempt) === author ? null : "claim.not-owner";
}

/** COMMIT-1. The first commitment of each prover counts, by the order of its feed. */
export function applyCommit(state: State, signed: Signed, entry: EntryOf<"commit">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { task, attempt } = found;
  if (!isByAgreement(task)) return "commit.not-agree";
  if (entry.attempt < task.overTo && !mayMatter(state, task, attempt, signed.author)) return "attempt.not-open";
  if (!keepFact(task.block, attempt.commits, { ...signed, hash: entry.hash })) return "commit.duplicate";
  touchAgreeing(state, task);
  return null;
}

export function applySeal(state: State, signed: Signed, entry: EntryOf<"seal">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { task, attempt } = found;
  if (!isByAgreement(task)) return "commit.not-agree";
  noteConflicts(state, attempt, signed, entry);
  const seal = { ...signed, prover: entry.prover, hash: entry.hash };
  if (!keepFact(task.block, attempt.seals, seal)) return "vote.duplicate";
  touchAgreeing(state, task);
  return null;
}

export function applyReceipt(state: State, signed: Signed, entry: EntryOf<"receipt">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { task, attempt } = found;
  // RECEIPT-1.
  if (entry.system !== task.variant.system || entry.key !== task.variant.key) return "receipt.wrong-key";
  // RECEIPT-2.
  if (entry.bytes > state.manifest.json.limits.proofBytesMax) return "message.too-large";
  // RECEIPT-11.
  if ((entry.nonce.length === NONCE_BYTES) !== isByAgreement(task)) return "receipt.not-committed";
  state.dirtyTasks.add(task);
  if (
    // RECEIPT-3.
    // mutant: inline-unchecked
    entry.inline.length > 0 &&
    (artefactHash(entry.inline) !== entry.artefact || entry.inline.length !== entry.bytes)
  ) {
    keepEnd(task, attempt, signed, { code: "receipt.inline-mismatch", logical: false });
    return "receipt.inline-mismatch";
  }
  const code = keepReceipt(state, task, signed, entry);
  touchAgreeing(state, task);
  return code;
}

/** What is said of one copy may be what the others have waited for. */
export function touchAgreeing(state: State, task: Task): void {
  if (isByAgreement(task)) for (const copy of copiesOf(task)) state.dirtyTasks.add(copy);
}

export function applyAttest(state: State, signed: Signed, entry: EntryOf<"attest">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { attempt, task } = found;
  noteConflicts(state, attempt, signed, entry);
  const isNew = keepFact(task.block, votesFor(attempt.attests, entry.prover), signed);
  if (!mayName(state, task, entry, signed.author)) return "proof.unknown";
  // ATTEST-5.
  // That the proof verifies is objective, whatever else its author has attested.
  // mutant: attest-completes-nothing
  vouch(state, task, entry, signed);
  if (!isNew) return "vote.duplicate";
  return null;
}

export function applyComplete(state: State, signed: Signed, entry: EntryOf<"complete">): Refusal | null {
  const task = findTask(state, entry);
  if (task === undefined) return noTask(state, entry.block);
  if (!mayName(state, task, entry, signed.author)) return "proof.unknown";
  vouch(state, task, entry, signed);
  return null;
}

export function applyReject(state: State, signed: Signed, entry: EntryOf<"reject">): Refusal | null {
  const task = findTask(state, entry);
  if (task === undefined) return noTask(state, entry.block);
  if (!mayName(state, task, entry, signed.author)) return "proof.unknown";
  const proof = proofOf(task, entry.artefact, entry.prover);
  if (!keepFact(task.block, votesFor(proof.rejects, entry.prover), signed)) return "vote.duplicate";
  report(state, "proof.rejected", { ...where(task), prover: entry.prover, code: entry.code });
  return null;
}

/** A proof as a vote names it: with its maker. */
type Named = Pick<EntryOf<"attest">, "artefact" | "prover">;

/** Proofs of a task that one attester may name before anybody has handed them in. */
export const UNRECEIPTED_MAX = 4;

/**
 * Whether a vote about this proof is counted now. An attester may hear a receipt before this node does, but a flood of
 * votes about proofs that nobody has must not make a record for each. Such a vote waits for the receipt.
 */
function mayName(state: State, task: Task, { artefact, prover }: Named, author: Key): boolean {
  if (findProof(task, artefact, prover) !== undefined || author === state.options.self) return true;
  const alone = [...task.proofs.values()].filter(
    ({ receipts, vouchers, rejects }) =>
      receipts.size === 0 && (vouchers.has(author) || [...rejects.values()].some((votes) => votes.has(author))),
  );
  // mutant: name-any-proof
  return alone.length < UNRECEIPTED_MAX;
}

function vouch(state: State, task: Task, { artefact, prover }: Named, signed: Signed): void {
  const proof = proofOf(task, artefact, prover);
  keepFact(task.block, proof.vouchers, signed);
  if (proof.verdict === "invalid") state.suspects.add(task);
  if (signed.author === state.options.self && !proof.vouched) {
    // Said before a restart, when it had been verified.
    proof.vouched = true;
    proof.verdict = "valid";
    proof.validMs = state.nowMs;
  }
  state.dirtyTasks.add(task);
  touchAgreeing(state, task);
  state.dirtyBlocks.add(task.block);
}

/** Marks a task complete when a quorum vouches for one proof, and wakes what waited for it. */
export function settleCompletion(state: State, task: Task): void {
  settleOver(state, task);
  if (task.stage.distinct !== "provers") {
    // COMPLETE-3.
    // A task is complete as long as a proof stands for it.
    // mutant: receipts-dropped/complete
    if (task.completeMs !== null && !isProven(state, task)) return reopen(state, task);
    return complete(state, task);
  }
  // One more maker of one copy may free that of another, or take it.
  for (const copy of copiesOf(task)) {
    if (copy.completeMs !== null && chosenProof(state, copy) === null) reopen(state, copy);
    else complete(state, copy);
  }
}

/** Whether a proof stands for it; asked of each complete task with every vote, so first of the proof that stood last. */
function isProven(state: State, task: Task): boolean {
  const stood = [...task.proofs.values()].filter(({ artefact }) => artefact === task.output);
  return stood.some((proof) => stands(state, task, proof)) || chosenProof(state, task) !== null;
}

/** Not complete after all. Somebody else may own it now, and has all the time to claim it. A certificate stands. */
export function reopen(state: State, task: Task): void {
  const { block } = task;
  task.completeMs = null;
  task.output = null;
  completionChanged(task);
  for (const attempt of task.attempts.values()) restartWindow(attempt, state.nowMs);
  state.dirtyBlocks.add(block);
  state.dirtyTasks.add(task);
  if (block.state !== "closed" || block.certificate !== null || isBlockDone(state, block)) return;
  moveBlock(state, block, "open");
  block.closedMs = null;
  touch(state, block);
}

export function complete(state: State, task: Task): void {
  const isNew = task.completeMs === null;
  // What a function chooses may rest on which proof stands for a task, and not on its being there alone.
  if (!isNew && task.stage.custom === null) return;
  const chosen = chosenProof(state, task);
  if (chosen === null || task.output === chosen.proof.artefact) return;
  task.output = chosen.proof.artefact;
  if (!isNew) return outputChanged(state, task);
  task.completeMs = state.nowMs;
  learnDuration(state, task, chosen.made);
  report(state, task.block.certificate === null ? "task.complete" : "task.late", {
    ...where(task),
    prover: chosen.made.prover,
    attempt: chosen.made.attempt,
    provingMs: chosen.made.provingMs,
    credited: chosen.credited,
  });
  outputChanged(state, task);
}

function outputChanged(state: State, task: Task): void {
  completionChanged(task);
  state.dirtyBlocks.add(task.block);
  for (const other of followersOf(task)) state.dirtyTasks.add(other);
}

/** Attempts have no last number, so those below the open one keep only what some fact may still rest on. */
function settleOver(state: State, task: Task): void {
  const open = openAttempt(state, task).number;
  for (; task.overTo < open; task.overTo++) {
    const attempt = task.attempts.get(task.overTo);
    if (attempt === undefined) continue;
    noteLoss(state, task, attempt);
    trim(state, task, attempt);
  }
}

/** An attempt that a timeout certificate ended is held against its owner once, unless it gave the task back. */
function noteLoss(state: State, task: Task, attempt: Attempt): void {
  if (!markOver(attempt)) return;
  const owner = claimantOf(state, task, attempt);
  const code = (owner === null ? null : endOf(attempt, owner)) ?? heaviestCode(state, attempt).code;
  report(state, "attempt.over", { ...where(task), attempt: attempt.number, owner, code });
  if (owner !== null && code !== RELEASED && task.completeMs === null) lost(state, owner, task.block);
}

/** The votes stay: the timeout certificate, whose attempt it was, and how it ended. What others said of it goes. */
function trim(state: State, task: Task, attempt: Attempt): void {
  attempt.progress.clear();
  for (const votes of [attempt.claims, attempt.commits])
    for (const key of votes.keys()) if (!mayMatter(state, task, attempt, key)) dropVote(votes, key);
  for (const key of attempt.foundEnds.keys()) if (!mayMatter(state, task, attempt, key)) attempt.foundEnds.delete(key);
}

/** Whether anything rests on what the prover has said of an attempt that is over. */
function mayMatter(state: State, task: Task, attempt: Attempt, key: Key): boolean {
  const { number, grants } = attempt;
  if (key === claimOf(attempt)?.claimant || key === state.options.self || grants.has(key)) return true;
  return ownerOfAttempt(state, task, number) === key;
}
