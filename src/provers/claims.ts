/** Provers and verifiers of statements that leave bytes of the public values open (`statements/claim.ts`). */
import { concatBytes } from "@noble/hashes/utils.js";
import type { Prover, Verifier } from "../ports.ts";
import { isOpen, SHARD_FOLD } from "../protocol/statement.ts";
import { agrees, claimOf } from "../statements/claim.ts";

/** The code of a proof whose public values are not what the statement says. No verifier is asked about such a proof. */
const OTHER_VALUES = "proof.values";

/** A verifier that refuses proofs of other values before it asks `inner`. */
export function verifierOfClaims(inner: Verifier): Verifier {
  return {
    prepare: (job, done) => inner.prepare(job, done),
    verify(job, done) {
      const claim = claimOf(job.statement ?? SHARD_FOLD, job.values, job.proof);
      if (claim !== null) return inner.verify({ ...job, ...claim }, done);
      let cancelled = false;
      queueMicrotask(() => {
        if (!cancelled) done({ ok: true, value: { valid: false, code: OTHER_VALUES } });
      });
      return () => void (cancelled = true);
    },
    close: () => inner.close(),
  };
}

/** A prover whose artefacts begin with their public values where the statement leaves bytes open. */
export function proverOfClaims(inner: Prover): Prover {
  const vacate = inner.vacate?.bind(inner);
  return {
    system: inner.system,
    slots: inner.slots,
    ...(vacate === undefined ? {} : { vacate }),
    close: () => inner.close(),
    prove: (job, emit) =>
      inner.prove(job, (event) => {
        const { statement = SHARD_FOLD } = job;
        if (event.kind !== "proved" || !isOpen(statement)) return emit(event);
        if (agrees(statement, job.values, event.values))
          return emit({ ...event, proof: concatBytes(event.values, event.proof), values: job.values });
        const message = `the program's ${event.values.length} bytes of public values are not those of the statement`;
        emit({ kind: "failed", logical: true, fault: { code: OTHER_VALUES, message } });
      }),
  };
}
