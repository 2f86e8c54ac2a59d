/**
 * A verifier that fails is no verdict: an attester that refuses a true proof because its own memory was short is wrong, in
 * public and with its signature. Libraries throw for both, so each verifier names what is certainly a refusal.
 */

/** The machine's failure. The proof is verified again later, or by others. */
export class NoVerdict extends Error {}

/** What engines and systems say of a machine that is short of something, whatever library passes it on. */
const MACHINES = /out of memory|memory (size|access)|allocat|call stack|too many open files|no space left|terminated/i;

/** Whether an exception is about the machine, so that it says nothing of the proof. */
export function isMachines(error: unknown): boolean {
  if (typeof error === "object" && error !== null && "code" in error && /^E[A-Z]+$/.test(String(error.code)))
    return true;
  // WebAssembly stops so where it cannot go on, whatever the reason.
  if (error instanceof Error && error.name === "RuntimeError") return true;
  return MACHINES.test(messageOf(error));
}

export function noVerdict(error: unknown): NoVerdict {
  return error instanceof NoVerdict ? error : new NoVerdict(messageOf(error), { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
