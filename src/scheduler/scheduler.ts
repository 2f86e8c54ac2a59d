/**
 * Decides which jobs of a machine run. The machine has slots, servers that take one job at a time, and devices, CPUs and memory.
 *
 * This file is a state machine without a clock. Its input is one event, its output the list of actions that the shell
 * (`runtime/scheduler.ts`) carries out in order.
 *
 * Jobs wait in one queue for each partition, because one partition in trouble must not delay another. The queues take
 * turns. A job begins when a slot, its server and its resources are all free. A job that finds its resources taken
 * becomes the first claimant. No other job that needs resources overtakes the first claimant, because a job for four
 * devices would otherwise wait for ever behind jobs for one.
 *
 * A waiting job reports the progress of the jobs that it may wait for. So its lease holds while the work before it moves.
 */
import type { Device } from "../ports.ts";
import type { Resources } from "../protocol/workflow.ts";
import type { Devices, Held } from "./devices.ts";

/** Jobs that may wait in one queue. */
export const QUEUE_MAX = 256;

/** What a job needs beside its slot. */
export interface Needs {
  readonly resources: Resources;
  /** The name of a server that takes one job at a time; `null` where the job needs none. */
  readonly server: string | null;
}

export interface ScheduledJob extends Needs {
  readonly id: number;
  /** The queue that the job waits in: its partition's name. */
  readonly queue: string;
  /** Whom the status of a device names as its holder. */
  readonly holder: { readonly task: string; readonly prover: string };
  /** Whether the machine works on after a job has ended or was cancelled, and reports when it is done. */
  readonly lingers: boolean;
}

export type SchedulerEvent =
  | { readonly kind: "enter"; readonly job: ScheduledJob }
  /** The running job reports the sum of its units. */
  | { readonly kind: "moved"; readonly job: number; readonly units: number }
  | { readonly kind: "ended"; readonly job: number }
  | { readonly kind: "cancelled"; readonly job: number }
  /** The machine still works on a job that has ended. */
  | { readonly kind: "lingered"; readonly job: number }
  /** Nothing of the job runs on the machine any more. */
  | { readonly kind: "vacated"; readonly job: number };

export type SchedulerAction =
  | { readonly kind: "begin"; readonly job: number; readonly devices: readonly Device[] }
  | { readonly kind: "stop"; readonly job: number }
  /** Ask the prover to report `lingered` and `vacated`. */
  | { readonly kind: "vacate"; readonly job: number }
  | { readonly kind: "progress"; readonly job: number; readonly units: number }
  | { readonly kind: "end"; readonly job: number }
  /** The queue is full. */
  | { readonly kind: "refuse"; readonly job: number };

interface Entry {
  readonly job: ScheduledJob;
  state: "queued" | "running" | "lingering";
  /** Units that the job's owner has received: those of the work before it, and its own. */
  units: number;
  /** Units of its own. */
  done: number;
  held: Held | null;
}

interface Queue {
  servedAt: number;
  readonly jobs: Entry[];
}

export class Scheduler {
  readonly #slots: number;
  readonly #devices: Devices;
  readonly #entries = new Map<number, Entry>();
  readonly #queues = new Map<string, Queue>();
  readonly #servers = new Set<string>();
  #running = 0;
  #turn = 0;
  /** The first job that found its resources taken. */
  #first: Entry | null = null;

  /** `slots`: jobs at once. The number is infinite where the core counts the slots. */
  constructor(slots: number, devices: Devices) {
    this.#slots = slots;
    this.#devices = devices;
  }

  /** Whether the job waits, runs, or has ended on a machine that works on. */
  has(job: number): boolean {
    return this.#entries.has(job);
  }

  step(event: SchedulerEvent): SchedulerAction[] {
    if (event.kind === "enter") return this.#enter(event.job);
    const entry = this.#entries.get(event.job);
    // A prover may report after the end of its job.
    if (entry === undefined) return [];
    switch (event.kind) {
      case "moved":
        return this.#moved(entry, event.units);
      case "ended":
        if (entry.state !== "running") return [];
        return [{ kind: "end", job: entry.job.id }, ...this.#leave(entry)];
      case "cancelled":
        return this.#cancelled(entry);
      case "lingered":
        return entry.state === "lingering" ? this.#progress(entry, 1) : [];
      case "vacated":
        return entry.state === "lingering" ? this.#release(entry) : [];
    }
  }

  #enter(job: ScheduledJob): SchedulerAction[] {
    const queue = this.#queues.get(job.queue) ?? { servedAt: 0, jobs: [] };
    // SLOT-5.
    if (queue.jobs.length >= QUEUE_MAX) return [{ kind: "refuse", job: job.id }];
    this.#queues.set(job.queue, queue);
    const entry: Entry = { job, state: "queued", units: 0, done: 0, held: null };
    this.#entries.set(job.id, entry);
    queue.jobs.push(entry);
    return this.#serve();
  }

  #moved(entry: Entry, units: number): SchedulerAction[] {
    if (entry.state !== "running") return [];
    const more = units - entry.done;
    entry.done = units;
    entry.units += more;
    return [...this.#progress(entry, more), { kind: "progress", job: entry.job.id, units: entry.units }];
  }

  #cancelled(entry: Entry): SchedulerAction[] {
    const { job, state } = entry;
    if (state === "running") return [{ kind: "stop", job: job.id }, ...this.#leave(entry)];
    if (state === "lingering") return [];
    const jobs = this.#queues.get(job.queue)?.jobs;
    // SLOT-2.
    // mutant: cancelled-job-waits
    jobs?.splice(jobs.indexOf(entry), 1);
    this.#entries.delete(job.id);
    // mutant: claimant-stays
    if (this.#first === entry) this.#first = null;
    // A job behind the cancelled one may be next.
    return this.#serve();
  }

  /** The slot is free at once. Devices and the server stay taken as long as the machine works on. */
  #leave(entry: Entry): SchedulerAction[] {
    // mutant: slot-kept
    this.#running--;
    entry.state = "lingering";
    // mutant: device-freed-early
    if (entry.job.lingers) return [{ kind: "vacate", job: entry.job.id }, ...this.#serve()];
    return this.#release(entry);
  }

  #release(entry: Entry): SchedulerAction[] {
    entry.held?.release();
    const { id, server } = entry.job;
    if (server !== null) this.#servers.delete(server);
    this.#entries.delete(id);
    // SLOT-3.
    // mutant: release-unserved
    return this.#serve();
  }

  /** Begins each job that can begin. */
  #serve(): SchedulerAction[] {
    const actions: SchedulerAction[] = [];
    for (let next = this.#next(); next !== null; next = this.#next()) {
      next.state = "running";
      // SLOT-1.
      // mutant: slot-uncounted
      this.#running++;
      actions.push({ kind: "begin", job: next.job.id, devices: next.held?.devices ?? [] });
    }
    return actions;
  }

  #next(): Entry | null {
    if (this.#running >= this.#slots) return null;
    for (const queue of [...this.#queues.values()].sort((a, b) => a.servedAt - b.servedAt)) {
      const at = queue.jobs.findIndex((entry) => this.#claim(entry));
      const [next] = at === -1 ? [] : queue.jobs.splice(at, 1);
      if (next === undefined) continue;
      // SLOT-4.
      // mutant: queues-unfair
      queue.servedAt = ++this.#turn;
      return next;
    }
    return null;
  }

  /** Takes the server and all resources of a job, or nothing. */
  #claim(entry: Entry): boolean {
    const { resources, server, holder } = entry.job;
    // mutant: server-shared
    if (server !== null && this.#servers.has(server)) return false;
    if (needsSome(resources)) {
      // mutant: claimant-overtaken
      if (this.#first !== null && this.#first !== entry) return false;
      entry.held = this.#devices.take(resources, holder);
      this.#first = entry.held === null ? entry : null;
      if (entry.held === null) return false;
    }
    if (server !== null) this.#servers.add(server);
    return true;
  }

  #progress(by: Entry, units: number): SchedulerAction[] {
    const actions: SchedulerAction[] = [];
    for (const { jobs } of this.#queues.values())
      for (const waiting of jobs) {
        if (!this.#mayWaitFor(waiting.job, by.job)) continue;
        waiting.units += units;
        actions.push({ kind: "progress", job: waiting.job.id, units: waiting.units });
      }
    return actions;
  }

  #mayWaitFor(waiting: Needs, by: Needs): boolean {
    if (this.#running >= this.#slots) return true;
    if (waiting.server !== null && waiting.server === by.server) return true;
    return needsSome(waiting.resources) && needsSome(by.resources);
  }
}

function needsSome({ cpus, gpus, memoryBytes }: Resources): boolean {
  return cpus > 0 || gpus > 0 || memoryBytes > 0;
}
