import { beforeEach, expect, it, vi } from "vitest";
import type { Source, Tell } from "../../src/ports.ts";
import { rangeSource } from "../../src/sources/range.ts";
import { chainOf } from "../protocol/blocks.ts";

type Opened = { readonly after: { readonly height: number } | null; readonly emit: Tell };

let opened: Opened[];
let closed: number;
let events: string[];

beforeEach(() => {
  [opened, closed, events] = [[], 0, []];
});

function open(): Source {
  return {
    start: (after, emit) => void opened.push({ after, emit }),
    close: async () => void closed++,
  };
}

function started(after: { readonly height: number; readonly hash: string } | null = null): Source {
  const source = rangeSource({ chain: 7, size: 4, open });
  source.start(after, (event) => {
    if (event.kind === "block") events.push(`block ${event.block.height} ${event.block.hash.slice(0, 8)}`);
    else if (event.kind === "retract") events.push(`retract ${event.hash.slice(0, 8)}`);
    else events.push(event.kind);
  });
  return source;
}

const CHAIN = chainOf(8, 12);
const name = (at: number) => CHAIN[at]?.hash.slice(0, 8);

/** The follower that runs tells these blocks. */
function tell(blocks: readonly (typeof CHAIN)[number][]): void {
  for (const block of blocks) void opened.at(-1)?.emit({ kind: "block", block: { chain: 7, ...block } });
}

const retract = (hash: string | undefined) => void opened.at(-1)?.emit({ kind: "retract", chain: 7, hash: hash ?? "" });

it("tells each range once its last block is there", () => {
  started();
  expect(opened.map(({ after }) => after)).toEqual([null]);
  tell(CHAIN.slice(0, 3));
  expect(events).toEqual([]);
  tell(CHAIN.slice(3, 9));
  expect(events).toEqual([`block 2 ${name(3)}`, `block 3 ${name(7)}`]);
});

it("begins with the first whole range where it is followed from within one", () => {
  started();
  tell(CHAIN.slice(2, 8));
  expect(events).toEqual([`block 3 ${name(7)}`]);
});

it("goes on after the last block of the range that was told before a restart", () => {
  started({ height: 2, hash: CHAIN[3]?.hash ?? "" });
  expect(opened[0]?.after).toEqual({ height: 11, hash: CHAIN[3]?.hash });
  tell(CHAIN.slice(4, 8));
  expect(events).toEqual([`block 3 ${name(7)}`]);
});

it("takes nothing back where blocks of the range go that is being filled", () => {
  started();
  tell(CHAIN.slice(0, 6));
  retract(CHAIN[5]?.hash);
  const other = chainOf(13, 3, CHAIN[4]?.hash, 1);
  tell(other);
  expect(events).toEqual([`block 2 ${name(3)}`, `block 3 ${other[2]?.hash.slice(0, 8)}`]);
});

it("takes a range back with its last block, follows anew from the one before, and that one too if it is gone", async () => {
  const source = started();
  tell(CHAIN.slice(0, 9));
  retract(CHAIN[8]?.hash);
  retract(CHAIN[7]?.hash);
  // Said by a follower that is not listened to any more.
  void opened[0]?.emit({ kind: "retract", chain: 7, hash: CHAIN[6]?.hash ?? "" });
  await vi.waitFor(() => expect(opened).toHaveLength(2));
  expect(opened[1]?.after).toEqual({ height: 11, hash: CHAIN[3]?.hash });
  retract(CHAIN[3]?.hash);
  await vi.waitFor(() => expect(opened).toHaveLength(3));
  expect(opened[2]?.after).toBe(null);
  const other = chainOf(8, 4, CHAIN[0]?.parent, 1);
  tell(other);
  expect(events).toEqual([
    `block 2 ${name(3)}`,
    `block 3 ${name(7)}`,
    `retract ${name(7)}`,
    `retract ${name(3)}`,
    `block 2 ${other[3]?.hash.slice(0, 8)}`,
  ]);
  await source.close();
  expect(closed).toBe(3);
});
