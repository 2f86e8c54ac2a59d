/**
 * Members that leave the roster: newcomers that had their chance and were credited for nothing.
 *
 * A key that only beats is never suspended, and each of its tasks costs a claim window. So a newcomer leaves if, since its
 * latest turn began, so many tasks were credited that a member of its weight owned eight on average, and none of the
 * credits is its own. Only contents of certificates and the roster count, so nodes with the same log name the same
 * members. Certificates beyond the retention do not count, because a node that has just joined does not have them.
 *
 * Provers of the manifest never leave. On `any` chains nobody leaves, because heights say nothing there.
 */
import type { Key } from "../protocol/ids.ts";
import type { BlockFacts, Facts, MemberFacts } from "./facts.ts";
import { certifiedBefore } from "./griefing.ts";

/** Tasks that a member has owned on average before it leaves without a credit. One in 3,000 of those that prove owned none. */
const CHANCES = 8;

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
  const { tasksFrom, credited } = countCredits(state, block);
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const left = newcomers.filter(({ key, weight, turns }) => {
    const since = (turns.get(block.chain) ?? []).findLast((from) => from <= block.height) ?? block.height;
    // LEAVE-1.
    // mutant: leave-at-once
    if (tasksFrom(since) * weight < CHANCES * total) return false;
    // mutant: never-leave
    return (credited.get(key) ?? -1) < since;
  });
  return new Set(left.map(({ key }) => key));
}

/** How many tasks were credited from a height on, and the height of each prover's latest credit. */
function countCredits(
  state: Facts,
  block: BlockFacts,
): { readonly tasksFrom: (height: number) => number; readonly credited: ReadonlyMap<Key, number> } {
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
  return { tasksFrom, credited };
}
