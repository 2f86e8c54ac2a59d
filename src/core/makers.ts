/**
 * Whose an attempt is, who made a proof, and which proof stands for a task: worked out from the facts at hand, so that nodes that
 * have heard the same say the same.
 */
import type { Key } from "../protocol/ids.ts";
import { type EntryOf, equalBytes } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { taskValues } from "../protocol/workflow.ts";
import { entryOf } from "./conflict.ts";
import { type Maker, agreeMakers, copiesOf, matchMakers } from "./matching.ts";
import { ownerOfAttempt } from "./standing.ts";
import {
  type Attempt,
  type Proof,
  type Receipt,
  type State,
  type Task,
  attemptOf,
  isQuorum,
  weightOf,
} from "./state.ts";

/**
 * A proof's receipts without those that name other public values than the task implies, or another length than the proof
 * has, as far as this node knows them: anybody can name somebody else's proof and say something wrong of it.
 */
export function soundReceipts(task: Task, proof: Proof): (readonly [Key, Receipt])[] {
  return [...proof.receipts].filter(([, receipt]) => unsound(task, proof, receipt) === null);
}

/** What a receipt says that is not so. */
export function unsound(task: Task, proof: Proof, receipt: EntryOf<"receipt">): Refusal | null {
  const values = impliedValues(task);
  if (values !== null && !equalBytes(values, receipt.values)) return "receipt.wrong-values";
  return proof.bytes !== null && proof.bytes !== receipt.bytes ? "receipt.wrong-bytes" : null;
}

/** The public values that the block's own bytes imply for the task; `null` until they are derived. */
export function impliedValues(task: Task): Uint8Array | null {
  const { block, stage, index } = task;
  if (stage.verify !== "key") return taskValues(block.id, stage, index);
  return block.prepared?.values[stage.name]?.[index] ?? null;
}

/** The attempt that is open: the first without a timeout certificate. */
export function openAttempt(state: State, task: Task): Attempt {
  // Asked many times in every step.
  for (;;) {
    const attempt = attemptOf(task, task.openFrom);
    if (attempt.timeouts.size === 0) return attempt;
    // mutant: open-too-soon
    if (!isQuorum(state, attempt.timeouts.keys())) return attempt;
    task.openFrom++;
  }
}

/** The prover that a quorum granted the attempt to. */
export function assignedTo(state: State, attempt: Attempt): Key | null {
  // mutant: assigned-too-soon
  for (const [prover, votes] of attempt.grants) if (isQuorum(state, votes.keys())) return prover;
  return null;
}

/** Whose attempt it is: the prover that a quorum granted it to, else the one whose claim counts here, else the owner. */
export function claimantOf(state: State, task: Task, attempt: Attempt): Key | null {
  return assignedTo(state, attempt) ?? attempt.claimant ?? ownerOfAttempt(state, task, attempt.number);
}

/** Who is paid for the task, once a quorum has attested in one attempt. */
export function creditOf(state: State, task: Task): { readonly attempt: number; readonly prover: Key } | null {
  for (const attempt of task.attempts.values()) {
    for (const [prover, votes] of attempt.attests)
      if (isQuorum(state, votes.keys())) return { attempt: attempt.number, prover };
  }
  return null;
}

interface Made {
  readonly prover: Key | null;
  readonly attempt: number;
  /** `null` on a node that does not attest, so has not looked. */
  readonly bytes: number | null;
  readonly inline: Uint8Array;
  readonly provingMs: number;
}

/** A proof and one who made it. */
export interface MadeBy extends Maker {
  readonly proof: Proof;
  readonly made: Made;
}

/**
 * The proof that stands for a complete task: of those a quorum vouches for, the credited prover's, else that of the
 * lowest attempt, then the lowest hash. As logs converge, so does the choice. Of copies that different provers have to
 * make, each has one whose maker stands for no other.
 */
export function chosenProof(state: State, task: Task): MadeBy | null {
  const optionsFor = (each: Task) => optionsOf(state, each, (proof) => isVouchedFor(state, proof));
  if (task.stage.distinct !== "provers") return optionsFor(task)[0] ?? null;
  const copies = copiesOf(task);
  const options = copies.map(optionsFor);
  const { verify, need } = task.stage;
  return (verify === "agree" ? agreeMakers(options, need) : matchMakers(options))[copies.indexOf(task)] ?? null;
}

/** Whether a quorum says that it verifies. */
export function isVouchedFor(state: State, proof: Proof): boolean {
  // mutant: complete-too-soon
  return isQuorum(state, proof.vouchers.keys());
}

/** The task's proofs that are wanted, by each of their makers, what is chosen first before the others. */
export function optionsOf(state: State, task: Task, isWanted: (proof: Proof) => boolean): MadeBy[] {
  const credit = creditOf(state, task);
  const options = [...task.proofs.values()].filter(isWanted).flatMap((proof) =>
    makersOf(state, task, proof).map((made) => {
      const granted = task.attempts.get(made.attempt);
      const isMaker = (prover: Key | null | undefined) => made.prover !== null && prover === made.prover;
      const assigned = granted !== undefined && isMaker(assignedTo(state, granted));
      return { proof, made, credited: isMaker(credit?.prover), assigned };
    }),
  );
  options.sort((a, b) => {
    if (a.credited !== b.credited) return a.credited ? -1 : 1;
    if ((a.made.prover === null) !== (b.made.prover === null)) return a.made.prover === null ? 1 : -1;
    if (a.made.attempt !== b.made.attempt) return a.made.attempt - b.made.attempt;
    return order(a.proof.artefact, b.proof.artefact) || order(a.made.prover ?? "", b.made.prover ?? "");
  });
  return options;
}

export function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Who made a proof, in which attempt: who handed it in and is not out; where there is none, whom attesters name of whom one is
 * honest; else nobody. Of what a key that is out has said, even before, some nodes may have heard what others never will, so
 * nothing rests on it (S6).
 */
function makersOf(state: State, task: Task, proof: Proof): readonly Made[] {
  const counted = soundReceipts(task, proof).filter(([prover]) => !state.out.has(prover));
  if (counted.length > 0) return counted.map(([prover, receipt]) => ({ ...receipt, prover }));
  // As long as nobody is out, the receipt is on its way. An attester looks at the proof first.
  const { bytes } = proof;
  if (state.out.size === 0 || (bytes === null && state.options.roles.attester)) return [];
  const unknown = { bytes, inline: new Uint8Array(), provingMs: 0 };
  const attested = attestedMakers(state, task, proof);
  if (attested.length === 0) return [{ ...unknown, prover: null, attempt: 0 }];
  return attested.map((each) => ({ ...unknown, ...each }));
}

function attestedMakers(
  state: State,
  task: Task,
  { artefact }: Proof,
): { readonly prover: Key; readonly attempt: number }[] {
  return [...task.attempts.values()].flatMap(({ number, attests }) =>
    [...attests].flatMap(([prover, votes]) => {
      const fitting = [...votes].filter(([, signed]) => {
        const entry = entryOf(signed);
        return entry?.kind === "attest" && entry.artefact === artefact;
      });
      const weight = weightOf(
        state,
        fitting.map(([key]) => key),
      );
      return weight >= state.manifest.oneHonest ? [{ prover, attempt: number }] : [];
    }),
  );
}

/** How reports name a task. */
export function where(task: Task): Readonly<Record<string, unknown>> {
  return {
    chain: task.block.chain,
    height: task.block.height,
    hash: task.block.hash,
    stage: task.stage.name,
    index: task.index,
  };
}
