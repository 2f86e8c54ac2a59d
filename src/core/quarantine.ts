/**
 * The pace of a task's attempts.
 *
 * The attempts of a task go on until a valid proof is there, owner after owner, and have no last number. The second
 * failure of a machine and each further one makes the next attempt wait a little longer. A task that has failed too often,
 * or that all able provers call unprovable, is in quarantine. Quarantine is a pace and no state that somebody has to end:
 * each failure is followed by a pause, which doubles from failure to failure. A valid proof completes the task at once,
 * whoever made it and whether or not somebody has claimed the attempt.
 *
 * Which attempt is open, whether a task is in quarantine, since which attempt, and how long its pauses are follows from
 * signed facts alone (S6). Only the clock that runs a pause is each node's own.
 */
import type { Key } from "../protocol/ids.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { pausedUntilMs, pauseUntil, restartClocks } from "./attempts.ts";
import { findTask, noTask } from "./collector.ts";
import { countFailures, type Failure, failuresFrom, isCounted } from "./failures.ts";
import { openAttempt, where } from "./makers.ts";
import { isPatient, patienceMs } from "./reclaim.ts";
import { isIn, orderOf } from "./standing.ts";
import { type Facts, isEarlier, replaceVote, type Signed, type TaskFacts } from "./facts.ts";
import { report, type State, type Task } from "./state.ts";
import { factsChanged } from "./changes.ts";

/** Why a task is in quarantine. */
export interface Reason {
  readonly code: string;
  readonly logical: boolean;
}

export interface Quarantine extends Reason {
  /** The attempt whose end has put the task into quarantine. */
  readonly since: number;
}

/** Attempts that are over and count: all, or those since operators have last requeued the task. */
export function failuresOf(state: Facts, task: TaskFacts): readonly Failure[] {
  // Asked at every look at a task, of which nearly all have their first attempt open.
  if (task.attempts.size < 2) return [];
  return failuresFrom(state, task, baseOf(state, task));
}

/**
 * The first attempt that counts: the highest that attesters who weigh more than f have requeued, so that one of them is
 * honest. More votes can only raise it.
 */
export function baseOf(state: Facts, task: TaskFacts): number {
  let weight = 0;
  for (const [key, { attempt }] of [...task.requeues].sort(([, a], [, b]) => b.attempt - a.attempt)) {
    weight += state.manifest.weights.get(key) ?? 0;
    // REQUEUE-2.
    // mutant: requeue-alone
    if (weight >= state.manifest.oneHonest) return attempt;
  }
  return 0;
}

export function quarantineOf(state: Facts, task: TaskFacts): Quarantine | null {
  const failures = failuresOf(state, task);
  if (!failures.some(isCounted)) return null;
  const able = ableToProve(state, task);
  const { attempts, logicalProvers } = state.manifest.retry;
  // One honest prover is enough (L1), so each has its turn first, whatever the manifest says.
  const countMax = Math.max(task.stage.attempts ?? attempts, able.length);
  // Provers whose last turn says nothing about the input: their machine failed, or they let the turn pass.
  const unable = new Set<Key>();
  const logical = new Map<string, Set<Key>>();
  let count = 0;
  for (const failure of failures) {
    const { attempt, prover, kind, code } = failure;
    if (prover !== null && (kind === "not-claimed" || kind === "infrastructure")) unable.add(prover);
    else if (prover !== null) unable.delete(prover);
    if (prover !== null && kind === "logical") logical.set(code, (logical.get(code) ?? new Set<Key>()).add(prover));
    for (const [each, keys] of [...logical].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const left = able.filter((key) => keys.has(key) || !unable.has(key)).length;
      // PACE-2.
      // mutant: few-logical
      if (keys.size >= Math.min(logicalProvers, left)) return { code: each, logical: true, since: attempt };
    }
    if (!isCounted(failure)) continue;
    if (++count >= countMax) return { code, logical: false, since: attempt };
  }
  return null;
}

/** Provers of the task's order that are on duty at its height. */
function ableToProve(state: Facts, task: TaskFacts): readonly Key[] {
  const { chain, height } = task.block;
  return orderOf(state, task).filter((key) => {
    const member = state.roster.get(key);
    return member !== undefined && isIn(state, member, chain, height);
  });
}

/** Whether the task is in quarantine, or was when operators requeued it. */
export function wasQuarantined(state: Facts, task: TaskFacts): boolean {
  return baseOf(state, task) > 0 || quarantineOf(state, task) !== null;
}

/** How long the open attempt waits before anybody claims it. A first failure costs nothing more than itself (L4). */
export function pauseMs(state: Facts, task: TaskFacts): number {
  const failures = failuresOf(state, task);
  const last = failures.at(-1);
  if (last === undefined) return 0;
  const { backoffMs, backoffMsMax, pauseMs: least, pauseMsMax: most } = state.manifest.retry;
  const quarantine = quarantineOf(state, task);
  if (quarantine !== null && isCounted(last)) {
    const since = failures.filter((failure) => failure.attempt > quarantine.since && isCounted(failure)).length;
    // PACE-3.
    // mutant: no-pause
    return doubled(least, since, most);
  }
  const failed = failures.filter(({ kind }) => kind === "infrastructure").length;
  // PACE-1.
  // mutant: no-back-off
  const restMs = quarantine !== null || failed < 2 ? 0 : doubled(backoffMs, failed - 2, backoffMsMax);
  return Math.max(restMs, handedRoundMs(state, task, last));
}

function doubled(ms: number, times: number, most: number): number {
  return Math.min(ms * 2 ** Math.min(times, 30), most);
}

/** Owners that give a task back one after the other, for ever, would fill the log. */
function handedRoundMs(state: Facts, task: TaskFacts, { attempt, kind }: Failure): number {
  // PACE-5.
  // mutant: released-at-once
  const isRound = isPatient(attempt) && attempt >= orderOf(state, task).length;
  return kind === "released" && isRound ? patienceMs(state, attempt) : 0;
}

/** Lets the open attempt wait for its turn, and reports a task that has come into quarantine. */
export function settlePause(state: State, task: Task): void {
  if (task.readyMs === null || task.completeMs !== null) return;
  const open = openAttempt(state, task);
  const base = baseOf(state, task);
  if (base > task.base) {
    task.base = base;
    const waitMs = pauseMs(state, task);
    restartClocks(open, state.nowMs, state.nowMs + waitMs);
    reportQuarantine(state, task, open.number, waitMs);
  }
  if (pausedUntilMs(open) === null) {
    const waitMs = pauseMs(state, task);
    pauseUntil(open, state.nowMs + waitMs);
    reportQuarantine(state, task, open.number, waitMs);
  }
  const untilMs = pausedUntilMs(open) ?? 0;
  if (untilMs > state.nowMs) task.wakeMs = untilMs;
}

function reportQuarantine(state: State, task: Task, attempt: number, waitMs: number): void {
  const quarantine = quarantineOf(state, task);
  if (quarantine === null || task.reportedSince === quarantine.since) return;
  task.reportedSince = quarantine.since;
  const { code, logical, since } = quarantine;
  const counts = countFailures(failuresOf(state, task));
  report(state, "task.quarantined", {
    ...where(task),
    attempt,
    since,
    code,
    isLogical: logical,
    pauseMs: waitMs,
    ...counts,
  });
}

export function applyRequeue(state: State, signed: Signed, entry: EntryOf<"requeue">): Refusal | null {
  const task = findTask(state, entry);
  if (task === undefined) return noTask(state, entry.block);
  const { attempt } = entry;
  const before = baseOf(state, task);
  const known = task.requeues.get(signed.author);
  // Of one author the highest attempt counts, and of several votes for that the earliest.
  if (known !== undefined && (known.attempt > attempt || (known.attempt === attempt && !isEarlier(signed, known))))
    return "vote.duplicate";
  replaceVote(task.requeues, signed.author, { ...signed, attempt });
  factsChanged(task.block);
  state.dirtyTasks.add(task);
  const base = baseOf(state, task);
  if (base > before) report(state, "task.requeued", { ...where(task), attempt: base });
  return null;
}
