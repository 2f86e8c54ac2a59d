/**
 * L2: no ready task waits for ever while an eligible prover is free. Once the faults are over that is: no longer than
 * it takes to pass over every owner that does not claim, to let what failed before it rest, and to take the task from
 * whoever claims it and goes on saying that it gets on: that may last until the absolute limit.
 */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import { type Life, type Lives, type TaskLife } from "./lives.ts";
import { placeOf } from "./place.ts";

/** Until logs have met again: a question at the slowest pace, and an answer. */
const REPAIR_MS = 10_000;
/** From this attempt on owners get more and more time, up to a minute. */
const PATIENT_ATTEMPTS = 16;
const PATIENT_MS_MAX = 60_000;
/** No clock in the simulated world is slower. */
const SLOWEST_CLOCK = 0.9;

export class Starvation {
  readonly #manifest: Manifest;
  readonly #complain: (violation: string) => void;
  /** By task: for how long nobody has claimed it while somebody could have. */
  readonly #waitedMs = new Map<TaskLife, number>();
  #lookedMs: number | null = null;
  worstMs = 0;

  constructor(manifest: Manifest, complain: (violation: string) => void) {
    this.#manifest = manifest;
    this.#complain = complain;
  }

  /** Time in which nobody could have done anything. */
  pass(nowMs: number): void {
    this.#lookedMs = nowMs;
  }

  /** Called now and then once the faults are over, with who is there to prove in which systems, and how many are not. */
  look(
    nowMs: number,
    lives: Lives,
    canonical: ReadonlySet<Hash>,
    here: ReadonlyMap<Key, readonly string[]>,
    absent: number,
  ): void {
    const sinceMs = nowMs - (this.#lookedMs ?? nowMs);
    this.#lookedMs = nowMs;
    const open = [...lives.blocks.values()].filter(
      ({ announce, closedMs }) => closedMs === null && canonical.has(announce.hash),
    );
    const ready = open
      .flatMap(({ tasks }) => tasks)
      .filter((task) => task.readyMs !== null && task.completeMs === null);
    const busy = new Set(ready.flatMap((task) => [...(task.attempts.at(-1)?.claims.keys() ?? [])]));
    const free = new Set([...here].flatMap(([key, systems]) => (busy.has(key) ? [] : systems)));
    for (const task of ready) {
      const attempt = task.attempts.at(-1);
      if (attempt === undefined) continue;
      if ([...attempt.claims.keys()].some((key) => here.has(key))) {
        this.#waitedMs.delete(task);
        continue;
      }
      const waitedMs = (this.#waitedMs.get(task) ?? 0) + (free.has(systemOf(task)) ? sinceMs : 0);
      this.#waitedMs.set(task, waitedMs);
      this.worstMs = Math.max(this.worstMs, waitedMs);
      const mostMs = this.#mostMs(task, attempt, absent);
      if (waitedMs > mostMs) this.#violation(task, attempt, waitedMs, mostMs);
    }
  }

  #mostMs(task: TaskLife, { number }: Life, absent: number): number {
    const { json, retry } = this.#manifest;
    let windowMs = json.timing.claimWindowMsMax;
    for (let at = PATIENT_ATTEMPTS; at < number && windowMs < PATIENT_MS_MAX; at++) windowMs *= 1.5;
    const failed = task.attempts.filter(({ overMs, claims }) => overMs !== null && claims.size > 0).length;
    const backoffMs = failed < 2 ? 0 : Math.min(retry.backoffMs * 2 ** (failed - 2), retry.backoffMsMax);
    // A task is in quarantine once provers fail logically, or fail often, and at no time before the first failure.
    const pauseMs = failed < 1 ? 0 : Math.min(retry.pauseMs * 2 ** (failed - 1), retry.pauseMsMax);
    const isPaused = failed >= retry.attempts || task.attempts.some(({ ends }) => hasLogical(ends));
    // Each prover that fails has a pause before its turn.
    const restMs = isPaused ? Math.max(backoffMs, (absent + 1) * pauseMs) : backoffMs;
    return REPAIR_MS + restMs + (absent + 1) * Math.min(windowMs, PATIENT_MS_MAX) + heldMs(task) / SLOWEST_CLOCK;
  }

  #violation({ block, stage, index }: TaskLife, { number }: Life, waitedMs: number, mostMs: number): void {
    const place = placeOf({ block: block.id, stage: stage.name, index }, number);
    this.#complain(
      `L2: ${place} has waited ${Math.round(waitedMs)} ms while provers were free; allowed: ${Math.round(mostMs)}`,
    );
  }
}

/** For how long claims may have kept others from the task: until the last that moved, its lease, at most the limit. */
function heldMs({ attempts, stage }: TaskLife): number {
  const held = attempts.map(({ claims }) =>
    Math.max(0, ...[...claims.values()].map(({ atMs, movedMs }) => movedMs - atMs + stage.leaseMs)),
  );
  return held.reduce((sum, ms) => sum + Math.min(ms, stage.limitMs), 0);
}

function hasLogical(ends: Life["ends"]): boolean {
  return [...ends.values()].some(({ isLogical }) => isLogical);
}

function systemOf({ stage: { variants }, index }: TaskLife): string {
  return variants[index % variants.length]?.executor ?? "";
}
