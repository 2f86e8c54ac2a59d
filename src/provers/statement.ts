/**
 * What a shard proof says, computed natively: prover and verifier derive it from the block's own bytes.
 *
 * A chain has a running commitment, one field element. Each item folds in:
 *
 *     next = Poseidon(commitment, sender, recipient, value + 2^128 feeLimit)
 *
 * where a contract's creation has the recipient 2^160, which no address is. Public values are five field elements of
 * 32 bytes, big-endian: before, after, fees (sum of the fee limits), count (of items) and context, which ties a proof
 * to one task of one block and to the prover that is paid for it.
 */
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { type PayloadBlock, SHARD_ITEMS_MAX, shardRange } from "../protocol/ethereum.ts";
import type { Item } from "../protocol/transaction.ts";
import { domainDigest, type Hash, type Key, u64 } from "../protocol/ids.ts";
import { readEither } from "../protocol/range.ts";
import type { Preparation, Result } from "../ports.ts";
import { contextFor, FIELD_ORDER, reduced } from "../protocol/payee.ts";
import { bigEndian } from "../proofs/bytes.ts";
import { poseidon } from "./poseidon.ts";

export const ELEMENT_BYTES = 32;
export const VALUES_COUNT = 5;
export const VALUES_BYTES: number = VALUES_COUNT * ELEMENT_BYTES;

/** Where an address would be, of an item that creates a contract. */
export const CREATION: bigint = 1n << 160n;

/** A run of items between two commitments. */
export interface Run {
  readonly before: bigint;
  readonly after: bigint;
  readonly fees: bigint;
  readonly items: readonly Item[];
}

export interface Values {
  readonly before: bigint;
  readonly after: bigint;
  readonly fees: bigint;
  readonly count: bigint;
  readonly context: bigint;
}

/** A block's runs: the whole, and one a shard. */
export interface Folded {
  readonly block: PayloadBlock;
  readonly whole: Run;
  readonly shards: readonly Run[];
}

export type Prepared = Preparation & { readonly before: Uint8Array };

export type Check = { readonly valid: true } | { readonly valid: false; readonly code: string };

/** The four numbers of an item as the circuit takes them. */
export function itemFields(item: Item): readonly [sender: bigint, recipient: bigint, value: bigint, feeLimit: bigint] {
  const recipient = item.recipient === null ? CREATION : BigInt(`0x${item.recipient}`);
  return [BigInt(`0x${item.sender}`), recipient, item.value, item.feeLimit];
}

/** The inputs of the shard circuits, columns of SHARD_ITEMS_MAX rows; absent items are zeros. */
export interface Witness extends Values {
  readonly active: readonly bigint[];
  readonly sender: readonly bigint[];
  readonly recipient: readonly bigint[];
  readonly creation: readonly bigint[];
  readonly value: readonly bigint[];
  readonly feeLimit: readonly bigint[];
}

export function witnessOf({ before, after, fees, items }: Run, context: bigint): Witness {
  const rows = items.map(itemFields);
  const column = (i: number): bigint[] => Array.from({ length: SHARD_ITEMS_MAX }, (_, row) => rows[row]?.[i] ?? 0n);
  const count = BigInt(items.length);
  return {
    before,
    after,
    fees,
    count,
    context,
    active: Array.from({ length: SHARD_ITEMS_MAX }, (_, i) => (i < items.length ? 1n : 0n)),
    sender: column(0),
    recipient: column(1).map((recipient) => (recipient === CREATION ? 0n : recipient)),
    creation: column(1).map((recipient) => (recipient === CREATION ? 1n : 0n)),
    value: column(2),
    feeLimit: column(3),
  };
}

export function fold(before: bigint, items: readonly Item[]): Run {
  let after = before;
  let fees = 0n;
  for (const item of items) {
    const [sender, recipient, value, feeLimit] = itemFields(item);
    after = poseidon(after, sender, recipient, value + (feeLimit << 128n));
    fees += feeLimit;
  }
  return { before, after, fees, items };
}

/** The commitment before the first block of a run of blocks: a hash of chain and parent, taken modulo the field. */
export function beginning(chain: number, parent: Hash): bigint {
  return bigEndian(reduced(domainDigest("commitment", u64(chain), hexToBytes(parent))));
}

/** The hash of a task's place and of its prover, taken modulo the field. The block's id names network and chain. */
export function contextOf(block: Hash, stage: string, index: number, prover: Key): bigint {
  const place = domainDigest("context", hexToBytes(block), u64(index), utf8ToBytes(stage));
  return bigEndian(contextFor(reduced(place), prover));
}

export function valuesOf(run: Run, block: Hash, stage: string, index: number, prover: Key): Uint8Array {
  const context = contextOf(block, stage, index, prover);
  return encodeValues({ ...run, count: BigInt(run.items.length), context });
}

/** Reads a block, or a range of blocks, and folds it. The payload has to be that of `hash`. */
export function foldBlock(
  payload: Uint8Array,
  hash: Hash,
  before: bigint | null,
  chain: number,
  shards: number,
): Result<Folded> {
  const read = readEither(payload, hash);
  if (!read.ok) return read;
  return { ok: true, value: foldShards(read.value, before ?? beginning(chain, read.value.parent), shards) };
}

/** Cuts a block into shards and folds them one after the other. Whether a circuit has room for them is its prover's question. */
export function foldShards(block: PayloadBlock, first: bigint, shards: number): Folded {
  const { items } = block;
  const runs: Run[] = [];
  let last = first;
  for (let index = 0; index < shards; index++) {
    const { from, to } = shardRange(items.length, shards, index);
    const run = fold(last, items.slice(from, to));
    runs.push(run);
    last = run.after;
  }
  const fees = runs.reduce((sum, run) => sum + run.fees, 0n);
  return { block, whole: { before: first, after: last, fees, items }, shards: runs };
}

export function encodeElement(value: bigint): Uint8Array {
  return hexToBytes(value.toString(16).padStart(2 * ELEMENT_BYTES, "0"));
}

/** `null` unless it is the one encoding of a field element. */
export function elementOf(bytes: Uint8Array): bigint | null {
  if (bytes.length !== ELEMENT_BYTES) return null;
  const value = bigEndian(bytes);
  return value < FIELD_ORDER ? value : null;
}

export function encodeValues(values: Values): Uint8Array {
  const bytes = new Uint8Array(VALUES_BYTES);
  const { before, after, fees, count, context } = values;
  [before, after, fees, count, context].forEach((value, i) => bytes.set(encodeElement(value), i * ELEMENT_BYTES));
  return bytes;
}

/** `null` for another length or a number that is not below the field's order. */
export function decodeValues(bytes: Uint8Array): Values | null {
  if (bytes.length !== VALUES_BYTES) return null;
  const elements = Array.from({ length: VALUES_COUNT }, (_, i) =>
    elementOf(bytes.subarray(i * ELEMENT_BYTES, (i + 1) * ELEMENT_BYTES)),
  );
  const [before = null, after = null, fees = null, count = null, context = null] = elements;
  if (before === null || after === null || fees === null || count === null || context === null) return null;
  return { before, after, fees, count, context };
}
