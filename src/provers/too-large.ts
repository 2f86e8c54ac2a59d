/** A prover whose proofs may be too large for its network: whoever runs it hears so from the first one on. */
import type { ProveEvent, Prover } from "../ports.ts";

/**
 * Of a proof above `bytesMax` the task fails as this machine's fault `proof.too-large`, and the prover is out of use until a
 * trial makes a smaller one. Every attester would refuse the receipt, and the next proof has the same size.
 */
export function refusingLarge(prover: Prover, bytesMax: number): Prover {
  return {
    ...prover,
    prove: (job, emit) =>
      prover.prove(job, (event) => emit(event.kind === "proved" ? checked(event, bytesMax) : event)),
  };
}

function checked(event: Extract<ProveEvent, { kind: "proved" }>, bytesMax: number): ProveEvent {
  const { length } = event.proof;
  if (length <= bytesMax) return event;
  const message = `the proof has ${length} bytes; this network allows ${bytesMax} (limits.proofBytesMax of its manifest)`;
  return { kind: "failed", logical: false, disabled: true, fault: { code: "proof.too-large", message } };
}
