/**
 * When an attempt is over. All by this node's own clock: a wrong suspicion wastes proving time and nothing else, so no
 * clock is part of any safety argument.
 */
import type { Key } from "../protocol/ids.ts";
import { claimableMs, claimOf, pausedUntilMs } from "./attempts.ts";
import { isDue, sealedIn } from "./commitments.ts";
import { endOf, JOINED, NOT_REVEALED } from "./ends.ts";
import { findProof } from "./receipts.ts";
import { revealOf } from "./soft.ts";
import type { Attempt, Member, State, Task } from "./state.ts";
import { type AttemptFacts, type Facts, weightOf } from "./facts.ts";

/** Past this many attempts the claim window grows on, so that a task nobody can prove does not flood the log. */
const PATIENT_ATTEMPTS = 16;

export function isPatient(attempt: number): boolean {
  return attempt >= PATIENT_ATTEMPTS;
}
const PATIENT_MS_MAX = 60_000;

export type Overdue = { readonly code: string } | { readonly wakeMs: number };

/** The gains of the estimate that TCP derives its time-outs from (RFC 6298). */
const MEAN_GAIN = 1 / 8;
const DEVIATION_GAIN = 1 / 4;
const DEVIATIONS = 4;

/**
 * Learns from a claim how long after its attempt had opened here it came. A machine or a link under load makes every
 * hop slow, and reclaiming what is only late adds to the load; so each prover's window follows its own claims.
 */
function learnClaimDelay(state: State, member: Member, attempt: Attempt, heardMs: number): void {
  const { claimWindowMsMax } = state.manifest.json.timing;
  const fromMs = claimableMs(attempt) ?? heardMs;
  const delayMs = Math.min(Math.max(heardMs - fromMs, 0), claimWindowMsMax);
  const { claimDelay: known } = member;
  if (known === null) {
    member.claimDelay = { meanMs: delayMs, deviationMs: delayMs / 2 };
    return;
  }
  known.deviationMs += DEVIATION_GAIN * (Math.abs(delayMs - known.meanMs) - known.deviationMs);
  known.meanMs += MEAN_GAIN * (delayMs - known.meanMs);
}

/** Durations kept of a stage. */
const DURATIONS_MAX = 64;
/** Fewer than this say nothing about what is usual. */
const DURATIONS_MIN = 8;

/**
 * Learns how long a task took from the claim of the attempt that proved it, by this node's own clock, and how late that
 * claim was. A claim without a proof teaches nothing: a prover that claims late and gives back would have ever more time.
 */
export function learnDuration(
  state: State,
  task: Task,
  { attempt, prover }: { readonly attempt: number; readonly prover: Key | null },
): void {
  const made = task.attempts.get(attempt);
  const heardMs = made?.claimHeardMs ?? null;
  if (made === undefined || heardMs === null) return;
  const member = state.roster.get(prover ?? "");
  if (member !== undefined) learnClaimDelay(state, member, made, heardMs);
  const name = stageName(task);
  state.tookMs.set(name, [...(state.tookMs.get(name) ?? []), state.nowMs - heardMs].slice(-DURATIONS_MAX));
}

/** What this many percent of the tasks of the stage took at most; `null` while too few are known. */
export function durationMs(state: State, task: Task, percentile: number): number | null {
  const known = [...(state.tookMs.get(stageName(task)) ?? [])].sort((a, b) => a - b);
  if (known.length < DURATIONS_MIN) return null;
  return known[Math.ceil((known.length * percentile) / 100) - 1] ?? null;
}

function stageName({ block, stage }: Task): string {
  return `${block.workflow}/${stage.name}`;
}

/**
 * How long the owner of an attempt has to claim it: what the manifest says, 1.5 times as long each attempt, or what its
 * earlier claims ask for; at most the manifest's maximum.
 */
export function claimWindowMs(state: State, attempt: number, owner: Key | null): number {
  const delay = (owner === null ? null : state.roster.get(owner)?.claimDelay) ?? null;
  const { claimWindowMsMax: max } = state.manifest.json.timing;
  const learnedMs = delay === null ? 0 : Math.min(delay.meanMs + DEVIATIONS * delay.deviationMs, max);
  const windowMs = Math.max(patienceMs(state, attempt), learnedMs);
  // mutant: window-too-long
  return Math.ceil(windowMs);
}

/** The claim window of an attempt by its number alone. */
export function patienceMs(state: Facts, attempt: number): number {
  const { claimWindowMs: base, claimWindowMsMax: max } = state.manifest.json.timing;
  let window = base;
  for (let i = 0; i < Math.min(attempt, PATIENT_ATTEMPTS) && window < max; i++) window = Math.min(window * 1.5, max);
  for (let i = PATIENT_ATTEMPTS; i < attempt && window < PATIENT_MS_MAX; i++)
    window = Math.min(window * 1.5, PATIENT_MS_MAX);
  return window;
}

/** Whether so many hold the attempt to be over that one of them is honest. */
export function isJoined(state: Facts, attempt: AttemptFacts): boolean {
  return weightOf(state, attempt.timeouts.keys()) >= state.manifest.oneHonest;
}

/** Whether the open attempt of a ready task is over, and why; else when to look again. */
export function overdue(state: State, task: Task, attempt: Attempt, owner: Key | null): Overdue {
  // RELEASE-1.
  // mutant: anybody-ends
  const end = owner === null ? null : endOf(attempt, owner);
  const waitUntilMs = pausedUntilMs(attempt) ?? 0;
  // TIMEOUT-2.
  if (isJoined(state, attempt)) return { code: end ?? JOINED };
  // Otherwise an owner that claims and fails during the pause would make the next pause begin, twice as long.
  // PACE-4.
  // mutant: over-in-pause
  if (state.nowMs < waitUntilMs) return { wakeMs: waitUntilMs };
  if (end !== null) return { code: end };
  const claim = claimOf(attempt);
  if (owner === null || !attempt.claims.has(owner) || claim === null) {
    const untilMs = (claimableMs(attempt) ?? state.nowMs) + claimWindowMs(state, attempt.number, owner);
    // TIMEOUT-1, L4.
    // mutant: hasty-timeout
    if (state.nowMs >= untilMs) return { code: "not-claimed" };
    return { wakeMs: untilMs };
  }
  if (attempt.commits.has(owner)) return overdueReveal(state, task, attempt, owner);
  const progressMs = Math.max(claim.claimedMs, attempt.progress.get(owner)?.atMs ?? 0);
  // mutant: lease-too-long
  const leaseUntilMs = progressMs + task.stage.leaseMs;
  // mutant: no-lease
  if (state.nowMs >= leaseUntilMs) return { code: "no-progress" };
  const limitUntilMs = claim.claimedMs + limitMs(state, task, attempt);
  // mutant: no-limit
  if (state.nowMs >= limitUntilMs) return { code: "limit" };
  return { wakeMs: Math.min(leaseUntilMs, limitUntilMs) };
}

/**
 * REVEAL-3. The same of an attempt whose owner has committed to a result. The commitment has a lease to be sealed. While other
 * provers still work the attempt has all the time; once the opening is due, it has a lease to be here.
 */
function overdueReveal(state: State, task: Task, attempt: Attempt, owner: Key): Overdue {
  const { leaseMs } = task.stage;
  const sealed = sealedIn(state, attempt);
  if (sealed?.prover !== owner) {
    const reveal = revealOf(attempt);
    reveal.sealMs ??= state.nowMs;
    const untilMs = reveal.sealMs + leaseMs;
    return state.nowMs >= untilMs ? { code: "not-sealed" } : { wakeMs: untilMs };
  }
  if (!isDue(state, task)) return { wakeMs: Number.POSITIVE_INFINITY };
  const { opened } = attempt;
  const proof = opened === null ? undefined : findProof(task, opened.artefact, owner);
  if (proof?.verdict === "valid") return { code: "not-agreed" };
  const untilMs = (attempt.reveal?.dueMs ?? state.nowMs) + leaseMs;
  // mutant: reveal-never-due
  return state.nowMs >= untilMs ? { code: NOT_REVEALED } : { wakeMs: untilMs };
}

/** An attempt may take so many times as long as 95 of 100 tasks of its stage have taken at most. */
const LIMIT_PERCENTILE = 95;
const LIMIT_TIMES = 4;

/**
 * How long the owner may take, however much progress it shows: what is usual for the stage, a lease at least, and the manifest's limit
 * at most. Each further attempt has twice as long, because the task itself may be the slow one.
 */
function limitMs(state: State, task: Task, { number }: Attempt): number {
  const { stage } = task;
  const usualMs = durationMs(state, task, LIMIT_PERCENTILE);
  if (usualMs === null) return stage.limitMs;
  const measuredMs = Math.max(LIMIT_TIMES * usualMs, stage.leaseMs) * 2 ** Math.min(number, 30);
  return Math.min(measuredMs, stage.limitMs);
}
