/**
 * Addresses by key, with where they are from.
 *
 * What an operator wrote is never displaced, what a peer says of itself is not displaced by what others say of it, and
 * what others say is bounded: hearsay can cost dials but cannot hide a member.
 */
import type { Key } from "../protocol/ids.ts";
import type { Reach } from "./addresses.ts";
import { sanitise } from "./addresses.ts";
import { KEEPER, LIBP2P } from "./limits.ts";

interface Entry {
  configured: readonly string[];
  own: readonly string[];
  heard: readonly string[];
}

export class Book {
  readonly #entries = new Map<Key, Entry>();

  configure(key: Key, address: string): void {
    const entry = this.#entry(key);
    entry.configured = [...new Set([...entry.configured, address])];
  }

  configured(key: Key): boolean {
    return (this.#entries.get(key)?.configured.length ?? 0) > 0;
  }

  forget(key: Key): void {
    this.#entries.delete(key);
  }

  /** What `key` says of itself over a connection that we have authenticated. */
  own(key: Key, addresses: readonly string[], teller: Reach): void {
    const own = sanitise(addresses, teller, KEEPER.addressesOwnMax);
    if (own.length > 0) this.#entry(key).own = own;
  }

  /** What somebody says of `key`; the newest first. */
  heard(key: Key, addresses: readonly string[], teller: Reach): void {
    const told = sanitise(addresses, teller, KEEPER.addressesHeardMax);
    if (told.length === 0) return;
    const entry = this.#entry(key);
    entry.heard = [...new Set([...told, ...entry.heard])].slice(0, KEEPER.addressesHeardMax);
  }

  keys(): Iterable<Key> {
    return this.#entries.keys();
  }

  /** What to dial; the attempts take turns, so that wrong self-reports do not hide right hearsay. */
  dialable(key: Key, attempt: number): readonly string[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    const first = [...entry.configured, ...entry.own];
    const addresses = attempt % 2 === 0 ? [...first, ...entry.heard] : [...entry.heard, ...first];
    return [...new Set(addresses)].slice(0, LIBP2P.dialAddressesMax);
  }

  /** What to tell others: hearsay only where there is nothing better, it was not checked. */
  tellable(key: Key): readonly string[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    const known = [...new Set([...entry.own, ...entry.configured])];
    return known.slice(0, KEEPER.addressesOwnMax);
  }

  /** Forgets keys until the bound holds, first those that nobody needs. */
  trim(needed: (key: Key) => boolean): void {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= KEEPER.peersKnownMax) return;
      if (entry.configured.length === 0 && !needed(key)) this.#entries.delete(key);
    }
  }

  #entry(key: Key): Entry {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { configured: [], own: [], heard: [] };
      this.#entries.set(key, entry);
    }
    return entry;
  }
}
