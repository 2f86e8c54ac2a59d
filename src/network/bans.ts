/**
 * Who may not connect, and until when.
 *
 * Terms double with every ban and outlive a restart: a peer that could wash itself by waiting for our crash would.
 * Times are on the wall clock because they cross restarts; a clock set back only lengthens a ban.
 */
import { open, readFile, rename } from "node:fs/promises";
import path from "node:path";
import { isHash } from "../protocol/ids.ts";
import type { Key } from "../protocol/ids.ts";
import type { Clock, Fault } from "../ports.ts";
import { BAN } from "./limits.ts";

interface Ban {
  readonly until: number;
  /** How many times so far. */
  readonly times: number;
}

export class Bans {
  readonly #file: string | undefined;
  readonly #clock: Clock;
  readonly #bans = new Map<Key, Ban>();
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
      for (const [key, ban] of parse(await readFile(file, "utf8"))) this.#bans.set(key, ban);
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
    const ban = this.#bans.get(key);
    return ban !== undefined && ban.until > this.#clock.wall();
  }

  /** Bans for the next term and says how long it is. */
  add(key: Key): number {
    const now = this.#clock.wall();
    const before = this.#bans.get(key);
    const times = before === undefined || now - before.until > BAN.forgetMs ? 1 : before.times + 1;
    const termMs = Math.min(BAN.longestMs, BAN.firstMs * 2 ** Math.min(times - 1, 16));
    this.#bans.delete(key);
    this.#bans.set(key, { until: now + termMs, times });
    for (const oldest of this.#bans.keys()) {
      if (this.#bans.size <= BAN.peersMax) break;
      this.#bans.delete(oldest);
    }
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
      const rows = [...this.#bans].map(([key, ban]) => ({ key, ...ban }));
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
