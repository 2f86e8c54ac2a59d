/** What a local run prints at its end. */
import type { Figures as VoteFigures } from "../checkers/votes.ts";
import type { Verdict } from "../outcome.ts";
import type { Exported } from "./check.ts";
import type { Disturbance } from "./disturb.ts";
import type { Figures, Percentiles } from "./figures.ts";
import type { LocalNode } from "./nodes.ts";

export interface LocalReport {
  readonly verdict: Verdict;
  /** What a checker found, or why the run ended before its time. */
  readonly violations: readonly string[];
  readonly seed: number;
  readonly nodes: number;
  readonly blocks: number;
  readonly barriers: number;
  readonly tasks: number;
  readonly attempts: number;
  readonly reclaims: number;
  readonly reclaimsByCode: Readonly<Record<string, number>>;
  /** What L4 promises, from the manifest: the claim window grows with the attempt and with what its owner's claims took. */
  readonly bounds: { readonly claimWindowMs: number; readonly claimWindowMsMax: number; readonly leaseMs: number };
  /** Attempts of owners that were not there: all, and those while at most one node was away and all links were well. */
  readonly unclaimedMs: Delays & { readonly simple: Delays };
  /** From a kill or a pause until the next owner's claim: all, and those that nothing else disturbed. */
  readonly reclaimMs: Delays & { readonly alone: Delays & { readonly withinBound: number; readonly boundMs: number } };
  readonly wasted: { readonly proofs: number; readonly ms: number; readonly share: number };
  readonly overheadMs: { readonly visible: Percentiles; readonly certified: Percentiles };
  readonly provingMs: { readonly p50: number };
  readonly seconds: number;
  /** From the end of all faults until every node had every certificate, and all logs were equal. */
  readonly quietSeconds: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly disturbances: readonly Disturbance[];
  readonly tasksByProver: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  /** What the checkers looked at; `null` where the run broke before there was anything. */
  readonly checked: (VoteFigures & { readonly lookedFor: number }) | null;
  readonly tampered: number;
}

interface Delays extends Percentiles {
  readonly count: number;
}

export interface Facts {
  readonly verdict: Verdict;
  readonly violations: readonly string[];
  readonly seed: number;
  readonly nodes: readonly LocalNode[];
  readonly blocks: number;
  readonly exported: readonly Exported[];
  readonly figures: Figures;
  readonly bounds: LocalReport["bounds"];
  readonly disturbances: readonly Disturbance[];
  readonly isSimple: (fromMs: number, toMs: number) => boolean;
  readonly seconds: number;
  readonly quietSeconds: number;
  readonly checked: LocalReport["checked"];
  readonly tampered: number;
}

export function reportOf(facts: Facts): LocalReport {
  const { verdict, violations, seed, blocks, figures, bounds, disturbances, seconds, quietSeconds } = facts;
  const tasks = facts.exported.flatMap(({ content }) =>
    content.tasks.map((task) => ({ ...task, name: `${content.height}/${task.stage}/${task.index}` })),
  );
  const names = new Map(facts.nodes.map(({ key, name }) => [key, name]));
  const accepted = new Set(tasks.map(({ name, prover }) => `${name} ${prover}`));
  return {
    verdict,
    violations,
    seed,
    nodes: facts.nodes.length,
    blocks,
    barriers: facts.exported.length,
    tasks: tasks.length,
    attempts: tasks.reduce((sum, { attempt }) => sum + attempt + 1, 0),
    reclaims: tasks.reduce((sum, { attempt }) => sum + attempt, 0),
    reclaimsByCode: figures.reclaimsByCode(),
    bounds,
    unclaimedMs: { ...figures.unclaimed(() => true), simple: figures.unclaimed(facts.isSimple) },
    reclaimMs: reclaimsOf(disturbances, bounds.leaseMs + bounds.claimWindowMs),
    wasted: figures.wasted(accepted),
    overheadMs: { visible: figures.visible(), certified: figures.certified() },
    provingMs: { p50: figures.proving().p50 },
    seconds,
    quietSeconds,
    faults: countBy(disturbances.map(({ kind }) => kind)),
    disturbances,
    tasksByProver: countBy(tasks.map(({ prover }) => (prover === null ? "nobody" : (names.get(prover) ?? prover)))),
    refused: figures.refused(),
    checked: facts.checked,
    tampered: facts.tampered,
  };
}

/** The lease runs from the last beat that was heard; three hops end it: timeouts out, their quorum, the claim. */
function reclaimsOf(disturbances: readonly Disturbance[], boundMs: number): LocalReport["reclaimMs"] {
  const claimed = disturbances.filter(({ reclaimMs }) => reclaimMs !== null);
  const delays = (some: readonly Disturbance[]): Delays => {
    const sorted = some.map(({ reclaimMs }) => reclaimMs ?? 0).toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
  };
  const alone = claimed.filter((one) => one.alone);
  const withinBound = alone.filter(({ reclaimMs }) => (reclaimMs ?? 0) <= boundMs).length;
  return { ...delays(claimed), alone: { ...delays(alone), withinBound, boundMs } };
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
