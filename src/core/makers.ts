/**
 * Whose an attempt is, who made a proof, and which proof stands for a task: worked out from the facts at hand, so that nodes that
 * have heard the same say the same.
 */
import type { Key } from "../protocol/ids.ts";
import { NOBODY, valuesFor } from "../protocol/payee.ts";
import { type EntryOf, equalBytes } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { taskValues } from "../protocol/workflow.ts";
import { claimOf } from "./attempts.ts";
import { entryOf } from "./conflict.ts";
import { type Maker, agreeMakers, copiesOf, matchMakers } from "./matching.ts";
import { receiptsOf } from "./receipts.ts";
import { ownerOfAttempt } from "./standing.ts";
import {
  type AttemptFacts,
  type Facts,
  isQuorum,
  type ProofFacts,
  type Receipt,
  type TaskFacts,
  weightOf,
} from "./facts.ts";
import { type Attempt, type State, type Task, attemptOf } from "./state.ts";

/**
 * The receipts of a proof that count, without those that name other public values than the task implies, or another length than the proof
 * has, as far as this node knows them: anybody can name somebody else's proof and say something wrong of it.
 */
export function soundReceipts(state: Facts, task: TaskFacts, proof: ProofFacts): (readonly [Key, Receipt])[] {
  return receiptsOf(state, task, proof).filter(([, receipt]) => unsound(task, proof, receipt) === null);
}

/** What a receipt says that is not so. */
export function unsound(task: TaskFacts, proof: ProofFacts, receipt: EntryOf<"receipt">): Refusal | null {
  const values = provenValues(task, proof);
  // RECEIPT-6.
  // mutant: values-unchecked
  if (values !== null && !equalBytes(values, receipt.values)) return "receipt.wrong-values";
  if (proof.bytes === null) return null;
  if (proof.bytes !== receipt.bytes) return "receipt.wrong-bytes";
  // RECEIPT-9.
  // mutant: possession-ignored
  return equalBytes(proof.possession, receipt.possession) ? null : "receipt.not-held";
}

/**
 * The public values that the block's own bytes imply for the task and this prover; `null` until they are derived.
 * Results without a proof, and proofs of systems that have no room for a payee, are the same for all provers.
 */
export function impliedValues(task: TaskFacts, prover: Key): Uint8Array | null {
  const { block, stage, index, variant } = task;
  if (stage.verify !== "key") return taskValues(block.id, stage, index);
  const values = block.prepared?.values[stage.name]?.[index];
  // RECEIPT-8.
  return values === undefined ? null : valuesFor(variant.payee, values, prover);
}

/** The public values that the task implies for the maker of the proof. Asked often, so they are kept with the proof. */
export function provenValues(task: TaskFacts, proof: ProofFacts): Uint8Array | null {
  if (proof.maker === null) return impliedValues(task, NOBODY);
  proof.values ??= impliedValues(task, proof.maker);
  return proof.values;
}

/** The number of the attempt that is open: the first without a timeout certificate. */
export function openNumber(state: Facts, task: TaskFacts): number {
  // Asked many times in every step. More votes only end more attempts.
  const { takenBack } = state.changes;
  if (task.openFrom.takenBack !== takenBack) task.openFrom = { attempt: 0, takenBack };
  for (;;) {
    const { attempt: number } = task.openFrom;
    const timeouts = task.attempts.get(number)?.timeouts;
    if (timeouts === undefined || timeouts.size === 0) return number;
    // TIMEOUT-6.
    // mutant: open-too-soon, open-early
    if (!isQuorum(state, timeouts.keys())) return number;
    task.openFrom.attempt++;
  }
}

export function openAttempt(state: State, task: Task): Attempt {
  return attemptOf(task, openNumber(state, task));
}

/** The prover that a quorum granted the attempt to. */
export function assignedTo(state: Facts, attempt: AttemptFacts): Key | null {
  // GRANT-8.
  // mutant: assigned-too-soon
  for (const [prover, votes] of attempt.grants) if (isQuorum(state, votes.keys())) return prover;
  return null;
}

/** Whose attempt it is: the prover that a quorum granted it to, else the one whose claim counts here, else the owner. */
export function claimantOf(state: State, task: Task, attempt: Attempt): Key | null {
  return assignedTo(state, attempt) ?? claimOf(attempt)?.claimant ?? ownerOfAttempt(state, task, attempt.number);
}

/** Who is paid for the task, once a quorum has attested in one attempt. */
export function creditOf(state: Facts, task: TaskFacts): { readonly attempt: number; readonly prover: Key } | null {
  for (const attempt of task.attempts.values()) {
    // ATTEST-5.
    // mutant: credit-alone
    for (const [prover, votes] of attempt.attests)
      if (isQuorum(state, votes.keys())) return { attempt: attempt.number, prover };
  }
  return null;
}

/** Who made a proof, by what is known of it. */
interface Made {
  readonly prover: Key | null;
  /** The attempt that pays for it, else the first in which it was named. */
  readonly attempt: number;
  /** `null` on a node that does not attest, so has not looked. */
  readonly bytes: number | null;
  readonly inline: Uint8Array;
  readonly provingMs: number;
  /** Whether a quorum granted its maker one of the attempts in which it was named. */
  readonly assigned: boolean;
}

/** A proof and one who made it. */
export interface MadeBy extends Maker {
  readonly proof: ProofFacts;
  readonly made: Made;
}

/**
 * The proof that stands for a complete task: of those a quorum vouches for, the credited prover's, else that of the
 * lowest attempt, then the lowest hash. As logs converge, so does the choice. Of copies that different provers have to
 * make, each has one whose maker stands for no other.
 */
export function chosenProof(state: Facts, task: TaskFacts): MadeBy | null {
  const optionsFor = (each: TaskFacts) => optionsOf(state, each, (proof) => isVouchedFor(state, proof));
  if (task.stage.distinct !== "provers") return optionsFor(task)[0] ?? null;
  const copies = copiesOf(task);
  const options = copies.map(optionsFor);
  const { verify, need } = task.stage;
  return (verify === "agree" ? agreeMakers(options, need) : matchMakers(options))[copies.indexOf(task)] ?? null;
}

/** Whether a quorum says that it verifies. */
export function isVouchedFor(state: Facts, proof: Pick<ProofFacts, "vouchers">): boolean {
  // mutant: complete-too-soon, name-unverified
  return isQuorum(state, proof.vouchers.keys());
}

/** The task's proofs that are wanted, by each of their makers, what is chosen first before the others. */
export function optionsOf(state: Facts, task: TaskFacts, isWanted: (proof: ProofFacts) => boolean): MadeBy[] {
  const credit = creditOf(state, task);
  const options = [...task.proofs.values()].filter(isWanted).flatMap((proof) =>
    makersOf(state, task, proof).map((made) => {
      const credited = credit !== null && made.prover === credit.prover;
      const { assigned } = made;
      // Only attesters say which attempt is paid: a receipt may name any.
      // mutant: attempt-by-receipt
      const attempt = credited ? credit.attempt : made.attempt;
      return { proof, made: { ...made, attempt }, credited, assigned };
    }),
  );
  // COMPLETE-4.
  // mutant: any-proof-stands
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

/** Whether a quorum says that the proof verifies, and its maker is known as far as that can be. */
export function stands(state: Facts, task: TaskFacts, proof: ProofFacts): boolean {
  return isVouchedFor(state, proof) && makersOf(state, task, proof).length > 0;
}

/**
 * Who made a proof. Where the proof names its maker, nobody else. Otherwise who handed it in and is not out, and whom attesters name of whom one is honest, because an attest
 * names prover and attempt by itself; where there is neither, nobody. Of what a key that is out has said, even before,
 * some nodes may have heard what others never will, so nothing rests on it (S6).
 */
function makersOf(state: Facts, task: TaskFacts, proof: ProofFacts): readonly Made[] {
  const named = soundReceipts(state, task, proof).filter(([prover]) => !state.out.has(prover));
  // An attester looks at the proof first, which says how long it is.
  const mustLook = proof.bytes === null && state.options.roles.attester;
  // mutant: receipts-dropped/attests
  const attested = mustLook ? [] : attestedMakers(state, task, proof);
  const provers = new Set([...named.map(([prover]) => prover), ...attested.map(({ prover }) => prover)]);
  if (provers.size > 0) {
    return [...provers].map((prover) => {
      const receipts = named.flatMap(([author, receipt]) => (author === prover ? receipt : []));
      return madeBy(state, task, proof, prover, receipts, [
        ...receipts.map(({ attempt }) => attempt),
        ...attested.flatMap((each) => (each.prover === prover ? each.attempt : [])),
      ]);
    });
  }
  // As long as nobody is out, the receipt is on its way.
  if (state.out.size === 0 || mustLook) return [];
  return [madeBy(state, task, proof, proof.maker, [], [0])];
}

function madeBy(
  state: Facts,
  task: TaskFacts,
  proof: ProofFacts,
  prover: Key | null,
  receipts: readonly Receipt[],
  attempts: readonly number[],
): Made {
  const [first] = [...receipts].sort((a, b) => a.attempt - b.attempt);
  const isGranted = (number: number): boolean => {
    const attempt = task.attempts.get(number);
    return prover !== null && attempt !== undefined && assignedTo(state, attempt) === prover;
  };
  return {
    prover,
    attempt: Math.min(...attempts),
    bytes: proof.bytes ?? first?.bytes ?? null,
    inline: receipts.find(({ inline }) => inline.length > 0)?.inline ?? new Uint8Array(),
    provingMs: first?.provingMs ?? 0,
    assigned: attempts.some(isGranted),
  };
}

function attestedMakers(
  state: Facts,
  task: TaskFacts,
  { artefact, maker }: ProofFacts,
): { readonly prover: Key; readonly attempt: number }[] {
  return [...task.attempts.values()].flatMap(({ number, attests }) =>
    [...attests].flatMap(([prover, votes]) => {
      if (maker !== null && prover !== maker) return [];
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
