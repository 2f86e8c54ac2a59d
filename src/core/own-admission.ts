/**
 * A newcomer's side of admission: this node proves a task of a certified block under its own key, and asks to be admitted.
 *
 * It asks for a drawing with each join. A join without a proof is a wish only; where a proof is due, attesters draw the
 * node once a join names one. The proof is of the newest certified block whose payload is here, so that it is not too
 * old for the drawings that come. Nothing of it is durable: after a restart the node proves again.
 */
import { admissionPayee, admissionTasksOf, EPOCH_BLOCKS } from "../protocol/admission.ts";
import type { Hash } from "../protocol/ids.ts";
import { INLINE_BYTES_MAX } from "../protocol/limits.ts";
import { type AdmissionProof, equalBytes } from "../protocol/messages.ts";
import { valuesFor } from "../protocol/payee.ts";
import { type Stage, variantOf } from "../protocol/workflow.ts";
import { FOR_EVER, isDrawn, NEWCOMER_SLOTS_MAX } from "./admission.ts";
import { admissionStage, ageMaxOf, ageOf, type Rule, windowOf } from "./admission-proof.ts";
import { isAbleTo } from "./balance.ts";
import { prepare } from "./blocks.ts";
import type { MadeProof, TaskRef } from "./event.ts";
import { jobOf } from "./job.ts";
import type { Chain, OwnProof } from "./soft.ts";
import { hasLeft, isIn } from "./standing.ts";
import { type Block, report, type State, say } from "./state.ts";

/** A newcomer asks again after pauses that grow up to so many times `syncMs`. */
const JOIN_PAUSE_SYNCS_MAX = 32;

/** Says that this node wants to prove, where it has no turn; said again until it is heard, after growing pauses. */
export function announceSelf(state: State): void {
  const { roles, slots } = state.options;
  if (!roles.prover || slots === 0 || state.mute !== null || state.replaying) return;
  const missing = missingIn(state);
  for (const rule of state.manifest.json.chains) settleOwnProof(state, rule, missing.includes(rule));
  if (missing.length === 0) {
    state.joinMs = null;
    state.joinPauseMs = 0;
    return;
  }
  // mutant: join-again
  if (state.joinMs !== null && state.nowMs < state.joinMs) return;
  const { syncMs } = state.manifest.json.timing;
  // JOIN-5.
  state.joinPauseMs = Math.min(Math.max(2 * state.joinPauseMs, 2 * syncMs), JOIN_PAUSE_SYNCS_MAX * syncMs);
  state.joinMs = state.nowMs + state.joinPauseMs;
  for (const { id } of missing) {
    const proofs = proofsFor(state.chains.get(id));
    say(state, { kind: "join", chain: id, slots: Math.min(Math.max(slots, 1), NEWCOMER_SLOTS_MAX), proofs });
  }
}

/** Chains on which this node wants a turn and has none. */
export function missingIn(state: State): readonly Rule[] {
  const { self } = state.options;
  const { chains, provers } = state.manifest.json;
  const member = state.roster.get(self);
  if (member === undefined) return provers.admission === "open" ? chains : [];
  return chains.filter(({ id }) => !isIn(state, member, id, FOR_EVER) || hasLeft(state, member, id));
}

/** A small proof travels with the first join that names it; afterwards attesters have it, or fetch it. */
function proofsFor(chain: Chain | undefined): readonly AdmissionProof[] {
  const made = chain?.ownAdmission.made ?? null;
  // JOIN-8.
  // mutant: join-unproven
  if (made === null) return [];
  const { proof, isInlineSaid } = made;
  made.isInlineSaid = true;
  return [isInlineSaid ? { ...proof, inline: new Uint8Array() } : proof];
}

/** The task of this stage that this node can prove; `null` where it has no prover for any. */
export function provableTask(state: State, stage: Stage): number | null {
  return admissionTasksOf(stage).find((index) => isAbleTo(state, stage, variantOf(stage, index))) ?? null;
}

/** Begins a proof where one is due and the last is too old, and ends one that nobody wants any more. */
function settleOwnProof(state: State, rule: Rule, isMissing: boolean): void {
  const chain = state.chains.get(rule.id);
  if (chain === undefined) return;
  const own = chain.ownAdmission;
  if (!isMissing || !isDrawn(state, state.options.self, rule.id)) {
    drop(state, chain);
    own.made = null;
    return;
  }
  const stage = admissionStage(state, rule);
  if (stage === null) return;
  if (own.proving !== null && isOld(state, rule, chain, own.proving, 0)) {
    report(state, "admission.proof-late", { chain: rule.id, height: own.proving.height });
    drop(state, chain);
  }
  // JOIN-8.
  // The next drawing is an epoch away at most, and two windows may lie between the head and its block.
  const ahead = EPOCH_BLOCKS + 2 * windowOf(state, rule);
  const isFresh = own.made !== null && !isOld(state, rule, chain, own.made, ahead);
  if (own.proving !== null || isFresh || (own.retryMs !== null && state.nowMs < own.retryMs)) return;
  begin(state, rule, chain, stage);
}

/** Whether the proof will be too old for a drawing so many blocks from now. */
function isOld(state: State, rule: Rule, chain: Chain, { task, height }: OwnProof, ahead: number): boolean {
  const count = chain.bases.get(task.block)?.count ?? 0;
  return ageOf(state, rule, { height, count }, Math.max(chain.certified, 0)) + ahead > ageMaxOf(state, rule);
}

function drop(state: State, { ownAdmission: own }: Chain): void {
  if (own.proving === null) return;
  state.effects.push({ kind: "cancel", task: own.proving.task, isAdmission: true });
  own.proving = null;
}

function begin(state: State, rule: Rule, chain: Chain, stage: Stage): void {
  const index = provableTask(state, stage);
  const block = index === null ? null : newestBase(state, rule);
  if (index === null || block === null) return;
  const task = block.tasksByStage.get(stage.name)?.[index];
  const nobody = chain.bases.get(block.id)?.values.get(index);
  const job = task === undefined ? null : jobOf(state, task, 0);
  if (task === undefined || nobody === undefined || job === null) return;
  const payee = admissionPayee(state.manifest.network, rule.id, state.options.self, block.id);
  const values = valuesFor(task.variant.payee, nobody, payee);
  chain.ownAdmission.proving = { task: job.task, height: block.height, values };
  state.effects.push({ kind: "prove", ...job, prover: payee, values, isAdmission: true });
  report(state, "admission.proving", { chain: rule.id, height: block.height, stage: stage.name, index });
}

/** The highest certified block whose payload is read here. Where there is none, the payload of the highest is asked for. */
function newestBase(state: State, rule: Rule): Block | null {
  const bases = state.chains.get(rule.id)?.bases;
  let best: Block | null = null;
  let unread: Block | null = null;
  for (const block of state.blocks.values()) {
    if (block.chain !== rule.id || block.certificate === null) continue;
    if (bases?.has(block.id) === true) best = higher(best, block);
    else if (block.prepared === null) unread = higher(unread, block);
  }
  if (best === null && unread !== null) prepare(state, unread);
  return best;
}

function higher(best: Block | null, block: Block): Block {
  return best === null || block.height > best.height ? block : best;
}

function chainOf(state: State, { block }: TaskRef): Chain | undefined {
  return [...state.chains.values()].find(({ ownAdmission }) => ownAdmission.proving?.task.block === block);
}

export function applyOwnProof(state: State, task: TaskRef, made: MadeProof): void {
  const chain = chainOf(state, task);
  const proving = chain?.ownAdmission.proving ?? null;
  if (chain === undefined || proving === null) return;
  if (!equalBytes(proving.values, made.values)) {
    const message = "The prover's public values are not those of the admission proof.";
    return applyOwnFailure(state, task, { code: "receipt.wrong-values", message });
  }
  const { artefact, bytes, provingMs } = made;
  const inline = made.inline.length <= INLINE_BYTES_MAX ? made.inline : new Uint8Array();
  const proof = { base: task.block, index: task.index, artefact, bytes, inline };
  Object.assign(chain.ownAdmission, { proving: null, failures: 0, retryMs: null });
  chain.ownAdmission.made = { ...proving, proof, isInlineSaid: false };
  // The join that names it is said at once.
  state.joinMs = state.nowMs;
  report(state, "admission.proved", { chain: chain.id, height: proving.height, provingMs, bytes });
}

export function applyOwnFailure(
  state: State,
  task: TaskRef,
  { code, message }: { readonly code: string; readonly message: string },
): void {
  const chain = chainOf(state, task);
  if (chain === undefined) return;
  const own = chain.ownAdmission;
  const { backoffMs, backoffMsMax } = state.manifest.retry;
  own.proving = null;
  own.retryMs = state.nowMs + Math.min(backoffMs * 2 ** Math.min(own.failures, 16), backoffMsMax);
  own.failures++;
  report(state, "admission.proof-failed", { chain: chain.id, code, message, failures: own.failures });
}

/** When a proof that has failed is tried again. */
export function nextOwnProofMs({ chains, nowMs }: State): number {
  const retries = [...chains.values()].flatMap(({ ownAdmission: { proving, retryMs } }) =>
    proving === null && retryMs !== null && retryMs > nowMs ? [retryMs] : [],
  );
  return Math.min(...retries);
}

/** The proofs that this node has to keep for attesters. */
export function ownProofs({ chains }: State): readonly Hash[] {
  return [...chains.values()].flatMap(({ ownAdmission: { made } }) => made?.proof.artefact ?? []);
}
