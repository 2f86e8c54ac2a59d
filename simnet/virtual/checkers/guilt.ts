/**
 * Who is proven hostile by what it signed: two statements of one key that exclude each other, or one that is false.
 *
 * Whatever is held against a key here can be shown to anybody: each ground is a signature, or two. Silence, delay and
 * bad work are no grounds.
 */
import type { Hash, Key } from "../../../src/protocol/ids.ts";

/** Where a statement stands in its author's feed; `null` where it was only shown inside somebody else's claim. */
export interface Position {
  readonly number: number;
  readonly index: number;
}

interface Words {
  readonly grants: Map<Key, Position | null>;
  readonly attests: Map<string, Position | null>;
  timeout: Position | null | undefined;
}

export type Ground =
  | "two-batches"
  | "two-grants"
  | "grant-after-timeout"
  | "two-attests"
  | "attest-and-timeout"
  | "two-receipts"
  | "false-attest";

export class Guilt {
  /** By key: each ground with the first place where it was found. */
  readonly proven = new Map<Key, Map<Ground, string>>();
  readonly #batches = new Map<string, Hash>();
  readonly #receipts = new Map<string, string>();
  readonly #words = new Map<string, Words>();

  batch(author: Key, number: number, hash: Hash): void {
    const name = `${author} ${number}`;
    const before = this.#batches.get(name);
    if (before !== undefined && before !== hash) this.#prove(author, "two-batches", `batch ${number}`);
    this.#batches.set(name, before ?? hash);
  }

  /** Two batches with different numbers that are not one feed. */
  forked(author: Key, number: number): void {
    this.#prove(author, "two-batches", `batch ${number}`);
  }

  grant(author: Key, where: string, prover: Key, at: Position | null): void {
    const words = this.#wordsOf(author, where);
    if (words.grants.size > 0 && !words.grants.has(prover)) this.#prove(author, "two-grants", where);
    const before = words.grants.get(prover) ?? null;
    // The last one counts: it is the one that may come after the own timeout.
    words.grants.set(prover, before !== null && (at === null || isBefore(at, before)) ? before : at);
    this.#order(author, where, words);
  }

  timeout(author: Key, where: string, at: Position | null): void {
    const words = this.#wordsOf(author, where);
    const before = words.timeout ?? null;
    words.timeout = before === null || (at !== null && isBefore(at, before)) ? at : before;
    if (words.attests.size > 0) this.#prove(author, "attest-and-timeout", where);
    this.#order(author, where, words);
  }

  attest(author: Key, where: string, what: string, at: Position | null): void {
    const words = this.#wordsOf(author, where);
    if (words.attests.size > 0 && !words.attests.has(what)) this.#prove(author, "two-attests", where);
    words.attests.set(what, at);
    if (words.timeout !== undefined) this.#prove(author, "attest-and-timeout", where);
  }

  /** What one author says of one proof of one task: the first words, to compare others with. */
  receipt(author: Key, where: string, artefact: Hash, says: string): void {
    const name = `${author} ${where} ${artefact}`;
    const before = this.#receipts.get(name);
    if (before !== undefined && before !== says) this.#prove(author, "two-receipts", where);
    this.#receipts.set(name, before ?? says);
  }

  falseAttest(author: Key, where: string): void {
    this.#prove(author, "false-attest", where);
  }

  /** A timeout after a grant is how leases end; a grant behind the own timeout is a broken lock. */
  #order(author: Key, where: string, { grants, timeout }: Words): void {
    if (timeout === undefined || timeout === null) return;
    for (const at of grants.values())
      if (at !== null && isBefore(timeout, at)) this.#prove(author, "grant-after-timeout", where);
  }

  #wordsOf(author: Key, where: string): Words {
    const name = `${author} ${where}`;
    const words = this.#words.get(name) ?? { grants: new Map(), attests: new Map(), timeout: undefined };
    this.#words.set(name, words);
    return words;
  }

  #prove(author: Key, ground: Ground, where: string): void {
    const grounds = this.proven.get(author) ?? new Map<Ground, string>();
    if (!grounds.has(ground)) grounds.set(ground, where);
    this.proven.set(author, grounds);
  }
}

function isBefore(a: Position, b: Position): boolean {
  return a.number < b.number || (a.number === b.number && a.index < b.index);
}
