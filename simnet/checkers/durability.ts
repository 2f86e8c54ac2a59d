/** S5 over a kill: what others have heard of a node was durable there before it was sent, so it has it still. */
import type { VoteChecker } from "./votes.ts";

/** Batch hashes of a node's log, by author and number. */
export type Hashes = ReadonlyMap<string, ReadonlyMap<number, string>>;

/** Events that say that a node found its own feed shorter than others have it, or its key in use elsewhere. */
export const LOSSES: ReadonlySet<string> = new Set(["feed.behind", "feed.equivocation", "key.cloned"]);

/** Batches below a height may be forgotten by their author, because retention of all that is in them is over. */
export interface Retention {
  readonly certified: number;
  readonly blocks: number;
}

/** What the others have of the killed node's feed, and what it has itself once it is back. */
export function lostBatches(
  key: string,
  others: readonly Hashes[],
  own: Hashes,
  retention: Retention,
  votes: VoteChecker,
): { readonly lookedFor: number; readonly violations: readonly string[] } {
  const heard = new Map(others.flatMap((hashes) => [...(hashes.get(key) ?? [])]));
  const violations: string[] = [];
  for (const [number, hash] of heard) {
    if (own.get(key)?.get(number) === hash || isOver(key, number, retention, votes)) continue;
    violations.push(`S5: batch ${number} of ${key} is lost by its kill`);
  }
  return { lookedFor: heard.size, violations };
}

export interface Missing {
  /** Batches that the node must still have, as `author number`. */
  readonly lost: readonly string[];
  /** Batches whose retention is over. Each node compacts its log at a moment of its own. */
  readonly forgotten: number;
}

/** Batches that every node had before it stopped, and that this node's own log lacks afterwards. */
export function missingBatches(common: Hashes, own: Hashes, retention: Retention, votes: VoteChecker): Missing {
  const missing = [...common].flatMap(([author, batches]) =>
    [...batches].flatMap(([number, hash]) => (own.get(author)?.get(number) === hash ? [] : [{ author, number }])),
  );
  const lost = missing.filter(({ author, number }) => !isOver(author, number, retention, votes));
  return { lost: lost.map(({ author, number }) => `${author} ${number}`), forgotten: missing.length - lost.length };
}

function isOver(author: string, number: number, { certified, blocks }: Retention, votes: VoteChecker): boolean {
  return votes.statements(author, number).every(({ block }) => {
    const height = votes.heightOf(block);
    return height !== null && height <= certified - blocks;
  });
}
