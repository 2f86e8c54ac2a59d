import type { Statement } from "../protocol/statement.ts";
import { agrees } from "../statements/claim.ts";

/**
 * The public values that a guest committed to, without the zeros behind them; `null` where they are not those that the
 * statement says.
 */
export function committedTo(statement: Statement, implied: Uint8Array, committed: Uint8Array): Uint8Array | null {
  const values = committed.subarray(0, implied.length);
  return paddedEqual(committed, values) && agrees(statement, implied, values) ? values : null;
}

/** Public values as guests commit to them: some zkVMs pad them with zeros to a fixed length. */
export function paddedEqual(committed: Uint8Array, values: Uint8Array): boolean {
  return committed.length >= values.length && committed.every((byte, at) => byte === (values[at] ?? 0));
}
