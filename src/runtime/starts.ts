/**
 * Start records of other keys: the latest of each, durable before it is shown.
 *
 * Of one counter two records are kept. They show that a disk was copied, and their signer is shown both.
 *
 * Keys cost nothing, so strangers have a room of their own. Where it is full the stranger goes that has not shown its
 * record for longest. A stranger has no vote, so nothing is lost with its record.
 */
import type { Equation, Store, StoredStart } from "../ports.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { openStart, type StartRecord } from "../protocol/start.ts";
import { STARTS_MAX } from "../protocol/sync.ts";

export class Starts {
  readonly #network: Hash;
  readonly #equation: Equation;
  readonly #store: Store;
  readonly #isMember: (key: Key) => boolean;
  readonly #strangersMax: number;
  /** Those that were shown last come last. */
  readonly #known = new Map<Key, readonly StartRecord[]>();

  constructor(network: Hash, equation: Equation, store: Store, isMember: (key: Key) => boolean, strangersMax: number) {
    this.#network = network;
    this.#equation = equation;
    this.#store = store;
    this.#isMember = isMember;
    this.#strangersMax = strangersMax;
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
    if (record === null) return done([]);
    // START-2.
    if (known.length > 0) this.#renew(author, known);
    const kept = latest(known, record);
    const records = kept.map((each) => each.bytes);
    if (kept === known) return done(records);
    const gone = known.length > 0 || this.#isMember(author) ? [] : this.#makeRoom();
    // mutant: shown-before-stored
    this.#store.write({ starts: [{ author, records }, ...gone], sync: true }, (result) => {
      if (!result.ok) return done([]);
      const now = latest(this.#known.get(author) ?? [], record);
      this.#renew(author, now);
      done(now.map((each) => each.bytes));
    });
  }

  #renew(author: Key, records: readonly StartRecord[]): void {
    this.#known.delete(author);
    this.#known.set(author, records);
  }

  /** Lets go of the strangers that are too many with one more. */
  #makeRoom(): readonly StoredStart[] {
    const strangers = [...this.#known.keys()].filter((key) => !this.#isMember(key));
    const gone = strangers.slice(0, Math.max(strangers.length - this.#strangersMax + 1, 0));
    for (const author of gone) this.#known.delete(author);
    return gone.map((author) => ({ author, records: [] }));
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
