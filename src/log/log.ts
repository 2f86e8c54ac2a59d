/** A node's log: the union of all feeds it has heard of. */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import type { Batch } from "../protocol/batch.ts";
import { domainHash, type Hash, type Key } from "../protocol/ids.ts";
import { FRONTIER_SPANS_MAX } from "../protocol/limits.ts";
import type { Frontier, Span, SyncFrame } from "../protocol/sync.ts";
import { type Added, Feed } from "./feed.ts";
import { LOG_LIMITS, type LogLimits } from "./limits.ts";
import { CostSums, type Sum } from "./sums.ts";

/** A feed of which pieces are missing all over is hostile, and shall leave room for the others. */
const SPANS_PER_FEED_MAX = 16;
/** Of a batch's hash, in hex: so many that nobody finds two batches that begin alike. */
const TIP_DIGITS = 32;

export class Log {
  readonly #feeds = new Map<Key, Feed>();
  readonly #limits: LogLimits;
  readonly #sums: CostSums;

  /** Feeds are summed by the class of their author. */
  constructor(limits: LogLimits = LOG_LIMITS, classOf: (author: Key) => string = () => "") {
    this.#limits = limits;
    this.#sums = new CostSums(classOf);
  }

  feed(author: Key): Feed | undefined {
    return this.#feeds.get(author);
  }

  feeds(): Iterable<Feed> {
    return this.#feeds.values();
  }

  /** Whether an author that nobody has vouched for may have a feed. */
  admits(author: Key): boolean {
    return this.#feeds.has(author) || this.#feeds.size < this.#limits.strangerFeedsMax;
  }

  has(batch: Batch): boolean {
    return this.#feeds.get(batch.head.author)?.get(batch.head.number)?.hash === batch.hash;
  }

  /** Whether the batch is here, or was, so that nobody spends a signature check on it. */
  knows(batch: Batch): boolean {
    return this.#feeds.get(batch.head.author)?.knows(batch) === true;
  }

  add(batch: Batch): Added {
    const feed = this.#open(batch.head.author);
    return feed === null ? "too-far" : this.#counted(feed, () => feed.add(batch));
  }

  /** Costs and number of the feeds of one class of authors, by the classes of this version of the roster. */
  sumOf(name: string, version: number): Readonly<Sum> {
    return this.#sums.of(name, version, this.#feeds.values());
  }

  /** Whether the batch is too far above the gap of its feed to be taken in, or of an author that there is no room for. */
  isTooFar({ head }: Batch): boolean {
    const feed = this.#feeds.get(head.author);
    if (feed === undefined && this.#feeds.size >= this.#limits.feedsMax) return true;
    return (feed ?? new Feed(head.author, this.#limits.batchAheadMax)).isTooFar(head);
  }

  skipTo(author: Key, next: number): void {
    this.#open(author)?.skipTo(next);
  }

  restore(author: Key, gone: readonly Span[]): void {
    this.#open(author)?.restore(gone);
  }

  /** The feed ends before this number: its author is out. */
  cut(author: Key, from: number): void {
    const feed = this.#open(author);
    if (feed !== null) this.#counted(feed, () => feed.cut(from));
  }

  forget(author: Key, number: number): void {
    const feed = this.#feeds.get(author);
    if (feed !== undefined) this.#counted(feed, () => feed.forget(number));
  }

  /** Of this author nothing is known any more. */
  drop(author: Key): void {
    const feed = this.#feeds.get(author);
    if (feed === undefined) return;
    this.#feeds.delete(author);
    this.#sums.change(author, -feed.cost, -1);
  }

  /** By author: all batches below the number are here. */
  frontier(): Map<Key, number> {
    return new Map([...this.#feeds].map(([author, feed]) => [author, feed.next]));
  }

  /** What is here beyond the frontier, by author: whoever fills the gaps need not send it again. */
  beyond(): Map<Key, readonly Span[]> {
    const all = new Map<Key, readonly Span[]>();
    let room = FRONTIER_SPANS_MAX;
    for (const feed of this.#feeds.values()) {
      if (feed.highest < feed.next || room === 0) continue;
      const spans = feed.beyond(Math.min(SPANS_PER_FEED_MAX, room));
      room -= spans.length;
      if (spans.length > 0) all.set(feed.author, spans);
    }
    return all;
  }

  /** By author: how the hash of the last batch before its gap begins. Feeds that are not one differ in it, though they reach equally far. */
  tips(): Map<Key, string> {
    const tips = new Map<Key, string>();
    for (const { author, last } of this.#feeds.values())
      if (last !== undefined) tips.set(author, last.hash.slice(0, TIP_DIGITS));
    return tips;
  }

  /** A name for the frontier: two logs with one name reach equally far. */
  frontierHash(): Hash {
    const lines = [...this.frontier()].map(([author, next]) => `${author} ${next}\n`).sort();
    return domainHash("frontier", utf8ToBytes(lines.join("")));
  }

  /**
   * What a node with this frontier lacks, at most `bytesMax` of it. Lower numbers first, so that what was sent moves the
   * other's frontier and the next request goes on from there; without what it has `beyond`, or a gap that nobody can
   * fill would be answered with the same bytes again and again. Of a feed whose `tip` is another than ours at that number
   * all that is kept: its author has signed two, and they are out from where the two part.
   *
   * Authors share the answer. The feed that lacks least goes first and leaves the rest of its share to the others, so an
   * author of whom the other node takes no more keeps nobody else's batches away.
   */
  missing({ feeds, beyond, tips }: Pick<Frontier, "feeds" | "beyond" | "tips">, bytesMax: number): SyncFrame[] {
    const lacking: { readonly feed: Feed; readonly next: number; readonly reach: number; readonly bytes: number }[] =
      [];
    for (const feed of this.#feeds.values()) {
      const theirs = feeds.get(feed.author) ?? 0;
      const next = isFork(feed, feeds, tips) ? 0 : theirs;
      if (next >= feed.next && next > feed.highest) continue;
      const bytes = feed.kept().reduce((sum, each) => sum + (each.head.number < next ? 0 : each.bytes.length), 0);
      lacking.push({ feed, next, reach: theirs + this.#limits.batchAheadMax, bytes });
    }
    lacking.sort((a, b) => a.bytes - b.bytes);
    const frames: SyncFrame[] = [];
    let left = bytesMax;
    for (const [at, { feed, ...from }] of lacking.entries()) {
      const share = Math.floor(left / (lacking.length - at));
      left -= missingOf(feed, from, beyond?.get(feed.author) ?? [], { share, left }, frames);
    }
    return frames;
  }

  /** Whether any feed has a gap, or a peer's frontier is beyond ours. */
  lacks(theirs: ReadonlyMap<Key, number>): boolean {
    for (const [author, next] of theirs) {
      const feed = this.#feeds.get(author);
      if (Math.min(next, feed?.end ?? next) > (feed?.next ?? 0)) return true;
    }
    return false;
  }

  get gaps(): number {
    let gaps = 0;
    for (const feed of this.#feeds.values()) if (feed.isGapped) gaps++;
    return gaps;
  }

  #open(author: Key): Feed | null {
    const known = this.#feeds.get(author);
    if (known !== undefined) return known;
    if (this.#feeds.size >= this.#limits.feedsMax) return null;
    const feed = new Feed(author, this.#limits.batchAheadMax);
    this.#feeds.set(author, feed);
    this.#sums.change(author, 0, 1);
    return feed;
  }

  #counted<T>(feed: Feed, change: () => T): T {
    const before = feed.cost;
    const result = change();
    this.#sums.change(feed.author, feed.cost - before, 0);
    return result;
  }
}

function isFork(feed: Feed, theirs: ReadonlyMap<Key, number>, tips: ReadonlyMap<Key, string> | undefined): boolean {
  const tip = tips?.get(feed.author);
  if (tip === undefined) return false;
  const own = feed.get((theirs.get(feed.author) ?? 0) - 1);
  return own !== undefined && !own.hash.startsWith(tip);
}

/** Adds what a node lacks of the feed, up to its share and at least one batch; returns how many bytes that takes. */
function missingOf(
  feed: Feed,
  { next, reach }: { readonly next: number; readonly reach: number },
  spans: readonly Span[],
  room: { readonly share: number; readonly left: number },
  frames: SyncFrame[],
): number {
  // What is compacted away here is said right behind the batch that follows it: an answer that is cut off between
  // the two would be the same answer for ever.
  let [expected, reached, bytes] = [next, reach, 0];
  for (const batch of feed.kept()) {
    const { number, skipped } = batch.head;
    if (number < next) continue;
    if (!spans.some(({ from, to }) => from <= number && number < to)) {
      const size = batch.bytes.length;
      if (bytes + size > (bytes === 0 ? room.left : room.share)) return bytes;
      bytes += size;
      frames.push({ kind: "batch", bytes: batch.bytes });
    }
    const gone = Math.min(number, feed.next);
    if (gone > expected) frames.push({ kind: "forgotten", author: feed.author, from: expected, to: gone });
    expected = number + 1;
    // The first batch that is too far for the other node shows that the author goes on there. The node would refuse
    // those behind it as well, and asks for them once it has skipped the gap.
    if (number - skipped > reached) return bytes;
    reached += skipped;
  }
  if (expected < feed.next) frames.push({ kind: "forgotten", author: feed.author, from: expected, to: feed.next });
  return bytes;
}
