/**
 * The verifier as the partitions of one node share it. Its threads are slots of a scheduler, and each partition has a
 * queue. A partition that has fallen behind asks for hundreds of verdicts at once, and must not delay the others.
 */
import type { Cancel, Done, Result, Verifier } from "../ports.ts";
import { Devices } from "../scheduler/devices.ts";
import { QUEUE_MAX, Scheduler, type SchedulerAction } from "../scheduler/scheduler.ts";

const NOTHING = { cpus: 0, gpus: 0, memoryBytes: 0 };
const HOLDER = { task: "", prover: "" };

interface Question {
  readonly begin: () => void;
  readonly refuse: () => void;
  stop: Cancel;
}

export class VerifierSlots {
  readonly #scheduler: Scheduler;
  readonly #questions = new Map<number, Question>();
  #nextId = 0;

  constructor(slots: number) {
    this.#scheduler = new Scheduler(slots, new Devices([], { cpus: 0, memoryBytes: 0 }));
  }

  /** Asks once a slot is free. More than 256 questions of one partition are refused. */
  ask<T>(partition: string, ask: (done: Done<T>) => Cancel, done: Done<T>): Cancel {
    const id = this.#nextId++;
    const question: Question = {
      begin: () => {
        question.stop = ask((result) => {
          this.#questions.delete(id);
          this.#act(this.#scheduler.step({ kind: "ended", job: id }));
          done(result);
        });
      },
      refuse: () => {
        question.stop = refuse(done);
      },
      stop: () => {},
    };
    this.#questions.set(id, question);
    const job = { id, queue: partition, resources: NOTHING, server: null, holder: HOLDER, lingers: false };
    this.#act(this.#scheduler.step({ kind: "enter", job }));
    return () => {
      const actions = this.#scheduler.step({ kind: "cancelled", job: id });
      question.stop();
      this.#questions.delete(id);
      this.#act(actions);
    };
  }

  #act(actions: readonly SchedulerAction[]): void {
    for (const { kind, job } of actions) {
      if (kind === "begin") this.#questions.get(job)?.begin();
      if (kind === "refuse") this.#questions.get(job)?.refuse();
    }
  }
}

/** The verifier for one partition. */
export function sharedVerifier(verifier: Verifier, slots: VerifierSlots, partition: string): Verifier {
  return {
    prepare: (job, done) => slots.ask(partition, (settle) => verifier.prepare(job, settle), done),
    verify: (job, done) => slots.ask(partition, (settle) => verifier.verify(job, settle), done),
    close: () => Promise.resolve(),
  };
}

/** On a later turn: a completion never runs inside the call that asked for it. */
function refuse<T>(done: Done<T>): Cancel {
  const fault = { code: "verifier.busy", message: `${QUEUE_MAX} jobs are waiting` };
  const result: Result<T> = { ok: false, fault };
  const timer = setImmediate(() => done(result));
  return () => clearImmediate(timer);
}
