/**
 * SP1, ZisK or OpenVM behind ere-server.
 *
 * The server proves one job at a time and knows no cancel: what has begun runs to its end, whatever its client does. So a
 * cancelled job is let go of here, and the machine is busy until the server answers (`vacate`); whoever does not wait for that
 * fails at once (`ere.busy`).
 */
import { publicUrl } from "../../address.ts";
import type { Cancel, ProveEvent, ProveJob, Prover } from "../../ports.ts";
import { SHARD_FOLD } from "../../protocol/statement.ts";
import { NoAnswer } from "../http.ts";
import { jobJson } from "../process.ts";
import { committedTo } from "../values.ts";
import { type EreAnswer, ereHealth, ereProve, type EreServer } from "./client.ts";

export interface EreProverOptions extends EreServer {
  readonly system: string;
  readonly timeoutMs: number;
  /** What the guest reads: the block's payload, or the job as JSON in the form of `process.ts`. */
  readonly input?: "payload" | "json" | undefined;
  readonly proofBytesMax?: number;
  /** How often the server is asked whether it is well: its only sign of life. */
  readonly probeMs?: number;
}

const PROOF_BYTES_MAX = 16 * 1024 * 1024;
const PROBE_MS = 1_000;
/** Answers in a row by which the server says that it hangs: a proxy in front of it may give one of its own. */
const STUCK_MAX = 3;
/** Nobody waits any longer for the answer to a job that was let go; its connection then goes, too. */
const LINGER_TIMES = 4;

export function createEreProver(options: EreProverOptions): Prover {
  const { timeoutMs, probeMs = PROBE_MS } = options;
  const closing = new AbortController();
  let busy = false;
  const vacated = new Set<() => void>();

  const prove = (job: ProveJob, emit: (event: ProveEvent) => void): Cancel => {
    let over = false;
    const startedMs = performance.now();
    const end = (event: ProveEvent | null): void => {
      if (over) return;
      over = true;
      clearTimeout(limit);
      clearInterval(probe);
      if (event !== null) emit(event);
    };
    let [units, stuck, looks] = [0, 0, 0];
    // A saturated machine answers late or not at all, which is no sign of life and no more: the answer to Prove decides.
    const look = async (): Promise<void> => {
      if (looks > 0) return;
      looks++;
      const health = await ereHealth(options, closing.signal).catch(() => "unknown" as const);
      looks--;
      if (over) return;
      stuck = health === "stuck" ? stuck + 1 : 0;
      if (stuck >= STUCK_MAX)
        return end(failed("ere.stuck", `${publicUrl(options.url)} reports that its prover hangs`));
      if (health === "well") emit({ kind: "progress", units: ++units });
    };
    const limit = setTimeout(
      () => end(failed("ere.timeout", `no proof within ${timeoutMs} ms; ${publicUrl(options.url)} cannot be stopped`)),
      timeoutMs,
    );
    const probe = setInterval(() => void look(), probeMs);
    const input = inputOf(options, job);
    if (busy || input === null) {
      const [code, message] = busy
        ? ["ere.busy", `${publicUrl(options.url)} still proves what was cancelled`]
        : ["ere.inputs", `a guest takes one proof, and the task has ${job.inputs.length}`];
      setImmediate(() => end(failed(code, message)));
      return () => end(null);
    }
    busy = true;
    const bytesMax = (options.proofBytesMax ?? PROOF_BYTES_MAX) + 64 * 1024;
    void ereProve(options, input.stdin, input.proofs, {
      bytesMax,
      timeoutMs: timeoutMs * LINGER_TIMES,
      signal: closing.signal,
    })
      .then(
        (answer) => end(eventOf(job, answer, performance.now() - startedMs)),
        (error: unknown) => end(closing.signal.aborted ? null : failed(codeOf(error), messageOf(error))),
      )
      .finally(() => {
        busy = false;
        const waiting = [...vacated];
        vacated.clear();
        for (const done of waiting) done();
      });
    return () => end(null);
  };

  return {
    system: options.system,
    slots: 1,
    prove,
    vacate(moved, done) {
      if (!busy) return done();
      const probe = setInterval(() => {
        void ereHealth(options, closing.signal).then(
          (health) => (health === "well" && busy ? moved() : undefined),
          // It may be back before the node stops waiting for its answer.
          () => {},
        );
      }, probeMs);
      const end = (): void => clearInterval(probe);
      closing.signal.addEventListener("abort", end, { once: true });
      vacated.add(() => {
        end();
        closing.signal.removeEventListener("abort", end);
        if (!closing.signal.aborted) done();
      });
    },
    async close() {
      closing.abort();
    },
  };
}

function inputOf(
  { input = "payload" }: EreProverOptions,
  job: ProveJob,
): { readonly stdin: Uint8Array; readonly proofs: Uint8Array | null } | null {
  if (input === "json") return { stdin: new TextEncoder().encode(jobJson(job)), proofs: null };
  if (job.inputs.length > 1) return null;
  return { stdin: job.payload, proofs: job.inputs[0] ?? null };
}

function eventOf(job: ProveJob, answer: EreAnswer, provingMs: number): ProveEvent {
  switch (answer.kind) {
    case "refused":
      // The server reports a guest that panics, a machine without memory and a cluster out of reach in one way.
      return failed("ere.refused", answer.message);
    case "fault":
      return failed("ere.fault", `${answer.code} (${answer.status}): ${answer.message}`);
    case "ok": {
      const values = answer.fields.get(1) ?? new Uint8Array();
      const proof = answer.fields.get(2) ?? new Uint8Array();
      if (proof.length === 0) return failed("ere.fault", "the server says that it has proved, and gives no proof");
      const committed = committedTo(job.statement ?? SHARD_FOLD, job.values, values);
      if (committed === null)
        return failed("ere.values", "the guest has committed to other public values than the task implies");
      return { kind: "proved", proof, values: committed, provingMs };
    }
  }
}

/** Nothing that such a server says is about the input alone. */
function failed(code: string, message: string): ProveEvent {
  return { kind: "failed", logical: false, fault: { code, message: message.slice(0, 500) } };
}

function codeOf(error: unknown): string {
  return error instanceof NoAnswer ? `ere.${error.reason}` : "ere.fault";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
