/**
 * When an attempt is over. All by this node's own clock: a wrong suspicion wastes proving time and nothing else, so no
 * clock is part of any safety argument.
 */
import type { Key } from "../protocol/ids.ts";
import type { Attempt, State, Task } from "./state.ts";
import { weightOf } from "./state.ts";

/** Past this many attempts the claim window grows on, so that a task nobody can prove does not flood the log. */
const PATIENT_ATTEMPTS = 16;
const PATIENT_MS_MAX = 60_000;

export type Overdue = { readonly code: string } | { readonly wakeMs: number };

/** How long the owner of an attempt has to claim it: grows 1.5 times an attempt up to the manifest's maximum. */
export function claimWindowMs(state: State, attempt: number): number {
  const { claimWindowMs: base, claimWindowMsMax: max } = state.manifest.json.timing;
  let window = base;
  for (let i = 0; i < Math.min(attempt, PATIENT_ATTEMPTS) && window < max; i++) window = Math.min(window * 1.5, max);
  for (let i = PATIENT_ATTEMPTS; i < attempt && window < PATIENT_MS_MAX; i++)
    window = Math.min(window * 1.5, PATIENT_MS_MAX);
  return Math.ceil(window);
}

/** Whether the open attempt of a ready task is over, and why; else when to look again. */
export function overdue(state: State, task: Task, attempt: Attempt, owner: Key | null): Overdue {
  const end = owner === null ? undefined : attempt.ends.get(owner);
  if (end !== undefined) return { code: end };
  if (weightOf(state, attempt.timeouts.keys()) >= state.manifest.oneHonest) return { code: "others-timed-out" };
  const openedMs = attempt.openedMs ?? state.nowMs;
  if (owner === null || !attempt.claims.has(owner) || attempt.claimedMs === null) {
    const untilMs = openedMs + claimWindowMs(state, attempt.number);
    return state.nowMs >= untilMs ? { code: "not-claimed" } : { wakeMs: untilMs };
  }
  const leaseUntilMs = Math.max(attempt.claimedMs, attempt.progress.get(owner)?.atMs ?? 0) + task.stage.leaseMs;
  if (state.nowMs >= leaseUntilMs) return { code: "no-progress" };
  const limitMs = attempt.claimedMs + task.stage.limitMs;
  return state.nowMs >= limitMs ? { code: "limit" } : { wakeMs: Math.min(leaseUntilMs, limitMs) };
}
