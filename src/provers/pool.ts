/**
 * Work off the network's thread: worker threads behind a bounded queue, under a deadline.
 *
 * A worker that overruns its deadline or dies is replaced. Its job fails by the deadline at once, and by a death only
 * after a second worker died of it as well, for one death may be another job's doing. The deadline begins when the worker
 * has loaded its libraries: on a busy machine that takes longer than any job, and a worker that is replaced for it would
 * never be warm.
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Cancel, Done, Fault, Result } from "../ports.ts";
import type { Answer, Ready, WorkerData, WorkerRequest } from "./worker.ts";

export interface PoolOptions {
  readonly size: number;
  readonly queueMax: number;
  readonly deadlineMs: number;
  readonly data: WorkerData;
}

export interface Pool {
  /** The deadline is the pool's unless the job has one of its own. */
  run<T>(request: WorkerRequest, done: Done<T>, deadlineMs?: number): Cancel;
  close(): Promise<void>;
}

interface Job {
  readonly request: WorkerRequest;
  readonly done: Done<unknown>;
  readonly deadlineMs: number;
  deaths: number;
  cancelled: boolean;
}

interface Seat {
  /** `null` after a death, until there is a job: a worker that cannot start must not be started in a circle. */
  worker: Worker | null;
  isReady: boolean;
  job: Job | null;
  timer: NodeJS.Timeout | null;
}

/** Deaths of workers that one job may cause before it is given up. */
const DEATHS_MAX = 2;
/** Far above what a block of the largest size needs. */
const HEAP_MIB_MAX = 512;

/** For loading everything on the busiest machine that is worth waiting for. */
const START_MS_MAX = 60_000;

const PROGRAM = new URL(`worker${extname(import.meta.url)}`, import.meta.url);

export function createPool(options: PoolOptions): Pool {
  const queue: Job[] = [];
  const seats: Seat[] = [];
  let closed = false;

  const settle = (seat: Seat, result: Result<unknown>): void => {
    const { job } = seat;
    if (seat.timer !== null) clearTimeout(seat.timer);
    seat.timer = null;
    seat.job = null;
    fill();
    if (job !== null && !job.cancelled && !closed) job.done(result);
  };
  const replace = (seat: Seat): void => {
    const { worker } = seat;
    seat.worker = start(seat);
    void worker?.terminate();
  };
  const start = (seat: Seat): Worker => {
    const worker = new Worker(PROGRAM, {
      workerData: options.data,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    });
    let reason = "it ended";
    seat.isReady = false;
    worker.on("message", (answer: Answer | Ready) => {
      if (seat.worker !== worker) return;
      if (answer !== "ready") return settle(seat, answer);
      seat.isReady = true;
      if (seat.job !== null) limit(seat, seat.job);
    });
    worker.on("error", (error: unknown) => {
      reason = error instanceof Error ? error.message : String(error);
    });
    worker.on("exit", () => {
      if (seat.worker !== worker || closed) return;
      const { job } = seat;
      seat.worker = null;
      if (job !== null && ++job.deaths < DEATHS_MAX && !job.cancelled) {
        seat.job = null;
        if (seat.timer !== null) clearTimeout(seat.timer);
        queue.unshift(job);
        fill();
      } else {
        settle(seat, { ok: false, fault: fault("verifier.crashed", `a worker died of this job: ${reason}`) });
      }
    });
    return worker;
  };
  const limit = (seat: Seat, job: Job): void => {
    if (seat.timer !== null) clearTimeout(seat.timer);
    const ms = seat.isReady ? job.deadlineMs : START_MS_MAX;
    seat.timer = setTimeout(() => {
      replace(seat);
      settle(seat, { ok: false, fault: fault("verifier.timeout", `no answer within ${ms} ms`) });
    }, ms);
  };
  const fill = (): void => {
    for (const seat of seats) {
      if (seat.job !== null) continue;
      const job = queue.shift();
      if (job === undefined || closed) return;
      seat.job = job;
      seat.worker ??= start(seat);
      limit(seat, job);
      seat.worker.postMessage(job.request, []);
    }
  };

  for (let i = 0; i < options.size; i++) {
    const seat: Seat = { worker: null, isReady: false, job: null, timer: null };
    seat.worker = start(seat);
    seats.push(seat);
  }
  return {
    run<T>(request: WorkerRequest, done: Done<T>, deadlineMs: number = options.deadlineMs): Cancel {
      const job: Job = { request, done: done as Done<unknown>, deadlineMs, deaths: 0, cancelled: false };
      if (closed || queue.length >= options.queueMax) {
        const code = closed ? "verifier.closed" : "verifier.busy";
        setImmediate(() => {
          if (!job.cancelled) job.done({ ok: false, fault: fault(code, `${queue.length} jobs are waiting`) });
        });
      } else {
        queue.push(job);
        fill();
      }
      return () => {
        // A running job runs out: its worker is warm and soon free, or the deadline takes it.
        job.cancelled = true;
        const at = queue.indexOf(job);
        if (at !== -1) queue.splice(at, 1);
      };
    },
    async close() {
      closed = true;
      queue.length = 0;
      for (const seat of seats) if (seat.timer !== null) clearTimeout(seat.timer);
      await Promise.all(seats.flatMap(({ worker }) => (worker === null ? [] : [worker.terminate()])));
    },
  };
}

function fault(code: string, message: string): Fault {
  return { code, message };
}
