/**
 * Hash tree roots of SSZ values, in both forms that guests use: lists with a limit, and the progressive lists and
 * containers of EIP-7916 and EIP-7495.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";

export type Node = Uint8Array;
export type Form = "progressive" | "bounded";

const ZERO: Node = new Uint8Array(32);

export class TooWide extends Error {}

/** Throws `TooWide` for a number that needs more bytes. */
export function littleEndian(value: bigint, width: number): Uint8Array {
  const bytes = new Uint8Array(width);
  let rest = value;
  for (let at = 0; at < width; at++) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  if (rest !== 0n) throw new TooWide(`${value} does not fit ${width} bytes`);
  return bytes;
}

function hashed(left: Node, right: Node): Node {
  return sha256(concatBytes(left, right));
}

/** A root over leaves in a tree for `most` of them. */
function merkleize(leaves: readonly Node[], most: number): Node {
  let level = [...leaves];
  let zero = ZERO;
  for (let width = 1; width < most; width *= 2) {
    const next: Node[] = [];
    for (let at = 0; at < level.length; at += 2) next.push(hashed(level[at] ?? zero, level[at + 1] ?? zero));
    level = next;
    zero = hashed(zero, zero);
  }
  return level[0] ?? zero;
}

/** EIP-7916: a subtree of 1 leaf, one of 4, one of 16, and so on. */
function merkleizeProgressive(leaves: readonly Node[], width = 1): Node {
  if (leaves.length === 0) return ZERO;
  const rest = merkleizeProgressive(leaves.slice(width), width * 4);
  return hashed(merkleize(leaves.slice(0, width), width), rest);
}

/** Bytes as leaves of 32 bytes, the last one padded with zeros. */
function packed(bytes: Uint8Array): Node[] {
  return Array.from({ length: Math.ceil(bytes.length / 32) }, (_, at) => {
    const leaf = new Uint8Array(32);
    leaf.set(bytes.subarray(32 * at, 32 * (at + 1)));
    return leaf;
  });
}

function withLength(root: Node, length: number): Node {
  return hashed(root, littleEndian(BigInt(length), 32));
}

/** A number, or bytes of a fixed length. */
export function fixed(bytes: Uint8Array): Node {
  const leaves = packed(bytes);
  return merkleize(leaves, leaves.length);
}

export function uint64(value: bigint): Node {
  return fixed(littleEndian(value, 8));
}

export function uint256(value: bigint): Node {
  return littleEndian(value, 32);
}

/** A list of at most `most` bytes. */
export function byteList(form: Form, bytes: Uint8Array, most: number): Node {
  const leaves = packed(bytes);
  if (form === "progressive") return withLength(merkleizeProgressive(leaves), bytes.length);
  return withLength(merkleize(leaves, Math.ceil(most / 32)), bytes.length);
}

/** A list of at most `most` values that are no numbers. */
export function listOf(form: Form, roots: readonly Node[], most: number): Node {
  if (form === "progressive") return withLength(merkleizeProgressive(roots), roots.length);
  return withLength(merkleize(roots, most), roots.length);
}

export function container(roots: readonly Node[]): Node {
  return merkleize(roots, roots.length);
}

/** EIP-7495: fields in a progressive tree, with the set of active ones beside them. Here all are active. */
export function activeContainer(form: Form, roots: readonly Node[]): Node {
  if (form === "bounded") return container(roots);
  const active = littleEndian((1n << BigInt(roots.length)) - 1n, 32);
  return hashed(merkleizeProgressive(roots), active);
}
