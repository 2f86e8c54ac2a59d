/**
 * A block's tasks as the graph that its workflow makes of them: what a task takes, what a group's output rests on, and
 * what is not needed any more.
 */
import { groupOf, partsOf, restsOn, type Stage, takenGroups } from "../protocol/workflow.ts";
import type { Block, StageProgress, Task } from "./state.ts";

export function progressOf(block: Block, stage: Stage): StageProgress {
  const known = block.progress.get(stage.name);
  if (known !== undefined) return known;
  const tasks = tasksOf(block, stage.name);
  const isComplete = (index: number) => tasks[index] !== undefined && tasks[index].completeMs !== null;
  const done = Array.from({ length: stage.groups }, (_, group) => restsOn(stage, group, isComplete) !== null);
  const gap = done.indexOf(false);
  const progress = { done, inOrder: gap === -1 ? done.length : gap };
  block.progress.set(stage.name, progress);
  return progress;
}

/** A task is complete, or is not any more. */
export function completionChanged({ block, stage }: Task): void {
  block.progress.delete(stage.name);
  block.content = null;
}

export function tasksOf(block: Block, stage: string): readonly Task[] {
  return block.tasksByStage.get(stage) ?? [];
}

function isStageDone(block: Block, stage: Stage): boolean {
  return progressOf(block, stage).inOrder === stage.groups;
}

/** Whether every output that the workflow asks for is there. */
export function isBlockDone(block: Block): boolean {
  return block.stages.every((stage) => isStageDone(block, stage));
}

/** Whether the block waits for it. What is not needed any more goes on, after everything else, and is recorded when it comes. */
export function isNeeded({ block, stage, index, completeMs }: Task): boolean {
  return completeMs === null && progressOf(block, stage).done[groupOf(stage, index)] !== true;
}

/** Whether other variants may make it needless. */
export function hasRivals({ stage }: Task): boolean {
  return stage.need < stage.variants.length;
}

/** The first stage whose outputs the task still waits for. */
export function missingInput({ block, stage, index }: Task): string | null {
  const group = groupOf(stage, index);
  for (const { stage: name, each } of stage.takes) {
    const taken = block.stages.find((other) => other.name === name);
    if (taken === undefined) continue;
    const { done, inOrder } = progressOf(block, taken);
    const isThere = each && !taken.sequential ? done[group] === true : inOrder >= (each ? group + 1 : taken.groups);
    if (!isThere) return name;
  }
  return null;
}

/** Tasks that may start once this one is complete. */
export function followersOf({ block, stage }: Task): readonly Task[] {
  const after = block.stages.filter(({ takes }) => takes.some((taken) => taken.stage === stage.name));
  return after.flatMap(({ name }) => tasksOf(block, name));
}

/** The tasks whose outputs this one takes, by the facts heard so far; `null` while one is missing. */
export function inputsOf({ block, stage, index }: Task, isChosen: (task: Task) => boolean): Task[] | null {
  const inputs: Task[] = [];
  for (const { stage: taken, groups } of takenGroups(block.stages, stage, groupOf(stage, index))) {
    const tasks = tasksOf(block, taken.name);
    for (const group of groups) {
      const chosen = restsOn(taken, group, (at) => tasks[at] !== undefined && isChosen(tasks[at]));
      if (chosen === null) return null;
      inputs.push(...chosen.flatMap((at) => tasks[at] ?? []));
    }
  }
  return inputs;
}

/** The public values of what the task may rest on. */
export function partsFor({ block, stage, index }: Task): readonly Uint8Array[] {
  return block.prepared === null ? [] : partsOf(block.stages, stage, index, block.prepared.values);
}
