/**
 * Certificates as files, `<directory>/<chain>/<height>-<block>.json`, for whatever watches a directory.
 *
 * A file is there whole or not at all, and `done` means that it outlives a power cut: the bytes are synced, then
 * renamed into place, then the directory is synced. Delivering again changes nothing.
 */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { CertifiedBlock, Done, Presence, Result, Sink, StoredCertificate } from "../ports.ts";
import { answer, failSafe } from "./answer.ts";

export interface FileSinkOptions {
  readonly directory: string;
}

/** Certificates waiting for the disk; a runtime that delivers in order has one or two under way. */
const WAITING_MAX = 1024;
/** Enough of a block's id to tell apart the blocks of one height. */
const BLOCK_DIGITS = 12;

export function fileSink(options: FileSinkOptions): Sink {
  return new FileSink(options);
}

export function certificatePath(directory: string, { chain, height, block }: Omit<StoredCertificate, "bytes">): string {
  return join(directory, String(chain), `${height}-${block.slice(0, BLOCK_DIGITS)}.json`);
}

class FileSink implements Sink {
  readonly #options: FileSinkOptions;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  constructor(options: FileSinkOptions) {
    this.#options = options;
  }

  look(block: CertifiedBlock, done: Done<Presence>): void {
    answer("sink", () => holds(certificatePath(this.#options.directory, block), block.bytes), done);
  }

  deliver(block: CertifiedBlock, done: Done<void>): void {
    const refused = this.#closed ? "sink.closed" : this.#waiting >= WAITING_MAX ? "sink.full" : null;
    if (refused !== null) {
      queueMicrotask(() => done(failed(refused, `${this.#options.directory} takes no certificate now`)));
      return;
    }
    this.#waiting++;
    // One after the other: whoever sees a height has seen those below it.
    this.#last = this.#last.then(async () => {
      const path = certificatePath(this.#options.directory, block);
      const result = await failSafe("sink", () => write(path, block.bytes));
      this.#waiting--;
      done(result);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
  }
}

async function write(path: string, bytes: Uint8Array): Promise<Result<void>> {
  const held = await holds(path, bytes);
  if (held.ok && held.value.kind === "there") return { ok: true, value: undefined };
  try {
    const directory = dirname(resolve(path));
    const made = await mkdir(directory, { recursive: true });
    if (made !== undefined) await syncAbove(directory, made);
    const partial = `${path}.partial`;
    const file = await open(partial, "w");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
    await sync(directory);
    return { ok: true, value: undefined };
  } catch (error) {
    return failed("sink.write-failed", `${path}: ${reason(error)}`);
  }
}

/** A file that a crash may have left unsynced is synced here, so that an answer is always the same promise. */
async function holds(path: string, bytes: Uint8Array): Promise<Result<Presence>> {
  try {
    if (!(await readFile(path)).equals(bytes)) return { ok: true, value: { kind: "missing" } };
  } catch {
    return { ok: true, value: { kind: "missing" } };
  }
  try {
    await sync(path);
    await sync(dirname(path));
    return { ok: true, value: { kind: "there" } };
  } catch (error) {
    return failed("sink.write-failed", `${path}: ${reason(error)}`);
  }
}

/** A new directory is only durable once the one above it is synced too; `highest` is the highest new one. */
async function syncAbove(directory: string, highest: string): Promise<void> {
  await sync(dirname(directory));
  if (directory.length > highest.length) await syncAbove(dirname(directory), highest);
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function failed(code: string, message: string): Result<never> {
  return { ok: false, fault: { code, message } };
}
