/**
 * The two copies of a journal, read, compared and repaired.
 *
 * Both copies hold the same bytes. Group by group, either copy may supply what the other has lost, because the chained
 * digest tells which one is right. Only what is lost in both is lost.
 */
import fs from "node:fs";
import path from "node:path";
import type { JournalFloor } from "../ports.ts";
import type { Key } from "../protocol/ids.ts";
import { StorageFault, systemFault } from "./fault.ts";
import { readIfThere, syncDirectory, TEMPORARY_SUFFIX, writeAllSync, writeFileDurably } from "./files.ts";
import {
  decodeGroup,
  decodeHeader,
  encodeHeader,
  type Group,
  type Header,
  highestSequence,
  isZero,
  type Position,
  VERSION,
} from "./journal-format.ts";

export const COPIES: readonly [string, string] = ["journal-a", "journal-b"];

export interface Contents {
  readonly generation: number;
  readonly salt: Buffer;
  readonly floor: JournalFloor | null;
  readonly records: readonly Uint8Array[];
  /** Where the next group goes. */
  readonly next: Position;
  /** Neither copy was there. A node that has signed before must not take this for a fresh start. */
  readonly created: boolean;
  /** Copies that had to be written anew. */
  readonly repaired: readonly string[];
}

interface Copy {
  readonly file: string;
  readonly bytes: Buffer;
  readonly header: Header;
}

/**
 * Reads both copies and leaves both whole, equal and durable.
 *
 * Throws `journal.damaged` when something that was durable is lost in both, `journal.other-key` and `journal.version`
 * for a journal that is not ours to write, and `disk.full` or `journal.failed` when a copy cannot be repaired.
 */
export function readCopies(dir: string, key: Key): Contents {
  try {
    return read(dir, key);
  } catch (error) {
    throw systemFault(error, "journal.failed", `cannot read the journal in ${dir}`);
  }
}

function read(dir: string, key: Key): Contents {
  const files = COPIES.map((name) => path.join(dir, name));
  for (const file of files) fs.rmSync(`${file}${TEMPORARY_SUFFIX}`, { force: true });
  const found = files.map((file) => ({ file, bytes: readIfThere(file) }));
  const created = found.every(({ bytes }) => bytes === null);
  if (created) {
    const header = encodeHeader(key, 1, null);
    for (const entry of found) {
      writeFileDurably(entry.file, header, 0o600);
      entry.bytes = header;
    }
  }
  const { current, first } = newest(found, key);
  const { generation } = first.header;
  const { records, groups, next } = merge(current, first.header);
  const image = Buffer.concat([first.bytes.subarray(0, first.header.end), ...groups]);
  const repaired = files.filter((file) => !isWhole(current.find((copy) => copy.file === file)?.bytes, image));
  for (const file of repaired) writeFileDurably(file, image, 0o600);
  // The last group may have been read from memory that a power cut would still lose.
  for (const file of files) settle(file, image, next.offset - (groups.at(-1)?.length ?? 0));
  syncDirectory(dir);
  const { salt, floor } = first.header;
  return { generation, salt, floor, records, next, created, repaired };
}

/**
 * The records of a journal that nobody writes, and whose it is; changes nothing on disk. `null` where there is none.
 *
 * Throws `journal.damaged`, `journal.version` or `journal.failed`.
 */
export function peekCopies(dir: string): { readonly key: Key; readonly records: readonly Uint8Array[] } | null {
  try {
    const found = COPIES.map((name) => path.join(dir, name)).map((file) => ({ file, bytes: readIfThere(file) }));
    if (found.every(({ bytes }) => bytes === null)) return null;
    const { current, first } = newest(found, null);
    return { key: first.header.key, records: merge(current, first.header).records };
  } catch (error) {
    throw systemFault(error, "journal.failed", `cannot read the journal in ${dir}`);
  }
}

/** A crash in the middle of a compaction leaves one copy of the generation before; the newer one is complete. */
function newest(
  found: readonly { readonly file: string; readonly bytes: Buffer | null }[],
  key: Key | null,
): { readonly current: readonly Copy[]; readonly first: Copy } {
  const copies: Copy[] = [];
  for (const { file, bytes } of found) {
    const header = bytes === null ? null : decodeHeader(bytes);
    if (bytes !== null && header !== null)
      copies.push({ file, bytes, header: checkHeader(file, header, key ?? header.key) });
  }
  const generation = Math.max(...copies.map((copy) => copy.header.generation));
  const current = copies.filter((copy) => copy.header.generation === generation);
  const [first] = current;
  if (first === undefined) {
    const files = found.map(({ file }) => file);
    throw new StorageFault("journal.damaged", `${files.join(" and ")}: no whole header at offset 0`);
  }
  return { current, first };
}

function checkHeader(file: string, header: Header, key: Key): Header {
  if (header.version !== VERSION) {
    throw new StorageFault("journal.version", `${file} has version ${header.version}; this program knows ${VERSION}`);
  }
  if (header.key !== key) {
    throw new StorageFault("journal.other-key", `${file} is the journal of key ${header.key}, not of ${key}`);
  }
  return header;
}

/** Every group that at least one copy has whole, in order. */
function merge(copies: readonly Copy[], header: Header): { records: Uint8Array[]; groups: Buffer[]; next: Position } {
  const records: Uint8Array[] = [];
  const groups: Buffer[] = [];
  let at: Position = { offset: header.end, sequence: 0, previous: header.digest };
  for (;;) {
    let found: Group | null = null;
    for (const { file, bytes } of copies) {
      const group = decodeGroup(bytes, header.salt, at);
      if (group !== null && found !== null && !group.digest.equals(found.digest)) {
        throw damaged(file, at.offset, "the two copies disagree");
      }
      found ??= group;
    }
    if (found === null) break;
    for (const record of found.records) records.push(record);
    groups.push(found.bytes);
    at = { offset: at.offset + found.bytes.length, sequence: at.sequence + 1, previous: found.digest };
  }
  for (const { file, bytes } of copies) {
    const highest = highestSequence(bytes, header.salt, at.offset);
    if (highest > at.sequence) {
      throw damaged(file, at.offset, `group ${at.sequence} is lost in both copies though group ${highest} followed it`);
    }
  }
  return { records, groups, next: at };
}

function damaged(file: string, offset: number, what: string): StorageFault {
  return new StorageFault("journal.damaged", `${file} at offset ${offset}: ${what}`);
}

function isWhole(bytes: Buffer | undefined, image: Buffer): boolean {
  return bytes !== undefined && bytes.subarray(0, image.length).equals(image) && isZero(bytes, image.length);
}

/**
 * Writes the last group once more, in place and with the same bytes, and syncs.
 *
 * After a sync that failed, the kernel may hold pages that it calls clean and that never reached the disk; syncing
 * again would do nothing. Written again they are dirty again.
 */
function settle(file: string, image: Buffer, from: number): void {
  const fd = fs.openSync(file, "r+");
  try {
    writeAllSync(fd, image.subarray(from), from);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
