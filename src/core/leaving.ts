/**
 * Members that leave the roster: newcomers that had their chance and were credited for nothing.
 *
 * A key that only beats is never suspended, and each of its tasks costs a claim window. So a newcomer leaves if, since its
 * latest turn began, so many tasks were credited that a member of its weight owned eight on average, and none of the
 * credits is its own. Only contents of certificates and the roster count, so nodes with the same log name the same
 * members. Certificates beyond the retention do not count, because a node that has just joined does not have them.
 *
 * In a crowd nobody owns eight tasks within the retention. So where far fewer members were credited than would be if all
 * proved, those leave that had a whole retention and were credited for nothing.
 *
 * Provers of the manifest never leave. On `any` chains nobody leaves, because heights say nothing there.
 */
import type { Key } from "../protocol/ids.ts";
import type { BlockFacts, Facts, MemberFacts } from "./facts.ts";
import { certifiedBefore } from "./griefing.ts";

/** Tasks that a member has owned on average before it leaves without a credit. One in 3,000 of those that prove owned none. */
const CHANCES = 8;

/** Members are a crowd where one in so many was credited of those that would be if all proved. */
const PROVING_ONE_IN = 2;

/** Those of the members that have left, as of a block. */
export function leftOf(state: Facts, block: BlockFacts, members: readonly MemberFacts[]): ReadonlySet<Key> {
  const { chains, provers } = state.manifest.json;
  const listed = new Set(provers.list.map(({ key }) => key));
  const newcomers = members.filter(
    ({ key }) =>
      // LEAVE-3.
      // mutant: listed-leave
      !listed.has(key),
  );
  // LEAVE-3.
  const isAny = chains.find(({ id }) => id === block.chain)?.start === "any";
  if (isAny || newcomers.length === 0) return new Set();
  const credits = countCredits(state, block);
  const { tasksFrom, credited } = credits;
  const total = weightOf(members);
  const crowdedFrom = crowdedSince(state, members, credits);
  const left = newcomers.filter(({ key, weight, turns }) => {
    const since = (turns.get(block.chain) ?? []).findLast((from) => from <= block.height) ?? block.height;
    // LEAVE-4.
    // mutant: crowd-stays
    if (crowdedFrom !== null && since <= crowdedFrom && !credited.has(key)) return true;
    // LEAVE-1.
    // mutant: leave-at-once
    if (tasksFrom(since) * weight < CHANCES * total) return false;
    // mutant: never-leave
    return (credited.get(key) ?? -1) < since;
  });
  return new Set(left.map(({ key }) => key));
}

/**
 * The height of the oldest certificate that counts, if the members are a crowd; `null` where they are none, or where the
 * certificates are not yet those of a whole retention. If all of weight W proved, T tasks would credit at least
 * W x T / (W + T) of it on average. The members are a crowd if less than half of that was credited.
 */
function crowdedSince(
  { manifest }: Facts,
  members: readonly MemberFacts[],
  { tasksFrom, credited, heights }: Credits,
): number | null {
  const [oldest] = heights;
  if (oldest === undefined || heights.length < manifest.json.limits.retentionBlocks) return null;
  const [total, tasks] = [weightOf(members), tasksFrom(oldest)];
  const proving = weightOf(members.filter(({ key }) => credited.has(key)));
  // mutant: crowd-by-chance
  return PROVING_ONE_IN * proving * (total + tasks) < total * tasks ? oldest : null;
}

function weightOf(members: readonly MemberFacts[]): number {
  return members.reduce((sum, { weight }) => sum + weight, 0);
}

/** What the certificates that count for a block say. */
interface Credits {
  /** How many tasks were credited from a height on. */
  readonly tasksFrom: (height: number) => number;
  /** The height of each prover's latest credit. */
  readonly credited: ReadonlyMap<Key, number>;
  /** Of the certified blocks, the oldest first. */
  readonly heights: readonly number[];
}

function countCredits(state: Facts, block: BlockFacts): Credits {
  const credited = new Map<Key, number>();
  const blocks = certifiedBefore(state, block).map(({ id, height }) => {
    let tasks = 0;
    for (const [key, { proven }] of state.tallies.get(id) ?? []) {
      tasks += proven;
      if (proven > 0) credited.set(key, height);
    }
    return { height, tasks };
  });
  const known = new Map<number, number>();
  const tasksFrom = (from: number) => {
    const sum = known.get(from) ?? blocks.reduce((all, { height, tasks }) => (height >= from ? all + tasks : all), 0);
    known.set(from, sum);
    return sum;
  };
  return { tasksFrom, credited, heights: blocks.map(({ height }) => height) };
}
