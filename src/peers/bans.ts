/**
 * Decides who may not connect, and until when (PEER-6). Terms double with every ban. Times are on the wall clock, because bans
 * outlive a restart. A clock that is set back only lengthens a ban.
 */
import type { Key } from "../protocol/ids.ts";
import { BAN } from "./limits.ts";

export interface Ban {
  readonly until: number;
  /** How many times so far. */
  readonly times: number;
}

export class BanList {
  readonly #bans = new Map<Key, Ban>();

  /** Takes over a ban from before a restart. */
  restore(key: Key, ban: Ban): void {
    this.#bans.set(key, ban);
  }

  has(key: Key, wallMs: number): boolean {
    const ban = this.#bans.get(key);
    // mutant: ban-for-ever
    return ban !== undefined && ban.until > wallMs;
  }

  /** Bans for the next term and returns its length. */
  add(key: Key, wallMs: number): number {
    const before = this.#bans.get(key);
    const times = before === undefined || wallMs - before.until > BAN.forgetMs ? 1 : before.times + 1;
    // mutant: ban-term-fixed
    const termMs = Math.min(BAN.longestMs, BAN.firstMs * 2 ** Math.min(times - 1, 16));
    // The newest comes last.
    this.#bans.delete(key);
    this.#bans.set(key, { until: wallMs + termMs, times });
    for (const oldest of this.#bans.keys()) {
      if (this.#bans.size <= BAN.peersMax) break;
      this.#bans.delete(oldest);
    }
    return termMs;
  }

  list(): readonly (readonly [Key, Ban])[] {
    return [...this.#bans];
  }
}
