/**
 * Decides which provers of a node are in use, and when each is tried.
 *
 * This file is a state machine without a clock and without provers. Each event brings the time. The shell
 * (`runtime/abilities.ts`) carries out the actions.
 *
 * A prover begins untried. A trial runs at once, and warms up what proves. A trial that takes the proofs of other tasks
 * waits until the node is quiet. A real task is as good as a trial and comes first: it ends the trial that runs, and its
 * result counts in the trial's place. So no task waits for a trial, and a prover that does not work loses one task at most.
 *
 * A prover that failed is unable: the core claims nothing for it. It is tried again after a pause that grows. A prover
 * that worked once is not tried any more, because leases and quotas of the network judge it. The exception is a prover
 * that reports that it can begin no task now (`disabled`): it is unable until a trial works again.
 */
import type { Fault } from "../ports.ts";

export type AbilityState = "untried" | "trying" | "able" | "unable";

/** How long trials wait. */
export interface TrialPace {
  /** Before a trial for which the proofs of other tasks have to be made, or which a real task has stopped. */
  readonly quietMs: number;
  /** After the first failure. Each further one doubles the pause. */
  readonly retryMsMin: number;
  readonly retryMsMax: number;
}

export const TRIAL_PACE: TrialPace = { quietMs: 20_000, retryMsMin: 30_000, retryMsMax: 3_600_000 };

/** What a trial of a prover takes. */
export interface TrialPlan {
  readonly executor: string;
  /** The executors that run in the trial; `null` where no trial would show anything. */
  readonly uses: readonly string[] | null;
  /** Whether the proofs of other tasks have to be made first. */
  readonly takesOthers: boolean;
}

export type TaskEnd =
  | { readonly kind: "proved"; readonly provingMs: number }
  | { readonly kind: "failed"; readonly fault: Fault; readonly disabled: boolean }
  | { readonly kind: "cancelled" };

export type TrialEnd =
  | { readonly kind: "proved"; readonly provingMs: number }
  /** `at`: the executor that made the last task of the trial; `null` before the first. */
  | { readonly kind: "failed"; readonly fault: Fault; readonly at: string | null };

export type AbilityEvent = { readonly nowMs: number } & (
  | { readonly kind: "started" }
  | { readonly kind: "task-began"; readonly executor: string }
  | { readonly kind: "task-ended"; readonly executor: string; readonly end: TaskEnd }
  | { readonly kind: "trial-ended"; readonly end: TrialEnd }
  /** The time of `nextMs` has come. */
  | { readonly kind: "due" }
);

export type AbilityAction =
  | { readonly kind: "try"; readonly executor: string }
  | { readonly kind: "stop-trial" }
  /** A prover comes into use or goes out of it. */
  | { readonly kind: "changed"; readonly executor: string; readonly isAble: boolean }
  | { readonly kind: "report-able"; readonly executor: string; readonly provingMs: number }
  | { readonly kind: "report-unable"; readonly executor: string; readonly fault: Fault };

export interface Ability {
  readonly executor: string;
  readonly state: AbilityState;
  /** Why the prover is unable. */
  readonly fault: Fault | null;
  /** Trials and first tasks in a row that have failed. */
  readonly failures: number;
  /** When the prover is tried again; `null` while no trial is planned. */
  readonly retryMs: number | null;
}

type Entry = {
  -readonly [K in keyof Ability]: Ability[K];
} & {
  readonly plan: TrialPlan;
  /** Real tasks that run now. */
  running: number;
  /** The message that was reported last. Each is reported once. */
  reported: string | null;
};

export class Abilities {
  readonly #pace: TrialPace;
  readonly #entries: ReadonlyMap<string, Entry>;
  /** Provers whose trial is due. One trial runs at a time, because two would each take twice as long. */
  readonly #due = new Set<Entry>();
  #trial: { readonly entry: Entry; isStopped: boolean } | null = null;

  constructor(plans: readonly TrialPlan[], pace: TrialPace = TRIAL_PACE) {
    this.#pace = pace;
    this.#entries = new Map(
      plans.map((plan) => {
        const { executor } = plan;
        const rest = { state: "untried", fault: null, failures: 0, retryMs: null, running: 0, reported: null } as const;
        return [executor, { executor, plan, ...rest }];
      }),
    );
  }

  list(): readonly Ability[] {
    return [...this.#entries.values()];
  }

  /** When the next trial is due; `null` where none is planned. */
  get nextMs(): number | null {
    const times = [...this.#entries.values()].flatMap(({ retryMs }) => retryMs ?? []);
    return times.length === 0 ? null : Math.min(...times);
  }

  step(event: AbilityEvent): AbilityAction[] {
    return [...this.#decide(event), ...this.#tryNext(event.nowMs)];
  }

  #decide(event: AbilityEvent): AbilityAction[] {
    switch (event.kind) {
      case "started":
        for (const entry of this.#entries.values()) this.#begin(entry, event.nowMs);
        return [];
      case "task-began":
        return this.#taskBegan(event.executor);
      case "task-ended":
        return this.#taskEnded(event.executor, event.end, event.nowMs);
      case "trial-ended":
        return this.#trialEnded(event.end, event.nowMs);
      case "due":
        for (const entry of this.#entries.values()) {
          if (entry.retryMs === null || entry.retryMs > event.nowMs) continue;
          entry.retryMs = null;
          this.#due.add(entry);
        }
        return [];
    }
  }

  #begin(entry: Entry, nowMs: number): void {
    if (entry.plan.uses === null) return;
    if (entry.plan.takesOthers) entry.retryMs = nowMs + this.#pace.quietMs;
    else this.#due.add(entry);
  }

  #taskBegan(executor: string): AbilityAction[] {
    const entry = this.#entries.get(executor);
    if (entry !== undefined) entry.running++;
    const trial = this.#trial;
    if (trial === null || trial.isStopped || trial.entry.plan.uses?.includes(executor) !== true) return [];
    trial.isStopped = true;
    return [{ kind: "stop-trial" }];
  }

  #taskEnded(executor: string, end: TaskEnd, nowMs: number): AbilityAction[] {
    const entry = this.#entries.get(executor);
    if (entry === undefined) return [];
    entry.running--;
    if (end.kind === "cancelled") return [];
    const isBroken = end.kind === "failed" && end.disabled;
    if (entry.state === "able" && !isBroken) return [];
    return end.kind === "proved" ? this.#succeeded(entry, end.provingMs) : this.#failed(entry, end.fault, nowMs);
  }

  #trialEnded(end: TrialEnd, nowMs: number): AbilityAction[] {
    const trial = this.#trial;
    if (trial === null) return [];
    this.#trial = null;
    const { entry, isStopped } = trial;
    if (end.kind === "proved") return this.#succeeded(entry, end.provingMs);
    // A task that ended meanwhile has shown more than the trial.
    if (entry.state !== "trying") return [];
    // A prover is not at fault where another one could not make what the trial takes.
    if (!isStopped && (end.at === null || end.at === entry.executor)) return this.#failed(entry, end.fault, nowMs);
    entry.state = entry.fault === null ? "untried" : "unable";
    entry.retryMs = nowMs + this.#pace.quietMs;
    return [];
  }

  #tryNext(nowMs: number): AbilityAction[] {
    const actions: AbilityAction[] = [];
    // TRIAL-2.
    // mutant: two-trials
    if (this.#trial !== null) return actions;
    for (const next of this.#due) {
      this.#due.delete(next);
      if (next.state === "able") continue;
      const { uses } = next.plan;
      if (uses === null) actions.push(...this.#untry(next));
      else if (uses.some((executor) => this.#isBusy(executor, next))) next.retryMs = nowMs + this.#pace.quietMs;
      else {
        next.state = "trying";
        this.#trial = { entry: next, isStopped: false };
        actions.push({ kind: "try", executor: next.executor });
        return actions;
      }
    }
    return actions;
  }

  /** Whether the prover works on a real task, or is another one that has not shown yet that it works. */
  #isBusy(executor: string, of: Entry): boolean {
    const entry = this.#entries.get(executor);
    if (entry === undefined) return false;
    // mutant: trial-beside-task
    if (entry.running > 0) return true;
    return entry !== of && entry.state !== "able";
  }

  /** The next task of the prover is its next trial. */
  #untry(entry: Entry): AbilityAction[] {
    const wasUnable = entry.fault !== null;
    entry.state = "untried";
    entry.fault = null;
    return wasUnable ? [{ kind: "changed", executor: entry.executor, isAble: true }] : [];
  }

  #succeeded(entry: Entry, provingMs: number): AbilityAction[] {
    const { executor, fault } = entry;
    Object.assign(entry, { state: "able", fault: null, failures: 0, retryMs: null, reported: null });
    const report: AbilityAction = { kind: "report-able", executor, provingMs };
    // TRIAL-3.
    // mutant: recovery-unreported
    return fault === null ? [report] : [report, { kind: "changed", executor, isAble: true }];
  }

  #failed(entry: Entry, fault: Fault, nowMs: number): AbilityAction[] {
    const { executor, fault: before, reported } = entry;
    const { retryMsMin, retryMsMax } = this.#pace;
    entry.state = "unable";
    entry.fault = fault;
    entry.failures++;
    // The pause counts from this failure, though a trial was due before.
    this.#due.delete(entry);
    // TRIAL-1.
    // mutant: unable-for-ever
    entry.retryMs = nowMs + Math.min(retryMsMin * 2 ** (entry.failures - 1), retryMsMax);
    entry.reported = fault.message;
    const actions: AbilityAction[] = [];
    if (reported !== fault.message) actions.push({ kind: "report-unable", executor, fault });
    if (before === null) actions.push({ kind: "changed", executor, isAble: false });
    return actions;
  }
}
