/**
 * A range of consecutive blocks that are proven as one: the range `n` of `size` blocks has those from `n * size` on.
 *
 * Its payload is the RLP list of its blocks' payloads, its hash that of its last block, its parent the block before its first.
 * Each block names the hash of the one before it, so whoever knows the last one's hash can check them all.
 */
import {
  type BlockBytes,
  type EncodedBlock,
  type PayloadBlock,
  type PayloadFault,
  type PayloadResult,
  readPayload,
} from "./ethereum.ts";
import type { Hash } from "./ids.ts";
import { RANGE_BLOCKS_MAX, RANGE_BYTES_MAX } from "./limits.ts";
import { itemAt, listAt, listOf, Malformed } from "./rlp.ts";
import type { PayloadForm } from "./statement.ts";

/** Recovering their senders takes about half a minute, and everybody does it. */
export const RANGE_ITEMS_MAX = 32_768;

/** What a payload holds, a block alone or a range. */
export interface PayloadRange extends PayloadBlock {
  /** How many blocks; `height` and `bytes` are the last one's. */
  readonly blocks: number;
  readonly first: BlockBytes;
}

/** The number of the range whose last block has this height; `null` where none ends there. */
export function rangeEndingAt(height: number, size: number): number | null {
  return (height + 1) % size === 0 ? (height + 1) / size - 1 : null;
}

/** The range of these blocks. They follow each other, and begin and end where a range does. */
export function rangeOf(blocks: readonly EncodedBlock[]): PayloadResult<EncodedBlock> {
  const [first, last] = [blocks[0], blocks.at(-1)];
  if (first === undefined || last === undefined) return no("payload.malformed", "a range without blocks");
  const height = rangeEndingAt(last.height, blocks.length);
  const gap = blocks.findIndex((block, at) => at > 0 && block.parent !== blocks[at - 1]?.hash);
  if (height === null || gap !== -1 || first.height !== last.height - blocks.length + 1) {
    const where = gap === -1 ? `${first.height} to ${last.height}` : `${blocks[gap]?.height}, which does not follow`;
    return no("payload.malformed", `${blocks.length} blocks are no range at ${where}`);
  }
  const items = blocks.reduce((sum, block) => sum + block.items, 0);
  if (items > RANGE_ITEMS_MAX)
    return no("payload.too-large", `${items} transactions; a range has ${RANGE_ITEMS_MAX} at most`);
  const payload = listOf(blocks.map((block) => block.payload));
  if (payload.length > RANGE_BYTES_MAX)
    return no("payload.too-large", `${payload.length} bytes; a range has ${RANGE_BYTES_MAX} at most`);
  return { ok: true, value: { height, hash: last.hash, parent: first.parent, payload, items } };
}

/**
 * Checks the payload of a range of `size` blocks against the hash, which is the last block's, and reads what it says. A
 * block alone has one payload only: the list of that payload is refused, because the block would have two ids otherwise.
 */
export function readRange(
  payload: Uint8Array,
  hash: Hash,
  size: number,
  form: PayloadForm | null = null,
): PayloadResult<PayloadRange> {
  if (size === 1) return readAlone(payload, hash, form);
  const read = readEither(payload, hash, form);
  if (!read.ok || read.value.blocks === size) return read;
  return no("payload.blocks-mismatch", `the payload has ${read.value.blocks} blocks, not ${size}`);
}

function readAlone(payload: Uint8Array, hash: Hash, form: PayloadForm | null): PayloadResult<PayloadRange> {
  const block = readPayload(payload, hash, form);
  return block.ok ? { ok: true, value: { ...block.value, blocks: 1, first: block.value.bytes } } : block;
}

/** Reads a payload that `readRange` has accepted before: of a block alone, or of a range of any size. */
export function readEither(
  payload: Uint8Array,
  hash: Hash,
  form: PayloadForm | null = null,
): PayloadResult<PayloadRange> {
  let parts: readonly Uint8Array[] | null;
  try {
    parts = partsOf(payload);
  } catch (error) {
    if (error instanceof Malformed) return no("payload.malformed", error.message);
    throw error;
  }
  if (parts === null) return readAlone(payload, hash, form);
  const read: PayloadBlock[] = [];
  let [expected, items] = [hash, 0];
  for (const part of parts.toReversed()) {
    const block = readPayload(part, expected, form);
    if (!block.ok) return block;
    const after = read.at(-1);
    if (after !== undefined && block.value.height !== after.height - 1)
      return no("payload.malformed", `block ${block.value.height} stands before block ${after.height}`);
    items += block.value.items.length;
    if (items > RANGE_ITEMS_MAX) return no("payload.too-large", `over ${RANGE_ITEMS_MAX} transactions`);
    read.push(block.value);
    expected = block.value.parent;
  }
  const [last, first] = [read[0], read.at(-1)];
  if (last === undefined || first === undefined) return no("payload.malformed", "a range without blocks");
  const all = read.toReversed().flatMap((block) => block.items);
  const { height, bytes } = last;
  return {
    ok: true,
    value: { height, parent: expected, items: all, bytes, blocks: read.length, first: first.bytes },
  };
}

/**
 * The payloads in a range's payload; `null` for that of a block. A block begins with its version, or with a list of
 * strings, its header, whose first string is a hash. Blocks of a range begin with a list, or with a version of one byte.
 */
function partsOf(payload: Uint8Array): readonly Uint8Array[] | null {
  const frame = listAt(payload, 0);
  if (frame.from === frame.end) return [];
  const first = itemAt(payload, frame.from, frame.end);
  if (!first.list || first.from === first.end) return null;
  const inner = itemAt(payload, first.from, first.end);
  if (!inner.list && inner.end - inner.from !== 1) return null;
  if (payload.length > RANGE_BYTES_MAX) throw new Malformed(`${payload.length} bytes`);
  if (frame.end !== payload.length) throw new Malformed("bytes after the payload");
  const parts: Uint8Array[] = [];
  for (let at = frame.from; at < frame.end; ) {
    if (parts.length >= RANGE_BLOCKS_MAX) throw new Malformed(`over ${RANGE_BLOCKS_MAX} blocks`);
    const part = listAt(payload, at);
    parts.push(payload.subarray(at, part.end));
    at = part.end;
  }
  return parts;
}

function no(code: PayloadFault["code"], message: string): { readonly ok: false; readonly fault: PayloadFault } {
  return { ok: false, fault: { code, message } };
}
