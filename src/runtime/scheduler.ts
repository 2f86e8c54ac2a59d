/**
 * The provers of one node, as they share its machine. `src/scheduler/scheduler.ts` decides; this shell calls the provers
 * and passes on what they emit.
 */
import type { Cancel, Device, ProveEvent, ProveJob, Prover } from "../ports.ts";
import type { Devices } from "../scheduler/devices.ts";
import { type Needs, QUEUE_MAX, Scheduler, type SchedulerAction, type SchedulerEvent } from "../scheduler/scheduler.ts";

/** A prover, and what each of its jobs needs. A prover that may throw is guarded before. */
export interface ScheduledProver extends Needs {
  readonly prover: Prover;
  /** Whether its jobs receive the list of their devices. */
  readonly counted: boolean;
}

interface Run {
  readonly prover: Prover;
  readonly job: ProveJob;
  readonly counted: boolean;
  readonly emit: (event: ProveEvent) => void;
  stop: Cancel | null;
  /** The event that ended the job, until it is passed on. */
  last: ProveEvent | null;
  isCancelled: boolean;
}

export class ProverScheduler {
  readonly #provers: readonly ScheduledProver[];
  readonly #scheduler: Scheduler;
  readonly #runs = new Map<number, Run>();
  readonly #actions: SchedulerAction[] = [];
  #isActing = false;
  #nextId = 0;

  /** `slots`: jobs at once, where several partitions share the machine. Otherwise the core counts, and it is infinite. */
  constructor(provers: readonly ScheduledProver[], slots: number, devices: Devices) {
    this.#provers = provers;
    this.#scheduler = new Scheduler(slots, devices);
  }

  /** The provers of one partition. Their owner closes the inner provers. */
  for(partition: string | null): Prover[] {
    return this.#provers.map((scheduled) => ({
      system: scheduled.prover.system,
      slots: scheduled.prover.slots,
      prove: (job, emit) => this.#enter(partition ?? "", scheduled, job, emit),
      close: () => Promise.resolve(),
    }));
  }

  #enter(queue: string, scheduled: ScheduledProver, job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
    const id = this.#nextId++;
    const { prover, counted, resources, server } = scheduled;
    const { chain, height, stage, index } = job.id;
    const holder = { task: `${chain}/${height}/${stage}/${index}`, prover: prover.system };
    const run: Run = { prover, job, counted, emit, stop: null, last: null, isCancelled: false };
    this.#runs.set(id, run);
    const lingers = prover.vacate !== undefined;
    this.#step({ kind: "enter", job: { id, queue, resources, server, holder, lingers } });
    return () => {
      if (run.isCancelled) return;
      run.isCancelled = true;
      this.#step({ kind: "cancelled", job: id });
      // The job had not begun, so no action names it any more.
      if (!this.#scheduler.has(id)) this.#runs.delete(id);
    };
  }

  #step(event: SchedulerEvent): void {
    this.#actions.push(...this.#scheduler.step(event));
    // A prover may answer within the call. The actions of its answer follow those that are under way.
    if (this.#isActing) return;
    this.#isActing = true;
    try {
      for (let next = this.#actions.shift(); next !== undefined; next = this.#actions.shift()) this.#act(next);
    } finally {
      this.#isActing = false;
    }
  }

  #act(action: SchedulerAction): void {
    const run = this.#runs.get(action.job);
    if (run === undefined) return;
    switch (action.kind) {
      case "begin":
        return this.#begin(action.job, run, action.devices);
      case "stop":
        run.stop?.();
        return this.#over(action.job, run);
      case "progress":
        if (!run.isCancelled) run.emit({ kind: "progress", units: action.units });
        return;
      case "end":
        this.#over(action.job, run);
        if (run.last !== null && !run.isCancelled) run.emit(run.last);
        return;
      case "vacate":
        this.#runs.delete(action.job);
        return run.prover.vacate?.(
          () => this.#step({ kind: "lingered", job: action.job }),
          () => this.#step({ kind: "vacated", job: action.job }),
        );
      case "refuse":
        this.#runs.delete(action.job);
        return this.#refuse(run);
    }
  }

  #begin(id: number, run: Run, devices: readonly Device[]): void {
    if (run.isCancelled) return;
    const { prover, job, counted } = run;
    run.stop = prover.prove(counted ? { ...job, devices } : job, (event) => {
      if (event.kind === "progress") return this.#step({ kind: "moved", job: id, units: event.units });
      run.last = event;
      this.#step({ kind: "ended", job: id });
    });
  }

  /** A prover whose machine works on is still asked when it is done. */
  #over(id: number, { prover }: Run): void {
    if (prover.vacate === undefined) this.#runs.delete(id);
  }

  /** On a later turn, because its caller does not have the cancel yet. */
  #refuse(run: Run): void {
    const fault = { code: "prover.busy", message: `${QUEUE_MAX} jobs of this partition wait for the machine` };
    queueMicrotask(() => {
      if (!run.isCancelled) run.emit({ kind: "failed", logical: false, fault });
    });
  }
}
