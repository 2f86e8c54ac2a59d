/**
 * Makes a result again, to compare it with what a prover says: one at a time beside the node's own work, and each task once,
 * however many results are claimed for it.
 */
import type { Cancel, ProveEvent, ProveJob, Prover, Result } from "../ports.ts";

/** Own results remembered; further claims for a task come within moments of the first. */
const RESULTS_MAX = 64;
/** Results that wait to be made; past it whoever asks is told to come back. */
const QUEUE_MAX = 256;

type Done = (result: Result<Uint8Array>) => void;

export class Recomputer {
  readonly #provers: readonly Prover[];
  readonly #results = new Map<string, Uint8Array>();
  readonly #queue: { readonly job: ProveJob; readonly prover: Prover; readonly done: Done }[] = [];
  #running: Cancel | null = null;
  #closed = false;

  constructor(provers: readonly Prover[]) {
    this.#provers = provers;
  }

  run(executor: string, job: ProveJob, done: Done): void {
    const known = this.#results.get(nameOf(job));
    if (known !== undefined) return done({ ok: true, value: known });
    const prover = this.#provers.find(({ system }) => system === executor);
    if (prover === undefined) return done(failed("executor.missing", `this node has no ${executor} to recompute with`));
    if (this.#queue.length >= QUEUE_MAX) return done(failed("executor.busy", `${QUEUE_MAX} results wait to be made`));
    this.#queue.push({ job, prover, done });
    this.#next();
  }

  #next(): void {
    if (this.#running !== null || this.#closed) return;
    const first = this.#queue.shift();
    if (first === undefined) return;
    const { job, prover, done } = first;
    const known = this.#results.get(nameOf(job));
    if (known !== undefined) {
      done({ ok: true, value: known });
      return this.#next();
    }
    this.#running = prover.prove(job, (event) => {
      if (event.kind === "progress" || this.#closed) return;
      this.#running = null;
      done(this.#take(job, event));
      this.#next();
    });
  }

  #take(job: ProveJob, event: Exclude<ProveEvent, { kind: "progress" }>): Result<Uint8Array> {
    if (event.kind === "failed") return failed("executor.failed", `${event.fault.code}: ${event.fault.message}`);
    this.#results.set(nameOf(job), event.proof);
    const [oldest] = this.#results.keys();
    if (this.#results.size > RESULTS_MAX && oldest !== undefined) this.#results.delete(oldest);
    return { ok: true, value: event.proof };
  }

  close(): void {
    this.#closed = true;
    this.#running?.();
  }
}

function nameOf({ id }: ProveJob): string {
  return `${id.block}/${id.stage}/${id.index}`;
}

function failed(code: string, message: string): Extract<Result<Uint8Array>, { ok: false }> {
  return { ok: false, fault: { code, message, reason: "own" } };
}
