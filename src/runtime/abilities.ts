/**
 * Watches the provers of a node, and has them tried. `src/scheduler/abilities.ts` decides; this shell passes on what
 * tasks and trials come to, and sets the timer.
 */
import type { Cancel, Clock, Prover, Telemetry } from "../ports.ts";
import {
  Abilities,
  type Ability,
  type AbilityAction,
  type AbilityEvent,
  type TaskEnd,
  type TrialEnd,
  type TrialPace,
  type TrialPlan,
} from "../scheduler/abilities.ts";

export interface AbilityModules {
  readonly clock: Clock;
  readonly telemetry: Pick<Telemetry, "emit">;
  /** Runs the trial of an executor. `done` is called once, and not within this call; after a cancel it may be called as well. */
  readonly trial: (executor: string, done: (end: TrialEnd) => void) => Cancel;
  /** Called whenever a prover comes into use or goes out of it. */
  readonly changed: (executor: string, isAble: boolean) => void;
}

type Untimed<E> = E extends AbilityEvent ? Omit<E, "nowMs"> : never;

export class AbilityWatch {
  readonly #modules: AbilityModules;
  readonly #abilities: Abilities;
  #stopTrial: Cancel = () => {};
  #timer: { readonly atMs: number; readonly cancel: Cancel } | null = null;
  #closed = false;

  constructor(plans: readonly TrialPlan[], modules: AbilityModules, pace?: TrialPace) {
    this.#modules = modules;
    this.#abilities = new Abilities(plans, pace);
  }

  /** Begins the trials. */
  start(): void {
    this.#step({ kind: "started" });
  }

  list(): readonly Ability[] {
    return this.#abilities.list();
  }

  /** The same provers, whose first tasks count. */
  watch(provers: readonly Prover[]): Prover[] {
    return provers.map((prover) => ({
      ...prover,
      prove: (job, emit) => {
        const { system: executor } = prover;
        this.#step({ kind: "task-began", executor });
        let isOver = false;
        const end = (how: TaskEnd): void => {
          if (isOver) return;
          isOver = true;
          this.#step({ kind: "task-ended", executor, end: how });
        };
        const cancel = prover.prove(job, (event) => {
          if (event.kind === "proved") end({ kind: "proved", provingMs: event.provingMs });
          if (event.kind === "failed") end({ kind: "failed", fault: event.fault, disabled: event.disabled === true });
          emit(event);
        });
        return () => {
          cancel();
          end({ kind: "cancelled" });
        };
      },
    }));
  }

  close(): void {
    this.#closed = true;
    this.#stopTrial();
    this.#timer?.cancel();
    this.#timer = null;
  }

  #step(event: Untimed<AbilityEvent>): void {
    if (this.#closed) return;
    const { clock } = this.#modules;
    for (const action of this.#abilities.step({ ...event, nowMs: clock.now() })) this.#act(action);
    this.#wake();
  }

  #act(action: AbilityAction): void {
    const { telemetry, trial, changed } = this.#modules;
    switch (action.kind) {
      case "try":
        this.#stopTrial = trial(action.executor, (end) => this.#step({ kind: "trial-ended", end }));
        return;
      case "stop-trial":
        return this.#stopTrial();
      case "changed":
        return changed(action.executor, action.isAble);
      case "report-able":
        return telemetry.emit("prover.able", { prover: action.executor, provingMs: Math.round(action.provingMs) });
      case "report-unable":
        return telemetry.emit("prover.unable", { prover: action.executor, ...action.fault });
    }
  }

  #wake(): void {
    const { clock } = this.#modules;
    const atMs = this.#abilities.nextMs;
    if (this.#timer?.atMs === atMs) return;
    this.#timer?.cancel();
    this.#timer = null;
    if (atMs === null || this.#closed) return;
    const cancel = clock.after(Math.max(atMs - clock.now(), 0), () => {
      this.#timer = null;
      this.#step({ kind: "due" });
    });
    this.#timer = { atMs, cancel };
  }
}
