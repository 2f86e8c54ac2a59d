/**
 * Balance between provers whose tasks turn out uneven: what a busy owner gives away to one that stands idle, and what an
 * idle one begins besides an owner that takes too long.
 *
 * Only to an owner of the next attempt that has a free slot by this node's log, so that the task starts three hops later
 * and is not handed round; and a task only so often. A task that is given back is no failure of anybody. A hedge claims
 * nothing: whoever's valid proof comes first completes the task, and the rest is wasted.
 */
import type { Key } from "../protocol/ids.ts";
import { openAttempt } from "./collector.ts";
import { isPaused } from "./failures.ts";
import { durationMs } from "./reclaim.ts";
import { isIn, ownerOfAttempt } from "./standing.ts";
import type { State, Task } from "./state.ts";

/** Times that one task is given away. */
const YIELDS_MAX = 3;

/** Those of this node's tasks, the last first, that somebody idle would start at once; each to an idle slot of its own. */
export function yieldable(state: State, tail: readonly Task[]): Task[] {
  if (tail.length === 0) return [];
  const load = loadOf(state);
  return tail.filter((task) => {
    const next = ownerOfAttempt(state, task, openAttempt(state, task).number + 1);
    if (next === null || !isIdle(state, load, next, task) || timesYielded(task) >= YIELDS_MAX) return false;
    load.set(next, (load.get(next) ?? 0) + 1);
    return true;
  });
}

/** A task that this node owns next, and whose owner has had it for longer than is usual; the lowest block's first. */
export function straggler(state: State): Task | null {
  const { hedgePercentile } = state.manifest.retry;
  if (hedgePercentile === null) return null;
  let first: Task | null = null;
  for (const { state: stands, tasks } of state.live) {
    if (stands !== "open") continue;
    const task = tasks.find((each) => isLate(state, each, hedgePercentile));
    if (task !== undefined && (first === null || task.block.height < first.block.height)) first = task;
  }
  return first;
}

function isLate(state: State, task: Task, percentile: number): boolean {
  if (task.readyMs === null || task.completeMs !== null || task.work !== null || task.proofs.size > 0) return false;
  const { self, systems } = state.options;
  const { number, claims, ends, claimHeardMs } = openAttempt(state, task);
  const owner = ownerOfAttempt(state, task, number);
  if (claimHeardMs === null || owner === null || owner === self || !claims.has(owner) || ends.has(owner)) return false;
  if (!systems.includes(task.variant.executor) || ownerOfAttempt(state, task, number + 1) !== self) return false;
  const usualMs = durationMs(state, task, percentile);
  const failed = task.attempts.get(number + 1)?.ends.has(self) === true;
  return usualMs !== null && state.nowMs - claimHeardMs > usualMs && !failed && !isPaused(state, task);
}

function isIdle(state: State, load: ReadonlyMap<Key, number>, key: Key, { block }: Task): boolean {
  const member = state.roster.get(key);
  if (member === undefined || key === state.options.self || !isIn(state, member, block.chain, block.height))
    return false;
  // An idle prover says that it is alive once a lease.
  const heard = state.nowMs - member.heardMs < 2 * state.manifest.json.timing.leaseMs;
  return heard && (load.get(key) ?? 0) < member.slots;
}

/** Tasks that each prover works on, or is about to: those it has claimed and not proven, and those it owns. */
function loadOf(state: State): Map<Key, number> {
  const load = new Map<Key, number>();
  const add = (key: Key) => load.set(key, (load.get(key) ?? 0) + 1);
  for (const block of state.live) {
    if (block.state !== "open") continue;
    for (const task of block.tasks) {
      if (task.readyMs === null || task.completeMs !== null) continue;
      const attempt = openAttempt(state, task);
      const claimants = [...attempt.claims.keys()].filter((key) => !attempt.ends.has(key) && !hasProved(task, key));
      for (const key of claimants) add(key);
      const owner = attempt.claims.size === 0 ? ownerOfAttempt(state, task, attempt.number) : null;
      if (owner !== null) add(owner);
    }
  }
  return load;
}

function hasProved(task: Task, prover: Key): boolean {
  for (const proof of task.proofs.values()) if (proof.receipts.has(prover)) return true;
  return false;
}

function timesYielded(task: Task): number {
  let times = 0;
  for (const { ends } of task.attempts.values()) if ([...ends.values()].includes("released")) times++;
  return times;
}
