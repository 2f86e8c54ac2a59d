/**
 * A zkVM behind zkboost (G1). The payload of the block is the SSZ of its NewPayloadRequest; zkboost fetches the witness itself.
 *
 * There is no cancel: what was requested is proven, and may be had at once by whoever asks for it again. So a cancelled job
 * is followed to its end, or to its limit of time, before the machine counts as free (`vacate`).
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Cancel, ProveEvent, ProveJob, Prover } from "../../ports.ts";
import { NoAnswer } from "../http.ts";
import { KnownGood } from "../known-good.ts";
import type { OutsideVerifier } from "../outside.ts";
import {
  fetchProof,
  followProof,
  requestProof,
  verifyProof,
  type ZkboostEvent,
  ZkboostRefusal,
  type ZkboostServer,
} from "./client.ts";

export interface ZkboostOptions extends ZkboostServer {
  readonly system: string;
  readonly timeoutMs: number;
  readonly proofBytesMax?: number;
  /** How often the proof is asked for besides the events, which may be lost. Each answer is a sign of life. */
  readonly pollMs?: number;
}

const PROOF_BYTES_MAX = 16 * 1024 * 1024;
const POLL_MS = 1_000;

export function createZkboostProver(options: ZkboostOptions): Prover {
  const running = new Set<AbortController>();
  const vacating = new Map<() => void, () => void>();
  const moved = (): void => {
    for (const say of vacating.values()) say();
  };
  const left = (): void => {
    if (running.size > 0) return;
    const waiting = [...vacating.keys()];
    vacating.clear();
    for (const done of waiting) done();
  };
  return {
    system: options.system,
    // One worker a zkVM, in sequence: a second job would only wait there.
    slots: 1,
    prove(job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
      const given = new AbortController();
      let [isOver, isBegun] = [false, false];
      running.add(given);
      const limit = setTimeout(() => given.abort(TIMEOUT), options.timeoutMs);
      const end = (event: ProveEvent): void => {
        if (event.kind === "progress") moved();
        if (!isOver) emit(event);
      };
      const begin = (): void => {
        isBegun = true;
      };
      void run(options, job, begin, end, given.signal)
        .catch((error: unknown) => failureOf(error))
        .then((event) => {
          clearTimeout(limit);
          running.delete(given);
          const timedOut = given.signal.aborted && given.signal.reason === TIMEOUT;
          if (timedOut) end(failed("zkboost.timeout", `no proof within ${options.timeoutMs} ms`, false));
          else if (!given.signal.aborted) end(event);
          left();
        });
      return () => {
        isOver = true;
        if (!isBegun) given.abort();
      };
    },
    vacate(say, done) {
      if (running.size === 0) return done();
      vacating.set(done, say);
    },
    async close() {
      vacating.clear();
      for (const given of running) given.abort();
    },
  };
}

const TIMEOUT = "timeout";
/** Questions in a row without an answer after which the server counts as gone, for nothing else would tell. */
const LOST_MAX = 30;

/** The proof may be there all the same: nobody answered, or something in between did. */
function isPassing(error: unknown): boolean {
  if (error instanceof ZkboostRefusal) return error.status >= 500;
  return error instanceof NoAnswer && (error.reason === "unreachable" || error.reason === "timeout");
}

async function run(
  options: ZkboostOptions,
  job: ProveJob,
  begin: () => void,
  emit: (event: ProveEvent) => void,
  signal: AbortSignal,
): Promise<ProveEvent> {
  const { proofBytesMax = PROOF_BYTES_MAX, pollMs = POLL_MS } = options;
  const startedMs = performance.now();
  const root = rootOf(job.values);
  const events = new Events(options, root, signal);
  try {
    // Before the request: a failure is told only to those who listen by then.
    await events.opened;
    signal.throwIfAborted();
    begin();
    // An answer that is late says nothing about whether the proof has begun: the root is known all the same.
    const asked = await requestProof(options, job.payload, signal).catch((error: unknown) => {
      if (error instanceof NoAnswer && error.reason === "timeout") return root;
      throw error;
    });
    if (asked !== root)
      return failed("zkboost.values", `the payload's root is ${asked}, and the task implies another`, true);
    let [units, lost] = [0, 0];
    while (!signal.aborted) {
      const news = events.next();
      const found = await fetchProof(options, root, proofBytesMax, signal).catch((error: unknown) => {
        // One lost answer is no sign of life, and no more.
        if (!isPassing(error) || ++lost >= LOST_MAX) throw error;
        return "lost" as const;
      });
      if (found instanceof Uint8Array)
        return { kind: "proved", proof: found, values: job.values, provingMs: performance.now() - startedMs };
      if (events.failure !== null) return refused(events.failure);
      if (found !== "lost") lost = 0;
      if (found !== "lost" && !signal.aborted) emit({ kind: "progress", units: ++units });
      await Promise.race([news, delay(pollMs, null, { signal }).catch(() => null)]);
    }
    return failed("zkboost.aborted", "given up", false);
  } finally {
    events.close();
  }
}

/** What the server tells of one root. Where it stops telling, asking goes on without it. */
class Events {
  readonly opened: Promise<void>;
  failure: Extract<ZkboostEvent, { kind: "failure" }> | null = null;
  readonly #ended = new AbortController();
  #wake: () => void = () => {};

  constructor(server: ZkboostServer, root: string, signal: AbortSignal) {
    this.opened = new Promise((resolve) => {
      const heard = (event: ZkboostEvent): void => {
        if (event.kind === "failure") this.failure = event;
        this.#wake();
      };
      void followProof(server, root, heard, resolve, AbortSignal.any([signal, this.#ended.signal])).catch(() =>
        resolve(),
      );
    });
  }

  /** Resolves with the next thing that is told from now on. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  close(): void {
    this.#ended.abort();
  }
}

/** Only what the proving itself says of the input would be the same elsewhere. */
function refused({ reason, message }: { readonly reason: string; readonly message: string }): ProveEvent {
  return failed(`zkboost.${reason.replaceAll("_", "-")}`, message, reason === "proving_error");
}

function failureOf(error: unknown): ProveEvent {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ZkboostRefusal)
    // A body that it cannot read is wrong for every server of its kind; any other refusal is about this one.
    return failed("zkboost.refused", `${error.status}: ${message}`, message.startsWith("invalid SSZ body"));
  return failed(error instanceof NoAnswer ? `zkboost.${error.reason}` : "zkboost.fault", message, false);
}

function failed(code: string, message: string, logical: boolean): ProveEvent {
  return { kind: "failed", logical, fault: { code, message: message.slice(0, 500) } };
}

/** The task's public values are the payload's root, which is what such a proof is for. */
export function createZkboostVerifier(options: ZkboostOptions): OutsideVerifier {
  const knownGood = new KnownGood();
  return {
    system: options.system,
    async verify(job, signal) {
      if (job.values.length !== 32) return { valid: false, code: "proof.values" };
      const root = rootOf(job.values);
      const isValid = async (proof: Uint8Array, of: string): Promise<boolean> =>
        (await verifyProof(options, of, proof, options.timeoutMs, signal)) === "VALID";
      if (await isValid(job.proof, root)) {
        knownGood.accepted(job);
        return { valid: true };
      }
      // The server answers INVALID when the zkVM behind it is down as well.
      await knownGood.confirmRefusal(job, "INVALID", (good) => isValid(good.proof, rootOf(good.values)));
      return { valid: false, code: "proof.equation" };
    },
  };
}

function rootOf(values: Uint8Array): string {
  return `0x${Buffer.from(values).toString("hex")}`;
}
