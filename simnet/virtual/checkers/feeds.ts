/** Whether the batches of one author are one feed, worked out once more from their heads. */
import { type Batch, type BatchHead, numberBefore } from "../../../src/protocol/batch.ts";
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { State } from "../../../src/core/state.ts";

type Head = Pick<BatchHead, "previous" | "skipped" | "start">;

// BATCH-13, BATCH-17.
/** A batch names the one before, and its start is no earlier one. A batch that leaves numbers out is of a later start. */
export function follows(after: Head, before: { readonly hash: Hash; readonly start: number }): boolean {
  if (after.previous !== before.hash) return false;
  return after.skipped > 0 ? after.start > before.start : after.start >= before.start;
}

/** S7: no node keeps two batches of one author that are not one feed. */
export function checkFeeds(node: string, { log }: State): string[] {
  return [...log.feeds()].flatMap((feed) =>
    feed.kept().flatMap((batch: Batch) => {
      const before = feed.get(numberBefore(batch.head));
      if (before === undefined || follows(batch.head, { hash: before.hash, start: before.head.start })) return [];
      const { number, author } = batch.head;
      return [`S7: ${node} holds batch ${number} of ${author.slice(0, 8)}, which does not follow the batch before`];
    }),
  );
}

/** What each author has signed, to see where a feed forks. */
export class Heads {
  readonly #known = new Map<Key, Map<number, { readonly hash: Hash; readonly head: BatchHead }>>();

  /** Whether the batch and one before or after it are not one feed. */
  forks({ head, hash }: Pick<Batch, "head" | "hash">): boolean {
    const feed = this.#known.get(head.author) ?? new Map<number, { hash: Hash; head: BatchHead }>();
    this.#known.set(head.author, feed);
    feed.set(head.number, { hash, head });
    const before = feed.get(numberBefore(head));
    const after = feed.get(head.number + 1);
    return [
      before !== undefined && !follows(head, { hash: before.hash, start: before.head.start }),
      after?.head.skipped === 0 && !follows(after.head, { hash, start: head.start }),
    ].includes(true);
  }
}
