/**
 * A block's tasks as the graph that its workflow makes of them: what a task takes, what a group's output rests on, and
 * what is not needed any more.
 */
import {
  groupCount,
  groupOf,
  groupsAt,
  levelOf,
  partsOf,
  restsOf,
  type Stage,
  takenGroups,
} from "../protocol/workflow.ts";
import type { BlockFacts, Facts, TaskFacts } from "./facts.ts";
import type { Task } from "./state.ts";
import { settledChanged } from "./changes.ts";
import { see, type View } from "./views.ts";

/** Which groups of a stage have their output. */
interface StageProgress {
  readonly done: readonly boolean[];
  /** As many from the first on without a gap. */
  readonly inOrder: number;
  readonly isAll: boolean;
}

const PROGRESS: View<StageProgress> = {
  name: "the progress",
  inputsOf: (_, { changes }) => [changes.settled],
  compute: (_, block, name) => foldProgress(block, name),
};

export function progressOf(state: Facts, block: BlockFacts, stage: Stage): StageProgress {
  return see(state, block, PROGRESS, stage.name);
}

function foldProgress(block: BlockFacts, name: string): StageProgress {
  const stage = block.stages.find((each) => each.name === name);
  if (stage === undefined) return { done: [], inOrder: 0, isAll: false };
  const tasks = tasksOf(block, stage.name);
  const length = groupCount(stage, block.counts);
  const done = restsOf(stage, length ?? 0, (index) => tasks[index]?.output ?? null).map((rests) => rests !== null);
  const gap = groupsAt(stage, block.counts, block.level)?.find((group) => done[group] !== true);
  return { done, inOrder: gap ?? done.length, isAll: length !== null && gap === undefined };
}

/** A task is complete, or is not any more. */
export function completionChanged({ block, stage, completeMs }: Task): void {
  settledChanged(block);
  if (stage.itemsMax === 0 || completeMs !== null) return;
  block.lists.delete(stage.name);
  block.counts.delete(stage.name);
}

export function tasksOf<T extends TaskFacts>(
  block: { readonly tasksByStage: ReadonlyMap<string, readonly T[]> },
  stage: string,
): readonly T[] {
  return block.tasksByStage.get(stage) ?? [];
}

function isStageDone(state: Facts, block: BlockFacts, stage: Stage): boolean {
  return progressOf(state, block, stage).isAll;
}

/** Whether every output that the workflow asks for is there. */
export function isBlockDone(state: Facts, block: BlockFacts): boolean {
  return block.stages.every((stage) => isStageDone(state, block, stage));
}

/**
 * Whether the block has no such task, as far as is known: those of a stage that is counted by another's output, and those
 * of every level, are made ahead.
 */
export function isVoid({ block, stage, index }: TaskFacts): boolean {
  const count = groupCount(stage, block.counts);
  const group = groupOf(stage, index);
  return count === null || group >= count || (stage.levels.length > 0 && levelOf(stage, group) !== block.level);
}

/** Whether the block waits for it. What is not needed any more goes on, after everything else, and is recorded when it comes. */
export function isNeeded(state: Facts, task: TaskFacts): boolean {
  const { block, stage, index, output } = task;
  return output === null && !isVoid(task) && progressOf(state, block, stage).done[groupOf(stage, index)] !== true;
}

/** Whether other variants, or another level, may make it needless. */
export function hasRivals({ stage }: TaskFacts): boolean {
  return stage.need < stage.variants.length || stage.levels.length > 0;
}

/** The first stage whose outputs the task still waits for. */
export function missingInput(state: Facts, { block, stage, index }: TaskFacts): string | null {
  const group = groupOf(stage, index);
  for (const { stage: name, how } of stage.takes) {
    const taken = block.stages.find((other) => other.name === name);
    if (taken === undefined) continue;
    const { done, inOrder, isAll } = progressOf(state, block, taken);
    const isThere = how !== "each" ? isAll : taken.sequential ? inOrder > group : done[group] === true;
    if (!isThere) return name;
  }
  return groupCount(stage, block.counts) === null ? stage.countedBy : null;
}

/** Tasks that may start once this one is complete. */
export function followersOf({ block, stage }: Task): readonly Task[] {
  const after = block.stages.filter(({ takes }) => takes.some((taken) => taken.stage === stage.name));
  return after.flatMap(({ name }) => tasksOf(block, name));
}

/** A task whose output another takes, or which item of it. */
export interface Input {
  readonly task: Task;
  readonly item: number | null;
}

/** What the task takes, by the facts heard so far; `null` while something is missing. */
export function inputsOf({ block, stage, index }: Task, isChosen: (task: Task) => boolean): Input[] | null {
  const inputs: Input[] = [];
  for (const { stage: taken, groups, item } of takenGroups(block.stages, stage, groupOf(stage, index), block.counts)) {
    const tasks = tasksOf(block, taken.name);
    const outputOf = (at: number) => (tasks[at] !== undefined && isChosen(tasks[at]) ? tasks[at].output : null);
    const rests = restsOf(taken, groupCount(taken, block.counts) ?? 0, outputOf);
    for (const group of groups) {
      const chosen = rests[group] ?? null;
      if (chosen === null) return null;
      for (const at of chosen) if (tasks[at] !== undefined) inputs.push({ task: tasks[at], item });
    }
  }
  return inputs;
}

/** The public values of what the task may rest on. */
export function partsFor({ block, stage, index }: TaskFacts): readonly Uint8Array[] {
  return block.prepared === null ? [] : partsOf(block.stages, stage, index, block.prepared.values, block.counts);
}
