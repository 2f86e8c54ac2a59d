/** What makes an output whole, worked out once more: so many variants, of families or by provers of their own. */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";
import { levelOfIndex } from "./levels.ts";
import { placeOf, type TaskRef } from "./place.ts";

/** A proof as votes name it; `maker` is `null` where the proof names none. */
export interface Vouched {
  readonly artefact: Hash;
  readonly maker: Key | null;
}

export class Outputs {
  /** By task and artefact: who has handed it in. */
  readonly #makers = new Map<string, Set<Key>>();

  /** Whether the prover of this key has made the artefact. */
  readonly #hasMade: (prover: Key, artefact: Hash) => boolean;
  /** By task: who has committed to a result of it. */
  readonly #committers = new Map<string, Set<Key>>();

  constructor(hasMade: (prover: Key, artefact: Hash) => boolean) {
    this.#hasMade = hasMade;
  }

  /** Where provers have to agree, attesters know of a result before its receipt is published. */
  commit(author: Key, entry: EntryOf<"commit">): void {
    const name = placeOf(entry);
    this.#committers.set(name, (this.#committers.get(name) ?? new Set<Key>()).add(author));
  }

  receipt(author: Key, entry: EntryOf<"receipt">): void {
    const name = `${placeOf(entry)} ${entry.artefact}`;
    this.#makers.set(name, (this.#makers.get(name) ?? new Set<Key>()).add(author));
  }

  /** What of a block is not complete: of one that may be split, at the level where least is missing. */
  holes(block: Hash, stages: readonly Stage[], proofsOf: (task: TaskRef) => readonly Vouched[]): readonly string[] {
    const levels = Math.max(1, ...stages.map((stage) => stage.levels.length));
    const holes = Array.from({ length: levels }, (_, level) =>
      stages.flatMap((stage) =>
        Array.from({ length: stage.groups }, (_group, group) => group).flatMap((group) => {
          const index = group * stage.variants.length;
          if (stage.levels.length > 0 && levelOfIndex(stage, index) !== level) return [];
          const found = this.completeOf(block, stage, group, proofsOf);
          return found >= stage.need ? [] : [`${stage.name}/${index} was not complete (${found}/${stage.need})`];
        }),
      ),
    );
    return holes.reduce((least, each) => (each.length < least.length ? each : least));
  }

  /** How many variants of an output count, where the proofs given are those that a quorum says verify. */
  completeOf(
    block: Hash,
    { name: stage, variants, distinct }: Stage,
    group: number,
    proofsOf: (task: TaskRef) => readonly Vouched[],
  ): number {
    const tasks = variants.map((_, at) => ({ block, stage, index: group * variants.length + at }));
    const proofs = tasks.map(proofsOf);
    const complete = variants.filter((_, at) => (proofs[at] ?? []).length > 0);
    if (distinct === "families") return new Set(complete.map(({ family }) => family)).size;
    if (distinct === null) return complete.length;
    return mostMakers(
      tasks.map((task, at) =>
        (proofs[at] ?? []).flatMap(({ artefact, maker }) =>
          maker === null ? this.#makersOf(task, artefact) : [maker],
        ),
      ),
    );
  }

  #makersOf(task: TaskRef, artefact: Hash): Key[] {
    const committed = [...(this.#committers.get(placeOf(task)) ?? [])].filter((key) => this.#hasMade(key, artefact));
    return [...(this.#makers.get(`${placeOf(task)} ${artefact}`) ?? []), ...committed];
  }
}

/** The most copies that can have a maker of their own each: by trying everything, for they are few. */
function mostMakers([copy, ...others]: readonly (readonly Key[])[], used: readonly Key[] = []): number {
  if (copy === undefined) return 0;
  const left = mostMakers(others, used);
  const free = [...new Set(copy)].filter((key) => !used.includes(key));
  return Math.max(left, ...free.map((key) => 1 + mostMakers(others, [...used, key])));
}
