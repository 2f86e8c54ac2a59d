/**
 * The costs of all feeds by class of author, kept as counters, so that no batch costs a walk over all feeds.
 *
 * The class of an author changes with the roster. The counters are therefore counted anew for each version of the roster.
 */
import type { Key } from "../protocol/ids.ts";

export interface Sum {
  /** Bytes of heap of all feeds of the class (`cost.ts`). */
  cost: number;
  feeds: number;
}

/** The part of a feed that is summed. */
export interface Summed {
  readonly author: Key;
  readonly cost: number;
}

export class CostSums {
  readonly #classOf: (author: Key) => string;
  #sums = new Map<string, Sum>();
  #version = -1;

  constructor(classOf: (author: Key) => string) {
    this.#classOf = classOf;
  }

  change(author: Key, cost: number, feeds: number): void {
    const name = this.#classOf(author);
    const sum = this.#sums.get(name) ?? { cost: 0, feeds: 0 };
    sum.cost += cost;
    sum.feeds += feeds;
    this.#sums.set(name, sum);
  }

  /** The sum of a class, where classes are those of this version of the roster. */
  of(name: string, version: number, feeds: Iterable<Summed>): Readonly<Sum> {
    // mutant: sums-kept
    if (version !== this.#version) this.#recount(version, feeds);
    return this.#sums.get(name) ?? { cost: 0, feeds: 0 };
  }

  #recount(version: number, feeds: Iterable<Summed>): void {
    this.#sums = new Map();
    this.#version = version;
    for (const { author, cost } of feeds) this.change(author, cost, 1);
  }
}
