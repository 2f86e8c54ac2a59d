/**
 * The vote rules. Every lock (`locks.ts`) is taken here and nowhere else, in the same step that decides to sign; the
 * runtime makes the signature durable before it sends it.
 *
 * grant:   once per (task, attempt), only to the owner by our view, only while the attempt is open, only within the
 *          owner's capacity, never after our own timeout for it, and never where it makes or has made another copy of
 *          what different provers have to make.
 * attest:  once per (task, attempt), only for a proof that verifies and whose prover the assignment certificate names,
 *          never after our own timeout for it.
 * timeout: never after our own attest for it, never when we know a valid proof.
 * complete, reject: objective, no lock.
 * After a lost journal none of the three in an attempt that was open before, but a timeout that f+1 others have said
 *          (`own-feed.ts`).
 * requeue: once per (task, attempt), when the task is in quarantine and the operator wants it; no lock.
 */
import type { Hash, Key } from "../protocol/ids.ts";
import type { Kind } from "../protocol/messages.ts";
import { NOBODY } from "../protocol/payee.ts";
import { groupOf, restsOn } from "../protocol/workflow.ts";
import { announcedAs, childrenOf, isParentCertified, parentOf } from "./ancestry.ts";
import { exactCode } from "./belonging.ts";
import { assignedTo, claimantOf, openAttempt, soundReceipts, unsound, where } from "./makers.ts";
import { claimOf, noteClaim, openWindow, restartWindow } from "./attempts.ts";
import { assertAttest, assertBarrier, assertGrant } from "./assertions.ts";
import { contentOf } from "./barrier.ts";
import { isByAgreement } from "./commitments.ts";
import { hasMaker, isAgreed, isDecided, wouldCount } from "./copies.ts";
import { hasRivals, isVoid, tasksOf } from "./graph.ts";
import { isConfirmed } from "./own-source.ts";
import { grantedTo, hasAttested, hasTimedOut, sayLocked } from "./locks.ts";
import { quarantineOf } from "./quarantine.ts";
import { quotaOf } from "./quota.ts";
import { claimWindowMs, isJoined, overdue } from "./reclaim.ts";
import { isAnonymous, receiptsOf } from "./receipts.ts";
import { isIn, ownerOfAttempt } from "./standing.ts";
import { weightOf } from "./facts.ts";
import { type Attempt, attemptOf, type Block, type Proof, report, type State, say, type Task } from "./state.ts";
import { askVerdict, endAttempt, isSettled, isVerdictWanted, isVouched, ref, wake } from "./verifying.ts";

/** A barrier vote that has found no quorum for so long may be followed by one for another content. */
const REVOTE_MS = 2_000;

export function settleVotes(state: State, task: Task): void {
  if (!state.options.roles.attester || task.readyMs === null || !isConfirmed(state, task.block)) return;
  for (const proof of task.proofs.values()) considerProof(state, task, proof);
  // What a closed block does without is nobody's turn any more, though its proof is welcome.
  if (task.completeMs !== null || task.block.state !== "open") return;
  const open = openAttempt(state, task);
  openWindow(open, state.nowMs);
  // Of a group whose result is public no further copy is wanted, so no attempt of it has to end.
  if (isByAgreement(task) && isDecided(state, task)) return;
  // GRANT-3.
  // mutant: grant-closed
  considerGrant(state, task, open);
  considerTimeout(state, task, open);
}

function considerGrant(state: State, task: Task, attempt: Attempt): void {
  // mutant: grant-anybody
  const owner = ownerOfAttempt(state, task, attempt.number);
  // Where our view of the roster is behind, the prover that a quorum granted it to counts as the owner.
  const claimant = claimOf(attempt)?.claimant ?? assignedTo(state, attempt) ?? owner;
  if (claimant === null || !attempt.claims.has(claimant)) return;
  noteClaim(attempt, claimant, state.nowMs);
  // GRANT-2.
  if (!mayVote(state) || owner !== claimant) return;
  // GRANT-7.
  // mutant: grant-barred
  if (attempt.number <= task.barred) return;
  // GRANT-1, S4.
  // mutant: grant-again, lock-taken-twice
  if (grantedTo(state, task, attempt.number) !== null) return;
  // GRANT-5.
  // mutant: grant-after-timeout
  if (hasTimedOut(state, task, attempt.number)) return;
  // GRANT-4.
  // mutant: grant-beyond-capacity
  if (isFull(state, openClaims(state), claimant, task.block.chain)) {
    refuse(state, task, "claim", claimant, "claim.capacity");
    // What it has done before may be complete elsewhere already, and be so here in a moment.
    wake(task, state.nowMs + state.manifest.json.timing.claimWindowMs / 4);
    return;
  }
  // GRANT-6.
  // mutant: grant-copies
  if (!wouldCount(state, task, claimant)) return refuse(state, task, "claim", claimant, "claim.other-copy");
  assertGrant(state, task, attempt.number);
  sayLocked(state, { ...ref(task), kind: "grant", attempt: attempt.number, prover: claimant });
}

/** Claims that this node granted and whose tasks are not complete, by prover and chain. */
function openClaims(state: State): ReadonlyMap<Key, ReadonlyMap<number, number>> {
  const open = new Map<Key, Map<number, number>>();
  for (const block of state.live) {
    if (block.state !== "open") continue;
    for (const task of block.tasks) {
      if (task.completeMs !== null || task.attempts.size === 0) continue;
      const granted = grantedTo(state, task, openAttempt(state, task).number);
      if (granted === null) continue;
      const chains = open.get(granted) ?? new Map<number, number>();
      open.set(granted, chains.set(block.chain, (chains.get(block.chain) ?? 0) + 1));
    }
  }
  return open;
}

function isFull(state: State, open: ReturnType<typeof openClaims>, prover: Key, chain: number): boolean {
  const chains = open.get(prover);
  if (chains === undefined) return false;
  const slots = state.roster.get(prover)?.slots ?? 1;
  const all = [...chains.values()].reduce((sum, count) => sum + count, 0);
  if (all >= slots * state.manifest.json.limits.claimsPerSlotMax) return true;
  return (chains.get(chain) ?? 0) >= quotaOf(state, prover, chain);
}

/** An owner that has its hands full is not late while nobody else stands idle: another attempt would gain nothing. */
function isSaturated(state: State, owner: Key, { chain, height }: Block): boolean {
  const open = openClaims(state);
  if (!isFull(state, open, owner, chain)) return false;
  return [...state.roster.values()].every((member) => !isIn(state, member, chain, height) || open.has(member.key));
}

function considerTimeout(state: State, task: Task, attempt: Attempt): void {
  if (hasTimedOut(state, task, attempt.number)) return;
  const owner = claimantOf(state, task, attempt);
  const over = overdue(state, task, attempt, owner);
  if ("wakeMs" in over) {
    wake(task, over.wakeMs);
    return;
  }
  // TIMEOUT-4.
  // mutant: timeout-barred
  if (attempt.number <= task.barred && !isJoined(state, attempt)) return;
  if (!mayVote(state)) return;
  // mutant: timeout-after-attest
  if (hasAttested(state, task, attempt.number)) return;
  // TIMEOUT-3.
  // mutant: timeout-after-attest/valid, timeout-despite-proof
  if (knowsValid(state, task)) return;
  // TIMEOUT-5.
  // mutant: full-owner-late
  if (over.code === "not-claimed" && owner !== null && isSaturated(state, owner, task.block)) {
    restartWindow(attempt, state.nowMs);
    openWindow(attempt, state.nowMs);
    wake(task, state.nowMs + claimWindowMs(state, attempt.number, owner));
    return;
  }
  sayLocked(state, { ...ref(task), kind: "timeout", attempt: attempt.number, code: over.code });
}

/** Votes for the pauses of a task to begin anew, where it is in quarantine. */
export function requeue(state: State, task: Task): void {
  if (!state.options.roles.attester || !mayVote(state)) return;
  // REQUEUE-1.
  // mutant: requeue-anything
  if (task.completeMs !== null || quarantineOf(state, task) === null) return;
  const { number } = openAttempt(state, task);
  // mutant: requeue-again
  if ((task.requeues.get(state.options.self)?.attempt ?? -1) >= number) return;
  say(state, { ...ref(task), kind: "requeue", attempt: number });
}

function knowsValid(state: State, task: Task): boolean {
  // Of copies one that counts: who has made another does not end the wait for this one.
  if (task.stage.distinct === "provers") return hasMaker(state, task);
  for (const proof of task.proofs.values())
    if (proof.verdict === "valid" && isReceipted(state, task, proof)) return true;
  return false;
}

/**
 * Whether somebody may have said of the proof what is so; its receipts may still be on their way. One that only has
 * false ones, and that nobody vouches for, completes no task, so nobody may wait for it.
 */
function isReceipted(state: State, task: Task, proof: Proof): boolean {
  return proof.receipts.size === 0 || soundReceipts(state, task, proof).length > 0 || isVouched(state, task, proof);
}

function considerProof(state: State, task: Task, proof: Proof): void {
  if (task.block.certificate !== null && !hasRivals(task)) return;
  rejectUnsound(state, task, proof);
  if (!isSettled(proof)) {
    if (!isVerdictWanted(state, task, proof)) return;
    askVerdict(state, task, proof);
  }
  if (proof.verdict === "valid") considerAttest(state, task, proof);
}

/**
 * Public values are derived here from the block's own bytes, and the length is the verified proof's: a receipt that
 * claims others is about something else. Each receipt answers for itself, so that a true one of the same proof is none the worse for it.
 */
function rejectUnsound(state: State, task: Task, proof: Proof): void {
  for (const [prover, receipt] of receiptsOf(state, task, proof)) {
    // REJECT-1, RECEIPT-6.
    // mutant: reject-sound
    const fault = unsound(task, proof, receipt) ?? proof.fault;
    if (fault === null) continue;
    const code = exactCode(state, task, proof, prover, receipt, fault);
    endAttempt(task, prover, receipt, code);
    // mutant: reject-again
    if (proof.rejected.has(prover)) continue;
    proof.rejected.add(prover);
    report(state, "proof.invalid", { ...where(task), prover, artefact: proof.artefact, code });
    refuse(state, task, "receipt", prover, code);
    // A reject names the result, which is no business of other provers before enough of them agree on it.
    if (mayVote(state) && !(isByAgreement(task) && !proof.receipts.has(prover)))
      say(state, { ...ref(task), kind: "reject", prover, artefact: proof.artefact, code });
  }
}

function considerAttest(state: State, task: Task, proof: Proof): void {
  // ATTEST-2.
  if (!mayVote(state) || !isAgreed(state, task, proof)) return;
  let waitMs = Number.POSITIVE_INFINITY;
  for (const [prover, receipt] of soundReceipts(state, task, proof)) {
    const attempt = attemptOf(task, receipt.attempt);
    if (attempt.number <= task.barred) continue;
    // ATTEST-1.
    // mutant: attest-again
    if (hasAttested(state, task, attempt.number)) continue;
    // ATTEST-4.
    // mutant: attest-after-timeout
    if (hasTimedOut(state, task, attempt.number)) continue;
    // ATTEST-3.
    // mutant: attest-unassigned
    const isAssigned = assignedTo(state, attempt) === prover;
    if (isAssigned && hasVouchedForAnother(state, task, proof)) continue;
    if (isAssigned) {
      assertAttest(state, task, attempt.number, prover);
      proof.vouched = true;
      sayLocked(state, { ...ref(task), kind: "attest", attempt: attempt.number, prover, artefact: proof.artefact });
      return;
    }
    // COMPLETE-2.
    // The grants may still be on their way; an attest is worth more than a complete, so wait for them a little.
    // mutant: complete-at-once
    if (attempt.claims.has(prover))
      waitMs = (proof.validMs ?? state.nowMs) + state.manifest.json.timing.claimWindowMs / 2;
  }
  if (proof.vouched || !isReceipted(state, task, proof)) return;
  if (state.nowMs < waitMs && waitMs !== Number.POSITIVE_INFINITY) {
    wake(task, waitMs);
    return;
  }
  // mutant: complete-again
  proof.vouched = true;
  // COMPLETE-1, COMPLETE-5.
  // mutant: complete-nobodys
  say(state, { ...ref(task), kind: "complete", prover: proof.maker ?? NOBODY, artefact: proof.artefact });
}

/**
 * Whether this node has vouched for the proof of another prover, in a system whose proofs do not name their maker. Such
 * a proof is handed out once a quorum has vouched for it. A quorum of attests for a copy would then need an attester of
 * that quorum.
 */
function hasVouchedForAnother({ options: { self } }: State, task: Task, proof: Proof): boolean {
  if (!isAnonymous(task)) return false;
  // ATTEST-6.
  // mutant: copies-paid
  return [...task.proofs.values()].some((other) => other !== proof && (other.vouched || other.vouchers.has(self)));
}

/** Signs the barrier once the block is closed here, and again when logs converge on another content. */
export function settleBarrierVote(state: State, block: Block): void {
  if (!mayVote(state) || !state.options.roles.attester || block.state !== "closed" || block.certificate !== null)
    return;
  // BARRIER-2.
  // mutant: second-id-signed
  if (!isConfirmed(state, block) || hasSignedTwin(state, block)) return;
  // BARRIER-1.
  if (!mayFollow(state, block)) return;
  const content = contentOf(state, block);
  if (content === null) return;
  const { hash } = content;
  const signed = [...block.votes].some(([voted, votes]) => voted === hash && votes.has(state.options.self));
  if (signed || block.ownContent === hash) return;
  // BARRIER-3.
  // mutant: sign-again-at-once
  if (block.ownContent !== null && mayStillHold(state, block, block.ownContent)) return;
  // BARRIER-6.
  if (mayChange(state, block)) return;
  block.ownContent = hash;
  block.votedMs = state.nowMs;
  block.contents.set(hash, content.value);
  assertBarrier(state, block, content.value);
  say(state, { kind: "barrier", block: block.id, content: hash });
  for (const child of childrenOf(state, block)) state.dirtyBlocks.add(child);
}

/** A block has one id: whoever has signed the barrier of one signs none of another id of the same hash. */
function hasSignedTwin(state: State, block: Block): boolean {
  const twins = announcedAs(state, block.chain, block.hash);
  return twins.some((twin) => twin !== block && twin.ownContent !== null);
}

/** Barriers are signed in chain order: none beyond a block that this node has not signed and no quorum has. */
function mayFollow(state: State, block: Block): boolean {
  // mutant: barrier-before-parent/vote
  return isParentCertified(state, block) || (parentOf(state, block)?.ownContent ?? null) !== null;
}

/**
 * Whether what this node has signed may still become the certificate. Contents differ while logs converge, and all are
 * true; but two of them with a quorum each would be two certificates of one block. So another is signed only once the
 * first can find no quorum any more, or has found none for long.
 */
function mayStillHold(state: State, block: Block, signed: Hash): boolean {
  const untilMs = block.votedMs + REVOTE_MS;
  if (state.nowMs >= untilMs) return false;
  const against = new Set<Key>();
  for (const [content, votes] of block.votes) if (content !== signed) for (const key of votes.keys()) against.add(key);
  for (const key of block.votes.get(signed)?.keys() ?? []) against.delete(key);
  if (state.manifest.weight - weightOf(state, against) < state.manifest.quorum) return false;
  block.wakeMs = block.wakeMs === null ? untilMs : Math.min(block.wakeMs, untilMs);
  return true;
}

/**
 * Where more variants than needed come in at one time, attesters would see different ones first. So what is on its way
 * and would be named instead, a lower variant's proof that is being verified, is waited for a little.
 */
function mayChange(state: State, block: Block): boolean {
  const untilMs = (block.closedMs ?? 0) + state.manifest.json.timing.claimWindowMs / 2;
  if (state.nowMs >= untilMs || !block.tasks.some((task) => wouldReplace(state, task))) return false;
  block.wakeMs = block.wakeMs === null ? untilMs : Math.min(block.wakeMs, untilMs);
  return true;
}

function wouldReplace(state: State, task: Task): boolean {
  const { block, stage, index, completeMs } = task;
  if (!hasRivals(task) || isVoid(task) || completeMs !== null) return false;
  const tasks = tasksOf(block, stage.name);
  const rests = restsOn(stage, groupOf(stage, index), (at) => (tasks[at]?.completeMs ?? null) !== null);
  // What a function makes of one more nobody can tell.
  if (stage.custom === null && index > (rests?.at(-1) ?? -1)) return false;
  return [...task.proofs.values()].some(
    (proof) => proof.verdict !== "invalid" && soundReceipts(state, task, proof).length > 0,
  );
}

/**
 * VERIFY-8. An attester that lacks the verifier of one of the network's keys signs no vote: a network whose attesters
 * cannot verify must stop and not go on without them.
 */
export function mayVote(state: State): boolean {
  return maySign(state) && state.unverifiable === null;
}

export function maySign(state: State): boolean {
  return state.mute === null && !state.replaying;
}

function refuse(state: State, task: Task, kind: Kind, author: string, code: string): void {
  state.effects.push({
    kind: "refused",
    code,
    author,
    entry: `${kind} ${task.stage.name}/${task.index} of height ${task.block.height}`,
  });
}
