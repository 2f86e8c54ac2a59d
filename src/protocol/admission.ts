/**
 * The admission proof: what a newcomer has to prove before it may own tasks.
 *
 * The proof is one of a task that the network has proven already: a task of a certified block, the base block. Its public
 * values name a payee that is a hash of network, chain, newcomer and base block. So the proof serves one key, no proof of
 * a real task is an admission proof, and an admission proof is no proof of a real task.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { domainHash, type Hash, type Key, u64 } from "./ids.ts";
import { type Stage, variantOf } from "./workflow.ts";

/** Newcomers begin at heights that are multiples of this, so that attesters with different heads name one height. */
export const EPOCH_BLOCKS = 16;

/**
 * The stage whose tasks newcomers prove: the first whose proofs name their maker and that takes nothing from other stages.
 * `null` where the workflow has none. What a stage takes would have to be fetched, and its maker could withhold it.
 */
export function admissionStageOf(stages: readonly Stage[]): Stage | null {
  const isFit = (stage: Stage) => stage.takes.length === 0 && stage.countedBy === null;
  return stages.find((stage) => isFit(stage) && admissionTasksOf(stage).length > 0) ?? null;
}

/**
 * The tasks that a newcomer may choose from: those of the stage's first group whose proofs name their maker. Where the
 * stage splits, the group is the first of the smallest pieces, because a larger piece may be too large for any prover.
 */
export function admissionTasksOf(stage: Stage): readonly number[] {
  const group = stage.levels.slice(0, -1).reduce((sum, groups) => sum + groups, 0);
  const first = group * stage.variants.length;
  return stage.variants
    .map((_, at) => first + at)
    .filter((index) => stage.verify === "key" && variantOf(stage, index).payee !== "none");
}

// ADMIT-10.
/** Whom the public values of an admission proof name. Nobody has the private key of such a payee. */
export function admissionPayee(network: Hash, chain: number, prover: Key, base: Hash): Key {
  return domainHash(
    "admission",
    hexToBytes(network),
    u64(chain),
    // mutant: admission-of-anybody
    hexToBytes(prover),
    hexToBytes(base),
  );
}
