/**
 * Commitments of stages on whose results provers have to agree: which of them count, and what follows from them.
 *
 * A prover commits to its result before anybody sees it. A commitment counts once a quorum of attesters has sealed it.
 * The openings of a group are due once sealed commitments of as many provers as have to agree are there, each for another
 * copy. Until enough of them agree an opening goes to attesters alone. An attester seals no commitment of a group once a
 * result of the group is public. So a prover cannot commit to a result that it has only read.
 *
 * All of this follows from signed facts, so nodes with the same log agree on it. What the openings say is known to those
 * that have asked for them, and reaches the log with the attests and receipts.
 */
import type { Hash, Key } from "../protocol/ids.ts";
import { commitmentOf, decodeOpening } from "../protocol/opening.ts";
import { copiesOf, type Maker, matchMakers } from "./matching.ts";
import {
  type AttemptFacts,
  type Facts,
  isQuorum,
  type ProofFacts,
  type Receipt,
  type TaskFacts,
  weightOf,
} from "./facts.ts";
import type { Proof, State, Task } from "./state.ts";

export interface Commitment {
  readonly prover: Key;
  readonly hash: Hash;
}

export function isByAgreement({ stage }: Pick<TaskFacts, "stage">): boolean {
  return stage.verify === "agree";
}

/** The commitment of the attempt that a quorum has sealed: an attester seals one, so there is one at most. */
export function sealedIn(state: Facts, { seals }: AttemptFacts): Commitment | null {
  if (seals.size === 0) return null;
  const voters = new Map<string, { readonly commitment: Commitment; readonly keys: Key[] }>();
  for (const [author, { prover, hash }] of seals) {
    const known = voters.get(`${prover} ${hash}`) ?? { commitment: { prover, hash }, keys: [] };
    voters.set(`${prover} ${hash}`, known);
    known.keys.push(author);
  }
  // mutant: sealed-too-soon
  for (const { commitment, keys } of voters.values()) if (isQuorum(state, keys)) return commitment;
  return null;
}

/** Whether the receipt, or an opening as the receipt that follows from it, opens a commitment that counts. */
export function opensSealed(state: Facts, task: TaskFacts, author: Key, { attempt, commitment }: Receipt): boolean {
  const made = task.attempts.get(attempt);
  const sealed = made === undefined ? null : sealedIn(state, made);
  return sealed !== null && sealed.prover === author && sealed.hash === commitment;
}

/** The openings that this node has of a result, as receipts of their provers. */
export function openedReceipts(state: Facts, task: TaskFacts, { artefact }: ProofFacts): (readonly [Key, Receipt])[] {
  return [...task.attempts.values()].flatMap(({ opened }) => {
    if (opened === null || opened.artefact !== artefact) return [];
    const { author } = opened.signed;
    return opensSealed(state, task, author, opened) ? [[author, opened] as const] : [];
  });
}

/** The makers of the sealed commitments of a copy. */
export function committedTo(state: Facts, task: TaskFacts): Maker[] {
  return [...task.attempts.values()].flatMap((attempt) => {
    const sealed = sealedIn(state, attempt);
    return sealed === null ? [] : [{ made: { prover: sealed.prover }, credited: false, assigned: true }];
  });
}

/** REVEAL-1. Whether the openings of the task's group are due. */
export function isDue(state: Facts, task: TaskFacts): boolean {
  const makers = matchMakers(copiesOf(task).map((copy) => committedTo(state, copy)));
  // mutant: reveal-early
  return makers.filter((maker) => maker !== null).length >= task.stage.need;
}

/** Whether one honest attester at least has seen as many provers agree on the result as have to. */
export function isPublic(state: State, task: Task, artefact: Hash): boolean {
  return copiesOf(task).some(({ proofs }) =>
    [...proofs.values()].some((proof) => proof.artefact === artefact && isVouchedInPublic(state, proof)),
  );
}

/** Whether this node, or one honest attester at least, vouches for the result. */
export function isVouchedInPublic(state: State, { vouched, vouchers }: Proof): boolean {
  return vouched || weightOf(state, vouchers.keys()) >= state.manifest.oneHonest;
}

/** REVEAL-2. Whether this node shows the peer a file that is an opening. */
export function mayShow(state: State, peer: Key, file: Uint8Array): boolean {
  const opening = decodeOpening(file);
  const hash = opening === null ? null : commitmentOf(opening);
  // mutant: reveal-to-all
  if (!state.manifest.weights.has(peer)) return false;
  for (const { tasks } of state.live) {
    for (const task of tasks) if (isByAgreement(task) && hasCommitment(state, task, hash)) return isDue(state, task);
  }
  return false;
}

function hasCommitment(state: Facts, task: TaskFacts, hash: Hash | null): boolean {
  return [...task.attempts.values()].some(
    (attempt) => attempt.seals.size > 0 && sealedIn(state, attempt)?.hash === hash,
  );
}
