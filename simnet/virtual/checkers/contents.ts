/**
 * S6: an attester signs another content of a barrier only once the first one can find no quorum any more, or has found
 * none for 2 s. Otherwise two contents of one block may each find a quorum.
 */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";

const REVOTE_MS = 2_000;
/** Clocks drift; nobody's drifts further. */
const DRIFT = 0.7;

export interface ContentsOptions {
  readonly now: () => number;
  readonly isHostile: (key: Key) => boolean;
  readonly isQuorum: (keys: Iterable<Key>) => boolean;
  readonly attesters: readonly Key[];
  readonly complain: (violation: string) => void;
}

// BARRIER-3.
export class Contents {
  readonly #options: ContentsOptions;
  /** By block and content: who has signed it. */
  readonly #voters = new Map<Hash, Map<Hash, Set<Key>>>();
  /** By block and attester: what it signed last, and when. */
  readonly #last = new Map<string, { readonly content: Hash; readonly atMs: number }>();

  constructor(options: ContentsOptions) {
    this.#options = options;
  }

  heard(author: Key, { block, content }: EntryOf<"barrier">): void {
    const { now, isHostile, complain } = this.#options;
    const name = `${block} ${author}`;
    const last = this.#last.get(name);
    if (!isHostile(author) && last !== undefined && last.content !== content) {
      const afterMs = now() - last.atMs;
      if (afterMs < DRIFT * REVOTE_MS && this.#mayHold(block, last.content))
        complain(
          `S6: ${author.slice(0, 8)} signed another content of block ${block.slice(0, 8)} after ${Math.round(afterMs)} ms, and the first may still find a quorum`,
        );
    }
    this.#last.set(name, { content, atMs: now() });
    const contents = this.#voters.get(block) ?? new Map<Hash, Set<Key>>();
    this.#voters.set(block, contents);
    contents.set(content, (contents.get(content) ?? new Set<Key>()).add(author));
  }

  /** Whether all that have not signed another content alone would be a quorum for this one. */
  #mayHold(block: Hash, content: Hash): boolean {
    const all = [...(this.#voters.get(block) ?? [])];
    const own = this.#voters.get(block)?.get(content);
    const against = new Set(all.flatMap(([other, keys]) => (other === content ? [] : [...keys])));
    return this.#options.isQuorum(this.#options.attesters.filter((key) => own?.has(key) === true || !against.has(key)));
  }
}
