/**
 * Admission proofs as an attester sees them: which blocks they may be of, and what they have to prove.
 *
 * The base of an admission proof is a certified block. An attester keeps the public values of the latest of them, because
 * the blocks themselves leave the memory after `retentionBlocks`. A base has an age limit, so nobody can prove for many
 * keys at leisure and bring them all at once.
 */
import { admissionStageOf, admissionTasksOf, EPOCH_BLOCKS } from "../protocol/admission.ts";
import type { Hash } from "../protocol/ids.ts";
import { chainIdOf, type ManifestJson } from "../protocol/manifest.ts";
import { type Stage, stagesOf } from "../protocol/workflow.ts";
import type { AdmissionBase } from "./soft.ts";
import type { Block, State } from "./state.ts";

export type Rule = ManifestJson["chains"][number];

/** A base is at most so many epochs, and two windows, older than the drawing. */
const AGE_EPOCHS = 4;

export function ruleOf(state: State, chain: number): Rule | undefined {
  return state.manifest.json.chains.find(({ id }) => id === chain);
}

export function windowOf(state: State, { workflow }: Rule): number {
  return state.manifest.json.workflows[workflow]?.window ?? 1;
}

/** The stage whose tasks newcomers prove on the chain; `null` where no stage of its workflow is fit for it. */
export function admissionStage(state: State, { workflow }: Pick<Rule, "workflow">): Stage | null {
  const stages = stagesOf(state.manifest, workflow, 0);
  return stages === null ? null : admissionStageOf(stages);
}

/** A proof takes as long as the blocks of a window, so the limit grows with the window. */
export function ageMaxOf(state: State, rule: Rule): number {
  return AGE_EPOCHS * EPOCH_BLOCKS + 2 * windowOf(state, rule);
}

/** How many blocks of the chain came after the base, up to the height `head`. Heights say nothing on `any` chains. */
export function ageOf(
  state: State,
  rule: Rule,
  { height, count }: Pick<AdmissionBase, "height" | "count">,
  head: number,
): number {
  if (rule.start === "any") return (state.chains.get(rule.id)?.certifiedCount ?? 0) - count;
  return head - height;
}

/** The block is certified or prepared: once it is both, it is a base. */
export function noteBase(state: State, block: Block): void {
  const chain = state.chains.get(block.chain);
  const rule = ruleOf(state, block.chain);
  const isOpen = state.manifest.json.provers.admission === "open";
  if (chain === undefined || rule === undefined || !isOpen) return;
  if (block.certificate === null || block.prepared === null || chain.bases.has(block.id)) return;
  const stage = admissionStage(state, rule);
  if (stage === null) return;
  const own = block.prepared.values[stage.name] ?? [];
  const values = admissionTasksOf(stage).flatMap((index) => {
    const each = own[index];
    return each === undefined ? [] : [[index, each] as const];
  });
  const { height, hash, parent } = block;
  const about = { chainId: chainIdOf(state.manifest, rule.id), height, hash, parent };
  chain.bases.set(block.id, { about, height, count: chain.certifiedCount, values: new Map(values) });
  const [oldest] = chain.bases.keys();
  if (chain.bases.size > ageMaxOf(state, rule) + EPOCH_BLOCKS && oldest !== undefined) chain.bases.delete(oldest);
}

/** The certified block that a join names, where its payload is not read yet. */
export function unreadBase(state: State, id: Hash): Block | null {
  const block = state.blocks.get(id);
  return block !== undefined && block.certificate !== null && block.prepared === null ? block : null;
}
