/** What a run is made of, and what comes of it. A run is its options: the same ones give the same trace. */
import { CORE_LIMITS, type CoreLimits } from "../../src/core/limits.ts";
import type { CoreOptions } from "../../src/core/options.ts";
import type { Fragment } from "../../src/protocol/fragment.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import type { Cause, Delays } from "./checkers/delays.ts";
import type { NodeHooks } from "./cluster.ts";
import type { Damage } from "./disk.ts";
import type { HostileShape } from "./hostile.ts";
import type { Fault } from "./fault.ts";

/**
 * The faults of a run, each with its own dial. What says `EveryMs` happens about that often, 0 is never; a share is
 * from 0 to 1.
 */
export interface Dials {
  /** Shares of gossip messages that never arrive, arrive twice, and arrive once more minutes later. */
  readonly loss: number;
  readonly duplicate: number;
  readonly replay: number;
  /** The longest a message takes beside the distance, and whether the nodes are spread over five regions. */
  readonly delayMs: number;
  readonly wan: boolean;
  /** Some nodes are cut off from the rest: in both directions or one, for a while or again and again. */
  readonly partitionEveryMs: number;
  /** A link carries no gossip for a while, and requests all the same. */
  readonly deafEveryMs: number;
  /** A node dies; the share of deaths at the boundary of an effect; what is left of its disk. */
  readonly crashEveryMs: number;
  readonly crashSites: number;
  readonly damage: Damage | "any";
  /** All nodes die at once, with the machines that they run on. */
  readonly outageEveryMs: number;
  /** The longest a node is away. */
  readonly awayMs: number;
  readonly fullDiskEveryMs: number;
  /** A node stands still and then goes on, as under SIGSTOP. */
  readonly pauseEveryMs: number;
  /** How far a node's clock may run off, and how often the clock on some wall jumps. */
  readonly drift: number;
  readonly jumpEveryMs: number;
  /** A prover gets slow, or hangs. */
  readonly slowEveryMs: number;
  /** GPUs of each machine, one for each job; 0 where jobs need none. */
  readonly gpus: number;
  /** The longest that a machine works on a job that was cancelled. */
  readonly lingerMs: number;
  /** The provers of a node can begin no job for a while. */
  readonly unableEveryMs: number;
  /** Shares of proofs that do not verify, and of jobs whose machine fails. */
  readonly wrong: number;
  readonly failing: number;
  /** Each prover's first so many proofs of a task do not verify: a bad release, which is then mended. */
  readonly wrongFirst: number;
  /** Share of blocks that are too large for one proof, where the workflow splits them; half of those twice. */
  readonly tooLarge: number;
  readonly reorgEveryMs: number;
  readonly reorgDepth: number;
  readonly stallEveryMs: number;
  /** The source of some attester does not answer for a while, or is up to 20 blocks behind. */
  readonly sourceAwayEveryMs: number;
  readonly sourceLagEveryMs: number;
  /** The sources of so many attesters do not answer from the beginning on, for so long. */
  readonly sourcesAway: number;
  readonly sourcesAwayMs: number;
  /** The first attester's source is so many blocks behind. */
  readonly sourceLag: number;
  /** A sink refuses, is slow, loses its answers or hears all twice, and the ledger loses its newest blocks. */
  readonly sinkEveryMs: number;
  /** Nodes of other partitions that hear this one's certificates, and forgers of certificates among them. */
  readonly outsiders: number;
  readonly forgers: number;
  /** Blocks of a second chain that no source follows: each attester's operator hands them in. */
  readonly handedIn: number;
  /** Runs of the chain's blocks may start at any height. */
  readonly anyStart: boolean;
  /** Provers that are on nobody's list, come while the network runs, and some of which leave again. */
  readonly joiners: number;
  /** Nodes of the start that are away from the beginning of the run nearly to its end. */
  readonly absent: number;
}

export const NO_FAULTS: Dials = {
  loss: 0,
  duplicate: 0,
  replay: 0,
  delayMs: 20,
  wan: false,
  partitionEveryMs: 0,
  deafEveryMs: 0,
  crashEveryMs: 0,
  crashSites: 0.5,
  damage: "intact",
  outageEveryMs: 0,
  awayMs: 5_000,
  fullDiskEveryMs: 0,
  pauseEveryMs: 0,
  drift: 0,
  jumpEveryMs: 0,
  slowEveryMs: 0,
  gpus: 0,
  lingerMs: 0,
  unableEveryMs: 0,
  wrong: 0,
  failing: 0,
  wrongFirst: 0,
  tooLarge: 0,
  reorgEveryMs: 0,
  reorgDepth: 4,
  stallEveryMs: 0,
  sourceAwayEveryMs: 0,
  sourceLagEveryMs: 0,
  sourcesAway: 0,
  sourcesAwayMs: 600_000,
  sourceLag: 0,
  sinkEveryMs: 0,
  outsiders: 0,
  forgers: 0,
  handedIn: 0,
  anyStart: false,
  joiners: 0,
  absent: 0,
};

/** Limits that a run may make small, so that it reaches them: those of the core, and two of the manifest. */
export interface RunLimits extends CoreLimits {
  /** How many certified blocks nodes keep the entries of. */
  readonly retentionBlocks: number;
  /** How many blocks behind each other are open at once. */
  readonly window: number;
}

/** What a run uses where `VirtualOptions.limits` names nothing else. */
export const RUN_LIMITS: RunLimits = Object.freeze({ ...CORE_LIMITS, retentionBlocks: 16, window: 4 });

export interface VirtualOptions extends Partial<Dials>, HostileShape {
  readonly seed: number;
  readonly nodes: number;
  /** How many of the nodes attest and have a source; all prove. By default at most seven. */
  readonly attesters?: number;
  /** Whether attesters leave the proving to the other nodes, so that all provers but one may be hostile. */
  readonly attestersOnlyAttest?: boolean;
  readonly blocks: number;
  readonly shards: number;
  /** Three proof systems on each shard, of which two are enough. */
  readonly families?: boolean;
  /** Aggregates say which block they are about, and not who made them. */
  readonly stated?: boolean;
  /** Blocks are proven by the workflow `block` of this file instead. */
  readonly workflow?: Fragment;
  /** The functions that it names, by the SHA-256 of their modules. */
  readonly selects?: CoreOptions["selects"];
  /** Where that was read, to name it in the command that repeats the run. */
  readonly workflowFile?: string;
  readonly blockMs?: number;
  /** Limits that differ from `RUN_LIMITS`. */
  readonly limits?: Partial<RunLimits>;
  /** Faults written down by hand, in place of those drawn from the seed. */
  readonly script?: readonly Fault[];
  /** Of the faults drawn, by number, only these. */
  readonly only?: readonly number[];
  /** Damages disks of the script beyond what the protocol claims to bear: nothing wrong may be signed all the same. */
  readonly beyondF?: true;
  /** Breaks a node that comes back, to see whether the checkers notice. */
  readonly sabotage?: (runtime: Runtime) => void;
  /** Told every simulated second: the time, how many blocks there are, and how many every node has certified. */
  readonly progress?: (simulatedMs: number, mined: number, certified: number) => void;
  /** The first violation that fits ends the run. */
  readonly endsAt?: RegExp;
  /** Makes nodes unlike themselves from their first start. */
  readonly hooks?: NodeHooks;
}

/** `unrecoverable`: so many attesters are out that nothing can be certified, and the network says so. */
export type Verdict = "green" | "safety" | "liveness" | "unrecoverable" | "crash";

export interface VirtualReport {
  readonly seed: number;
  readonly simulatedMs: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
  readonly messages: number;
  readonly bytes: number;
  /** Questions from log to log. */
  readonly requests: number;
  /** Faults that were drawn, and how often a node died. */
  readonly faults: number;
  readonly crashes: number;
  /** Certificates held by all nodes together. */
  readonly certificates: number;
  /** Attempts that a quorum ended, as one node counts them. */
  readonly reclaims: number;
  /** Proofs made beyond one a task, and what they took. */
  readonly wastedProofs: number;
  readonly wastedMs: number;
  /** From a block's announcement to its first certificate, in the median; `null` where no block is certified. */
  readonly blockMedianMs: number | null;
  /** Blocks of which two nodes hold different, equally true contents. */
  readonly contentSplits: number;
  /** What failures cost beside the bounds of L4, by what it was, where nothing else went wrong. */
  readonly delays: Partial<Record<Cause, Delays>>;
  /** The longest that a ready task waited, after all faults, while provers were free (L2). */
  readonly starvedMs: number;
  /** By hostile node: what it does. By key proven guilty: what its own signatures say against it. */
  readonly hostile: Readonly<Record<string, readonly string[]>>;
  readonly guilty: Readonly<Record<string, readonly string[]>>;
  /** By key that is out on honest nodes: the offences that they can show to anybody, and how many of them do. */
  readonly evidence: Readonly<Record<string, { readonly offences: readonly string[]; readonly nodes: number }>>;
  /** Processes that ended because another one has their key. */
  readonly retired: readonly string[];
  readonly traceHash: string;
  readonly ok: boolean;
  /** Whether something happened that no order of messages allows, or something did not happen in time. */
  readonly verdict: Verdict;
  readonly violations: readonly string[];
  /** The last that was said and done about what failed. */
  readonly story: readonly string[];
}

/** Votes grow with the square of the attesters, and a network that has more provers need not have more of them. */
const ATTESTERS_MAX = 7;

export function attestersOf({ nodes, attesters }: Pick<VirtualOptions, "nodes" | "attesters">): number {
  return Math.min(attesters ?? ATTESTERS_MAX, nodes);
}

export function dialsOf(options: Partial<Dials>): Dials {
  return { ...NO_FAULTS, ...options };
}
