/**
 * What is done to the nodes and when, drawn from a seed. The same seed gives the same plan, though not the same run:
 * processes have clocks of their own.
 */
import { Chance } from "../virtual/world.ts";

/** A node by its index; or one that is at work when the moment comes. */
export type Target = number | "prover" | "attester";

export type Fault =
  | { readonly kind: "kill"; readonly node: Target; readonly forMs: number }
  | { readonly kind: "pause"; readonly node: Target; readonly forMs: number }
  /** What the group sends (`out`), what it is sent (`in`), or both stay away from the others. */
  | {
      readonly kind: "partition";
      readonly group: readonly number[];
      readonly way: "both" | "in" | "out";
      readonly forMs: number;
    }
  | { readonly kind: "cut"; readonly pair: readonly [number, number] }
  | { readonly kind: "slow"; readonly node: number; readonly extraMs: number; readonly forMs: number };

export interface Planned {
  readonly atMs: number;
  readonly fault: Fault;
}

export interface Counts {
  readonly kill: number;
  readonly killAttester: number;
  readonly pause: number;
  readonly partition: number;
  readonly cut: number;
}

/** A killed node stays away for so long in a short run. */
const AWAY_MS = 3000;
/** Past the lease of 4 s, so that what a paused node proves is reclaimed; past the ping that finds a dead peer. */
const PAUSED_MS = 12_000;
/** Faults of the long run, on average. */
const GAP_MS = 7000;
/** The nodes get this long before the first. */
const CALM_MS = 3000;

/** So many of each, at every second block. */
export function planCounts(counts: Counts, nodes: number, seed: number, intervalMs: number): readonly Planned[] {
  const chance = new Chance(seed, "counts");
  const of = (count: number, shift: number, fault: () => Fault): Planned[] =>
    Array.from({ length: count }, (_, i) => ({ atMs: (2 * i + shift) * intervalMs, fault: fault() }));
  return [
    ...of(counts.kill, 1, () => ({ kind: "kill", node: "prover", forMs: AWAY_MS })),
    ...of(counts.killAttester, 2, () => ({ kind: "kill", node: "attester", forMs: AWAY_MS })),
    ...of(counts.pause, 1.5, () => ({ kind: "pause", node: "prover", forMs: PAUSED_MS })),
    ...of(counts.partition, 2.5, () => drawPartition(chance, nodes)),
    ...of(counts.cut, 2, () => ({ kind: "cut", pair: drawPair(chance, nodes) })),
  ].toSorted((a, b) => a.atMs - b.atMs);
}

/** Everything, overlapping as it comes, until the time is over. */
export function planChaos(seed: number, nodes: number, durationMs: number): readonly Planned[] {
  const chance = new Chance(seed, "chaos");
  const plan: Planned[] = [];
  for (let atMs = CALM_MS; ; ) {
    atMs += Math.round(-Math.log(1 - chance.next()) * GAP_MS);
    if (atMs >= durationMs) return plan;
    plan.push({ atMs, fault: drawFault(chance, nodes) });
  }
}

function drawFault(chance: Chance, nodes: number): Fault {
  const kind = chance.next();
  const node = chance.between(0, nodes - 1);
  // Half of them in the middle of a proof, where it hurts.
  const target = chance.next() < 0.5 ? "prover" : node;
  if (kind < 0.3) return { kind: "kill", node: target, forMs: chance.between(500, 8000) };
  if (kind < 0.55) return { kind: "pause", node: target, forMs: chance.between(500, 14_000) };
  if (kind < 0.75) return drawPartition(chance, nodes);
  if (kind < 0.9) return { kind: "cut", pair: drawPair(chance, nodes) };
  return { kind: "slow", node, extraMs: chance.between(50, 500), forMs: chance.between(5000, 15_000) };
}

function drawPartition(chance: Chance, nodes: number): Fault {
  // One node alone half of the time, else any split; a quorum is left in some of them only.
  const size = chance.next() < 0.5 ? 1 : chance.between(1, nodes - 1);
  const left = Array.from({ length: nodes }, (_, index) => index);
  const group = Array.from({ length: size }, () => left.splice(chance.between(0, left.length - 1), 1)[0] ?? 0);
  const way = (["both", "in", "out"] as const)[chance.between(0, 2)] ?? "both";
  return { kind: "partition", group: group.toSorted((a, b) => a - b), way, forMs: chance.between(2000, 15_000) };
}

function drawPair(chance: Chance, nodes: number): readonly [number, number] {
  const one = chance.between(0, nodes - 1);
  return [one, (one + chance.between(1, nodes - 1)) % nodes];
}
