/**
 * Start records of other keys: the latest of each, durable before it is shown.
 *
 * Of one counter two records are kept. They show that a disk was copied, and their signer is shown both.
 */
import type { Equation, Store, StoredStart } from "../ports.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { openStart, type StartRecord } from "../protocol/start.ts";
import { STARTS_MAX } from "../protocol/sync.ts";

/** Keys of which records are kept: members of the network, and as many strangers as may have a feed. */
const KEYS_MAX = 8_192;

export class Starts {
  readonly #network: Hash;
  readonly #equation: Equation;
  readonly #store: Store;
  readonly #known = new Map<Key, readonly StartRecord[]>();

  constructor(network: Hash, equation: Equation, store: Store) {
    this.#network = network;
    this.#equation = equation;
    this.#store = store;
  }

  /** What was stored before this start. */
  load(stored: readonly StoredStart[]): void {
    for (const { author, records } of stored) {
      const opened = records.flatMap((bytes) => this.open(author, bytes) ?? []);
      if (opened.length > 0) this.#known.set(author, opened);
    }
  }

  /** A record of this key, or `null`. */
  open(author: Key, bytes: Uint8Array): StartRecord | null {
    const known = this.#known.get(author)?.find((record) => isSame(record.bytes, bytes));
    const record = known ?? openStart(this.#network, bytes, this.#equation);
    return record?.author === author ? record : null;
  }

  /** Stores a record that its author shows, and returns the ones to show in turn: none where the disk fails. */
  shown(author: Key, bytes: Uint8Array, done: (records: readonly Uint8Array[]) => void): void {
    const known = this.#known.get(author) ?? [];
    const record = this.open(author, bytes);
    if (record === null || (known.length === 0 && this.#known.size >= KEYS_MAX)) return done([]);
    const kept = latest(known, record);
    const records = kept.map((each) => each.bytes);
    if (kept === known) return done(records);
    this.#store.write({ starts: [{ author, records }], sync: true }, (result) => {
      if (!result.ok) return done([]);
      this.#known.set(author, latest(this.#known.get(author) ?? [], record));
      done((this.#known.get(author) ?? []).map((each) => each.bytes));
    });
  }
}

/** The given list itself where the record changes nothing. */
function latest(known: readonly StartRecord[], record: StartRecord): readonly StartRecord[] {
  const counter = known[0]?.counter ?? 0;
  if (record.counter < counter) return known;
  if (record.counter > counter) return [record];
  const isKnown = known.some(({ nonce }) => nonce === record.nonce);
  return isKnown || known.length >= STARTS_MAX ? known : [...known, record];
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
