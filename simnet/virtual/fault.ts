/** The faults that happen to the machines, the network and the chain of a run. */
import type { Damage } from "./disk.ts";
import type { Trouble } from "./places.ts";

export type Fault = { readonly number: number; readonly atMs: number } & (
  | {
      readonly kind: "crash";
      readonly node: number;
      /** How many boundaries of effects the node still passes; `null` for at once. */
      readonly sites: number | null;
      readonly damage: Damage;
      readonly downMs: number;
    }
  | {
      readonly kind: "partition";
      readonly side: readonly number[];
      readonly way: "both" | "out" | "in";
      readonly forMs: number;
      readonly flaps: number;
    }
  | { readonly kind: "deaf"; readonly from: number; readonly to: number; readonly forMs: number }
  | { readonly kind: "full-disk"; readonly node: number; readonly forMs: number }
  | { readonly kind: "pause"; readonly node: number; readonly forMs: number }
  | { readonly kind: "drift"; readonly node: number; readonly rate: number }
  | { readonly kind: "jump"; readonly node: number; readonly byMs: number }
  | { readonly kind: "slow"; readonly node: number; readonly factor: number | null; readonly forMs: number }
  | { readonly kind: "unable"; readonly node: number; readonly forMs: number }
  | { readonly kind: "reorg"; readonly depth: number }
  | { readonly kind: "stall"; readonly forMs: number }
  | { readonly kind: "source-away"; readonly node: number; readonly forMs: number }
  | { readonly kind: "source-lag"; readonly node: number; readonly blocks: number; readonly forMs: number }
  | { readonly kind: "outage"; readonly damage: Damage; readonly downMs: number }
  | { readonly kind: "backup"; readonly node: number }
  | { readonly kind: "join"; readonly node: number; readonly forMs: number | null }
  | { readonly kind: "outsider"; readonly outsider: number; readonly damage: Damage; readonly downMs: number }
  /** No certificate reaches the outsider, and nothing that it asks. */
  | { readonly kind: "outsider-cut"; readonly outsider: number; readonly forMs: number }
  /** The sink is the ledger where `node` is `null`, and else the node's shelf. */
  | { readonly kind: "sink"; readonly node: number | null; readonly trouble: Trouble; readonly forMs: number }
  | TwinFault
);

export interface TwinFault {
  readonly kind: "twin";
  /** The node whose key it is. */
  readonly node: number;
  /**
   * `beside`: nothing else happens. `parted`: two halves do not hear each other, and each has one of the two.
   * `strung`: the halves do, and each hears but one of the two. `relay`: the original is down when its copy starts.
   */
  readonly way: "beside" | "parted" | "strung" | "relay";
  /** The copy's disk: what the original has by then, what it had when this began, or nothing. */
  readonly copy: "new" | "old" | "empty";
  /** Nodes in the copy's half. */
  readonly side: readonly number[];
  /** When the copy starts, and how long the rest lasts. */
  readonly waitMs: number;
  readonly forMs: number;
}
