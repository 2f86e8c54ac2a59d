/**
 * Judges when the provers of one node are tried. The judge shares no code with the node. A prover that is unable is tried
 * again after its pause, one trial runs at a time, and no trial runs beside a task of the same prover.
 */
import type { TrialPace } from "../../../src/scheduler/abilities.ts";

interface Known {
  isAble: boolean;
  failures: number;
  /** Since when the prover waits for its next trial, with nothing in the way; `null` while it waits for none. */
  waitsMs: number | null;
  running: number;
}

export class AbilityJudge {
  readonly #pace: TrialPace;
  readonly #uses: ReadonlyMap<string, readonly string[]>;
  readonly #complain: (violation: string) => void;
  readonly #known = new Map<string, Known>();
  #trial: { readonly executor: string; readonly sinceMs: number; isStopped: boolean } | null = null;
  #nowMs = 0;

  /** `uses`: the executors that run in the trial of each. */
  constructor(
    uses: ReadonlyMap<string, readonly string[]>,
    pace: TrialPace,
    nowMs: number,
    complain: (violation: string) => void,
  ) {
    this.#uses = uses;
    this.#pace = pace;
    this.#complain = complain;
    this.#nowMs = nowMs;
    for (const executor of uses.keys())
      this.#known.set(executor, { isAble: true, failures: 0, waitsMs: null, running: 0 });
  }

  get trial(): string | null {
    return this.#trial?.executor ?? null;
  }

  isAble(executor: string): boolean {
    return this.#known.get(executor)?.isAble ?? true;
  }

  tried(executor: string, nowMs: number): void {
    this.pass(nowMs);
    // TRIAL-2.
    if (this.#trial !== null) this.#complain(`M6: ${executor} is tried beside ${this.#trial.executor}`);
    for (const used of this.#uses.get(executor) ?? [])
      if ((this.#known.get(used)?.running ?? 0) > 0)
        this.#complain(`M6: ${executor} is tried while ${used} has a task`);
    this.#trial = { executor, sinceMs: nowMs, isStopped: false };
    const known = this.#known.get(executor);
    if (known !== undefined) known.waitsMs = null;
  }

  stopped(): void {
    if (this.#trial !== null) this.#trial.isStopped = true;
  }

  /** `isFault`: it failed by its own fault, and was not stopped. */
  trialEnded(isFault: boolean, nowMs: number): void {
    this.pass(nowMs);
    const trial = this.#trial;
    this.#trial = null;
    const known = trial === null ? undefined : this.#known.get(trial.executor);
    if (known === undefined) return;
    if (isFault) known.failures++;
    else if (known.isAble) known.failures = 0;
    if (!known.isAble) known.waitsMs = nowMs;
  }

  taskBegan(executor: string, nowMs: number): void {
    this.pass(nowMs);
    const known = this.#known.get(executor);
    if (known !== undefined) known.running++;
  }

  /** To be called when the node has done all that it does after a task began. */
  settled(executor: string): void {
    const trial = this.#trial;
    if (trial !== null && !trial.isStopped && this.#uses.get(trial.executor)?.includes(executor) === true)
      this.#complain(`M6: the trial of ${trial.executor} goes on beside a task of ${executor}`);
  }

  taskEnded(executor: string, nowMs: number): void {
    this.pass(nowMs);
    const known = this.#known.get(executor);
    if (known !== undefined) known.running--;
  }

  changed(executor: string, isAble: boolean, nowMs: number): void {
    const known = this.#known.get(executor);
    if (known === undefined) return;
    // TRIAL-3.
    if (known.isAble === isAble) this.#complain(`M7: ${executor} is reported ${isAble ? "able" : "unable"} twice`);
    known.isAble = isAble;
    if (isAble) known.failures = 0;
    else known.failures = 1;
    known.waitsMs = isAble ? null : nowMs;
  }

  /** A task of an unable prover failed. */
  failedAgain(executor: string, nowMs: number): void {
    const known = this.#known.get(executor);
    if (known === undefined || known.isAble) return;
    known.failures++;
    known.waitsMs = nowMs;
  }

  /** The time is now. A trial or a task in the way does not count as waiting, nor does a process that stands still. */
  pass(nowMs: number, isFrozen = false): void {
    const passedMs = nowMs - this.#nowMs;
    this.#nowMs = nowMs;
    for (const [executor, known] of this.#known) {
      if (known.waitsMs === null) continue;
      const uses = this.#uses.get(executor) ?? [];
      // Another's trial comes first, and a task at work puts the trial off by another quiet time.
      const isHeld = isFrozen || this.#trial !== null || uses.some((each) => (this.#known.get(each)?.running ?? 0) > 0);
      const isBlocked = uses.some((each) => each !== executor && !this.isAble(each));
      if (isHeld || isBlocked) known.waitsMs += passedMs;
      const { retryMsMin, retryMsMax, quietMs } = this.#pace;
      const pauseMs = Math.min(retryMsMin * 2 ** Math.max(known.failures - 1, 0), retryMsMax);
      const mostMs = pauseMs + 2 * quietMs;
      if (nowMs - known.waitsMs <= mostMs) continue;
      // TRIAL-1.
      this.#complain(`M5: ${executor} is unable and has waited ${Math.round(nowMs - known.waitsMs)} ms for a trial`);
      known.waitsMs = nowMs;
    }
  }
}
