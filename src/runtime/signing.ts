/**
 * The node's own start and how far it has signed, kept apart from its journal.
 *
 * The order of effects: a batch is durable in the journal, then counted here, and then sent. So an intact journal holds
 * all that is counted here, and at most one group of batches more. Anything else is a lost disk.
 */
import type { Done, Fault, SigningRecord, SigningState } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";

/** Batches that are written before they are counted here: so many more a journal may hold after a crash. */
export const GROUP_BATCHES_MAX = 16;
/** How many numbers a node leaves out that may have signed batches which nobody has: some hours of a busy node. */
export const LEAP_NUMBERS = 65_536;

/** The end of the own feed as the journal has it. */
export interface JournalEnd {
  readonly next: number;
  readonly head: Hash;
  /** Hash of the own batch with this number, where the journal still has it. */
  readonly hashOf: (number: number) => Hash | undefined;
}

/** Why the journal is not all that this node has signed; `null` where it is. */
export function lossOf(state: SigningState | null, journal: JournalEnd): string | null {
  // LOST-1.
  if (state === null) return "the signing state beside the key is missing";
  if (state.lost) return "the journal was lost before, and not all that was open then is over";
  // mutant: trust-an-old-journal
  if (state.next > journal.next) return `the journal ends before batch ${journal.next}; ${state.next} were signed`;
  if (journal.next > state.next + GROUP_BATCHES_MAX)
    return `the signing state counts ${state.next} batches; the journal holds ${journal.next}`;
  const found = state.next === journal.next ? journal.head : journal.hashOf(state.next - 1);
  if (state.next > 0 && found !== state.head)
    return `batch ${state.next - 1} of the journal is not the one that was signed`;
  return null;
}

export class SigningBook {
  readonly #record: SigningRecord;
  readonly #failed: (fault: Fault) => void;
  #state: SigningState;

  constructor(record: SigningRecord, first: SigningState, failed: (fault: Fault) => void) {
    this.#record = record;
    this.#state = first;
    this.#failed = failed;
  }

  /** One more than the highest number that may have been signed. */
  get next(): number {
    return this.#state.next;
  }

  /** Calls back once the change is durable; a write that fails ends the node, because nothing may be sent after it. */
  change(change: Partial<SigningState>, done: () => void): void {
    this.#state = { ...this.#state, ...change };
    const written: Done<void> = (result) => (result.ok ? done() : this.#failed(result.fault));
    this.#record.write(this.#state, written);
  }
}
