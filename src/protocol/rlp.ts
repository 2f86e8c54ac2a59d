/**
 * Recursive length prefix, and the trie root over a list (Yellow Paper, appendices B to D).
 *
 * Reading is strict: one text has one encoding. Everything here throws `Malformed` for bytes that are not that.
 */
import { RLP } from "@ethereumjs/rlp";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { concatBytes, hexToBytes } from "@noble/hashes/utils.js";

export class Malformed extends Error {}

/** Items of one text. The longest access list that a block's gas can pay for has 50,000 keys. */
const ITEMS_MAX = 262_144;
/** A transaction nests four lists deep: itself, access list, entry, storage keys. */
const DEPTH_MAX = 5;

export type Tree = Uint8Array | readonly Tree[];

export interface Frame {
  readonly list: boolean;
  readonly from: number;
  readonly end: number;
}

/**
 * One item's bounds, strictly canonical. The library decodes too, but copies the rest at every level of nesting:
 * a payload of ten million opening brackets would keep it busy for hours.
 */
export function itemAt(bytes: Uint8Array, at: number, limit: number): Frame {
  const first = bytes[at];
  if (first === undefined || at >= limit) throw new Malformed(`nothing at byte ${at}`);
  if (first < 0x80) return { list: false, from: at, end: at + 1 };
  if (first === 0x81 && (bytes[at + 1] ?? 0) < 0x80) throw new Malformed(`the byte at ${at + 1} needs no length`);
  const list = first >= 0xc0;
  const short = first - (list ? 0xc0 : 0x80);
  if (short <= 55) return bounded({ list, from: at + 1, end: at + 1 + short }, limit);
  const width = short - 55;
  let length = 0;
  for (let i = 1; i <= width; i++) length = length * 256 + (bytes[at + i] ?? 0);
  // A length of eight bytes may round, but then it is far over the limit.
  if (length <= 55 || bytes[at + 1] === 0) throw new Malformed(`length at byte ${at} is not canonical`);
  return bounded({ list, from: at + 1 + width, end: at + 1 + width + length }, limit);
}

function bounded(frame: Frame, limit: number): Frame {
  if (frame.end > limit) throw new Malformed(`an item ends at byte ${frame.end}, beyond ${limit}`);
  return frame;
}

export function listAt(bytes: Uint8Array, at: number): Frame {
  const frame = itemAt(bytes, at, bytes.length);
  if (!frame.list) throw new Malformed(`no list at byte ${at}`);
  return frame;
}

export function decode(bytes: Uint8Array): Tree {
  const frame = itemAt(bytes, 0, bytes.length);
  if (frame.end !== bytes.length) throw new Malformed("bytes after an item");
  return decoded(bytes, frame, 0, { items: 0 });
}

function decoded(bytes: Uint8Array, frame: Frame, depth: number, made: { items: number }): Tree {
  // Ten million items of one byte each would be a gigabyte of objects.
  if (++made.items > ITEMS_MAX) throw new Malformed(`over ${ITEMS_MAX} items`);
  if (!frame.list) return bytes.subarray(frame.from, frame.end);
  if (depth >= DEPTH_MAX) throw new Malformed("nested too deep");
  const children: Tree[] = [];
  for (let at = frame.from; at < frame.end; ) {
    const child = itemAt(bytes, at, frame.end);
    children.push(decoded(bytes, child, depth + 1, made));
    at = child.end;
  }
  return children;
}

/** A list of items that are encoded already. */
export function listOf(encoded: readonly Uint8Array[]): Uint8Array {
  const body = concatBytes(...encoded);
  if (body.length <= 55) return concatBytes(Uint8Array.of(0xc0 + body.length), body);
  const length = minimal(BigInt(body.length));
  return concatBytes(Uint8Array.of(0xf7 + length.length), length, body);
}

export function encode(tree: Tree): Uint8Array {
  return RLP.encode(tree as Parameters<typeof RLP.encode>[0]);
}

export function minimal(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array(0);
  const hex = value.toString(16);
  return hexToBytes(hex.length % 2 === 0 ? hex : `0${hex}`);
}

// --- The trie of a block's transactions (Yellow Paper, appendix D) ------------------------------------------------------

interface Entry {
  readonly path: readonly number[];
  readonly value: Uint8Array;
}

/** The root over rlp(index) -> raw transaction. */
export function orderedRoot(values: readonly Uint8Array[]): Uint8Array {
  if (values.length === 0) return keccak_256(RLP.encode(new Uint8Array(0)));
  const entries = values.map((value, index) => {
    const key = RLP.encode(index);
    return { path: [...key].flatMap((byte) => [byte >> 4, byte & 15]), value };
  });
  return keccak_256(encode(node(entries, 0)));
}

/** A node over entries that agree in their first `depth` nibbles. No key is another's prefix, so a branch has no value. */
function node(entries: readonly Entry[], depth: number): Tree {
  const [first] = entries;
  if (first === undefined) return new Uint8Array(0);
  if (entries.length === 1) return [compact(first.path.slice(depth), true), first.value];
  let shared = depth;
  while (entries.every(({ path }) => path[shared] !== undefined && path[shared] === first.path[shared])) shared++;
  if (shared > depth) return [compact(first.path.slice(depth, shared), false), reference(node(entries, shared))];
  const children = Array.from({ length: 16 }, (_, nibble) => entries.filter(({ path }) => path[depth] === nibble));
  return [...children.map((some) => reference(node(some, depth + 1))), new Uint8Array(0)];
}

/** A node of under 32 bytes stands in its parent as it is, a longer one by its hash. */
function reference(tree: Tree): Tree {
  if (tree instanceof Uint8Array) return tree;
  const encoded = encode(tree);
  return encoded.length < 32 ? tree : keccak_256(encoded);
}

/** Yellow Paper, appendix C: nibbles packed into bytes behind a flag for leaf and odd length. */
function compact(nibbles: readonly number[], leaf: boolean): Uint8Array {
  const odd = nibbles.length % 2;
  const padded = [(leaf ? 2 : 0) + odd, ...(odd === 1 ? [] : [0]), ...nibbles];
  return Uint8Array.from({ length: padded.length / 2 }, (_, i) => (padded[2 * i] ?? 0) * 16 + (padded[2 * i + 1] ?? 0));
}
