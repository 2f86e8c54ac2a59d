/**
 * The bans of a node and their file. `peers/bans.ts` decides the terms. Bans outlive a restart, because a peer could
 * otherwise end its ban by waiting for a crash.
 */
import { open, readFile, rename } from "node:fs/promises";
import path from "node:path";
import { isHash } from "../protocol/ids.ts";
import type { Key } from "../protocol/ids.ts";
import type { Clock, Fault } from "../ports.ts";
import { type Ban, BanList } from "../peers/bans.ts";
import { BAN } from "../peers/limits.ts";

export class Bans {
  readonly #file: string | undefined;
  readonly #clock: Clock;
  readonly #bans = new BanList();
  #writing: Promise<void> = Promise.resolve();
  #dirty = false;

  constructor(file: string | undefined, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  /**
   * Reads the file; a missing file is an empty one. The list is only a convenience, so a damaged file stops no node: the
   * list begins empty, the file is kept as `<file>.damaged`, and the fault says so.
   */
  async load(): Promise<Fault | null> {
    const file = this.#file;
    if (file === undefined) return null;
    try {
      for (const [key, ban] of parse(await readFile(file, "utf8"))) this.#bans.restore(key, ban);
      return null;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
      const kept = await rename(file, `${file}.damaged`).then(
        () => `; the file is kept as ${file}.damaged`,
        () => "",
      );
      const why = error instanceof Error ? error.message : String(error);
      return { code: "network.bans-damaged", message: `ban file ${file}: ${why}; nobody is banned now${kept}` };
    }
  }

  has(key: Key): boolean {
    return this.#bans.has(key, this.#clock.wall());
  }

  /** Bans for the next term and says how long it is. */
  add(key: Key): number {
    const termMs = this.#bans.add(key, this.#clock.wall());
    this.#save();
    return termMs;
  }

  /** Resolves when everything is on disk. Rejects if the file could not be written. */
  saved(): Promise<void> {
    return this.#writing;
  }

  #save(): void {
    const file = this.#file;
    if (file === undefined || this.#dirty) return;
    this.#dirty = true;
    const write = async (): Promise<void> => {
      this.#dirty = false;
      const rows = this.#bans.list().map(([key, ban]) => ({ key, ...ban }));
      await replaceFile(file, `${JSON.stringify(rows)}\n`);
    };
    this.#writing = this.#writing.then(write, write);
    // Whoever needs to know asks `saved`; a full disk must not end the process because of a ban.
    this.#writing.catch(() => undefined);
  }
}

/** A power cut leaves the old file or the new one, because the new one is synced before it gets the name. */
async function replaceFile(file: string, text: string): Promise<void> {
  const handle = await open(`${file}.new`, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  const directory = await open(path.dirname(file), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Throws where the text is not what `#save` writes. */
function parse(text: string): [Key, Ban][] {
  const wrong = (): Error => new Error("not a list of {key, until, times}");
  let rows: unknown;
  try {
    rows = JSON.parse(text);
  } catch {
    throw wrong();
  }
  if (!Array.isArray(rows)) throw wrong();
  return rows.slice(-BAN.peersMax).map((row: unknown) => {
    const { key, until, times } = (row ?? {}) as Record<string, unknown>;
    if (typeof key !== "string" || !isHash(key) || typeof until !== "number" || typeof times !== "number")
      throw wrong();
    return [key, { until, times }];
  });
}
