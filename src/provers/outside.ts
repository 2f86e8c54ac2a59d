/**
 * Verification by a server besides the node's own: for proof systems whose verifier is not built in.
 *
 * Every attester asks a server of its own choice and believes nobody else's: the port is the same, and what the
 * server cannot answer is a fault and never a verdict.
 */
import type { Cancel, Done, Verifier, VerifyJob } from "../ports.ts";
import type { Check } from "./statement.ts";

/** Answers for one proof system. Rejects where the server gives no answer; the error's message says why. */
export interface OutsideVerifier {
  readonly system: string;
  verify(job: VerifyJob, signal: AbortSignal): Promise<Check>;
  close?(): void;
}

/** Why there is no answer, with a code of its own. The reason is `own` unless the proof itself stops the verifier. */
export class VerifierFault extends Error {
  readonly code: string;
  readonly reason: "own" | "verdictless";

  constructor(code: string, message: string, reason: "own" | "verdictless" = "own") {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

/** Verifications that wait for one server; past it the asker is told to come back. */
const QUEUE_MAX = 64;

/** The verifier with the systems named outside of it; everything else goes to `inner`. */
export function withOutside(inner: Verifier, outside: readonly OutsideVerifier[]): Verifier {
  if (outside.length === 0) return inner;
  const bySystem = new Map(outside.map((each) => [each.system, each]));
  const waiting = new Map<string, number>();
  const closing = new AbortController();
  const ask = (server: OutsideVerifier, job: VerifyJob, done: Done<Check>): Cancel => {
    const given = new AbortController();
    const count = waiting.get(job.system) ?? 0;
    const answer: Done<Check> = (result) => {
      if (!given.signal.aborted && !closing.signal.aborted) done(result);
    };
    if (count >= QUEUE_MAX) {
      const fault = { code: "verifier.busy", message: `${count} proofs wait for the server of ${job.system}` };
      setImmediate(() => answer({ ok: false, fault }));
      return () => given.abort();
    }
    waiting.set(job.system, count + 1);
    // Inside of the promise: a server that throws gives no verdict, like one that rejects.
    void Promise.resolve()
      .then(() => server.verify(job, AbortSignal.any([given.signal, closing.signal])))
      .then(
        (value) => answer({ ok: true, value }),
        (error: unknown) => {
          const message = error instanceof Error ? error.message : String(error);
          if (error instanceof VerifierFault) {
            const { code, reason } = error;
            return answer({ ok: false, fault: { code, message, reason } });
          }
          answer({ ok: false, fault: { code: "verifier.server", message } });
        },
      )
      .finally(() => waiting.set(job.system, (waiting.get(job.system) ?? 1) - 1));
    return () => given.abort();
  };
  return {
    prepare: (job, done) => inner.prepare(job, done),
    verify(job, done) {
      const server = bySystem.get(job.system);
      return server === undefined ? inner.verify(job, done) : ask(server, job, done);
    },
    async close() {
      closing.abort();
      for (const each of outside) each.close?.();
      await inner.close();
    },
  };
}
