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

/** Runs `run`; the broken invariant that ended it, `null` where none did. Any other error goes on to the caller. */
export function brokenBy(run: () => void): BrokenInvariant | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof BrokenInvariant) return error;
    throw error;
  }
}

/** Ends the step. The message names the block or task, what was found, and what is allowed. */
export function broken(invariant: Invariant, message: string): never {
  // The checkers of the simulator have to see these mutants by themselves.
  // mutant: grant-again/unchecked, grant-closed/unchecked, grant-after-timeout/unchecked, attest-unassigned/unchecked, attest-again/unchecked
  // mutant: attest-after-timeout/unchecked, timeout-after-attest/unchecked, open-too-soon/unchecked, assigned-too-soon/unchecked, complete-too-soon/unchecked, barrier-before-parent/unchecked
  throw new BrokenInvariant(invariant, message);
}
