/**
 * What a STARK of a shard says: the same as the pairing systems' (`../statement.ts`), with a commitment in its own field.
 *
 * Inside a block the commitment starts at a hash of the chain's running one and leads through the shards in order. Items
 * fill slots; a shard has 1, 2, 4 or 8 of them, and what is empty is zeros. Public values are 160 bytes: before and after,
 * two elements of 16 bytes each, then fees, count and context, 32 bytes each, all big-endian.
 */
import { SHARD_ITEMS_MAX } from "../../protocol/ethereum.ts";
import { domainDigest, type Hash, type Key } from "../../protocol/ids.ts";
import { bigEndian } from "../bytes.ts";
import {
  contextOf,
  CREATION,
  ELEMENT_BYTES,
  elementOf,
  encodeElement,
  itemFields,
  type Run,
  VALUES_BYTES,
} from "../../provers/statement.ts";
import { hashRound, ROUNDS, STARK_ORDER } from "./hash.ts";

/** A commitment. */
export type Pair = readonly [bigint, bigint];

export interface StarkValues {
  readonly before: Pair;
  readonly after: Pair;
  readonly fees: bigint;
  readonly count: number;
  readonly context: bigint;
}

/** An item as the trace holds it: six words, whose bits are counted, and two bits. */
export interface Slot {
  /** The lower 124 bits of sender, recipient and value; the fee limit; the rest of sender and value; of the recipient. */
  readonly words: readonly bigint[];
  readonly active: bigint;
  readonly creation: bigint;
}

export interface StarkRun {
  readonly before: Pair;
  readonly after: Pair;
  readonly fees: bigint;
  readonly count: number;
  readonly slots: readonly Slot[];
}

export const WORD_BITS = 124n;
/** Of a sender beyond its lower bits; four bits of the value come on top. */
export const REST_BITS = 36n;
const HALF_BYTES: number = ELEMENT_BYTES / 2;

const EMPTY: Slot = { words: [0n, 0n, 0n, 0n, 0n, 0n], active: 0n, creation: 0n };

/** Slots of a shard with so many items. */
export function slotCount(items: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(items, 1)));
}

function slotOf(item: Run["items"][number]): Slot {
  const [sender, to, value, feeLimit] = itemFields(item);
  const [recipient, creation] = to === CREATION ? [0n, 1n] : [to, 0n];
  const low = (of: bigint): bigint => of & ((1n << WORD_BITS) - 1n);
  const high = (of: bigint): bigint => of >> WORD_BITS;
  const rest = high(sender) + (high(value) << REST_BITS);
  return {
    words: [low(sender), low(recipient), low(value), feeLimit, rest, high(recipient)],
    active: 1n,
    creation,
  };
}

/** What is written into the sponge of a slot. */
export function absorbed({ words, active, creation }: Slot): readonly bigint[] {
  const [sender = 0n, recipient = 0n, value = 0n, fee = 0n, rest = 0n, restOfRecipient = 0n] = words;
  return [sender, recipient, value, fee, rest + (restOfRecipient << 40n) + (active << 76n) + (creation << 77n)];
}

/** The sponge at the beginning of a shard. */
export function spongeAt(before: Pair): bigint[] {
  return [...before, 0n, 0n, 0n, 0n, 0n];
}

/** From one row to the next: a round, and after the first of a slot's rounds its item is written in. */
export function advance(state: readonly bigint[], row: number, slot: Slot): bigint[] {
  const next = hashRound(state, row);
  if (row !== 0) return next;
  const written = absorbed(slot);
  return next.map((element, i) => (i < 2 ? element : (element + (written[i - 2] ?? 0n)) % STARK_ORDER));
}

function starkRun(before: Pair, run: Run): StarkRun {
  const { items, fees } = run;
  const slots = Array.from({ length: slotCount(items.length) }, (_, i) => {
    const item = items[i];
    return item === undefined ? EMPTY : slotOf(item);
  });
  let state = spongeAt(before);
  slots.forEach((slot, at) => {
    // The trace ends with its last row: there is no step out of it.
    const steps = at === slots.length - 1 ? ROUNDS - 1 : ROUNDS;
    for (let row = 0; row < steps; row++) state = advance(state, row, slot);
  });
  return { before, after: [state[0] ?? 0n, state[1] ?? 0n], fees, count: items.length, slots };
}

/** The runs of one block, in order: its shards, or the whole of it. */
export function starkRuns(runs: readonly Run[]): readonly StarkRun[] {
  const digest = domainDigest("stark-commitment", encodeElement(runs[0]?.before ?? 0n));
  // A bit less each: below the field's order.
  const half = (at: number): bigint => bigEndian(digest.subarray(at, at + HALF_BYTES)) >> 1n;
  let at: Pair = [half(0), half(HALF_BYTES)];
  return runs.map((run) => {
    const made = starkRun(at, run);
    at = made.after;
    return made;
  });
}

export function starkValuesOf(run: StarkRun, block: Hash, stage: string, index: number, prover: Key): Uint8Array {
  const pair = ([first, second]: Pair): bigint => (first << 128n) + second;
  const context = contextOf(block, stage, index, prover);
  const bytes = new Uint8Array(VALUES_BYTES);
  [pair(run.before), pair(run.after), run.fees, BigInt(run.count), context].forEach((value, i) =>
    bytes.set(encodeElement(value), i * ELEMENT_BYTES),
  );
  return bytes;
}

/** `null` for another length, or where a number is not in its range. */
export function decodeStarkValues(bytes: Uint8Array): StarkValues | null {
  if (bytes.length !== VALUES_BYTES) return null;
  const at = (from: number, length: number): bigint => bigEndian(bytes.subarray(from, from + length));
  const [before0 = 0n, before1 = 0n, after0 = 0n, after1 = 0n] = [0, 1, 2, 3].map((i) =>
    at(i * HALF_BYTES, HALF_BYTES),
  );
  const [fees, count] = [at(2 * ELEMENT_BYTES, ELEMENT_BYTES), at(3 * ELEMENT_BYTES, ELEMENT_BYTES)];
  const context = elementOf(bytes.subarray(4 * ELEMENT_BYTES));
  if ([before0, before1, after0, after1, fees].some((element) => element >= STARK_ORDER)) return null;
  if (count > BigInt(SHARD_ITEMS_MAX) || context === null) return null;
  return { before: [before0, before1], after: [after0, after1], fees, count: Number(count), context };
}
