/**
 * The node's own feed on disk: append-only, in two copies, durable before anyone is told.
 *
 * Appends that arrive while a sync is in flight are written and synced together next, in order. The files are opened so
 * that a write returns when it is on disk: one trip to a thread of the pool per copy, both at once.
 */
import fs from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import type { Done, Fault, Journal, JournalFloor } from "../ports.ts";
import type { Key } from "../protocol/ids.ts";
import { DONE, failed, StorageFault, systemFault } from "./fault.ts";
import { TEMPORARY_SUFFIX } from "./files.ts";
import { COPIES, type Contents, readCopies } from "./journal-copies.ts";
import {
  decodeHeader,
  encodeGroup,
  encodeHeader,
  GROUP_BYTES_MAX,
  type Position,
  RECORD_BYTES_MAX,
} from "./journal-format.ts";

export interface JournalOptions {
  /** An existing directory; the journal keeps `journal-a` and `journal-b` in it. */
  readonly dir: string;
  readonly key: Key;
}

/** How bytes reach a file; a test gives one that fails. */
export type WriteFile = (fd: number, bytes: Uint8Array, position: number, done: (error: Error | null) => void) => void;

export interface FileJournal extends Journal {
  /** Neither copy was there: the node is new, or it has lost its journal and must ask its peers before it signs. */
  readonly created: boolean;
  /** Copies that were repaired from the other one when the journal was opened. */
  readonly repaired: readonly string[];
  /** The fault that ended the journal, or `null` while it is well. */
  fault(): Fault | null;
  /** Waits for what was appended; nothing may be appended afterwards. */
  close(done: () => void): void;
}

/** Throws a `StorageFault`; its codes are those of `readCopies`. Blocks while it reads: call it at start. */
export function openJournal(options: JournalOptions, write: WriteFile = writeAll): FileJournal {
  return new DiskJournal(options, readCopies(options.dir, options.key), write);
}

/** Beyond this the appender has lost touch with its disk. */
const QUEUE_BYTES_MAX = 32 * 1024 * 1024;
/** Written as zeros ahead of the records: a sync that does not change the file's length is half the work. */
const AHEAD_BYTES = 256 * 1024;

// A write returns when data, and what is needed to find them, are on disk: as fdatasync after each write.
const OPEN_FLAGS = fs.constants.O_RDWR | fs.constants.O_DSYNC;

type Operation =
  | {
      readonly kind: "append";
      readonly records: readonly Uint8Array[];
      readonly bytes: number;
      readonly done: Done<void>;
    }
  | {
      readonly kind: "compact";
      readonly floor: JournalFloor;
      readonly records: readonly Uint8Array[];
      readonly done: Done<void>;
    };

type Append = Extract<Operation, { kind: "append" }>;
type Compact = Extract<Operation, { kind: "compact" }>;

class DiskJournal implements FileJournal {
  readonly created: boolean;
  readonly repaired: readonly string[];
  readonly #options: JournalOptions;
  readonly #write: WriteFile;
  #contents: Contents | null;
  #generation: number;
  #salt: Buffer;
  #next: Position;
  /** How long the files are, with the zeros at their end. */
  #allocated: number;
  #fds: readonly number[];
  #queue: Operation[] = [];
  #queuedBytes = 0;
  #busy = false;
  #loaded = false;
  #fault: Fault | null = null;
  #closing: (() => void) | null = null;

  constructor(options: JournalOptions, contents: Contents, write: WriteFile) {
    this.#options = options;
    this.#write = write;
    this.#contents = contents;
    this.created = contents.created;
    this.repaired = contents.repaired;
    this.#generation = contents.generation;
    this.#salt = contents.salt;
    this.#next = contents.next;
    this.#allocated = contents.next.offset;
    this.#fds = COPIES.map((name) => fs.openSync(path.join(options.dir, name), OPEN_FLAGS));
  }

  load(): { readonly floor: JournalFloor | null; readonly records: readonly Uint8Array[] } {
    const contents = this.#contents;
    if (contents === null) throw new Error("a journal is loaded once");
    this.#contents = null;
    this.#loaded = true;
    return { floor: contents.floor, records: contents.records };
  }

  append(records: readonly Uint8Array[], done: Done<void>): void {
    this.#enqueue({ kind: "append", records, bytes: lengthOf(records), done });
  }

  compact(floor: JournalFloor, records: readonly Uint8Array[], done: Done<void>): void {
    lengthOf(records);
    this.#enqueue({ kind: "compact", floor, records, done });
  }

  size(): number {
    return this.#next.offset;
  }

  fault(): Fault | null {
    return this.#fault;
  }

  close(done: () => void): void {
    if (this.#closing !== null) throw new Error("a journal is closed once");
    this.#closing = done;
    this.#work();
  }

  #enqueue(operation: Operation): void {
    if (!this.#loaded) throw new Error("a journal is loaded before it is written");
    if (this.#closing !== null) {
      this.#refuse([operation], { code: "journal.closed", message: "the journal is closed" });
      return;
    }
    // A later append must not succeed where an earlier one was refused, so a full queue is the end as well.
    if (operation.kind === "append" && this.#queuedBytes + operation.bytes > QUEUE_BYTES_MAX) {
      this.#fault ??= { code: "journal.busy", message: `more than ${QUEUE_BYTES_MAX} bytes wait for the disk` };
    }
    if (this.#fault !== null) {
      this.#refuse([operation], this.#fault);
      return;
    }
    this.#queue.push(operation);
    if (operation.kind === "append") this.#queuedBytes += operation.bytes;
    this.#work();
  }

  #refuse(operations: readonly Operation[], fault: Fault): void {
    // Never before the call that asked has returned.
    queueMicrotask(() => {
      for (const { done } of operations) done(failed(fault));
    });
  }

  #work(): void {
    if (this.#busy) return;
    const [first] = this.#queue;
    if (first === undefined) {
      if (this.#closing !== null) this.#release(this.#closing);
      return;
    }
    this.#busy = true;
    if (first.kind === "compact") {
      this.#queue.shift();
      this.#replace(first);
    } else {
      this.#writeGroup(this.#takeGroup());
    }
  }

  /** The appends at the head of the queue, as many as one write may carry. */
  #takeGroup(): readonly Append[] {
    const group: Append[] = [];
    let bytes = 0;
    for (const operation of this.#queue) {
      if (operation.kind !== "append" || (group.length > 0 && bytes + operation.bytes > GROUP_BYTES_MAX)) break;
      group.push(operation);
      bytes += operation.bytes;
    }
    this.#queue.splice(0, group.length);
    this.#queuedBytes -= bytes;
    return group;
  }

  #writeGroup(group: readonly Append[]): void {
    const { bytes, next } = encodeGroup(
      this.#salt,
      this.#next,
      group.flatMap((append) => append.records),
    );
    const grows = next.offset > this.#allocated;
    const written = grows ? Buffer.concat([bytes, Buffer.alloc(AHEAD_BYTES)]) : bytes;
    let waiting = this.#fds.length;
    let error: Error | null = null;
    for (const fd of this.#fds) {
      this.#write(fd, written, this.#next.offset, (failure) => {
        error ??= failure;
        if (--waiting > 0) return;
        if (error !== null) {
          this.#end(group, systemFault(error, "journal.failed", `cannot write the journal in ${this.#options.dir}`));
          return;
        }
        if (grows) this.#allocated = this.#next.offset + written.length;
        this.#next = next;
        this.#finish(group);
      });
    }
  }

  #finish(operations: readonly Operation[]): void {
    // What these completions append is put together into the next group.
    for (const { done } of operations) done(DONE);
    this.#busy = false;
    this.#work();
  }

  /** After a failed write nobody knows what is on disk, so nothing is written any more. */
  #end(operations: readonly Operation[], fault: Fault): void {
    this.#fault ??= fault;
    const waiting = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const { done } of [...operations, ...waiting]) done(failed(this.#fault));
    this.#busy = false;
    this.#work();
  }

  /** A generation that could not be prepared leaves the old one as it was; from the first rename on it is all or end. */
  #replace(operation: Compact): void {
    const { dir, key } = this.#options;
    const generation = this.#generation + 1;
    const header = encodeHeader(key, generation, operation.floor);
    void writeGeneration(dir, header, operation.records).then(
      ({ fds, next, salt, renamed }) => {
        for (const fd of this.#fds) fs.close(fd, () => undefined);
        this.#fds = fds;
        this.#generation = generation;
        this.#salt = salt;
        this.#next = next;
        this.#allocated = next.offset;
        if (renamed instanceof Error) {
          this.#end([operation], systemFault(renamed, "journal.failed", `cannot replace the journal in ${dir}`));
        } else {
          this.#finish([operation]);
        }
      },
      (error: unknown) => {
        operation.done(failed(systemFault(error, "journal.failed", `cannot compact the journal in ${dir}`)));
        this.#busy = false;
        this.#work();
      },
    );
  }

  #release(done: () => void): void {
    const fds = this.#fds;
    this.#fds = [];
    this.#busy = true;
    this.#fault ??= new StorageFault("journal.closed", "the journal is closed");
    let waiting = fds.length;
    for (const fd of fds) {
      fs.close(fd, () => {
        if (--waiting === 0) done();
      });
    }
  }
}

interface Generation {
  readonly fds: readonly number[];
  readonly next: Position;
  readonly salt: Buffer;
  /** What went wrong once the old files were being replaced. */
  readonly renamed: unknown;
}

const open = promisify(fs.open);
const closeFd = promisify(fs.close);
const fsync = promisify(fs.fsync);
const rename = promisify(fs.rename);

/** Rejects while the old generation is still untouched; afterwards a failure is in `renamed`. */
async function writeGeneration(dir: string, header: Buffer, records: readonly Uint8Array[]): Promise<Generation> {
  const decoded = decodeHeader(header);
  if (decoded === null) throw new Error("a header that cannot be read back");
  const files = COPIES.map((name) => path.join(dir, name));
  const fds: number[] = [];
  let next: Position = { offset: header.length, sequence: 0, previous: decoded.digest };
  try {
    for (const file of files) {
      // Not synced write by write: nothing depends on this file before the one sync at the end.
      fds.push(await open(`${file}${TEMPORARY_SUFFIX}`, "w+", 0o600));
    }
    await writeBoth(fds, header, 0);
    for (const part of parts(records)) {
      const group = encodeGroup(decoded.salt, next, part);
      await writeBoth(fds, group.bytes, next.offset);
      next = group.next;
    }
    for (const fd of fds) await fsync(fd);
    // From here on every write is synced.
    for (const [index, file] of files.entries()) {
      const fd = fds[index];
      fds[index] = await open(`${file}${TEMPORARY_SUFFIX}`, OPEN_FLAGS);
      if (fd !== undefined) await closeFd(fd);
    }
  } catch (error) {
    for (const fd of fds) fs.close(fd, () => undefined);
    for (const file of files) fs.rmSync(`${file}${TEMPORARY_SUFFIX}`, { force: true });
    throw error;
  }
  const renamed = await renameAll(dir, files);
  return { fds, next, salt: decoded.salt, renamed };
}

async function renameAll(dir: string, files: readonly string[]): Promise<unknown> {
  try {
    for (const file of files) await rename(`${file}${TEMPORARY_SUFFIX}`, file);
    const directory = await open(dir, "r");
    await fsync(directory);
    await closeFd(directory);
    return null;
  } catch (error) {
    return error;
  }
}

async function writeBoth(fds: readonly number[], bytes: Uint8Array, position: number): Promise<void> {
  for (const fd of fds) {
    await new Promise<void>((resolve, reject) => {
      writeAll(fd, bytes, position, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

function writeAll(fd: number, bytes: Uint8Array, position: number, done: (error: Error | null) => void): void {
  fs.write(fd, bytes, 0, bytes.length, position, (error, written) => {
    if (error !== null || written === bytes.length) done(error);
    else writeAll(fd, bytes.subarray(written), position + written, done);
  });
}

/** Records in groups of a size that one write carries. */
function* parts(records: readonly Uint8Array[]): Generator<readonly Uint8Array[]> {
  let part: Uint8Array[] = [];
  let bytes = 0;
  for (const record of records) {
    if (part.length > 0 && bytes + record.length > GROUP_BYTES_MAX) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(record);
    bytes += record.length;
  }
  if (part.length > 0) yield part;
}

function lengthOf(records: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const record of records) {
    if (record.length > RECORD_BYTES_MAX) throw new RangeError(`a record of ${record.length} bytes`);
    bytes += record.length;
  }
  return bytes;
}
