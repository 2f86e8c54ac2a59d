/**
 * A node whose own state breaks a rule ends before it signs anything more. Only a fault of this program or of its machine
 * can break one; hostile facts cannot (`assertions.ts`).
 */

/** The invariant that does not hold (docs/protocol.md), or `block-state` for a move that no block may make. */
export type Invariant = "S1" | "S2" | "S3" | "S4" | "S5" | "S6" | "block-state";

/** The step that throws it is not performed: the runtime ends the node with this code. */
export class BrokenInvariant extends Error {
  override readonly name = "BrokenInvariant";
  readonly code: `invariant.${Invariant}`;

  constructor(invariant: Invariant, message: string) {
    super(`${invariant}: ${message}`);
    this.code = `invariant.${invariant}`;
  }
}

/** Ends the step. The message names the block or task, what was found, and what is allowed. */
export function broken(invariant: Invariant, message: string): never {
  throw new BrokenInvariant(invariant, message);
}
