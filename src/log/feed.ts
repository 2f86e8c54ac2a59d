/**
 * One author's batches: numbered from 0, each naming the one before.
 *
 * Facts commute, so a batch counts from the moment it arrives, whatever its number; the chain only shows what is
 * missing and what was forged.
 */
import { type Batch, type BatchHead, continues, numberBefore } from "../protocol/batch.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { costOf } from "./cost.ts";
import type { Span } from "../protocol/sync.ts";
import { LOG_LIMITS } from "./limits.ts";

export type Added = "new" | "known" | "too-far" | "chain-broken" | "equivocation" | "out";

export class Feed {
  readonly author: Key;
  readonly #batches = new Map<number, Batch>();
  /** The same in order of their number, which is nearly always that of their arrival. */
  #kept: Batch[] = [];
  #next = 0;
  #highest = -1;
  #cost = 0;
  #seen = -1;
  #end = Number.POSITIVE_INFINITY;
  /** What was let go of before a restart, and not passed yet. */
  #gone: readonly Span[] = [];
  /** What was here and is let go of, ascending, with a gap between each two. */
  readonly #forgotten: Span[] = [];

  /** Batches that leave numbers out. */
  #leaps: Batch[] = [];

  readonly #aheadMax: number;

  constructor(author: Key, aheadMax: number = LOG_LIMITS.batchAheadMax) {
    this.author = author;
    this.#aheadMax = aheadMax;
  }

  /** All batches below this number are here, or were here and are forgotten. */
  get next(): number {
    return this.#next;
  }

  /** The highest number taken in, -1 for none. */
  get highest(): number {
    return this.#highest;
  }

  /** The highest number that the author is known to have signed, also of a batch that was refused; -1 for none. */
  get seen(): number {
    return Math.max(this.#seen, this.#highest);
  }

  /** Whether batches below the highest one that the author has signed are missing. */
  get isGapped(): boolean {
    return this.seen >= this.#next;
  }

  /** Whether the batch has to wait with the peers until the gap below it is smaller. The numbers that it skips are no gap. */
  isTooFar({ number, skipped }: Pick<BatchHead, "number" | "skipped">): boolean {
    return number - skipped > this.#next + this.#aheadMax;
  }

  /** No batch from this number on is taken in. */
  get end(): number {
    return this.#end;
  }

  /** Bytes of heap that its kept batches take at most (`cost.ts`). */
  get cost(): number {
    return this.#cost;
  }

  /** The batch before `next`, where it is kept. */
  get last(): Batch | undefined {
    return this.#batches.get(this.#next - 1);
  }

  get(number: number): Batch | undefined {
    return this.#batches.get(number);
  }

  /** Kept batches in order of their number, as they are now and until the next one comes or goes. */
  kept(): readonly Batch[] {
    return this.#kept;
  }

  /** Which batches are here behind the first gap, lowest first; not more than `countMax` runs of them. */
  beyond(countMax: number): Span[] {
    const spans: { from: number; to: number }[] = [];
    for (const { head } of this.#kept) {
      if (head.number < this.#next) continue;
      const last = spans.at(-1);
      if (last?.to === head.number) last.to++;
      else if (spans.length === countMax) break;
      else spans.push({ from: head.number, to: head.number + 1 });
    }
    return spans;
  }

  add(batch: Batch): Added {
    const { number } = batch.head;
    // mutant: heed-the-guilty/feed
    if (number >= this.#end) return "out";
    const known = this.#batches.get(number);
    // BATCH-12.
    // mutant: forks-unseen
    if (known !== undefined) return known.hash === batch.hash ? "known" : "equivocation";
    if (this.isTooFar(batch.head)) {
      // mutant: number-unseen
      this.#seen = Math.max(this.#seen, number);
      return "too-far";
    }
    // BATCH-13, BATCH-17.
    // mutant: chain-unchecked
    if (this.forkOf(batch) !== undefined) return "chain-broken";
    if (this.#isForgotten(number)) return "known";
    this.#batches.set(number, batch);
    this.#cost += costOf(batch);
    if (batch.head.skipped > 0) this.#leaps.push(batch);
    let at = this.#kept.length;
    while ((this.#kept[at - 1]?.head.number ?? -1) > number) at--;
    this.#kept.splice(at, 0, batch);
    this.#highest = Math.max(this.#highest, number);
    this.#advance();
    return "new";
  }

  /** Batches below this number are compacted away where we heard of them: they are no gap to fill. */
  skipTo(next: number): void {
    if (Math.min(next, this.#end) > this.#next) {
      this.#next = Math.min(next, this.#end);
      this.#highest = Math.max(this.#highest, this.#next - 1);
      this.#advance();
    }
  }

  /** What is not here any more and need not be asked for, ascending. */
  gone(): Span[] {
    const gone: Span[] = [];
    let from = 0;
    for (const { head } of this.kept()) {
      if (head.number >= this.#next) break;
      if (head.number > from) gone.push({ from, to: head.number });
      from = head.number + 1;
    }
    if (from < this.#next) gone.push({ from, to: this.#next });
    return gone;
  }

  /** Goes on from what was let go of before a restart. */
  restore(gone: readonly Span[]): void {
    this.#gone = gone;
    for (const span of gone) this.#noteForgotten(span);
    this.#advance();
  }

  /** Whether it is here, or was: whoever says it again has nothing new to say. */
  knows(batch: Batch): boolean {
    const { number } = batch.head;
    const here = this.#batches.get(number);
    if (here !== undefined) return here.hash === batch.hash;
    return this.#isForgotten(number) && this.forkOf(batch) === undefined;
  }

  forget(number: number): void {
    const batch = this.#batches.get(number);
    if (batch === undefined) return;
    this.#batches.delete(number);
    this.#leaps = this.#leaps.filter((leap) => leap !== batch);
    this.#cost -= costOf(batch);
    this.#noteForgotten({ from: number, to: number + 1 });
    this.#kept.splice(
      this.#kept.findIndex(({ head }) => head.number === number),
      1,
    );
  }

  /** The batch that is here and that no one feed can hold together with this one. */
  forkOf(batch: Batch): Batch | undefined {
    const { number } = batch.head;
    const same = this.#batches.get(number);
    if (same !== undefined && same.hash !== batch.hash) return same;
    const before = this.#batches.get(numberBefore(batch.head));
    if (before !== undefined && !continues(batch.head, named(before))) return before;
    const after = this.#batches.get(number + 1);
    const followers = [
      ...(after?.head.skipped === 0 ? [after] : []),
      ...this.#leaps.filter(({ head }) => numberBefore(head) === number),
    ];
    return followers.find((follower) => !continues(follower.head, named(batch)));
  }

  /** The author is out from this number on. */
  cut(from: number): void {
    this.#end = Math.min(this.#end, from);
    this.#kept = this.#kept.filter(({ head }) => head.number < this.#end);
    for (const [number, batch] of this.#batches) {
      if (number < this.#end) continue;
      this.#batches.delete(number);
      this.#cost -= costOf(batch);
    }
    this.#leaps = this.#leaps.filter(({ head }) => head.number < this.#end);
    this.#next = Math.min(this.#next, this.#end);
    this.#highest = Math.min(this.#highest, this.#end - 1);
    this.#seen = Math.min(this.#seen, this.#end - 1);
  }

  #isForgotten(number: number): boolean {
    return number < this.#next && this.#forgotten.some(({ from, to }) => from <= number && number < to);
  }

  #noteForgotten({ from, to }: Span): void {
    const spans = this.#forgotten;
    const first = spans.findIndex((span) => span.to >= from);
    const at = first < 0 ? spans.length : first;
    const touched = spans.slice(at).filter((span) => span.from <= to);
    const merged = {
      from: Math.min(from, touched[0]?.from ?? from),
      to: Math.max(to, touched.at(-1)?.to ?? to),
    };
    spans.splice(at, touched.length, merged);
  }

  #advance(): void {
    while (this.#batches.has(this.#next)) this.#next++;
    // The author has lost what it may have signed here; of a start that got lost in turn the next one goes on.
    const leap = this.#leaps.find(({ head }) => head.number - head.skipped <= this.#next && this.#next < head.number);
    if (leap !== undefined) return this.skipTo(leap.head.number);
    const span = this.#gone.find(({ from, to }) => from <= this.#next && this.#next < to);
    if (span !== undefined) this.skipTo(span.to);
  }
}

function named({ head, hash }: Batch): BatchHead & { readonly hash: Hash } {
  return { ...head, hash };
}
