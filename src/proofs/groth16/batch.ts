/**
 * The aggregation of a block's shard proofs: one after the other, in order, each followed by the key of its maker. Making
 * it costs next to nothing; what it buys is that a block has one proof, checked with one pairing product instead of one a
 * shard (`verify.ts`).
 */
import { concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import type { Cancel, ProveEvent, ProveJob, Prover } from "../../ports.ts";
import { NOBODY } from "../../protocol/payee.ts";
import { BATCH_MAX, PROOF_BYTES } from "../bn254/equation.ts";

export interface BatchOptions {
  readonly slots: number;
}

export function createBatchProver(options: BatchOptions): Prover {
  const running = new Set<Cancel>();
  return {
    system: "groth16-batch",
    slots: options.slots,
    prove(job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
      // Later, for whoever asks has to have the means of stopping it first.
      const timer = setImmediate(() => {
        running.delete(cancel);
        emit(aggregate(job));
      });
      const cancel = (): void => {
        running.delete(cancel);
        clearImmediate(timer);
      };
      running.add(cancel);
      return cancel;
    },
    async close() {
      for (const cancel of running) cancel();
    },
  };
}

function aggregate({ inputs, makers, values }: ProveJob): ProveEvent {
  const started = performance.now();
  if (inputs.length > 0 && inputs.length <= BATCH_MAX && inputs.every(({ length }) => length === PROOF_BYTES)) {
    const proof = concatBytes(...inputs.flatMap((input, at) => [input, hexToBytes(makers[at] ?? NOBODY)]));
    return { kind: "proved", proof, values, provingMs: performance.now() - started };
  }
  const message = `${inputs.length} proofs; allowed: 1 to ${BATCH_MAX}, each of ${PROOF_BYTES} bytes`;
  return { kind: "failed", logical: true, fault: { code: "batch.inputs", message } };
}
