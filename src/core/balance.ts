/**
 * Balance between provers whose tasks turn out uneven: what a busy owner gives away to one that stands idle, and what an
 * idle one begins besides an owner that takes too long.
 *
 * Only to an owner of the next attempt that has a free slot by this node's log, so that the task starts three hops later
 * and is not handed round; and a task only so often. A task that is given back is no failure of anybody. A hedge claims
 * nothing: whoever's valid proof comes first completes the task, and the rest is wasted.
 */
import type { Key } from "../protocol/ids.ts";
import type { Stage, Variant } from "../protocol/workflow.ts";
import { openAttempt } from "./makers.ts";
import { pausedUntilMs } from "./attempts.ts";
import { isByAgreement } from "./commitments.ts";
import { wouldCount } from "./copies.ts";
import { endOf, isReleased } from "./ends.ts";
import { durationMs } from "./reclaim.ts";
import { hasHandedIn } from "./receipts.ts";
import { isIn, ownerOfAttempt } from "./standing.ts";
import type { State, Task } from "./state.ts";

/** Times that one task is given away. */
const YIELDS_MAX = 3;

/** Whether this node has the prover and the machine that a task asks for, and its proof would count; of others nobody knows. */
export function isAble(state: State, task: Task): boolean {
  const can = isAbleTo(state, task.stage, task.variant);
  // CLAIM-6.
  // mutant: claim-copies/able
  return can && wouldCount(state, task, state.options.self);
}

export function isAbleTo({ options, unable }: State, { resources: asks }: Stage, { executor }: Variant): boolean {
  if (!options.systems.includes(executor) || unable.has(executor)) return false;
  const { resources: has } = options;
  return has === undefined || (has.cpus >= asks.cpus && has.gpus >= asks.gpus && has.memoryBytes >= asks.memoryBytes);
}

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

export interface Straggler {
  readonly task: Task;
  /** The attempt to come that would be this node's. */
  readonly attempt: number;
}

/** A task that takes its owner longer than is usual, or that is stuck, and is this node's next; the lowest block's first. */
export function straggler(state: State): Straggler | null {
  let first: Straggler | null = null;
  for (const { state: stands, tasks, height } of state.live) {
    if (stands !== "open" || (first !== null && first.task.block.height <= height)) continue;
    for (const task of tasks) first = ownNext(state, task) ?? first;
  }
  return first;
}

function ownNext(state: State, task: Task): Straggler | null {
  if (task.readyMs === null || task.completeMs !== null || task.work !== null) return null;
  // Only the prover that the attempt was granted to can commit to a result.
  if (isByAgreement(task)) return null;
  const { self } = state.options;
  if (!isAble(state, task)) return null;
  const later = isLate(state, task) ? 1 : turnsStuck(state, task);
  const { number } = openAttempt(state, task);
  const attempt = number + later;
  // A proof that it handed in for the open attempt is still being looked at.
  if (later === 0 || hasHandedIn(task, self, number) || hasHandedIn(task, self, attempt)) return null;
  const known = task.attempts.get(attempt);
  const failed = known !== undefined && endOf(known, self) !== null;
  if (failed || ownerOfAttempt(state, task, attempt) !== self) return null;
  return { task, attempt };
}

function isLate(state: State, task: Task): boolean {
  const { hedgePercentile } = state.manifest.retry;
  if (hedgePercentile === null || task.proofs.size > 0) return false;
  const open = openAttempt(state, task);
  const { number, claims, claimHeardMs } = open;
  const owner = ownerOfAttempt(state, task, number);
  if (claimHeardMs === null || owner === null || owner === state.options.self) return false;
  if (!claims.has(owner) || endOf(open, owner) !== null) return false;
  const usualMs = durationMs(state, task, hedgePercentile);
  return usualMs !== null && state.nowMs - claimHeardMs > usualMs;
}

/**
 * How many owners to come had their turn with an attempt that no quorum can end: where hostile attesters keep silent and an
 * honest one has lost its journal, and takes no lock in it any more. A valid proof completes the task all the same,
 * whoever makes it; so the next owner begins once the attempt has lasted longer than any may, and the one
 * after it a limit later.
 */
function turnsStuck(state: State, task: Task): number {
  const { claimWindowMsMax } = state.manifest.json.timing;
  const { leaseMs, limitMs } = task.stage;
  const mostMs = claimWindowMsMax + leaseMs + limitMs;
  // mutant: hedge-at-once
  if (state.nowMs - (task.readyMs ?? state.nowMs) <= mostMs) return 0;
  const waitUntilMs = pausedUntilMs(openAttempt(state, task));
  if (waitUntilMs === null || state.nowMs - waitUntilMs <= mostMs) return 0;
  // mutant: no-limit/others
  return 1 + Math.floor((state.nowMs - waitUntilMs - mostMs) / limitMs);
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
      const claimants = [...attempt.claims.keys()].filter(
        (key) => endOf(attempt, key) === null && !hasHandedIn(task, key, attempt.number),
      );
      for (const key of claimants) add(key);
      const owner = attempt.claims.size === 0 ? ownerOfAttempt(state, task, attempt.number) : null;
      if (owner !== null) add(owner);
    }
  }
  return load;
}

function timesYielded(task: Task): number {
  return [...task.attempts.values()].filter(isReleased).length;
}
