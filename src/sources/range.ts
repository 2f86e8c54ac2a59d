/**
 * The blocks of a chain, told in ranges: each once its last block is there.
 *
 * Taken back is a range as soon as one of its blocks is. Its other blocks are gone from memory by then, so the chain is
 * followed anew from the range before; should that be gone too, it is the first that the chain's follower notices.
 */
import type { Source, SourceBlock, Tell } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import { rangeOf } from "../protocol/range.ts";
import { BRANCH_BLOCKS_MAX } from "./branch.ts";

export interface RangeOptions {
  /** What the events are told of. */
  readonly chain: number;
  /** Blocks a range. */
  readonly size: number;
  /** Follows the chain's blocks: called again after a range was taken back. */
  readonly open: () => Source;
}

interface Told {
  /** The range's number, and the hash of its last block. */
  readonly height: number;
  readonly hash: Hash;
}

export function rangeSource({ chain, size, open }: RangeOptions): Source {
  /** The newest ranges told, and the blocks of the one that is being filled. */
  let told: Told[] = [];
  let held: SourceBlock[] = [];
  let emit: Tell = () => {};
  let source: Source | null = null;
  let closing: Promise<unknown> = Promise.resolve();

  const follow = (): void => {
    held = [];
    const opened = open();
    source = opened;
    const last = told.at(-1);
    const after = last === undefined ? null : { height: (last.height + 1) * size - 1, hash: last.hash };
    opened.start(after, (event) => (source === opened ? hear(event) : undefined));
  };

  const hear: Tell = (event) => {
    if (event.kind === "block") return fill(event.block);
    if (event.kind === "retract") return retract(event.hash);
    return emit(event);
  };

  const fill = (block: SourceBlock): Promise<void> | void => {
    const last = held.at(-1);
    // Followed from somewhere in a range, or told again from further below.
    const follows = last === undefined ? block.height % size === 0 : block.parent === last.hash;
    if (!follows) held = [];
    if (follows || block.height % size === 0) held.push(block);
    if (held.length < size) return;
    const range = rangeOf(held);
    held = [];
    if (!range.ok) return emit({ kind: "trouble", chain, fault: range.fault });
    const { height, hash } = range.value;
    told = [...told.filter((each) => each.height < height), { height, hash }].slice(-BRANCH_BLOCKS_MAX);
    return emit({ kind: "block", block: { chain, ...range.value } });
  };

  const retract = (hash: Hash): void => {
    if (held.at(-1)?.hash === hash) return void held.pop();
    const last = told.at(-1);
    if (last?.hash !== hash) return;
    told.pop();
    void emit({ kind: "retract", chain, hash });
    const before = source;
    source = null;
    closing = Promise.all([closing, before?.close()]);
    // Not from inside the one that is being closed.
    queueMicrotask(() => {
      if (!isClosed) follow();
    });
  };

  let isClosed = false;
  return {
    start(after, heard) {
      emit = heard;
      if (after !== null) told = [after];
      follow();
    },
    async close() {
      isClosed = true;
      const last = source;
      source = null;
      await Promise.all([closing, last?.close()]);
    },
  };
}
