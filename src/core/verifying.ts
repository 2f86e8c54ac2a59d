/**
 * Which proofs this node has verified, for whom, and what follows from a verdict.
 *
 * A verification takes milliseconds to seconds, so each has a payer: the author whose receipt, vote or accusation asks
 * for it. The runtime takes authors in turn and bounds what each of them gets (`runtime/shares.ts`).
 */
import type { Key } from "../protocol/ids.ts";
import { asCode, type EntryOf } from "../protocol/messages.ts";
import { NOBODY } from "../protocol/payee.ts";
import { factsChanged } from "./changes.ts";
import { touchAgreeing } from "./collector.ts";
import { isAdmissionAsked } from "./drawing.ts";
import type { Effect } from "./effect.ts";
import { foundEnd } from "./ends.ts";
import type { Event, TaskRef } from "./event.ts";
import { hasRivals } from "./graph.ts";
import { askToVerify, jobOf } from "./job.ts";
import { creditOf, isVouchedFor, provenValues, soundReceipts, where } from "./makers.ts";
import { findProof, receiptsOf } from "./receipts.ts";
import { isEarlier, weightOf } from "./facts.ts";
import { attemptOf, type Proof, report, type State, type Task } from "./state.ts";

/** A proof that cannot be had is asked for this often, first after 100 ms and then doubling. */
const FETCHES_MAX = 5;
const RETRY_MS = 100;
/** A verification that found no room is asked for again after this time. */
const SKIPPED_MS = 1_000;
/** Proofs of a task that one attester vouches for alone and nobody has handed in: these we look at. */
const VOUCHED_MAX = 2;

/**
 * Whether attesters' word makes the proof worth a look, without a receipt: that some have heard and others never will if
 * its prover is out, and who knows a valid proof cannot let the attempt go. One attester may make us look at few in vain.
 */
export function isVouched(state: State, task: Task, proof: Proof): boolean {
  if (state.out.size === 0) return false;
  if (isVouchedByOneHonest(state, proof)) return true;
  return [...proof.vouchers].some(([author, signed]) => {
    const said = [...task.proofs.values()].flatMap(({ vouchers }) => vouchers.get(author) ?? []);
    return said.filter((other) => isEarlier(other, signed)).length < VOUCHED_MAX;
  });
}

function isVouchedByOneHonest(state: State, { vouchers }: Proof): boolean {
  return weightOf(state, vouchers.keys()) >= state.manifest.oneHonest;
}

/**
 * Whether this node knows the verdict and the length of the proof. Of a proof that it vouched for before a restart it
 * knows no length, and so not whose receipts are sound.
 */
export function isSettled({ verdict, bytes }: Proof): boolean {
  return verdict === "invalid" || (verdict === "valid" && bytes !== null);
}

/** Whether this node has to look at the proof, for its votes. */
export function isVerdictWanted(state: State, task: Task, proof: Proof): boolean {
  if (isSettled(proof)) return false;
  if (task.block.certificate !== null && !hasRivals(task)) return false;
  // Of what a quorum vouches for the barrier names the maker, and the proof shows whose receipts are sound.
  return isVouchedFor(state, proof) || task.completeMs === null || creditOf(state, task) === null;
}

export function askVerdict(state: State, task: Task, proof: Proof): void {
  // Who asks for a verification that waits already can only make it wait shorter.
  const askers = proof.receipts.size + proof.vouchers.size;
  if (proof.asked && proof.askers === askers) return;
  if (proof.retryMs !== null && state.nowMs < proof.retryMs) {
    wake(task, proof.retryMs);
    return;
  }
  const { stage } = task;
  // mutant: payee-ignored
  const values = provenValues(task, proof);
  const receipts = soundReceipts(state, task, proof);
  const [, receipt] = receipts.find(([, { inline }]) => inline.length > 0) ?? receipts[0] ?? [];
  if (values === null || (receipt === undefined && !isVouched(state, task, proof)) || state.replaying) return;
  const recompute = stage.verify === "recompute" ? jobOf(state, task, receipt?.attempt ?? 0) : null;
  if (stage.verify === "recompute" && (recompute === null || proof.asked)) return;
  const payers = payersOf(state, proof, receipts);
  proof.askers = askers;
  if (proof.asked && payers.length === proof.payers) return;
  proof.payers = payers.length;
  const holders = receipts.map(([prover]) => prover);
  askToVerify(state, task, proof, { values, receipt, recompute, holders, payers });
}

// VERIFY-1.
/**
 * Who pays for the verification, one of them at a time; nobody where attesters of f+1 of the weight vouch for the proof,
 * because an honest one has verified it.
 */
function payersOf(state: State, proof: Proof, receipts: readonly (readonly [Key, unknown])[]): readonly Key[] {
  if (isVouchedByOneHonest(state, proof)) return [];
  // mutant: verified-for-nothing
  const authors = new Set(receipts.map(([author]) => author));
  if (authors.has(state.options.self)) return [];
  return authors.size > 0 ? [...authors] : [...proof.vouchers.keys()];
}

type Verify = Extract<Effect, { kind: "verify" }>;

function proofAsked(state: State, { task: at, artefact, maker }: Verify): readonly [Task, Proof] | null {
  const task = state.blocks.get(at.block)?.tasksByStage.get(at.stage)?.[at.index];
  const proof = task === undefined ? undefined : findProof(task, artefact, maker ?? NOBODY);
  return task === undefined || proof === undefined ? null : [task, proof];
}

/** Whether a verification that has waited is still of use. */
export function isStillWanted(state: State, effect: Verify): boolean {
  if (effect.candidate !== null) return isAdmissionAsked(state, effect.maker ?? NOBODY, effect.artefact);
  const [task, proof] = proofAsked(state, effect) ?? [];
  if (task === undefined || proof === undefined || !proof.asked) return false;
  const isDoubted = proof.accused.size > 0 && proof.verdict === "unknown";
  return isDoubted || isVerdictWanted(state, task, proof);
}

/** Whether the payer has shown another valid proof of the same task before. */
export function isSurplus(state: State, effect: Verify, payer: Key): boolean {
  if (effect.candidate !== null) return false;
  const [task, proof] = proofAsked(state, effect) ?? [];
  return [...(task?.proofs.values() ?? [])].some(
    (other) => other !== proof && other.verdict === "valid" && other.receipts.has(payer),
  );
}

type Verified = Pick<Extract<Event, { kind: "verified" }>, "artefact" | "maker" | "verdict">;

export function applyVerdict(state: State, task: Task, { artefact, maker, verdict }: Verified): void {
  const proof = findProof(task, artefact, maker ?? NOBODY);
  if (proof === undefined) return;
  state.dirtyTasks.add(task);
  touchAgreeing(state, task);
  proof.asked = false;
  switch (verdict.kind) {
    case "valid":
      proof.verdict = "valid";
      proof.bytes = verdict.bytes;
      proof.possession = verdict.possession;
      proof.validMs ??= state.nowMs;
      factsChanged(task.block);
      return;
    case "invalid":
      // mutant: attest-invalid
      proof.verdict = "invalid";
      proof.fault = asCode(verdict.code);
      state.suspects.add(task);
      return;
    case "skipped":
      // Nobody's fault, so no try is counted.
      proof.retryMs = state.nowMs + SKIPPED_MS;
      return;
    case "unable":
    case "unavailable":
    case "verdictless":
      proof.tries++;
      proof.retryMs = state.nowMs + RETRY_MS * 2 ** proof.tries;
      report(state, "proof.unavailable", { ...where(task), artefact, code: verdict.code, tries: proof.tries });
      // REJECT-2.
      // Neither valid nor invalid: past the limit it counts as a failure of the prover's machine.
      // mutant: unavailable-invalid
      if (proof.tries >= FETCHES_MAX && proof.verdict === "unknown" && verdict.kind !== "unable") {
        const code = verdict.kind === "verdictless" ? verdict.code : "artefact.unavailable";
        for (const [prover, receipt] of receiptsOf(state, task, proof)) endAttempt(task, prover, receipt, code);
      }
      return;
  }
}

export function endAttempt(task: Task, prover: Key, receipt: EntryOf<"receipt">, code: string): void {
  foundEnd(attemptOf(task, receipt.attempt), prover, code);
}

/** Has the task looked at again at that time, or earlier. */
export function wake(task: Task, atMs: number): void {
  task.wakeMs = task.wakeMs === null ? atMs : Math.min(task.wakeMs, atMs);
}

export function ref(task: Task): TaskRef {
  return { block: task.block.id, stage: task.stage.name, index: task.index };
}
