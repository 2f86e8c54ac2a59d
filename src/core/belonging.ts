/**
 * What a refused receipt is about in truth, where this node knows it: then its prover mixes up its jobs, or hands in again
 * what was handed in before, and an operator looks elsewhere than for a proof system that makes wrong proofs.
 */
import type { Key } from "../protocol/ids.ts";
import { equalBytes, type EntryOf } from "../protocol/messages.ts";
import { impliedValues, isVouchedFor } from "./makers.ts";
import type { Proof, State, Task } from "./state.ts";

/** Other tasks whose values are compared with a refused receipt's: each takes a hash, and anybody may send such a receipt. */
const COMPARED_MAX = 1024;

/** The code of a receipt that is refused, made more exact: `receipt.wrong-values` and `proof.equation` say least. */
export function exactCode(
  state: State,
  task: Task,
  proof: Proof,
  prover: Key,
  receipt: EntryOf<"receipt">,
  code: string,
): string {
  switch (code) {
    case "receipt.wrong-values": {
      let compared = 0;
      const implies = (other: Task, author: Key): boolean => {
        const values = ++compared > COMPARED_MAX ? null : impliedValues(other, author);
        return values !== null && equalBytes(values, receipt.values);
      };
      if (isAnothers(task, proof, (author) => implies(task, author))) return "receipt.other-prover";
      const belongs = whose(state, task, (other) => implies(other, prover));
      return belongs === null ? code : `receipt.${belongs}`;
    }
    case "proof.equation": {
      const isKnown = (other: Task) =>
        [...other.proofs.values()].some(({ artefact, ...each }) => artefact === proof.artefact && isProof(state, each));
      if (isKnown(task)) return "proof.other-prover";
      const belongs = whose(state, task, isKnown);
      return belongs === null ? code : `proof.${belongs}`;
    }
    default:
      return code;
  }
}

/** Whether the values are those of another prover that has handed in the same artefact. */
function isAnothers(task: Task, { artefact, maker }: Proof, implies: (author: Key) => boolean): boolean {
  const others = [...task.proofs.values()].filter((each) => each.artefact === artefact && each.maker !== maker);
  return others.some((each) => each.maker !== null && implies(each.maker));
}

/** Only of a true proof can be said whose it is: a false one is named for as many tasks as its prover likes. */
function isProof(state: State, proof: Pick<Proof, "verdict" | "vouchers">): boolean {
  return proof.verdict === "valid" || isVouchedFor(state, proof);
}

function whose(state: State, task: Task, fits: (other: Task) => boolean): "other-task" | "other-block" | null {
  if (task.block.tasks.some((other) => other !== task && fits(other))) return "other-task";
  for (const block of state.blocks.values()) if (block !== task.block && block.tasks.some(fits)) return "other-block";
  return null;
}
