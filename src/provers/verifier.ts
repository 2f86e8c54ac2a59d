/** The port Verifier: a pool of worker threads, so that no proof and no block holds the network up. */
import type { Hash } from "../protocol/ids.ts";
import { artefactHash } from "../protocol/ids.ts";
import type { Cancel, Done, PrepareJob, Verifier, VerifyJob } from "../ports.ts";
import { readVerifyingKey } from "./groth16/verify.ts";
import { createPool } from "./pool.ts";
import type { Check, Prepared, StageRow } from "./worker.ts";

export interface VerifierOptions {
  readonly stages: readonly StageRow[];
  /** Bytes of the verifying keys by their SHA-256. */
  readonly keys: ReadonlyMap<Hash, Uint8Array>;
  /** Threads. */
  readonly size?: number;
  readonly deadlineMs?: number;
  readonly queueMax?: number;
}

/** The largest block takes seconds to read; a proof takes a twentieth of one. */
const DEADLINE_MS = 10_000;
/** A verifier that is this far behind is better told so than fed. */
const QUEUE_MAX = 256;

/** Throws for a key that is not what its hash says or that is unsound: the configuration is wrong. */
export function createVerifier(options: VerifierOptions): Verifier {
  for (const [hash, bytes] of options.keys) {
    if (artefactHash(bytes) !== hash) throw new Error(`the verifying key ${hash} has another hash`);
    readVerifyingKey(bytes);
  }
  const pool = createPool({
    size: options.size ?? 1,
    queueMax: options.queueMax ?? QUEUE_MAX,
    deadlineMs: options.deadlineMs ?? DEADLINE_MS,
    data: { stages: options.stages, keys: options.keys },
  });
  return {
    prepare: (job: PrepareJob, done: Done<Prepared>): Cancel => pool.run({ kind: "prepare", job }, done),
    verify: (job: VerifyJob, done: Done<Check>): Cancel => pool.run({ kind: "verify", job }, done),
    close: () => pool.close(),
  };
}
