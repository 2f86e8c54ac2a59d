/**
 * The second half of a step: looks at whatever facts or time have touched, until nothing changes, and decides what this
 * node signs and does.
 */
import type { Equation } from "../protocol/signing.ts";
import { settleBarrierVote, settleVotes } from "./attester.ts";
import * as blocks from "./blocks.ts";
import { restartWindow } from "./attempts.ts";
import * as branch from "./branch.ts";
import * as collector from "./collector.ts";
import type { Touched } from "./assertions.ts";
import { isContentOpen, settleBarrier } from "./barrier.ts";
import * as dispatcher from "./dispatcher.ts";
import * as drawing from "./drawing.ts";
import * as evidence from "./evidence.ts";
import { hasRivals, isVoid, missingInput } from "./graph.ts";
import * as lists from "./lists.ts";
import * as ownAdmission from "./own-admission.ts";
import * as ownFeed from "./own-feed.ts";
import * as ownSource from "./own-source.ts";
import { settlePause } from "./quarantine.ts";
import * as replicator from "./replicator.ts";
import { settleReveals } from "./reveals.ts";
import { settleLevel, settlePiece } from "./split.ts";
import type { State, Task } from "./state.ts";
import { applyAgain, settleAhead } from "./entries.ts";

/** What was said may be needed until the own feed is confirmed; a node that will never sign again lets go like others. */
function mayForget(state: State): boolean {
  return !ownFeed.isUnconfirmed(state);
}

/** Looks at everything that facts or time have touched, until nothing is left to look at. */
export function settle(state: State, equation: Equation, certifiedBefore: number): Touched {
  const touched: Touched = { tasks: new Set(), blocks: new Set() };
  ownFeed.settleSpeech(state);
  ownSource.settleSources(state);
  wakeDue(state);
  evidence.settleEvidence(state);
  applyAgain(state, equation);
  while (state.dirtyBlocks.size > 0 || state.dirtyTasks.size > 0) {
    for (const block of state.dirtyBlocks) {
      state.dirtyBlocks.delete(block);
      touched.blocks.add(block);
      branch.settleReturn(state, block);
      blocks.settleBlock(state, block);
      lists.settleLists(state, block);
      settleLevel(state, block);
      settleBarrier(state, block);
      settleBarrierVote(state, block);
    }
    for (const task of state.dirtyTasks) {
      state.dirtyTasks.delete(task);
      touched.tasks.add(task);
      settleAhead(state, task, equation);
      settleTask(state, task);
    }
  }
  drawing.settleDrawings(state);
  ownAdmission.announceSelf(state);
  dispatcher.settleWork(state);
  dispatcher.settleBeat(state);
  replicator.settleSync(state);
  if (state.certifiedCount !== certifiedBefore && mayForget(state)) replicator.compact(state);
  return touched;
}

function settleTask(state: State, task: Task): void {
  const { block } = task;
  task.wakeMs = null;
  if (block.certificate !== null) return settleLate(state, task);
  // Objective, and a block that is cancelled may come back.
  collector.settleCompletion(state, task);
  if (block.state === "cancelled") return;
  if (task.readyMs === null && isReady(state, task)) {
    task.readyMs = state.nowMs;
    // The claim window of the open attempt runs from here.
    for (const attempt of task.attempts.values()) restartWindow(attempt, state.nowMs);
  }
  settlePause(state, task);
  settlePiece(state, task);
  settleVotes(state, task);
  settleReveals(state, task);
  // What came once the block was closed may change what this node says of it.
  if (block.state === "closed" && isContentOpen(state, block)) state.dirtyBlocks.add(block);
}

/** A proof that the barrier did without: recorded and credited like any other, and nobody waits for it. */
function settleLate(state: State, task: Task): void {
  const { block } = task;
  if (!hasRivals(task)) return;
  collector.settleCompletion(state, task);
  if (block.prepared !== null) settleVotes(state, task);
  if (block.tasks.some(({ wakeMs }) => wakeMs !== null)) state.live.add(block);
  else state.live.delete(block);
}

function isReady(state: State, task: Task): boolean {
  const { block } = task;
  if (block.state !== "open" || block.prepared === null) return false;
  return missingInput(state, task) === null && !isVoid(task);
}

function wakeDue(state: State): void {
  for (const block of state.live) {
    if (block.wakeMs !== null && block.wakeMs <= state.nowMs) state.dirtyBlocks.add(block);
    for (const task of block.tasks) if (task.wakeMs !== null && task.wakeMs <= state.nowMs) state.dirtyTasks.add(task);
  }
}
