/** The port Verifier: a pool of worker threads, so that no proof and no block holds the network up. */
import { TRANSACTIONS_MAX } from "../protocol/ethereum.ts";
import { artefactHash } from "../protocol/ids.ts";
import type { Cancel, Done, PrepareJob, Verifier, VerifyJob } from "../ports.ts";
import type { Keys } from "../proofs/system.ts";
import { systemOf } from "../proofs/table.ts";
import { createPool } from "./pool.ts";
import type { Check, Prepared } from "./statement.ts";

export interface VerifierOptions {
  /** Verifying keys by their SHA-256. */
  readonly keys: Keys;
  /** Threads. */
  readonly size?: number;
  readonly deadlineMs?: number;
  readonly queueMax?: number;
}

/** A proof takes a twentieth of a second, one of the largest aggregation ten. */
const DEADLINE_MS = 10_000;
/** Reading a block takes up to 5 ms an item on a busy machine, so blocks have more time the more they hold. */
const ITEM_MS = 10;
/** A verifier that is this far behind is better told so than fed. */
const QUEUE_MAX = 256;

/** Throws for a key that is not what its hash says or that is unsound: the configuration is wrong. */
export function createVerifier(options: VerifierOptions): Verifier {
  for (const [hash, key] of options.keys) {
    if (artefactHash(key.bytes) !== hash) throw new Error(`the verifying key ${hash} has another hash`);
    try {
      const system = systemOf(key.system);
      if (system === undefined) throw new Error(`no proof system ${key.system}`);
      system.readKey(key.bytes);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`the verifying key ${hash}: ${why}`, { cause: error });
    }
  }
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  const pool = createPool({
    size: options.size ?? 1,
    queueMax: options.queueMax ?? QUEUE_MAX,
    deadlineMs,
    data: { keys: options.keys },
  });
  return {
    prepare(job: PrepareJob, done: Done<Prepared>): Cancel {
      const items = Math.min(job.items, TRANSACTIONS_MAX);
      return pool.run({ kind: "prepare", job }, done, deadlineMs + items * ITEM_MS);
    },
    verify: (job: VerifyJob, done: Done<Check>): Cancel => pool.run({ kind: "verify", job }, done),
    close: () => pool.close(),
  };
}
