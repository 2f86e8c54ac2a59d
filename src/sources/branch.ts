/**
 * The newest part of the one branch that a source has told about: what it can still compare and take back.
 *
 * Pure. Heights are contiguous; the last entry is the newest block emitted.
 */
import type { Hash } from "../protocol/ids.ts";

export interface BlockName {
  readonly height: number;
  readonly hash: Hash;
}

/** Four epochs of Ethereum and more than any reorg it has seen; 256 names are about 30 KB. */
export const BRANCH_BLOCKS_MAX = 256;

export class Branch {
  #names: BlockName[] = [];

  get length(): number {
    return this.#names.length;
  }

  get newest(): BlockName | undefined {
    return this.#names.at(-1);
  }

  get oldest(): BlockName | undefined {
    return this.#names[0];
  }

  at(index: number): BlockName {
    const name = this.#names[index];
    if (name === undefined) throw new RangeError(`the branch has no entry ${index}`);
    return name;
  }

  /** The name at a height, if it is still remembered. */
  atHeight(height: number): BlockName | undefined {
    const oldest = this.oldest;
    return oldest === undefined || height < oldest.height ? undefined : this.#names[height - oldest.height];
  }

  push(name: BlockName): void {
    const newest = this.newest;
    if (newest !== undefined && name.height !== newest.height + 1) {
      throw new RangeError(`block ${name.height} does not follow ${newest.height}`);
    }
    this.#names.push({ height: name.height, hash: name.hash });
    if (this.#names.length > BRANCH_BLOCKS_MAX) this.#names.shift();
  }

  pop(): BlockName | undefined {
    return this.#names.pop();
  }
}

/**
 * Index of the newest entry that is still canonical, or -1 if none is; `null` if the answer could not be had.
 *
 * Being canonical ends at one point of the branch and never comes back after it, so it is looked for in steps that
 * double and then halve: one question for the usual reorg of one block, at most 16 for the deepest.
 */
export async function newestCanonical(
  length: number,
  isCanonical: (index: number) => Promise<boolean | null>,
): Promise<number | null> {
  let dropped = length;
  let kept = -1;
  for (let step = 1; dropped > 0; step *= 2) {
    const index = Math.max(0, dropped - step);
    const canonical = await isCanonical(index);
    if (canonical === null) return null;
    if (canonical) {
      kept = index;
      break;
    }
    dropped = index;
  }
  while (dropped - kept > 1) {
    const middle = (dropped + kept) >> 1;
    const canonical = await isCanonical(middle);
    if (canonical === null) return null;
    if (canonical) kept = middle;
    else dropped = middle;
  }
  return kept;
}
