/** What a node is told when it starts, and what does not change while it runs. */
import type { Select } from "../protocol/custom.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import type { ownersOf } from "../protocol/owner.ts";
import type { Resources } from "../protocol/workflow.ts";
import type { CoreLimits } from "./limits.ts";

export interface CoreOptions {
  readonly self: Key;
  readonly roles: { readonly source: boolean; readonly attester: boolean; readonly prover: boolean };
  /** Chains that a source of this node follows. Blocks that an operator hands in are no such source. */
  readonly follows?: readonly number[];
  /** How many proofs this node makes at once; 0 for none. */
  readonly slots: number;
  /** Proof systems that this node can prove. */
  readonly systems: readonly string[];
  /** What it has; a task that asks for more is for others. Left out, everything. */
  readonly resources?: Resources;
  /** By the SHA-256 of their modules: the functions that stages with `custom` collection name. */
  readonly selects?: ReadonlyMap<Hash, Select>;
  /** Stands in for the owner function's arithmetic: simulated nodes share what each of them would compute. */
  readonly ownersOf?: typeof ownersOf;
  /** Names this process among all that may run with the same key; 32 hex digits, drawn once by the runtime. */
  readonly instance?: string;
  /** Decides which peer to compare logs with next; drawn once by the runtime. */
  readonly seed: number;
  /** Every so many steps the assertions look at the whole state (simulator and tests); left out, only at what a step touched. */
  readonly checkAllEvery?: number;
  /** Limits that differ from those of production (`CORE_LIMITS`). */
  readonly limits?: Partial<CoreLimits>;
}
