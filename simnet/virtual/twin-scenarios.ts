/**
 * Every way in which the links can let four attesters hear the two processes of one key. After Bano et al., "Twins: BFT
 * systems made robust", which enumerates partitions over rounds.
 *
 * A phase is one partition. In each phase the original and its copy are apart, and each of the other three attesters hears
 * the original's side, or the copy's side, or nobody. In the first phase the copy gets its disk and starts, so nobody is
 * alone there, and scenarios that differ only in the names of the three are one.
 */
import type { Fault } from "./fault.ts";
import type { VirtualOptions, VirtualReport } from "./options.ts";
import { runVirtual } from "./run.ts";
import { twinned } from "./twins.ts";

const ATTESTERS = 4;
/** The copy is the fifth process. */
const COPY = ATTESTERS;
const BLOCKS = 18;
const START_MS = 1_500;
/** Peers that the original was cut from forget it in 8 s, and then the copy may speak. */
const FIRST_PHASE_MS = 10_500;
const COPY_STARTS_MS = 9_000;
/** Long enough for claims, proofs and votes of a block, and for a connection to come back. */
const PHASE_MS = 2_500;

/** Whom one of the other three hears in a phase. */
export type Place = "original" | "copy" | "nobody";
const PLACES = ["original", "copy", "nobody"] as const;

export interface TwinScenario {
  readonly number: number;
  readonly disk: "new" | "old" | "empty";
  /** For each phase: the places of the three attesters that have no copy. */
  readonly phases: readonly (readonly Place[])[];
}

/** All scenarios of so many phases, in an order that does not change. */
export function twinScenarios(phases: number): readonly TwinScenario[] {
  const firsts = sequences(["original", "copy"] as const, ATTESTERS - 1).filter(isSorted);
  const later = sequences(sequences(PLACES, ATTESTERS - 1), phases - 1);
  const disks = ["new", "old", "empty"] as const;
  return disks
    .flatMap((disk) => firsts.flatMap((first) => later.map((rest) => ({ disk, phases: [first, ...rest] }))))
    .map((scenario, number) => ({ number, ...scenario }));
}

export function runTwinScenario(scenario: TwinScenario, seed: number): VirtualReport {
  const shape: VirtualOptions = { seed, nodes: ATTESTERS, attesters: ATTESTERS, blocks: BLOCKS, shards: 2, twins: 1 };
  return runVirtual({ ...shape, script: scriptOf(scenario, shape) });
}

/** The scenario on one line: the disk, and for each phase who hears the original, who the copy, and who nobody. */
export function describeScenario({ disk, phases }: TwinScenario): string {
  const letters = { original: "o", copy: "c", nobody: "-" } as const;
  return `${disk} disk, ${phases.map((places) => places.map((place) => letters[place]).join("")).join(" ")}`;
}

function scriptOf({ disk, phases }: TwinScenario, shape: VirtualOptions): Fault[] {
  const [original = 0] = twinned(shape);
  const others = Array.from({ length: ATTESTERS }, (_, at) => at).filter((at) => at !== original);
  const within = (places: readonly Place[], place: Place) => others.filter((_, at) => places[at] === place);
  const [first = [], ...rest] = phases;
  const faults: (Fault extends infer F ? (F extends Fault ? Omit<F, "number"> : never) : never)[] = [
    {
      atMs: START_MS,
      kind: "twin",
      node: original,
      way: "parted",
      copy: disk,
      side: within(first, "copy"),
      waitMs: COPY_STARTS_MS,
      forMs: FIRST_PHASE_MS,
    },
  ];
  for (const [at, places] of rest.entries()) {
    // One millisecond of both partitions, so that no message passes between them.
    const [atMs, forMs] = [START_MS + FIRST_PHASE_MS + at * PHASE_MS - 1, PHASE_MS + 1];
    const sides = [[COPY, ...within(places, "copy")], ...within(places, "nobody").map((alone) => [alone])];
    for (const side of sides) faults.push({ atMs, kind: "partition", side, way: "both", forMs, flaps: 1 });
  }
  return faults.map((fault, number) => ({ number, ...fault }));
}

function sequences<T>(items: readonly T[], length: number): readonly (readonly T[])[] {
  if (length <= 0) return [[]];
  return sequences(items, length - 1).flatMap((head) => items.map((item) => [...head, item]));
}

/** Of the first phases that differ only in the names of the three, one is sorted. */
function isSorted(places: readonly Place[]): boolean {
  return places.every((place, at) => at === 0 || place >= (places[at - 1] ?? place));
}
