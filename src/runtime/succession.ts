/**
 * Which certified block a sink is handed next.
 *
 * A child follows its parent; a height that is not certified yet is waited for. Where a branch was certified and given up
 * (a reorg deeper than the chain's confirmations), it is the branch that goes on which is followed, from the fork on. A
 * block that starts a run of its own follows whatever came before it.
 */
import type { CertifiedBlock, CursorPosition, Done, Store, StoredCertificate } from "../ports.ts";
import { readContent } from "../protocol/certificate.ts";
import type { Hash } from "../protocol/ids.ts";

/** Certificates looked at: those of the next height, of which there is nearly always one. */
const PAGE = 16;
/** How deep a fork may lie. */
const FORK_BLOCKS_MAX = 4096;

export interface SuccessionOptions {
  readonly network: Hash;
  readonly chain: number;
  /** The height that is handed on first; `null`: the first one that starts a run. */
  readonly from: number | null;
}

type Found = Done<CertifiedBlock | null>;

export class Succession {
  readonly #options: SuccessionOptions;
  readonly #store: Store;

  constructor(options: SuccessionOptions, store: Store) {
    this.#options = options;
    this.#store = store;
  }

  /** The block at a position; `null` where the store has it no more. */
  at(position: CursorPosition, done: Found): void {
    this.#store.certificate(position.block, (result) => {
      if (!result.ok) return done(result);
      const block = result.value === null ? null : certified(result.value);
      done({ ok: true, value: block?.height === position.height ? block : null });
    });
  }

  /** The block after `last`, or the first one; `null` while it is not there. */
  after(last: CertifiedBlock | null, done: Found): void {
    const { chain, from } = this.#options;
    this.#store.certificates(chain, last === null ? (from ?? 0) : last.height + 1, PAGE, (result) => {
      if (!result.ok) return done(result);
      const found = result.value.map(certified).filter((block) => block !== null);
      const next = last === null ? this.#first(found) : found.find((block) => isChild(block, last));
      if (next !== undefined || last === null) return done({ ok: true, value: next ?? null });
      const other = found.find(({ height, content }) => height === last.height + 1 && !content.start);
      if (other !== undefined) return this.#fork(other, last, 0, done);
      done({ ok: true, value: found.find(({ content }) => content.start) ?? null });
    });
  }

  /** The block's ancestor at a height; `null` where the store does not reach so far. */
  ancestor(block: CertifiedBlock, height: number, done: Found): void {
    if (block.height === height) return done({ ok: true, value: block });
    if (block.height < height || block.content.start) return done({ ok: true, value: null });
    this.#parent(block, (result) => {
      if (!result.ok || result.value === null) return done(result);
      this.ancestor(result.value, height, done);
    });
  }

  #first(found: readonly CertifiedBlock[]): CertifiedBlock | undefined {
    const { from } = this.#options;
    const lowest = found[0]?.height;
    // SINK-4.
    // mutant: start-anywhere
    return found.find(({ height, content }) => height === lowest && (content.start || height === from));
  }

  /** Walks down both branches, side by side, to the first block of the other one that is not ours. */
  #fork(other: CertifiedBlock, ours: CertifiedBlock | null, depth: number, done: Found): void {
    if (other.content.start) return done({ ok: true, value: other });
    if (depth >= FORK_BLOCKS_MAX) return done({ ok: true, value: null });
    this.#parent(other, (theirs) => {
      if (!theirs.ok || theirs.value === null) return done(theirs);
      const parent = theirs.value;
      if (parent.block === ours?.block) return done({ ok: true, value: other });
      // Ours begins higher up: all of the other branch is new.
      if (ours === null || ours.content.start) return this.#fork(parent, null, depth + 1, done);
      this.#parent(ours, (below) => (below.ok ? this.#fork(parent, below.value, depth + 1, done) : done(below)));
    });
  }

  #parent(block: CertifiedBlock, done: Found): void {
    const { parent } = block.content;
    this.#store.certificates(this.#options.chain, block.height - 1, PAGE, (result) => {
      if (!result.ok) return done(result);
      const found = result.value.map(certified).find((each) => each?.content.hash === parent);
      done({ ok: true, value: found ?? null });
    });
  }
}

function isChild(block: CertifiedBlock, parent: CertifiedBlock): boolean {
  // mutant: follow-any-branch
  return block.content.parent === parent.content.hash && block.height === parent.height + 1;
}

/** What the store has was checked before it came there; a file that cannot be read all the same is not handed on. */
function certified(stored: StoredCertificate): CertifiedBlock | null {
  const read = readContent(stored.bytes);
  return read === null ? null : { ...stored, ...read };
}
