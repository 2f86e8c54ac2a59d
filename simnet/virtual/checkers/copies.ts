/** S1: of copies that different provers have to make, an honest prover claims one, and an honest attester grants it one. */
import type { Key } from "../../../src/protocol/ids.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";
import { placeOf, type TaskRef } from "./place.ts";

interface Held {
  readonly task: TaskRef;
  readonly attempt: number;
}

export interface CopiesOptions {
  readonly stageOf: (task: TaskRef) => Stage | undefined;
  readonly isOver: (task: TaskRef, attempt: number) => boolean;
}

export class Copies {
  readonly #options: CopiesOptions;
  /** By attester or prover itself, prover, and group: the copies that the prover has in hand. */
  readonly #held = new Map<string, Map<string, Held>>();
  /** By task: who has handed in a proof of it. */
  readonly #makers = new Map<string, Set<Key>>();
  /** Attempts that their provers have ended. */
  readonly #ended = new Set<string>();

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  receipt(author: Key, entry: EntryOf<"receipt">): void {
    this.#makers.set(placeOf(entry), (this.#makers.get(placeOf(entry)) ?? new Set<Key>()).add(author));
  }

  ended(author: Key, entry: EntryOf<"release"> | EntryOf<"fail">): void {
    this.#ended.add(`${author} ${placeOf(entry, entry.attempt)}`);
  }

  /** An attester that rejects a proof tells its prover that the attempt is over. */
  rejected(entry: EntryOf<"reject">): void {
    this.#ended.add(`${entry.prover} ${placeOf(entry)}`);
  }

  // CLAIM-6, GRANT-6.
  /** The other copy that the prover has in hand, and that nobody else has made, as `by` must know. */
  second(by: Key, prover: Key, entry: TaskRef & { readonly attempt: number }): string | null {
    const stage = this.#options.stageOf(entry);
    if (stage?.distinct !== "provers" || stage.verify === "agree") return null;
    const group = Math.floor(entry.index / stage.variants.length);
    const name = `${by} ${prover} ${entry.block} ${entry.stage}/${group}`;
    const held = this.#held.get(name) ?? new Map<string, Held>();
    this.#held.set(name, held);
    const others = [...held.values()].filter(({ task }) => task.index !== entry.index);
    held.set(placeOf(entry), { task: entry, attempt: entry.attempt });
    const other = others.find(({ task, attempt }) => {
      const ends = [`${prover} ${placeOf(task, attempt)}`, `${prover} ${placeOf(task)}`];
      if (this.#options.isOver(task, attempt) || ends.some((end) => this.#ended.has(end))) return false;
      return [...(this.#makers.get(placeOf(task)) ?? [])].every((key) => key === prover);
    });
    return other === undefined ? null : placeOf(other.task, other.attempt);
  }
}
