/**
 * How the prover of an attempt has ended it.
 *
 * What the prover has signed comes first: its first release, failure or unreadable receipt, by the order of its feed. All
 * nodes with the same log agree on that. What this node has found out itself is soft state: a proof that it rejects or
 * cannot get, an opening that opens nothing, or an own statement that is not durable yet. It decides only when this node
 * signs a timeout, and under which code.
 */
import type { Key } from "../protocol/ids.ts";
import { type AttemptFacts, keepFact, type Signed, type TaskFacts } from "./facts.ts";
import type { AttemptSoft } from "./soft.ts";

export const RELEASED = "released";
/** Said by who only follows f+1 others. */
export const JOINED = "others-timed-out";
/** Of a prover that has committed to a result and shows none. */
export const NOT_REVEALED = "not-revealed";
/** What attesters say of an attempt themselves; a prover's own word is never taken for one of them. */
const OWN_CODES: ReadonlySet<string> = new Set([
  RELEASED,
  "not-claimed",
  "no-progress",
  "limit",
  "not-sealed",
  "not-agreed",
  NOT_REVEALED,
  JOINED,
]);

type Ends = Pick<AttemptFacts, "ends"> & Pick<AttemptSoft, "foundEnds">;

/** Writes down that the prover has ended its attempt; of several statements the first counts. */
export function keepEnd(
  { block }: TaskFacts,
  { ends }: AttemptFacts,
  signed: Signed,
  { code, logical }: { readonly code: string; readonly logical: boolean },
): void {
  // mutant: end-by-arrival
  keepFact(block, ends, { ...signed, code, logical });
}

/** The code under which a prover's `fail` is kept. */
export function failCode(code: string): string {
  // FAIL-1.
  // mutant: fail-in-their-words
  return OWN_CODES.has(code) ? "failed" : code;
}

/** This node has found out that the prover will not prove the task in this attempt. */
export function foundEnd({ foundEnds }: AttemptSoft, prover: Key, code: string): void {
  if (!foundEnds.has(prover)) foundEnds.set(prover, code);
}

/** How the prover has ended the attempt; `null` where it has not. */
export function endOf({ ends, foundEnds }: Ends, prover: Key): string | null {
  return ends.get(prover)?.code ?? foundEnds.get(prover) ?? null;
}

/** Whether some prover has given the attempt back. */
export function isReleased({ ends, foundEnds }: Ends): boolean {
  const codes = [...[...ends.values()].map(({ code }) => code), ...foundEnds.values()];
  return codes.includes(RELEASED);
}
