/** What a run is made of, and what comes of it. A run is its options: the same ones give the same trace. */
import type { Runtime } from "../../src/runtime/runtime.ts";
import type { NodeHooks } from "./cluster.ts";
import type { HostileShape } from "./hostile.ts";

export interface VirtualOptions extends HostileShape {
  readonly seed: number;
  readonly nodes: number;
  /** How many of the nodes attest and have a source; all prove. By default at most seven. */
  readonly attesters?: number;
  readonly blocks: number;
  readonly shards: number;
  /** Share of gossip messages that never arrive. */
  readonly loss?: number;
  /** The longest a message takes. */
  readonly delayMs?: number;
  /** How often some node dies, on average; 0 for never. */
  readonly crashEveryMs?: number;
  /** Share of proofs that do not verify, and of jobs whose machine fails. */
  readonly wrong?: number;
  readonly failing?: number;
  /** Whether a node that dies comes back with an empty journal. */
  readonly diskLoss?: boolean;
  readonly blockMs?: number;
  /** Breaks a node that comes back, to see whether the checkers notice. */
  readonly sabotage?: (runtime: Runtime) => void;
  /** Makes nodes unlike themselves from their first start. */
  readonly hooks?: NodeHooks;
}

export interface VirtualReport {
  readonly seed: number;
  readonly simulatedMs: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
  readonly messages: number;
  readonly bytes: number;
  /** Questions from log to log. */
  readonly requests: number;
  readonly crashes: number;
  /** Certificates held by all nodes together. */
  readonly certificates: number;
  /** Attempts that a quorum ended, as one node counts them. */
  readonly reclaims: number;
  /** Proofs made beyond one a task. */
  readonly wastedProofs: number;
  /** Blocks of which two nodes hold different, equally true contents. */
  readonly contentSplits: number;
  /** By hostile node: what it does. By key proven guilty: what its own signatures say against it. */
  readonly hostile: Readonly<Record<string, readonly string[]>>;
  readonly guilty: Readonly<Record<string, readonly string[]>>;
  readonly traceHash: string;
  readonly ok: boolean;
  readonly violations: readonly string[];
}

/** Votes grow with the square of the attesters, and a network that has more provers need not have more of them. */
const ATTESTERS_MAX = 7;

export function attestersOf({ nodes, attesters }: VirtualOptions): number {
  return Math.min(attesters ?? ATTESTERS_MAX, nodes);
}
