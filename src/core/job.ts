/** What it takes to make a task's result: for its prover, and for whoever makes it again to compare. */
import { groupOf } from "../protocol/workflow.ts";
import { chosenProof, impliedValues } from "./makers.ts";
import type { Job } from "./effect.ts";
import { inputsOf } from "./graph.ts";
import type { State, Task } from "./state.ts";

/** `null` while the block is not read or something that the task takes is missing. */
export function jobOf(state: State, task: Task, attempt: number): Job | null {
  const { block, stage, index, variant } = task;
  const values = impliedValues(task);
  const inputs = chosenInputs(state, task);
  if (block.prepared === null || values === null || inputs === null) return null;
  return {
    task: { block: block.id, stage: stage.name, index },
    attempt,
    chain: block.chain,
    height: block.height,
    hash: block.hash,
    system: variant.system,
    executor: variant.executor,
    key: variant.key,
    payload: block.payload,
    before: block.prepared.before,
    values,
    group: groupOf(stage, index),
    shards: stage.shards,
    inputs,
  };
}

/** The accepted results that the task takes, and who has them. */
function chosenInputs(state: State, task: Task): Job["inputs"] | null {
  const inputs = inputsOf(task, (input) => chosenProof(state, input) !== null);
  if (inputs === null) return null;
  return inputs.flatMap((input) => {
    const chosen = chosenProof(state, input.task);
    if (chosen === null) return [];
    const { artefact, receipts, vouchers } = chosen.proof;
    return [{ artefact, holders: [...receipts.keys(), ...vouchers.keys()], item: input.item }];
  });
}
