/**
 * How far a sink has got, as a small file that is replaced whole.
 *
 * Nothing rests on it but time: a position that is lost or damaged makes the node ask the sink's place about blocks that it
 * would not have had to ask about.
 */
import { open, rename } from "node:fs/promises";
import path from "node:path";
import type { Cursor, CursorPosition, Done } from "../ports.ts";
import { isHash } from "../protocol/ids.ts";
import { DONE, failed, StorageFault, systemFault } from "./fault.ts";
import { makeDirectory, readIfThere, TEMPORARY_SUFFIX } from "./files.ts";

export interface FileCursor extends Cursor {
  /** Resolves when nothing is being written any more. */
  close(): Promise<void>;
}

/** Throws `data.not-writable` or `disk.full` where its directory cannot be made. */
export function openCursor(file: string): FileCursor {
  try {
    makeDirectory(path.dirname(file), 0o700);
  } catch (error) {
    throw systemFault(error, "data.not-writable", `cannot make ${path.dirname(file)}`);
  }
  return new CursorFile(file);
}

interface Waiting {
  readonly positions: ReadonlyMap<number, CursorPosition>;
  readonly done: Done<void>[];
}

class CursorFile implements FileCursor {
  readonly #file: string;
  #waiting: Waiting | null = null;
  #writing: Promise<void> | null = null;
  #closed = false;

  constructor(file: string) {
    this.#file = file;
  }

  load(): ReadonlyMap<number, CursorPosition> {
    return parse(readIfThere(this.#file));
  }

  save(positions: ReadonlyMap<number, CursorPosition>, done: Done<void>): void {
    if (this.#closed) {
      queueMicrotask(() => done(failed(new StorageFault("cursor.closed", `${this.#file} is closed`))));
      return;
    }
    this.#waiting = { positions, done: [...(this.#waiting?.done ?? []), done] };
    this.#writing ??= this.#write();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
  }

  async #write(): Promise<void> {
    for (let next = this.#waiting; next !== null; next = this.#waiting) {
      this.#waiting = null;
      let result: Parameters<Done<void>>[0] = DONE;
      try {
        await replaceFile(this.#file, `${JSON.stringify(Object.fromEntries(next.positions))}\n`);
      } catch (error) {
        result = failed(systemFault(error, "cursor.failed", `cannot write ${this.#file}`));
      }
      for (const done of next.done) done(result);
    }
    this.#writing = null;
  }
}

/** Synced before it is renamed: a crash leaves the old file or the new one. Which of them does not matter. */
async function replaceFile(file: string, text: string): Promise<void> {
  const temporary = `${file}${TEMPORARY_SUFFIX}`;
  const handle = await open(temporary, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

function parse(bytes: Buffer | null): ReadonlyMap<number, CursorPosition> {
  const positions = new Map<number, CursorPosition>();
  if (bytes === null) return positions;
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch {
    return positions;
  }
  for (const [chain, position] of Object.entries(json ?? {})) {
    const { height, block } = (position ?? {}) as Partial<CursorPosition>;
    if (Number.isSafeInteger(height) && typeof block === "string" && isHash(block)) {
      positions.set(Number(chain), { height: Number(height), block });
    }
  }
  return positions;
}
