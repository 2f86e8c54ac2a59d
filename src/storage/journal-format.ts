/**
 * The bytes of a journal.
 *
 *     file    header group*  zeros
 *     header  magic(8) version(4) generation(8) key(32) salt(16) floorLength(4) floor digest(16)
 *     group   magic(4) sequence(4) count(4) bodyLength(4) check(4) { length(4) record }* digest(16)
 *
 * A group is what one sync made durable, and it is there whole or not at all. Its digest covers the digest before it,
 * so a group that was lost, swapped or written to the wrong place breaks the chain.
 *
 * A group is only written when the one before it is durable in both copies. So the head of group `n + 1`, found
 * anywhere in either copy, proves that group `n` was durable: that is how a hole is told from a torn tail. The check of
 * a head is keyed by a random salt, or a record received from elsewhere could carry bytes that look like such a head.
 */
import { createHash, hash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import type { JournalFloor } from "../ports.ts";
import type { Hash, Key } from "../protocol/ids.ts";

export const VERSION = 1;
/** A batch is far smaller; one record never makes the others of its group wait long. */
export const RECORD_BYTES_MAX: number = 1024 * 1024;
/** One write; what has piled up behind a slow sync beyond this goes into the next group. */
export const GROUP_BYTES_MAX: number = 4 * 1024 * 1024;

const MAGIC: Buffer = Buffer.from("PMJRNL\r\n", "latin1");
const GROUP_MAGIC = 0x9d47_5250;
const GROUP_MAGIC_BYTES: Buffer = Buffer.from([0x9d, 0x47, 0x52, 0x50]);
const DIGEST_BYTES = 16;
const SALT_BYTES = 16;
const HEAD_BYTES = 20;
const HEADER_FIXED_BYTES: number = 8 + 4 + 8 + 32 + SALT_BYTES + 4;
const FLOOR_BYTES_MAX: number = 1024 * 1024;

export interface Header {
  readonly version: number;
  readonly generation: number;
  readonly key: Key;
  readonly salt: Buffer;
  readonly floor: JournalFloor | null;
  /** Where the first group starts. */
  readonly end: number;
  readonly digest: Buffer;
}

export interface Group {
  readonly records: readonly Uint8Array[];
  readonly bytes: Buffer;
  readonly digest: Buffer;
}

/** Where a group stands: what it must follow and what it must be numbered. */
export interface Position {
  readonly offset: number;
  readonly sequence: number;
  readonly previous: Buffer;
}

export function encodeHeader(key: Key, generation: number, floor: JournalFloor | null): Buffer {
  const floorBytes = Buffer.from(floor === null ? "null" : canonicalFloor(floor));
  if (floorBytes.length > FLOOR_BYTES_MAX) throw new RangeError(`a floor of ${floorBytes.length} bytes`);
  const header = Buffer.alloc(HEADER_FIXED_BYTES + floorBytes.length + DIGEST_BYTES);
  MAGIC.copy(header, 0);
  header.writeUInt32BE(VERSION, 8);
  header.writeBigUInt64BE(BigInt(generation), 12);
  Buffer.from(key, "hex").copy(header, 20);
  randomBytes(SALT_BYTES).copy(header, 52);
  header.writeUInt32BE(floorBytes.length, 68);
  floorBytes.copy(header, HEADER_FIXED_BYTES);
  digest(header, 0, header.length - DIGEST_BYTES).copy(header, header.length - DIGEST_BYTES);
  return header;
}

/** `null` when the bytes do not start with a whole and undamaged header. */
export function decodeHeader(file: Buffer): Header | null {
  if (file.length < HEADER_FIXED_BYTES + DIGEST_BYTES || !file.subarray(0, 8).equals(MAGIC)) return null;
  const floorLength = file.readUInt32BE(68);
  const end = HEADER_FIXED_BYTES + floorLength + DIGEST_BYTES;
  if (floorLength > FLOOR_BYTES_MAX || file.length < end) return null;
  const found = file.subarray(end - DIGEST_BYTES, end);
  if (!digest(file, 0, end - DIGEST_BYTES).equals(found)) return null;
  return {
    version: file.readUInt32BE(8),
    generation: Number(file.readBigUInt64BE(12)),
    key: file.toString("hex", 20, 52),
    salt: file.subarray(52, 52 + SALT_BYTES),
    // The digest says that we wrote it ourselves.
    floor: JSON.parse(file.toString("utf8", HEADER_FIXED_BYTES, end - DIGEST_BYTES)) as JournalFloor | null,
    end,
    digest: found,
  };
}

/** The group's bytes and the position after it. */
export function encodeGroup(
  salt: Buffer,
  at: Position,
  records: readonly Uint8Array[],
): { readonly bytes: Buffer; readonly next: Position } {
  let bodyLength = 0;
  for (const record of records) bodyLength += 4 + record.length;
  // The digest before it is put in front, so that what has to be hashed is one piece.
  const buffer = Buffer.allocUnsafe(DIGEST_BYTES + HEAD_BYTES + bodyLength + DIGEST_BYTES);
  at.previous.copy(buffer, 0);
  const head = DIGEST_BYTES;
  buffer.writeUInt32BE(GROUP_MAGIC, head);
  buffer.writeUInt32BE(at.sequence, head + 4);
  buffer.writeUInt32BE(records.length, head + 8);
  buffer.writeUInt32BE(bodyLength, head + 12);
  buffer.writeUInt32BE(headCheck(salt, buffer, head), head + 16);
  let offset = head + HEAD_BYTES;
  for (const record of records) {
    offset = buffer.writeUInt32BE(record.length, offset);
    buffer.set(record, offset);
    offset += record.length;
  }
  const found = digest(buffer, 0, offset);
  found.copy(buffer, offset);
  const bytes = buffer.subarray(DIGEST_BYTES);
  return { bytes, next: { offset: at.offset + bytes.length, sequence: at.sequence + 1, previous: found } };
}

/** `null` when the whole and undamaged group that belongs there is not there. */
export function decodeGroup(file: Buffer, salt: Buffer, at: Position): Group | null {
  const sequence = headAt(file, salt, at.offset);
  if (sequence !== at.sequence) return null;
  const count = file.readUInt32BE(at.offset + 8);
  const body = at.offset + HEAD_BYTES;
  const bodyEnd = body + file.readUInt32BE(at.offset + 12);
  const end = bodyEnd + DIGEST_BYTES;
  if (end > file.length) return null;
  const found = file.subarray(bodyEnd, end);
  // The digest before the group is the one we know, not the one in this file: that may be what is damaged in it.
  const expected = createHash("sha256").update(at.previous).update(file.subarray(at.offset, bodyEnd)).digest();
  if (!expected.subarray(0, DIGEST_BYTES).equals(found)) return null;
  const records: Uint8Array[] = [];
  for (let offset = body; offset < bodyEnd; ) {
    const length = file.readUInt32BE(offset);
    records.push(file.subarray(offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
  if (records.length !== count) throw new Error(`a group of ${count} records holds ${records.length}`);
  return { records, bytes: file.subarray(at.offset, end), digest: found };
}

/** The highest sequence of any head from the offset on, or -1: what is known to have been written. */
export function highestSequence(file: Buffer, salt: Buffer, from: number): number {
  let highest = -1;
  for (let at = file.indexOf(GROUP_MAGIC_BYTES, from); at >= 0; at = file.indexOf(GROUP_MAGIC_BYTES, at + 1)) {
    highest = Math.max(highest, headAt(file, salt, at));
  }
  return highest;
}

/** Whether only the zeros that were written ahead are left. */
export function isZero(file: Buffer, from: number): boolean {
  for (let at = from; at < file.length; at++) if (file[at] !== 0) return false;
  return true;
}

/** The sequence of the head at an offset, or -1 when there is none. */
function headAt(file: Buffer, salt: Buffer, offset: number): number {
  if (offset + HEAD_BYTES > file.length || file.readUInt32BE(offset) !== GROUP_MAGIC) return -1;
  return file.readUInt32BE(offset + 16) === headCheck(salt, file, offset) ? file.readUInt32BE(offset + 4) : -1;
}

function headCheck(salt: Buffer, file: Buffer, offset: number): number {
  return crc32(file.subarray(offset, offset + 16), crc32(salt));
}

function digest(bytes: Buffer, start: number, end: number): Buffer {
  return hash("sha256", bytes.subarray(start, end), "buffer").subarray(0, DIGEST_BYTES);
}

/** One floor, one text: the chains in the order of their ids. */
function canonicalFloor(floor: JournalFloor): string {
  const closed: Record<string, number> = {};
  for (const chain of Object.keys(floor.closed).sort()) closed[chain] = floor.closed[chain] ?? 0;
  const previous: Hash = floor.previous;
  return JSON.stringify({ next: floor.next, previous, closed });
}
