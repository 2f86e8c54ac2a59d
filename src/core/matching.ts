/** Copies of one task, each of which another prover has to make: which maker stands for which of them. */
import type { Hash, Key } from "../protocol/ids.ts";
import { groupOf } from "../protocol/workflow.ts";
import { tasksOf } from "./graph.ts";
import type { TaskFacts } from "./facts.ts";

export interface Maker {
  /** Nobody where the prover is out and attesters name none: that stands for no copy. */
  readonly made: { readonly prover: Key | null };
  /** A quorum has credited it for this copy, or granted it the attempt. */
  readonly credited: boolean;
  readonly assigned: boolean;
}

/** All tasks of its group, itself among them. */
export function copiesOf<T extends TaskFacts>({
  block,
  stage,
  index,
}: Pick<TaskFacts, "stage" | "index"> & {
  readonly block: { readonly tasksByStage: ReadonlyMap<string, readonly T[]> };
}): readonly T[] {
  const first = groupOf(stage, index) * stage.variants.length;
  return tasksOf(block, stage.name).slice(first, first + stage.variants.length);
}

/**
 * Of each copy the maker that stands for it, `null` for a copy that none is left for: as many copies as can be, each by
 * another prover (a largest matching, after Kuhn). Copies that somebody is credited for come first, then those that were
 * granted to their maker, then the lowest: who makes a copy that is another's stands for its own. A function of the
 * options and their order alone; with more of them no fewer copies have a maker.
 */
export function matchMakers<T extends Maker>(copies: readonly (readonly T[])[]): readonly (T | null)[] {
  const chosen: (T | null)[] = copies.map(() => null);
  const standsFor = new Map<Key, number>();
  const place = (at: number, seen: Set<Key>): boolean => {
    for (const option of copies[at] ?? []) {
      const { prover } = option.made;
      if (prover === null || seen.has(prover)) continue;
      seen.add(prover);
      const other = standsFor.get(prover);
      // mutant: one-maker-for-all
      if (other !== undefined && !place(other, seen)) continue;
      standsFor.set(prover, at);
      chosen[at] = option;
      return true;
    }
    return false;
  };
  const title = (at: number) => Math.max(0, ...(copies[at] ?? []).map(titleOf));
  const order = copies.map((_, at) => at).sort((a, b) => title(b) - title(a) || a - b);
  for (const at of order) place(at, new Set());
  return chosen;
}

/**
 * The same, of copies that have to agree: the makers of the result that most copies have, the lowest by its hash of several; of
 * none where so few have the same.
 */
export function agreeMakers<T extends Maker & { readonly proof: { readonly artefact: Hash } }>(
  copies: readonly (readonly T[])[],
  need: number,
): readonly (T | null)[] {
  const results = [...new Set(copies.flat().map(({ proof }) => proof.artefact))].sort();
  let best: readonly (T | null)[] = copies.map(() => null);
  let most = need - 1;
  for (const result of results) {
    const makers = matchMakers(copies.map((options) => options.filter(({ proof }) => proof.artefact === result)));
    const count = makers.filter((maker) => maker !== null).length;
    if (count > most) [best, most] = [makers, count];
  }
  return best;
}

function titleOf({ credited, assigned }: Maker): number {
  return credited ? 2 : assigned ? 1 : 0;
}
