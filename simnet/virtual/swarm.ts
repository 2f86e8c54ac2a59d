/** Swarm mode: which faults a run has, and how strong, is drawn from its seed. Ranges after TigerBeetle's VOPR. */
import type { Fragment } from "../../src/protocol/fragment.ts";
import type { HostileShape } from "./hostile.ts";
import { attestersOf, type Dials, NO_FAULTS, RUN_LIMITS, type RunLimits, type VirtualOptions } from "./options.ts";
import { RECEIPTS } from "./receipts.ts";
import { Chance } from "./world.ts";

/** How often one of the hostile attesters is a key that two processes have. */
const TWIN_ODDS = 0.2;

/** How often the proofs of a stage name no prover. */
const STATED_ODDS = 0.3;

/** How often attesters leave the proving to the others, of whom all but one may then be hostile. */
const FEW_PROVERS_ODDS = 0.5;
/** How often those hostile provers sign more receipts than they should, and do nothing else. */
const RECEIPTS_ODDS = 0.3;

/** Each fault is on in about half of the runs, so that the strong ones do not always hide what the weak ones do. */
export function swarmDials(seed: number): Dials {
  const chance = new Chance(seed, "swarm");
  const on = <T>(value: T, off: T, odds = 0.5): T => (chance.next() < odds ? value : off);
  const share = (percentMax: number): number => on(chance.between(1, percentMax) / 100, 0);
  const every = (msMin: number, msMax: number, odds = 0.5): number => on(chance.between(msMin, msMax), 0, odds);
  // A stream of its own, so that the seeds from before this fault keep their other faults.
  const machine = new Chance(seed, "swarm/machine");
  const gpus = machine.next() < 0.4 ? machine.between(1, 2) : 0;
  const lingerMs = gpus > 0 && machine.next() < 0.5 ? machine.between(10, 3_000) : 0;
  const unableEveryMs = machine.next() < 0.3 ? machine.between(2_000, 15_000) : 0;
  return {
    ...NO_FAULTS,
    loss: share(30),
    duplicate: share(50),
    replay: share(20),
    delayMs: chance.between(2, on(300, 30)),
    wan: on(true, false, 0.3),
    partitionEveryMs: every(3_000, 20_000),
    deafEveryMs: every(1_000, 10_000),
    crashEveryMs: every(500, 8_000, 0.7),
    crashSites: chance.between(0, 100) / 100,
    damage: on("any", on("torn", "intact")),
    awayMs: on(chance.between(5_000, 40_000), 5_000, 0.3),
    fullDiskEveryMs: every(4_000, 20_000, 0.3),
    pauseEveryMs: every(2_000, 15_000, 0.3),
    drift: on(chance.between(100, 50_000) / 1e6, 0),
    jumpEveryMs: every(2_000, 20_000, 0.3),
    slowEveryMs: every(2_000, 10_000),
    gpus,
    lingerMs,
    unableEveryMs,
    wrong: share(30),
    failing: share(30),
    reorgEveryMs: every(2_000, 15_000, 0.4),
    reorgDepth: chance.between(1, 6),
    stallEveryMs: every(5_000, 20_000, 0.3),
    joiners: on(chance.between(1, 3), 0, 0.3),
    outageEveryMs: every(5_000, 20_000, 0.2),
    sourceAwayEveryMs: every(3_000, 20_000, 0.3),
    sourceLagEveryMs: every(3_000, 20_000, 0.3),
    absent: on(1, 0, 0.3),
    sinkEveryMs: every(1_000, 8_000),
    outsiders: on(chance.between(1, 2), 0, 0.3),
    forgers: on(1, 0),
    handedIn: on(chance.between(1, 4), 0, 0.3),
  };
}

/**
 * Limits so small that a run passes them many times: half of the runs have small ones. A chain that reorganises keeps
 * the retention of `RUN_LIMITS`, because no node goes back further than that.
 */
export function swarmLimits(seed: number, { reorgEveryMs }: Pick<Dials, "reorgEveryMs">): Partial<RunLimits> {
  const chance = new Chance(seed, "swarm/limits");
  const isSmall = chance.next() < 0.5;
  const drawn = {
    batchAheadMax: chance.between(16, 128),
    blockAheadMax: chance.between(8, 32),
    window: chance.between(1, 4),
    retentionBlocks: reorgEveryMs > 0 ? RUN_LIMITS.retentionBlocks : chance.between(4, RUN_LIMITS.retentionBlocks),
  };
  return isSmall ? drawn : {};
}

/** How many honest provers a workflow needs to complete each block: as many as copies have to be of different provers. */
export function proversNeeded(workflow: Fragment | undefined): number {
  const stages = Object.values(workflow?.workflows ?? {}).flatMap((each) => each.stages);
  const needs = stages.map(({ collect }) =>
    typeof collect === "object" && "of" in collect && collect.of === "provers" ? collect.any : 1,
  );
  return Math.max(1, ...needs);
}

/**
 * How large the network is, and how long it runs. Where nodes are to be hostile there are enough to outvote them, and
 * enough to prove what the workflow asks for.
 */
export function swarmSize(
  seed: number,
  byzantine: boolean,
  provers = 1,
): Pick<VirtualOptions, "nodes" | "attesters" | "blocks" | "shards" | "stated"> {
  const chance = new Chance(seed, "swarm/size");
  const drawn = [1, 4, 4, 7, 7, 10][chance.between(0, 5)] ?? 4;
  const attesters = byzantine && drawn === 1 ? 4 : drawn;
  return {
    attesters,
    nodes: Math.max(attesters + chance.between(0, 4), Math.floor((attesters - 1) / 3) + provers),
    blocks: chance.between(8, 30),
    shards: chance.between(1, 6),
    // A stream of its own, so that the seeds from before statements keep their other faults.
    stated: new Chance(seed, "swarm/stated").next() < STATED_ODDS,
  };
}

/**
 * As many hostile nodes as the protocol stands: f of 3f+1 attesters, and any number of provers as long as so many are
 * honest as the workflow needs (`proversNeeded`).
 * Half of the seeds have none, unless all shall. Where attesters prove they are the honest provers, and all others may
 * be hostile. In half of the seeds attesters do not prove, and all other nodes but those may be hostile.
 */
export function swarmHostile(
  seed: number,
  size: Pick<VirtualOptions, "nodes" | "attesters">,
  byzantine: boolean,
  needed = 1,
): HostileShape & Pick<VirtualOptions, "attestersOnlyAttest"> {
  const chance = new Chance(seed, "swarm/hostile");
  const drawn = chance.next() < 0.5;
  const attesters = attestersOf(size);
  const most = byzantine || drawn ? Math.floor((attesters - 1) / 3) : 0;
  if (most === 0) return {};
  const twins = chance.next() < TWIN_ODDS ? 1 : 0;
  const provers = size.nodes - attesters;
  const shape = { ...(twins > 0 ? { twins } : {}), byzantineAttesters: most - twins };
  if (provers <= needed || chance.next() >= FEW_PROVERS_ODDS)
    return {
      ...shape,
      byzantineProvers: chance.between(0, Math.min(provers, Math.max(size.nodes - most - needed, 0))),
    };
  const few = { ...shape, attestersOnlyAttest: true, byzantineProvers: chance.between(1, provers - needed) };
  if (chance.next() >= RECEIPTS_ODDS) return few;
  const kinds = Object.keys(RECEIPTS);
  const proverBehaviours = kinds.filter(() => chance.next() < 0.5);
  return { ...few, proverBehaviours: proverBehaviours.length > 0 ? proverBehaviours : kinds };
}
