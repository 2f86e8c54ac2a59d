/** What it takes to make a task's result, for its prover and for whoever makes it again to compare; and to have it verified. */
import type { Key } from "../protocol/ids.ts";
import { NOBODY } from "../protocol/payee.ts";
import { chainIdOf } from "../protocol/manifest.ts";
import { groupOf, shardOf } from "../protocol/workflow.ts";
import { chosenProof, impliedValues } from "./makers.ts";
import type { Job } from "./effect.ts";
import { inputsOf, partsFor } from "./graph.ts";
import type { Receipt } from "./facts.ts";
import type { Proof, State, Task } from "./state.ts";

/** `null` while the block is not read or something that the task takes is missing. */
export function jobOf(state: State, task: Task, attempt: number): Job | null {
  const { block, stage, index, variant } = task;
  const { self } = state.options;
  const values = impliedValues(task, self);
  const inputs = chosenInputs(state, task);
  const shard = shardOf(stage, groupOf(stage, index));
  if (block.prepared === null || values === null || inputs === null) return null;
  return {
    task: { block: block.id, stage: stage.name, index },
    attempt,
    chain: block.chain,
    height: block.height,
    hash: block.hash,
    parent: block.parent,
    chainId: chainIdOf(state.manifest, block.chain),
    system: variant.system,
    statement: variant.statement,
    payee: variant.payee,
    executor: variant.executor,
    key: variant.key,
    payload: block.payload,
    before: block.prepared.before,
    prover: self,
    values,
    group: shard?.at ?? groupOf(stage, index),
    shards: shard?.of ?? 0,
    isCommitted: stage.verify === "agree",
    isAdmission: false,
    inputs,
  };
}

export interface Asked {
  readonly values: Uint8Array;
  /** What says how long the proof is, and may carry it. */
  readonly receipt: Receipt | undefined;
  readonly recompute: Job | null;
  /** Who may have it, besides whoever has handed it in or vouches for it. */
  readonly holders: readonly Key[];
  /** Authors of whom one pays for the verification; nobody pays where there are none. */
  readonly payers: readonly Key[];
}

/** Has a proof verified, once: the verdict comes as an event. */
export function askToVerify(state: State, task: Task, proof: Proof, asked: Asked): void {
  const { block, stage, index, variant } = task;
  const { receipt, holders, ...given } = asked;
  proof.asked = true;
  state.effects.push({
    kind: "verify",
    ...given,
    task: { block: block.id, stage: stage.name, index },
    artefact: proof.artefact,
    maker: proof.maker,
    candidate: null,
    bytes: receipt?.bytes ?? state.manifest.json.limits.proofBytesMax,
    inline: receipt?.inline ?? new Uint8Array(),
    system: variant.system,
    statement: variant.statement,
    payee: variant.payee,
    about: {
      chainId: chainIdOf(state.manifest, block.chain),
      height: block.height,
      hash: block.hash,
      parent: block.parent,
    },
    key: variant.key,
    parts: partsFor(task),
    holders: [...new Set([...proof.receipts.keys(), ...proof.vouchers.keys(), ...holders])],
    isProven: stage.verify !== "agree",
    itemsMax: stage.itemsMax,
  });
}

/** The accepted results that the task takes, and who has them. */
function chosenInputs(state: State, task: Task): Job["inputs"] | null {
  const inputs = inputsOf(task, (input) => chosenProof(state, input) !== null);
  if (inputs === null) return null;
  return inputs.flatMap((input) => {
    const chosen = chosenProof(state, input.task);
    if (chosen === null) return [];
    const { artefact, receipts, vouchers } = chosen.proof;
    const maker = chosen.made.prover ?? NOBODY;
    return [{ artefact, maker, holders: [...receipts.keys(), ...vouchers.keys()], item: input.item }];
  });
}
