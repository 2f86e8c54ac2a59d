/**
 * Public values that a statement leaves open in part (`anything`). The network computes the other bytes from the block, and
 * nobody but the prover knows these. So the artefact of such a task is the public values, followed by the proof: its
 * hash binds both, in receipts and in certificates.
 */
import { fieldBytes, isOpen, type Statement } from "../protocol/statement.ts";

/** Whether values that a program committed to are what the block implies, without the bytes that are left open. */
export function agrees(statement: Statement, implied: Uint8Array, values: Uint8Array): boolean {
  if (values.length !== implied.length) return false;
  const open = new Set<number>();
  if (typeof statement === "object" && statement.kind === "layout") {
    for (const field of statement.fields)
      if ("anything" in field) for (let at = 0; at < fieldBytes(field); at++) open.add(field.at + at);
  }
  return values.every((byte, at) => byte === implied[at] || open.has(at));
}

/** Splits an artefact into the values that its proof is about, and the proof; `null` where the values do not agree. */
export function claimOf(
  statement: Statement,
  implied: Uint8Array,
  artefact: Uint8Array,
): { readonly values: Uint8Array; readonly proof: Uint8Array } | null {
  if (!isOpen(statement)) return { values: implied, proof: artefact };
  const values = artefact.subarray(0, implied.length);
  return agrees(statement, implied, values) ? { values, proof: artefact.subarray(implied.length) } : null;
}
