/**
 * Keys that two processes have: which they are, and what befalls them. After Bano et al., "Twins: BFT systems made robust".
 *
 * Each of the two is an honest node. What makes the key hostile is that neither knows of the other's words in time, so
 * the links decide what they can sign: a copy beside the original is told to go before it speaks; one that peers of the
 * original do not hear goes on where its disk, or those peers, say that the feed had ended.
 */
import type { TwinFault } from "./fault.ts";
import { attestersOf, type VirtualOptions } from "./options.ts";
import { Chance } from "./world.ts";

/** Before that the original is still remembered by those who have just lost it, and the copy does not speak. */
const FORGOTTEN_MS = 8_000;
/** A run that is shorter has no time for a partition that lasts long enough. */
const PARTED_RUN_MS = 14_000;

/** The attesters that have a twin, by their place. */
export function twinned(options: VirtualOptions): readonly number[] {
  const { seed, twins = 0 } = options;
  const attesters = attestersOf(options);
  if (twins > attesters) throw new RangeError(`${twins} twins; allowed: at most ${attesters}, one for each attester`);
  return shuffled(new Chance(seed, "twins"), attesters).slice(0, twins);
}

/** One each; in half of the runs all of them take part in one plot. */
export function twinFaults(
  options: VirtualOptions,
  untilMs: number,
): { readonly atMs: number; readonly drawn: TwinFault }[] {
  const chance = new Chance(options.seed, "fault/twin");
  const keys = twinned(options);
  const plot = plotOf(options, keys, chance, untilMs);
  const isCommon = chance.next() < 0.5;
  return keys.map((node) => {
    const { atMs, ...own } = isCommon ? plot : plotOf(options, [node], chance, untilMs);
    const copy = (["new", "old", "empty"] as const)[chance.between(0, 2)] ?? "new";
    return { atMs, drawn: { kind: "twin", node, copy, ...own } };
  });
}

type Plot = Pick<TwinFault, "way" | "side" | "waitMs" | "forMs"> & { readonly atMs: number };

function plotOf(options: VirtualOptions, keys: readonly number[], chance: Chance, untilMs: number): Plot {
  const ways =
    // START-4, START-6, FEED-3, FEED-4.
    untilMs < PARTED_RUN_MS ? (["beside", "relay"] as const) : (["beside", "relay", "parted", "strung"] as const);
  const way = ways[chance.between(0, ways.length - 1)] ?? "beside";
  const isParted = way === "parted" || way === "strung";
  const waitMs = isParted ? chance.between(FORGOTTEN_MS, FORGOTTEN_MS + 3_000) : chance.between(10, 4_000);
  const atMs = chance.between(500, Math.round(untilMs / (isParted ? 6 : 2)));
  return { atMs, way, waitMs, forMs: waitMs + chance.between(2_000, 8_000), side: sideOf(options, keys, chance) };
}

/** As many attesters as it takes for the copies to be told how far their feeds had come, if there are so many; and some others. */
function sideOf(options: VirtualOptions, keys: readonly number[], chance: Chance): number[] {
  const attesters = attestersOf(options);
  const quorum = Math.floor((2 * attesters) / 3) + 1;
  const others = shuffled(chance, attesters).filter((at) => !keys.includes(at));
  const needed = Math.max(quorum - keys.length, 0);
  const most = Math.max(Math.min(others.length, needed + 1), needed);
  const provers = Array.from({ length: options.nodes - attesters }, (_, at) => attesters + at);
  return [...others.slice(0, chance.between(needed, most)), ...provers.filter(() => chance.next() < 0.5)];
}

function shuffled(chance: Chance, count: number): number[] {
  const order = Array.from({ length: count }, (_, at) => ({ at, by: chance.next() }));
  return order.sort((a, b) => a.by - b.by).map(({ at }) => at);
}
