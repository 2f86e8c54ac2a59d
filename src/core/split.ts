/**
 * At which level a block is: in how many pieces what splits is proven.
 *
 * A block begins whole. A piece in quarantine, because provers say that it is too large or because it fails too often, opens
 * the next level; at the last one it stays in quarantine. Quarantine follows from signed facts, so nodes with the same log
 * are at the same level, and the block's certificate names that level (S6). A complete piece is in no quarantine, and a
 * level that is complete outweighs all finer ones, so a proof that comes late undoes a split and never holds up a block.
 */
import { groupOf, levelOf, type Stage } from "../protocol/workflow.ts";
import type { BlockFacts, Facts } from "./facts.ts";
import { tasksOf } from "./graph.ts";
import { touch } from "./blocks.ts";
import { wasQuarantined } from "./quarantine.ts";
import { type Block, report, type State, type Task } from "./state.ts";
import { settledChanged } from "./changes.ts";

export function settleLevel(state: State, block: Block): void {
  const splitting = block.stages.find(({ isSplit }) => isSplit);
  if (splitting === undefined || block.certificate !== null) return;
  const level = levelNow(state, block, splitting);
  if (level === block.level) return;
  const { chain, height, hash } = block;
  report(state, "block.split", { chain, height, hash, stage: splitting.name, pieces: splitting.levels[level], level });
  block.level = level;
  settledChanged(block);
  for (const task of block.tasks) {
    // Whoever owns a piece has all the time to claim it, from when it is there.
    if (task.stage.levels.length > 0 && levelOfTask(task) !== level) task.readyMs = null;
  }
  touch(state, block);
}

/** Lets the block look at its level again, once the facts put a piece into quarantine or take it out. */
export function settlePiece(state: State, task: Task): void {
  if (!task.stage.isSplit || wasQuarantined(state, task) === task.isGivenUp) return;
  task.isGivenUp = !task.isGivenUp;
  state.dirtyBlocks.add(task.block);
}

function levelNow(state: Facts, block: BlockFacts, splitting: Stage): number {
  const leveled = block.tasks.filter(({ stage }) => stage.levels.length > 0);
  const at = (level: number) => leveled.filter((task) => levelOfTask(task) === level);
  const last = splitting.levels.length - 1;
  for (let level = 0; level <= last; level++) if (at(level).every(({ output }) => output !== null)) return level;
  const isGivenUp = (level: number) =>
    tasksOf(block, splitting.name).some(
      (task) =>
        levelOfTask(task) === level &&
        task.output === null &&
        // mutant: split-unasked
        wasQuarantined(state, task),
    );
  let level = 0;
  // mutant: never-split
  while (level < last && isGivenUp(level)) level++;
  return level;
}

export function levelOfTask({ stage, index }: Pick<Task, "stage" | "index">): number {
  return levelOf(stage, groupOf(stage, index));
}
