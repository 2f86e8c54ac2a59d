/**
 * One author's batches: numbered from 0, each naming the one before.
 *
 * Facts commute, so a batch counts from the moment it arrives, whatever its number; the chain only shows what is
 * missing and what was forged.
 */
import type { Batch } from "../protocol/batch.ts";
import type { Key } from "../protocol/ids.ts";

/** How far above the first gap a batch may be; past it, a hostile author could make the gap list grow for ever. */
const AHEAD_MAX = 4096;

export type Added = "new" | "known" | "too-far" | "chain-broken" | "equivocation" | "out";

export class Feed {
  readonly author: Key;
  readonly #batches = new Map<number, Batch>();
  #next = 0;
  #highest = -1;
  /** Two heads that exclude each other, once there are any. */
  #evidence: readonly [Batch, Batch] | null = null;

  constructor(author: Key) {
    this.author = author;
  }

  /** All batches below this number are here, or were here and are forgotten. */
  get next(): number {
    return this.#next;
  }

  /** The highest number seen, -1 for none. */
  get highest(): number {
    return this.#highest;
  }

  get evidence(): readonly [Batch, Batch] | null {
    return this.#evidence;
  }

  get last(): Batch | undefined {
    return this.#batches.get(this.#next - 1);
  }

  get(number: number): Batch | undefined {
    return this.#batches.get(number);
  }

  /** Kept batches in order of their number. */
  kept(): Batch[] {
    return [...this.#batches.values()].sort((a, b) => a.head.number - b.head.number);
  }

  add(batch: Batch): Added {
    if (this.#evidence !== null) return "out";
    const { number } = batch.head;
    const known = this.#batches.get(number);
    if (known !== undefined) {
      if (known.hash === batch.hash) return "known";
      this.#evidence = [known, batch];
      return "equivocation";
    }
    if (number > this.#next + AHEAD_MAX) return "too-far";
    if (!this.#chains(batch)) return "chain-broken";
    this.#batches.set(number, batch);
    this.#highest = Math.max(this.#highest, number);
    this.#advance();
    return "new";
  }

  /** Batches below this number are compacted away where we heard of them: they are no gap to fill. */
  skipTo(next: number): void {
    if (next > this.#next) {
      this.#next = next;
      this.#highest = Math.max(this.#highest, next - 1);
      this.#advance();
    }
  }

  forget(number: number): void {
    this.#batches.delete(number);
  }

  #chains(batch: Batch): boolean {
    const { number, previous } = batch.head;
    const before = this.#batches.get(number - 1);
    const after = this.#batches.get(number + 1);
    return (
      (before === undefined || before.hash === previous) && (after === undefined || after.head.previous === batch.hash)
    );
  }

  #advance(): void {
    while (this.#batches.has(this.#next)) this.#next++;
  }
}
