/**
 * A batch: entries under a Merkle root, one signature.
 *
 * Signatures cost the same at any task rate, because a busy node puts more entries under one of them; and any single
 * entry can still be shown to a third party as head + signature + path (a `Vote`).
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { domainDigest, domainHash, type Hash, type Key } from "./ids.ts";
import { BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX } from "./limits.ts";
import { decodeEntry, encodeEntry, type Entry, equalBytes, type Vote } from "./messages.ts";
import { batchSigningBytes, type Equation, verifyStrict } from "./signing.ts";
import { START_COUNTER_MAX } from "./start.ts";
import type { Refusal } from "./verdict.ts";
import { BatchHeadSchema, BatchSchema } from "./wire_pb.js";

export interface BatchHead {
  readonly author: Key;
  readonly number: number;
  /** Hash of the author's head before; zeros for number 0. */
  readonly previous: Hash;
  readonly root: Hash;
  readonly count: number;
  /** Counter of the author's start that signed it. */
  readonly start: number;
  /**
   * How many numbers before this one the author leaves out, because it has lost its journal and may have signed them.
   * The batch before, whose hash is `previous`, is the one before those.
   */
  readonly skipped: number;
}

/** A batch whose bytes, root and signature were checked. Made only by `openBatch` and `sealBatch`. */
export interface Batch {
  readonly head: BatchHead;
  /** Hash of the head: the name of the batch, and what the next one must name. */
  readonly hash: Hash;
  readonly headBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly entries: readonly Entry[];
  readonly entryBytes: readonly Uint8Array[];
  /** As sent. */
  readonly bytes: Uint8Array;
}

export type Opened<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly code: Refusal };

/** Builds and signs the next batch of a feed. The caller keeps to BATCH_ENTRIES_MAX and MESSAGE_BYTES_MAX. */
export function sealBatch(
  network: Hash,
  feed: Pick<BatchHead, "author" | "number" | "previous"> & Partial<Pick<BatchHead, "start" | "skipped">>,
  entries: readonly Entry[],
  sign: (message: Uint8Array) => Uint8Array,
): Batch {
  const entryBytes = entries.map(encodeEntry);
  const root = bytesToHex(merkleRoot(entryBytes));
  const { author, number, previous, start = 1, skipped = 0 } = feed;
  const head: BatchHead = { author, number, previous, root, count: entries.length, start, skipped };
  const headBytes = encodeHead(head);
  const signature = sign(batchSigningBytes(network, headBytes));
  const bytes = toBinary(BatchSchema, create(BatchSchema, { head: headBytes, signature, entries: [...entryBytes] }));
  return { head, hash: headHash(headBytes), headBytes, signature, entries, entryBytes, bytes };
}

/**
 * Checks all of a batch that needs no state, cheapest first: size, shape, root. The signature is left to
 * `verifyBatch`, because a known batch need not be verified again.
 */
export function openBatch(bytes: Uint8Array): Opened<Batch> {
  // BATCH-1.
  if (bytes.length > MESSAGE_BYTES_MAX) return { ok: false, code: "message.too-large" };
  const outer = read(() => {
    const message = fromBinary(BatchSchema, bytes, { readUnknownFields: false });
    return equalBytes(toBinary(BatchSchema, message), bytes) ? message : null;
  });
  // BATCH-2.
  if (outer === null) return { ok: false, code: "message.malformed" };
  // BATCH-3.
  if (outer.signature.length !== 64) return { ok: false, code: "signature.malformed" };
  const { entries: entryBytes, head: headBytes, signature } = outer;
  // BATCH-4.
  if (entryBytes.length === 0) return { ok: false, code: "message.empty" };
  if (entryBytes.length > BATCH_ENTRIES_MAX) return { ok: false, code: "message.too-large" };
  const head = decodeHead(headBytes);
  if (head === null || head.count !== entryBytes.length) return { ok: false, code: "message.malformed" };
  // BATCH-5.
  if (head.root !== bytesToHex(merkleRoot(entryBytes))) return { ok: false, code: "message.root-mismatch" };
  const entries: Entry[] = [];
  for (const item of entryBytes) {
    const entry = decodeEntry(item);
    if (entry === null) return { ok: false, code: "message.malformed" };
    entries.push(entry);
  }
  return { ok: true, value: { head, hash: headHash(headBytes), headBytes, signature, entries, entryBytes, bytes } };
}

/** The number of the batch that `previous` names, or -1. */
export function numberBefore({ number, skipped }: Pick<BatchHead, "number" | "skipped">): number {
  return number - skipped - 1;
}

/**
 * Whether two heads of one author, of which the second names the number of the first as the one before, are one feed.
 * The counter of starts never falls, and only a later start may leave numbers out.
 */
export function continues(after: BatchHead, before: BatchHead & { readonly hash: Hash }): boolean {
  if (after.previous !== before.hash) return false;
  // BATCH-17.
  // mutant: starts-fall
  return after.skipped > 0 ? after.start > before.start : after.start >= before.start;
}

export function verifyBatch(network: Hash, batch: Batch, equation: Equation): boolean {
  return verifyHead(network, batch.head.author, batch.headBytes, batch.signature, equation);
}

function verifyHead(network: Hash, author: Key, head: Uint8Array, signature: Uint8Array, equation: Equation): boolean {
  return verifyStrict(equation, signature, batchSigningBytes(network, head), hexToBytes(author));
}

/** Shows one entry of a batch to a third party. */
export function voteOf(batch: Batch, index: number): Vote {
  const entry = batch.entryBytes[index];
  if (entry === undefined) throw new RangeError(`batch ${batch.hash} has no entry ${index}`);
  return { head: batch.headBytes, signature: batch.signature, index, path: merklePath(batch.entryBytes, index), entry };
}

/** What a vote says, and where in its author's feed. */
export interface ShownVote {
  readonly author: Key;
  /** The batch's number, and the entry's place in it. */
  readonly number: number;
  readonly index: number;
  readonly entry: Entry;
  /** Of the batch's head. */
  readonly hash: Hash;
}

/** Reads a vote without asking whether it is signed: enough to see whether it says anything new. */
export function readVote(vote: Vote): ShownVote | null {
  const head = decodeHead(vote.head);
  if (head === null || vote.index >= head.count) return null;
  const entry = decodeEntry(vote.entry);
  if (entry === null) return null;
  return { author: head.author, number: head.number, index: vote.index, entry, hash: headHash(vote.head) };
}

/** Checks a vote that somebody shows; `author` and the entry are then as good as heard from the author itself. */
export function openVote(network: Hash, vote: Vote, equation: Equation): ShownVote | null {
  const head = decodeHead(vote.head);
  if (head === null || vote.index >= head.count) return null;
  const root = rootOfPath(vote.entry, vote.index, head.count, vote.path);
  if (root === null || bytesToHex(root) !== head.root) return null;
  const shown = readVote(vote);
  if (shown === null || !verifyHead(network, head.author, vote.head, vote.signature, equation)) return null;
  return shown;
}

/** Checks a batch's head alone, without any of its entries. */
export function openHead(
  network: Hash,
  shown: { readonly head: Uint8Array; readonly signature: Uint8Array },
  equation: Equation,
): (BatchHead & { readonly hash: Hash }) | null {
  const head = decodeHead(shown.head);
  if (head === null || !verifyHead(network, head.author, shown.head, shown.signature, equation)) return null;
  return { ...head, hash: headHash(shown.head) };
}

/** Reads a head without asking whether it is signed. */
export function readHead(bytes: Uint8Array): (BatchHead & { readonly hash: Hash }) | null {
  const head = decodeHead(bytes);
  return head === null ? null : { ...head, hash: headHash(bytes) };
}

function headHash(headBytes: Uint8Array): Hash {
  return domainHash("batch-head", headBytes);
}

function encodeHead(head: BatchHead): Uint8Array {
  return toBinary(
    BatchHeadSchema,
    create(BatchHeadSchema, {
      author: hexToBytes(head.author),
      number: BigInt(head.number),
      previous: hexToBytes(head.previous),
      root: hexToBytes(head.root),
      count: head.count,
      start: BigInt(head.start),
      skipped: BigInt(head.skipped),
    }),
  );
}

function decodeHead(bytes: Uint8Array): BatchHead | null {
  const head = read(() => {
    const message = fromBinary(BatchHeadSchema, bytes, { readUnknownFields: false });
    return equalBytes(toBinary(BatchHeadSchema, message), bytes) ? message : null;
  });
  if (head === null || head.author.length !== 32 || head.previous.length !== 32 || head.root.length !== 32) return null;
  if (head.number > BigInt(Number.MAX_SAFE_INTEGER) || head.count > BATCH_ENTRIES_MAX) return null;
  if (head.start < 1n || head.start > BigInt(START_COUNTER_MAX) || head.skipped > head.number) return null;
  return {
    author: bytesToHex(head.author),
    number: Number(head.number),
    previous: bytesToHex(head.previous),
    root: bytesToHex(head.root),
    count: head.count,
    start: Number(head.start),
    skipped: Number(head.skipped),
  };
}

/** The codec throws on bytes that are no message; which of its errors it was does not matter to anyone. */
function read<T>(decode: () => T | null): T | null {
  try {
    return decode();
  } catch {
    return null;
  }
}

/** A level of the tree from the one below; a last node without a sibling is carried up as it is. */
function nextLevel(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let i = 0; i < level.length; i += 2) {
    const [left, right] = [level[i], level[i + 1]];
    if (left !== undefined) above.push(right === undefined ? left : domainDigest("merkle-node", left, right));
  }
  return above;
}

function merkleRoot(entries: readonly Uint8Array[]): Uint8Array {
  let level = entries.map((entry) => domainDigest("merkle-leaf", entry));
  while (level.length > 1) level = nextLevel(level);
  return level[0] ?? new Uint8Array(32);
}

function merklePath(entries: readonly Uint8Array[], index: number): Uint8Array[] {
  const path: Uint8Array[] = [];
  let level = entries.map((entry) => domainDigest("merkle-leaf", entry));
  for (let at = index; level.length > 1; at >>= 1) {
    const sibling = level[at ^ 1];
    if (sibling !== undefined) path.push(sibling);
    level = nextLevel(level);
  }
  return path;
}

/** The root that a path leads to, or `null` where its length does not fit the position. */
function rootOfPath(entry: Uint8Array, index: number, count: number, path: readonly Uint8Array[]): Uint8Array | null {
  let digest = domainDigest("merkle-leaf", entry);
  let used = 0;
  for (let at = index, width = count; width > 1; at >>= 1, width = (width + 1) >> 1) {
    if ((at ^ 1) >= width) continue;
    const sibling = path[used++];
    if (sibling === undefined) return null;
    digest = at % 2 === 0 ? domainDigest("merkle-node", digest, sibling) : domainDigest("merkle-node", sibling, digest);
  }
  return used === path.length ? digest : null;
}

/**
 * A batch as a line of an exported log: JSON a person can read, bytes as hex. `bytes` is what the signature covers. The
 * fields are in one order, so that all nodes export one line for it, whether they signed it or heard it.
 */
export function exportLine(batch: Batch, partition: string | null): string {
  const { author, number } = batch.head;
  const entries = batch.entries.map(readable);
  const where = partition === null ? {} : { partition };
  return `${JSON.stringify({ ...where, author, number, hash: batch.hash, bytes: bytesToHex(batch.bytes), entries })}\n`;
}

function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return bytesToHex(value);
  if (Array.isArray(value)) return value.map(readable);
  if (value === null || typeof value !== "object") return value;
  const members = Object.entries(value).map(([name, member]) => [name, readable(member)] as const);
  const rank = (name: string): string => (name === "kind" ? "" : name);
  return Object.fromEntries(members.sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1)));
}
