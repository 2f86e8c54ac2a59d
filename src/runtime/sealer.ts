/**
 * Turns what the core says into batches: signed, durable in the journal, counted in the signing state, sent, in this order.
 *
 * Whatever is said while a write is under way goes into the next batch (group commit), so a busy node signs and syncs
 * less often per statement, and an idle one at once.
 */
import type { Journal, Signer } from "../ports.ts";
import type { Feed } from "../log/feed.ts";
import { type Batch, sealBatch } from "../protocol/batch.ts";
import { type Hash, ZERO_HASH } from "../protocol/ids.ts";
import { BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX } from "../protocol/limits.ts";
import { encodeEntry, type Entry } from "../protocol/messages.ts";
import { GROUP_BATCHES_MAX, type SigningBook } from "./signing.ts";

/** Room for head, signature and framing. */
const ENTRIES_BYTES_MAX: number = MESSAGE_BYTES_MAX - 1024;

interface Group {
  readonly entries: readonly Entry[];
  /** What was promised by these entries and may begin once they are durable. */
  readonly promised: () => void;
}

export class Sealer {
  readonly #network: Hash;
  readonly #signer: Signer;
  readonly #journal: Journal;
  readonly #book: () => SigningBook;
  /** Called for each durable batch, in order: to send it, and to give it back to the core. */
  readonly #durable: (batch: Batch) => void;
  readonly #failed: (fault: { readonly code: string; readonly message: string }) => void;
  #waiting: Group[] = [];
  /** What is being written; whoever only wants to know when may still join. */
  #writing: Group[] | null = null;
  #broken = false;
  #next = 0;
  /** The journal has acknowledged all own batches below this number. */
  #durableNext = 0;
  #previous: Hash = ZERO_HASH;
  #start = 1;
  /** The number of the next batch where numbers are left out. */
  #leapTo: number | null = null;

  constructor(
    network: Hash,
    signer: Signer,
    journal: Journal,
    book: () => SigningBook,
    durable: (batch: Batch) => void,
    failed: (fault: { readonly code: string; readonly message: string }) => void,
  ) {
    this.#network = network;
    this.#signer = signer;
    this.#journal = journal;
    this.#book = book;
    this.#durable = durable;
    this.#failed = failed;
  }

  get idle(): boolean {
    return this.#writing === null && this.#waiting.length === 0 && !this.#broken;
  }

  /** Where the own feed goes on: after a start, and when peers knew more of it than we did. */
  continueFrom(next: number, previous: Hash): void {
    if (next <= this.#next) return;
    this.#next = next;
    this.#previous = previous;
  }

  /**
   * The number of the next own batch, where none is left out. The journal holds, or is asked to hold, all that this node
   * keeps below it.
   */
  get next(): number {
    return this.#next;
  }

  /** Hash of the head before it. */
  get previous(): Hash {
    return this.#previous;
  }

  /** Counter of the node's start, for the head of each batch from now on. */
  set start(counter: number) {
    this.#start = counter;
  }

  /** The next batch has at least this number; those between are left out. */
  leapTo(number: number): void {
    this.#leapTo = Math.max(number, this.#next);
  }

  /** Whether the journal has acknowledged the own batch with this number. */
  isDurable(number: number): boolean {
    return number < this.#durableNext;
  }

  /**
   * Adds own batches that peers gave back to the journal, as far as they continue it. A journal with a gap could not say
   * after a crash whether this node has signed the missing numbers.
   */
  regain(feed: Feed): void {
    const records: Uint8Array[] = [];
    for (let batch = feed.get(this.#next); batch?.head.previous === this.#previous; batch = feed.get(this.#next)) {
      records.push(batch.bytes);
      this.continueFrom(this.#next + 1, batch.hash);
    }
    if (records.length === 0) return;
    this.#journal.append(records, (result) => {
      if (!result.ok) this.#failed(result.fault);
    });
  }

  append(entries: readonly Entry[], promised: () => void): void {
    if (this.#broken) return;
    this.#waiting.push({ entries, promised });
    if (this.#writing === null) this.#write();
  }

  /** Calls back once all that was appended before is durable and sent; at once where nothing waits. */
  flushed(then: () => void): void {
    if (this.#broken) return;
    const last = this.#waiting.length > 0 ? this.#waiting : this.#writing;
    if (last === null) then();
    else last.push({ entries: [], promised: then });
  }

  #write(): void {
    const groups = this.#waiting;
    this.#waiting = [];
    this.#writing = groups;
    this.#commit(
      split(groups.flatMap((group) => group.entries)).map((part) => this.#seal(part)),
      groups,
    );
  }

  #seal(entries: readonly Entry[]): Batch {
    // LOST-4.
    // mutant: reuse-numbers
    const number = this.#leapTo ?? this.#next;
    const skipped = number - this.#next;
    const feed = { author: this.#signer.key, number, previous: this.#previous, start: this.#start, skipped };
    const batch = sealBatch(this.#network, feed, entries, (message) => this.#signer.sign(message));
    this.#leapTo = null;
    this.#next = number + 1;
    this.#previous = batch.hash;
    return batch;
  }

  /** So many batches at a time as a journal may be ahead of the signing state. */
  #commit(batches: readonly Batch[], groups: readonly Group[]): void {
    const [now, later] = [batches.slice(0, GROUP_BATCHES_MAX), batches.slice(GROUP_BATCHES_MAX)];
    const last = now.at(-1);
    if (last === undefined) return this.#finish(groups);
    // S5.
    // mutant: send-before-journal, publish-early
    const records = now.map((batch) => batch.bytes);
    this.#journal.append(records, (result) => {
      // Nothing may be sent that is not on disk, nor anything after it: the node stops signing for good.
      if (!result.ok) {
        this.#broken = true;
        return this.#failed(result.fault);
      }
      const send = (): void => {
        this.#durableNext = last.head.number + 1;
        // mutant: send-before-journal/later
        for (const batch of now) this.#durable(batch);
        this.#commit(later, groups);
      };
      this.#book().change({ next: last.head.number + 1, head: last.hash }, send);
    });
  }

  #finish(groups: readonly Group[]): void {
    this.#writing = null;
    for (const group of groups) group.promised();
    if (this.#waiting.length > 0 && this.#writing === null) this.#write();
  }
}

function split(entries: readonly Entry[]): Entry[][] {
  const parts: Entry[][] = [];
  let [part, bytes]: [Entry[], number] = [[], 0];
  for (const entry of entries) {
    const size = encodeEntry(entry).length + 8;
    if (part.length > 0 && (part.length >= BATCH_ENTRIES_MAX || bytes + size > ENTRIES_BYTES_MAX)) {
      parts.push(part);
      [part, bytes] = [[], 0];
    }
    part.push(entry);
    bytes += size;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}
