/**
 * Who may not connect, and until when.
 *
 * Terms double with every ban and outlive a restart: a peer that could wash itself by waiting for our crash would.
 * Times are on the wall clock because they cross restarts; a clock set back only lengthens a ban.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { isHash } from "../protocol/ids.ts";
import type { Key } from "../protocol/ids.ts";
import type { Clock } from "../ports.ts";
import { NetworkFault } from "./fault.ts";
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

  /** A file that is missing is an empty one; a file that is not ours is a fault, or a typing error would unban all. */
  async load(): Promise<void> {
    if (this.#file === undefined) return;
    const text = await readFile(this.#file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "[]";
      throw new NetworkFault("config.ban-file", `ban file "${this.#file}" cannot be read: ${error.message}`);
    });
    for (const [key, ban] of parse(text, this.#file)) this.#bans.set(key, ban);
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
      await writeFile(`${file}.new`, `${JSON.stringify(rows)}\n`);
      await rename(`${file}.new`, file);
    };
    this.#writing = this.#writing.then(write, write);
    // Whoever needs to know asks `saved`; a full disk must not end the process because of a ban.
    this.#writing.catch(() => undefined);
  }
}

function parse(text: string, file: string): [Key, Ban][] {
  const wrong = (): NetworkFault =>
    new NetworkFault("config.ban-file", `ban file "${file}" is not a list of {key, until, times}; delete or repair it`);
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
