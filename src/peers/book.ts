/**
 * Addresses by key, with where they are from (PEER-3).
 *
 * What an operator wrote is never displaced, and what a peer says of itself is not displaced by what others say of it.
 * Hearsay is kept by teller, members' first, so one liar can hide nobody. Hearsay is bounded: it costs dials only.
 */
import type { Key } from "../protocol/ids.ts";
import { KEEPER } from "./limits.ts";

interface Entry {
  configured: readonly string[];
  own: readonly string[];
  /** By the peer that told them, the newest last. */
  readonly heard: Map<Key, Hearsay>;
}

interface Hearsay {
  readonly addresses: readonly string[];
  readonly isByMember: boolean;
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

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  /** What `key` says of itself over an authenticated connection. */
  own(key: Key, addresses: readonly string[]): void {
    if (addresses.length > 0) this.#entry(key).own = addresses.slice(0, KEEPER.addressesOwnMax);
  }

  /** What another peer says of `key`. Each teller has one list, which its next one replaces. */
  heard(key: Key, addresses: readonly string[], by: Key, isByMember: boolean): void {
    if (addresses.length === 0) return;
    const { heard } = this.#entry(key);
    heard.delete(by);
    heard.set(by, { addresses: addresses.slice(0, KEEPER.addressesHeardMax), isByMember });
    if (heard.size <= KEEPER.tellersMax) return;
    // mutant: hearsay-unranked
    const leaver = [...heard].find((each) => !each[1].isByMember) ?? [...heard][0];
    if (leaver !== undefined) heard.delete(leaver[0]);
  }

  get size(): number {
    return this.#entries.size;
  }

  keys(): Iterable<Key> {
    return this.#entries.keys();
  }

  /**
   * What to dial. Half of the addresses are trusted: the operator's, the peer's own, and what members tell. The others are
   * hearsay of strangers. The addresses take turns from attempt to attempt, so that wrong ones do not hide right ones.
   */
  dialable(key: Key, attempt: number): readonly string[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    const { configured, own, heard } = entry;
    const told = [...heard.values()].reverse();
    const by = (isByMember: boolean) =>
      told.flatMap((hearsay) => (hearsay.isByMember === isByMember ? hearsay.addresses : []));
    const half = KEEPER.dialAddressesMax / 2;
    const trusted = rotated([...new Set([...configured, ...own, ...by(true)])], half * attempt);
    const hearsay = rotated([...new Set(by(false))], half * attempt);
    const addresses = [...trusted.slice(0, half), ...hearsay.slice(0, half), ...trusted, ...hearsay];
    return [...new Set(addresses)].slice(0, KEEPER.dialAddressesMax);
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
      entry = { configured: [], own: [], heard: new Map() };
      this.#entries.set(key, entry);
    }
    return entry;
  }
}

function rotated<T>(list: readonly T[], by: number): readonly T[] {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
