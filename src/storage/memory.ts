/**
 * Store, artefacts and journal in memory: what the others are measured against.
 *
 * A call takes effect at once; only its completion is handed to `defer`. The simulator passes its own scheduler, which
 * owns the moment of every completion; a test passes `queueMicrotask`.
 */
import type { Closed } from "../protocol/certificate.ts";
import type {
  Artefacts,
  Done,
  Incoming,
  Journal,
  JournalFloor,
  Result,
  Store,
  StoreChange,
  StoredBatch,
  StoredCertificate,
  StoredFacts,
  StoredGone,
  SigningRecord,
  SigningState,
  StoredStart,
} from "../ports.ts";
import { concatBytes } from "@noble/hashes/utils.js";
import { artefactHash, type Hash, type Key, ZERO_HASH } from "../protocol/ids.ts";
import { DONE, failed, succeeded } from "./fault.ts";

export interface MemoryCollaborators {
  readonly defer: (run: () => void) => void;
}

export function memoryStore({ defer }: MemoryCollaborators): Store {
  return new MemoryStore(defer);
}

class MemoryStore implements Store {
  readonly #defer: (run: () => void) => void;
  readonly #batches = new Map<Key, Map<number, StoredBatch>>();
  readonly #gone = new Map<Key, StoredGone>();
  readonly #starts = new Map<Key, StoredStart>();
  readonly #certificates = new Map<Hash, StoredCertificate>();
  /** The certificates of a chain in order; nearly always a new one goes to the end. */
  readonly #chains = new Map<number, StoredCertificate[]>();
  readonly #closed = new Map<string, Closed>();

  constructor(defer: (run: () => void) => void) {
    this.#defer = defer;
  }

  load(done: Done<StoredFacts>): void {
    const authors = [...this.#batches].sort(([a], [b]) => (a < b ? -1 : 1));
    const batches = authors.flatMap(([, feed]) => [...feed.values()].sort((a, b) => a.number - b.number));
    const chains = [...this.#chains].sort(([a], [b]) => a - b);
    const certificates = chains.flatMap(([, chain]) => chain);
    const [gone, starts] = [[...this.#gone.values()], [...this.#starts.values()]];
    this.#defer(() => done(succeeded({ batches, certificates, gone, starts })));
  }

  write(change: StoreChange, done: Done<void>): void {
    for (const batch of change.batches ?? []) this.#feed(batch.author).set(batch.number, batch);
    for (const certificate of change.certificates ?? []) this.#insert(certificate);
    for (const closed of change.closed ?? []) this.#closed.set(`${closed.chain}/${closed.hash}`, closed);
    for (const { author, number } of change.forget ?? []) this.#feed(author).delete(number);
    for (const gone of change.gone ?? []) {
      if (gone.spans.length === 0) this.#gone.delete(gone.author);
      else this.#gone.set(gone.author, gone);
    }
    for (const start of change.starts ?? []) {
      if (start.records.length > 0) this.#starts.set(start.author, start);
      else this.#starts.delete(start.author);
    }
    this.#defer(() => done(DONE));
  }

  certificates(chain: number, fromHeight: number, countMax: number, done: Done<readonly StoredCertificate[]>): void {
    const all = this.#chains.get(chain) ?? [];
    const first = all.findIndex(({ height }) => height >= fromHeight);
    const found = first < 0 ? [] : all.slice(first, first + countMax);
    this.#defer(() => done(succeeded(found)));
  }

  certificate(block: Hash, done: Done<StoredCertificate | null>): void {
    const found = this.#certificates.get(block) ?? null;
    this.#defer(() => done(succeeded(found)));
  }

  closed(chain: number, hash: Hash, done: Done<Closed | null>): void {
    const found = this.#closed.get(`${chain}/${hash}`) ?? null;
    this.#defer(() => done(succeeded(found)));
  }

  #feed(author: Key): Map<number, StoredBatch> {
    const feed = this.#batches.get(author) ?? new Map<number, StoredBatch>();
    this.#batches.set(author, feed);
    return feed;
  }

  #insert(certificate: StoredCertificate): void {
    const chain = this.#chains.get(certificate.chain) ?? [];
    this.#chains.set(certificate.chain, chain);
    let at = chain.length;
    for (let before = chain[at - 1]; before !== undefined && !isBefore(before, certificate); before = chain[at - 1])
      at--;
    const there = chain[at];
    const same = there !== undefined && there.height === certificate.height && there.block === certificate.block;
    chain.splice(at, same ? 1 : 0, certificate);
    this.#certificates.set(certificate.block, certificate);
  }
}

function isBefore(a: StoredCertificate, b: StoredCertificate): boolean {
  return a.height < b.height || (a.height === b.height && a.block < b.block);
}

export function memoryArtefacts({ defer }: MemoryCollaborators): MemoryArtefacts {
  return new MemoryArtefacts(defer);
}

export class MemoryArtefacts implements Artefacts {
  readonly #defer: (run: () => void) => void;
  /** For tests, which also put there what no write would. */
  readonly files = new Map<Hash, Uint8Array>();
  readonly #incoming = new Map<Hash, Uint8Array[]>();

  constructor(defer: (run: () => void) => void) {
    this.#defer = defer;
  }

  has(hash: Hash, done: Done<boolean>): void {
    const there = this.files.has(hash);
    this.#defer(() => done(succeeded(there)));
  }

  read(hash: Hash, bytesMax: number, done: Done<Uint8Array | null>): void {
    const bytes = this.files.get(hash) ?? null;
    const result: Result<Uint8Array | null> =
      bytes !== null && bytes.length > bytesMax
        ? failed({ code: "artefact.too-large", message: `artefact ${hash} has ${bytes.length} bytes of ${bytesMax}` })
        : succeeded(bytes);
    this.#defer(() => done(result));
  }

  size(hash: Hash, done: Done<number | null>): void {
    const length = this.files.get(hash)?.length ?? null;
    this.#defer(() => done(succeeded(length)));
  }

  readPart(hash: Hash, offset: number, bytesMax: number, done: Done<Uint8Array | null>): void {
    const part = this.files.get(hash)?.subarray(offset, offset + bytesMax) ?? null;
    this.#defer(() => done(succeeded(part)));
  }

  receive(hash: Hash, length: number, done: Done<Incoming>): void {
    const begun = this.#incoming.get(hash) ?? [];
    this.#incoming.set(hash, begun);
    const incoming = new MemoryIncoming(length, begun, this.#defer, (bytes) => {
      this.#incoming.delete(hash);
      if (bytes === null || artefactHash(bytes) !== hash) return false;
      this.files.set(hash, bytes);
      return true;
    });
    this.#defer(() => done(succeeded(incoming)));
  }

  write(bytes: Uint8Array, done: Done<Hash>): void {
    const hash = artefactHash(bytes);
    this.files.set(hash, bytes);
    this.#defer(() => done(succeeded(hash)));
  }

  keep(bytes: Uint8Array, done: Done<Hash>): void {
    this.write(bytes, done);
  }

  forget(hashes: readonly Hash[], done: Done<void>): void {
    for (const hash of hashes) this.files.delete(hash);
    this.#defer(() => done(DONE));
  }
}

class MemoryIncoming implements Incoming {
  readonly #length: number;
  readonly #parts: Uint8Array[];
  readonly #defer: (run: () => void) => void;
  readonly #end: (bytes: Uint8Array | null) => boolean;

  constructor(
    length: number,
    parts: Uint8Array[],
    defer: (run: () => void) => void,
    end: (bytes: Uint8Array | null) => boolean,
  ) {
    this.#length = length;
    this.#parts = parts;
    this.#defer = defer;
    this.#end = end;
    if (this.bytes > length) parts.length = 0;
  }

  get bytes(): number {
    return this.#parts.reduce((sum, part) => sum + part.length, 0);
  }

  append(bytes: Uint8Array, done: Done<void>): void {
    if (this.bytes + bytes.length > this.#length) {
      const fault = { code: "artefact.too-large", message: `it was to have ${this.#length} bytes` };
      this.#defer(() => done(failed(fault)));
      return;
    }
    this.#parts.push(bytes);
    this.#defer(() => done(DONE));
  }

  finish(done: Done<boolean>): void {
    const whole = this.#end(this.bytes === this.#length ? concatBytes(...this.#parts) : null);
    this.#defer(() => done(succeeded(whole)));
  }

  pause(): void {}
}

export interface MemoryJournal extends Journal {
  /**
   * Ends the process that used it: completions that are due are not called. Of what was not yet acknowledged the first
   * `keepUnsynced` units survive (a record, or a compaction as a whole). Afterwards it may be loaded again.
   */
  crash(keepUnsynced: number): void;
  /** What is durable now, to make another journal of. */
  kept(): Kept;
}

export function memoryJournal({ defer }: MemoryCollaborators, kept?: Kept): MemoryJournal {
  return new InMemoryJournal(defer, kept);
}

export interface Kept {
  readonly floor: JournalFloor | null;
  readonly records: readonly Uint8Array[];
}

type Unit =
  | { readonly kind: "record"; readonly record: Uint8Array }
  | { readonly kind: "compact"; readonly kept: Kept };

interface Call {
  readonly units: readonly Unit[];
  readonly done: Done<void>;
  due: boolean;
}

class InMemoryJournal implements MemoryJournal {
  readonly #defer: (run: () => void) => void;
  #floor: JournalFloor | null = null;
  #records: Uint8Array[] = [];
  #unsynced: Call[] = [];
  #bytes = 0;
  /** A completion from before a crash is not called. */
  #life = 0;
  #loaded = false;

  constructor(defer: (run: () => void) => void, kept?: Kept) {
    this.#defer = defer;
    if (kept !== undefined) this.#keep({ kind: "compact", kept });
  }

  kept(): Kept {
    return { floor: this.#floor, records: [...this.#records] };
  }

  load(): Kept {
    if (this.#loaded) throw new Error("a journal is loaded once");
    this.#loaded = true;
    return this.kept();
  }

  append(records: readonly Uint8Array[], done: Done<void>): void {
    this.#accept(
      records.map((record) => ({ kind: "record", record })),
      done,
    );
  }

  compact(floor: JournalFloor, records: readonly Uint8Array[], done: Done<void>): void {
    this.#accept([{ kind: "compact", kept: { floor, records: [...records] } }], done);
  }

  size(): number {
    return this.#bytes;
  }

  crash(keepUnsynced: number): void {
    this.#life++;
    this.#loaded = false;
    for (const unit of this.#unsynced.flatMap(({ units }) => units).slice(0, keepUnsynced)) this.#keep(unit);
    this.#unsynced = [];
  }

  #accept(units: readonly Unit[], done: Done<void>): void {
    if (!this.#loaded) throw new Error("a journal is loaded before it is written");
    const life = this.#life;
    const call: Call = { units, done, due: false };
    this.#unsynced.push(call);
    this.#defer(() => {
      if (life !== this.#life) return;
      call.due = true;
      this.#settle();
    });
  }

  /** Completions come in the order of the calls, even if `defer` does not keep it. */
  #settle(): void {
    for (let first = this.#unsynced[0]; first?.due === true; first = this.#unsynced[0]) {
      this.#unsynced.shift();
      for (const unit of first.units) this.#keep(unit);
      first.done(DONE);
    }
  }

  #keep(unit: Unit): void {
    if (unit.kind === "record") {
      this.#records.push(unit.record);
      this.#bytes += unit.record.length;
    } else {
      this.#floor = unit.kept.floor;
      this.#records = [...unit.kept.records];
      this.#bytes = this.#records.reduce((sum, record) => sum + record.length, 0);
    }
  }
}

/** As a key that was just made has it. */
export const NEVER_SIGNED: SigningState = Object.freeze({ counter: 0, next: 0, head: ZERO_HASH, lost: false });

export interface MemorySigningRecord extends SigningRecord {
  /** Ends the process that used it. Of the writes that were not acknowledged the first `keepUnsynced` survive. */
  crash(keepUnsynced: number): void;
  /** What is durable now. */
  kept(): SigningState | null;
}

export function memorySigningRecord(
  { defer }: MemoryCollaborators,
  first: SigningState | null = NEVER_SIGNED,
): MemorySigningRecord {
  let durable = first;
  let life = 0;
  let unsynced: SigningState[] = [];
  return {
    load: () => durable,
    kept: () => durable,
    crash: (keepUnsynced) => {
      life++;
      durable = unsynced.slice(0, keepUnsynced).at(-1) ?? durable;
      unsynced = [];
    },
    write: (state, done) => {
      const began = life;
      unsynced.push(state);
      defer(() => {
        if (began !== life) return;
        durable = unsynced.shift() ?? state;
        done(DONE);
      });
    },
  };
}
