/**
 * The aggregation of a block's shard proofs: one after the other, in order. Making it costs next to nothing; what it
 * buys is that a block has one proof, checked with one pairing product instead of one a shard (`verify.ts`).
 */
import { concatBytes } from "@noble/hashes/utils.js";
import type { Cancel, ProveEvent, ProveJob, Prover } from "../../ports.ts";
import { createPool } from "../pool.ts";
import { BATCH_MAX, PROOF_BYTES } from "./verify.ts";

export interface BatchOptions {
  readonly slots: number;
  readonly timeoutMs: number;
}

export function createBatchProver(options: BatchOptions): Prover {
  // The public values take reading the block, which is no work for the network's thread.
  const pool = createPool({
    size: 1,
    queueMax: options.slots,
    deadlineMs: options.timeoutMs,
    data: { stages: [], keys: new Map() },
  });
  return {
    system: "groth16-batch",
    slots: options.slots,
    prove(job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
      const started = performance.now();
      return pool.run<Uint8Array>({ kind: "values", job }, (values) => {
        const message = complaint(job);
        if (message !== null) emit({ kind: "failed", logical: true, fault: { code: "batch.inputs", message } });
        else if (!values.ok) {
          const logical = !values.fault.code.startsWith("verifier.");
          emit({ kind: "failed", logical, fault: values.fault });
        } else {
          const provingMs = performance.now() - started;
          emit({ kind: "proved", proof: concatBytes(...job.inputs), values: values.value, provingMs });
        }
      });
    },
    close: () => pool.close(),
  };
}

function complaint({ inputs, shards }: ProveJob): string | null {
  if (inputs.length === shards && shards <= BATCH_MAX && inputs.every(({ length }) => length === PROOF_BYTES))
    return null;
  return `${inputs.length} proofs for ${shards} shards, each to be of ${PROOF_BYTES} bytes`;
}
