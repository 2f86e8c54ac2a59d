/**
 * What a refused receipt is about in truth, where this node knows it: then its prover mixes up its jobs, or hands in again
 * what was handed in before, and an operator looks elsewhere than for a proof system that makes wrong proofs.
 */
import { equalBytes, type EntryOf } from "../protocol/messages.ts";
import { impliedValues, isVouchedFor } from "./makers.ts";
import type { Proof, State, Task } from "./state.ts";

/** The code of a receipt that is refused, made more exact: `receipt.wrong-values` and `proof.equation` say least. */
export function exactCode(state: State, task: Task, proof: Proof, receipt: EntryOf<"receipt">, code: string): string {
  switch (code) {
    case "receipt.wrong-values": {
      const belongs = whose(state, task, (other) => {
        const values = impliedValues(other);
        return values !== null && equalBytes(values, receipt.values);
      });
      return belongs === null ? code : `receipt.${belongs}`;
    }
    case "proof.equation": {
      const belongs = whose(state, task, (other) => isProof(state, other.proofs.get(proof.artefact)));
      return belongs === null ? code : `proof.${belongs}`;
    }
    default:
      return code;
  }
}

/** Only of a true proof can be said whose it is: a false one is named for as many tasks as its prover likes. */
function isProof(state: State, proof: Proof | undefined): boolean {
  return proof !== undefined && (proof.verdict === "valid" || isVouchedFor(state, proof));
}

function whose(state: State, task: Task, fits: (other: Task) => boolean): "other-task" | "other-block" | null {
  if (task.block.tasks.some((other) => other !== task && fits(other))) return "other-task";
  for (const block of state.blocks.values()) if (block !== task.block && block.tasks.some(fits)) return "other-block";
  return null;
}
