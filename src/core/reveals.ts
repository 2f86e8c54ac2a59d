/** Sealing commitments, asking for their openings once they are due, and publishing the own result once it is agreed on. */
import type { Hash } from "../protocol/ids.ts";
import { INLINE_BYTES_MAX } from "../protocol/limits.ts";
import { commitmentOf, type Opening } from "../protocol/opening.ts";
import type { EntryOf } from "../protocol/messages.ts";
import { taskValues } from "../protocol/workflow.ts";
import { maySign, mayVote } from "./attester.ts";
import { factsChanged } from "./changes.ts";
import { touchAgreeing } from "./collector.ts";
import { type Commitment, isByAgreement, isDue, isPublic, sealedIn } from "./commitments.ts";
import { isDecided } from "./copies.ts";
import { endOf, foundEnd } from "./ends.ts";
import type { MadeProof } from "./event.ts";
import { grantedTo, hasSealed, sayLocked } from "./locks.ts";
import { assignedTo, openNumber, where } from "./makers.ts";
import { copiesOf } from "./matching.ts";
import { isConfirmed } from "./own-source.ts";
import { findProof, proofOf } from "./receipts.ts";
import { revealOf } from "./soft.ts";
import { type Attempt, attemptOf, report, say, type State, type Task } from "./state.ts";
import { ref } from "./verifying.ts";

/** An opening that nobody shows is asked for this often, first after 50 ms and then doubling up to two seconds. */
const OPENINGS_ASKED_MAX = 16;
const RETRY_MS = 25;
const RETRY_MS_MAX = 2_000;

/** What this node does about the commitments of a task. */
export function settleReveals(state: State, task: Task): void {
  if (!isByAgreement(task) || task.readyMs === null || !isConfirmed(state, task.block)) return;
  for (const attempt of task.attempts.values()) {
    considerSeal(state, task, attempt);
    const sealed = sealedIn(state, attempt);
    if (sealed === null) continue;
    considerOpening(state, task, attempt, sealed);
    if (sealed.prover === state.options.self) considerReceipt(state, task, attempt);
  }
}

/**
 * SEAL-1 and SEAL-2. Seals the commitment of the prover that the attempt was granted to. A commitment of an attempt that is over counts as
 * well: a slow prover's result is as good as any.
 */
function considerSeal(state: State, task: Task, attempt: Attempt): void {
  if (!state.options.roles.attester || !mayVote(state) || attempt.number <= task.barred) return;
  if (attempt.commits.size === 0 || task.block.state !== "open") return;
  // mutant: seal-again
  if (hasSealed(state, task, attempt.number)) return;
  // mutant: seal-unassigned
  const prover = assignedTo(state, attempt) ?? grantedTo(state, task, attempt.number);
  const made = prover === null ? undefined : attempt.commits.get(prover);
  if (prover === null || made === undefined) return;
  // mutant: seal-after-reveal
  if (isDecided(state, task) || isBeingOpened(state, task)) return;
  sayLocked(state, { ...ref(task), kind: "seal", attempt: attempt.number, prover, hash: made.hash });
}

/**
 * Whether openings of the group are due and not all read here. Another attester may have read them, and have made a result
 * public, so what is committed to now may be a copy. If too few of them agree, others may commit again.
 */
function isBeingOpened(state: State, task: Task): boolean {
  const isRead = (copy: Task, attempt: Attempt): boolean => {
    const sealed = sealedIn(state, attempt);
    if (sealed === null || endOf(attempt, sealed.prover) !== null || attempt.number < openNumber(state, copy))
      return true;
    const { opened } = attempt;
    return opened !== null && findProof(copy, opened.artefact, sealed.prover)?.verdict !== "unknown";
  };
  if (!isDue(state, task)) return false;
  return copiesOf(task).some((copy) => [...copy.attempts.values()].some((attempt) => !isRead(copy, attempt)));
}

/** Attesters ask for every opening, and its prover for its own: it may have been started anew since. */
function considerOpening(state: State, task: Task, attempt: Attempt, { prover, hash }: Commitment): void {
  const { self, roles } = state.options;
  const reveal = revealOf(attempt);
  if (attempt.opened !== null || task.completeMs !== null || (!roles.attester && prover !== self)) return;
  // The own result has to be known before, or the disk would not keep it.
  if (isDue(state, task)) reveal.dueMs ??= state.nowMs;
  else if (prover !== self) return;
  if (reveal.asked || reveal.tries >= OPENINGS_ASKED_MAX) return;
  if (reveal.retryMs !== null && state.nowMs < reveal.retryMs) {
    task.wakeMs = Math.min(task.wakeMs ?? reveal.retryMs, reveal.retryMs);
    return;
  }
  if (prover === self && reveal.made !== null) {
    const { artefact, bytes, nonce = new Uint8Array() } = reveal.made;
    return applyOpened(state, task, attempt.number, hash, { prover, artefact, bytes, nonce });
  }
  reveal.asked = true;
  // Attesters that have sealed it may have its opening by now, where its prover is away.
  const holders = [prover, ...attempt.seals.keys()].filter((key) => key !== self);
  const { number } = attempt;
  state.effects.push({ kind: "open", task: ref(task), attempt: number, prover, commitment: hash, holders });
}

/** Signs the receipt of the own result once it is public that enough provers agree on it. */
function considerReceipt(state: State, task: Task, attempt: Attempt): void {
  const { opened } = attempt;
  const { made, isPublished } = revealOf(attempt);
  if (opened === null || isPublished || !maySign(state)) return;
  if (task.receipts.get(state.options.self)?.first.has(attempt.number) === true) return;
  // mutant: receipt-early
  if (!isPublic(state, task, opened.artefact)) return;
  revealOf(attempt).isPublished = true;
  const inline = made !== null && made.inline.length <= INLINE_BYTES_MAX ? made.inline : opened.inline;
  say(state, { ...receiptFor(task, attempt, opened), inline, provingMs: made?.provingMs ?? 0 });
}

/** Whether the prover of this node has a result to commit to; signs the commitment. */
export function commit(state: State, task: Task, number: number, made: MadeProof): boolean {
  const { self } = state.options;
  const { artefact, bytes, nonce = new Uint8Array() } = made;
  const hash = commitmentOf({ prover: self, nonce, artefact, bytes });
  if (hash === null) return false;
  const attempt = attemptOf(task, number);
  const reveal = revealOf(attempt);
  reveal.made = made;
  say(state, { ...ref(task), kind: "commit", attempt: number, hash });
  return true;
}

/** Somebody has shown what is behind a commitment, or nobody has. */
export function applyOpened(
  state: State,
  task: Task,
  number: number,
  commitment: Hash,
  opening: Opening | null | false,
): void {
  const attempt = attemptOf(task, number);
  const reveal = revealOf(attempt);
  reveal.asked = false;
  touchAgreeing(state, task);
  const sealed = sealedIn(state, attempt);
  if (sealed === null || sealed.hash !== commitment || attempt.opened !== null) return;
  if (opening === null) {
    reveal.tries++;
    reveal.retryMs = state.nowMs + Math.min(RETRY_MS * 2 ** reveal.tries, RETRY_MS_MAX);
    return;
  }
  // mutant: opened-by-others
  if (opening === false || opening.prover !== sealed.prover || commitmentOf(opening) !== commitment) {
    reveal.tries = OPENINGS_ASKED_MAX;
    foundEnd(attempt, sealed.prover, "opening.false");
    report(state, "opening.false", { ...where(task), attempt: number, prover: sealed.prover });
    return;
  }
  const signed = attempt.commits.get(sealed.prover) ?? [...attempt.seals.values()][0];
  if (signed === undefined) return;
  const { author: _author, ...place } = signed;
  const entry = receiptFor(task, attempt, opening);
  attempt.opened = { ...entry, commitment, signed: { ...place, author: sealed.prover } };
  proofOf(task, opening.artefact, sealed.prover);
  factsChanged(task.block);
}

/** The receipt that the prover of an opening signs, but for what only the prover knows. */
function receiptFor(
  task: Task,
  { number }: Attempt,
  { artefact, bytes, nonce }: Omit<Opening, "prover">,
): EntryOf<"receipt"> {
  const { block, stage, index, variant } = task;
  return {
    ...ref(task),
    kind: "receipt",
    attempt: number,
    system: variant.system,
    key: variant.key,
    artefact,
    bytes,
    values: taskValues(block.id, stage, index),
    provingMs: 0,
    inline: new Uint8Array(),
    possession: new Uint8Array(),
    nonce,
  };
}
