/**
 * A node's disk: what is written, how much of it is synced, and what is left of it after a crash.
 *
 * The journal is synced with every append. The store is synced only where its caller asks for it, so what it was given
 * since then may be gone when the machine dies, from any write on; a process that dies alone loses none of it.
 */
import type { Closed } from "../../src/protocol/certificate.ts";
import type {
  Artefacts,
  Cursor,
  CursorPosition,
  Done,
  Store,
  StoreChange,
  StoredBatch,
  StoredCertificate,
  StoredFacts,
  SigningState,
  StoredGone,
  StoredStart,
} from "../../src/ports.ts";
import type { Hash, Key } from "../../src/protocol/ids.ts";
import {
  type Kept,
  type MemoryJournal,
  type MemorySigningRecord,
  memoryArtefacts,
  memoryJournal,
  memorySigningRecord,
} from "../../src/storage/memory.ts";
import type { Chance, World } from "./world.ts";

/**
 * What comes back: all that was written; less than what was unsynced; a backup from before; nothing; all but the
 * signing state. The signing state is not on the disk of the others, so it is newer than a backup.
 */
export type Damage = "intact" | "torn" | "old" | "empty" | "unsigned";
export const DAMAGES: readonly Damage[] = ["intact", "torn", "old", "empty", "unsigned"];

export interface StoreFiles extends StoredFacts {
  readonly closed: readonly Closed[];
}

export interface Files extends StoreFiles {
  readonly journal: Kept;
  readonly signing: SigningState | null;
}

/** A read of many certificates takes so many times as long as a write. */
const READ_TIMES = 4;

const EMPTY: StoreFiles = { batches: [], certificates: [], gone: [], starts: [], closed: [] };
export const NOTHING: Files = { journal: { floor: null, records: [] }, signing: null, ...EMPTY };

export class SimDisk {
  readonly #world: World;
  readonly #diskMs: number;
  journal: MemoryJournal;
  signing: MemorySigningRecord;
  store: SimStore;
  /** The checkers look at the files. */
  artefacts: Artefacts & { readonly files?: ReadonlyMap<Hash, Uint8Array> };
  /** Nothing more can be written. */
  full = false;
  #backup: Files = NOTHING;
  /** By sink: how far the node has got with it. */
  readonly #cursors = new Map<string, SimCursor>();
  /** Whether the machine may die, and not the process alone. */
  readonly #isTearable: boolean;

  /** What the next call about an artefact takes. */
  readonly #artefactMs: () => number;

  constructor(world: World, diskMs: number, isTearable: boolean, artefactMs: () => number = () => diskMs) {
    this.#world = world;
    this.#diskMs = diskMs;
    this.#isTearable = isTearable;
    this.#artefactMs = artefactMs;
    this.journal = memoryJournal(this.#defers());
    this.signing = memorySigningRecord(this.#defers());
    this.store = new SimStore(world, diskMs, isTearable);
    this.artefacts = memoryArtefacts(this.#defers(artefactMs));
  }

  /** Makes the copy that a crash with an old disk comes back to. */
  backUp(): void {
    this.#backup = this.copy();
  }

  /** All that is durable now. */
  copy(): Files {
    return { journal: this.journal.kept(), signing: this.signing.kept(), ...this.store.files() };
  }

  /** The process is dead; completions that are due are not called any more. */
  crash(damage: Damage, chance: Chance): void {
    // The journal is written before the signing state.
    this.journal.crash(chance.between(0, 3));
    this.signing.crash(0);
    const signing = this.signing.kept();
    if (damage === "torn") this.store.loseUnsynced(chance);
    if (damage === "old") this.restore({ ...this.#backup, signing });
    // A backup's certificates may lack what the newest positions name.
    for (const cursor of this.#cursors.values()) cursor.crash(damage === "empty");
    if (damage === "empty") this.restore({ ...NOTHING, signing: chance.next() < 0.5 ? signing : null });
    if (damage === "unsigned") this.restore({ ...this.copy(), signing: null });
  }

  /** A sink's position; `saved` sees each one that the node wants to keep. */
  cursor(sink: string, saved: (position: CursorPosition) => void): Cursor {
    const cursor = this.#cursors.get(sink) ?? new SimCursor(this.#defers().defer);
    this.#cursors.set(sink, cursor);
    return {
      load: () => cursor.kept,
      save: (positions, done) => {
        for (const position of positions.values()) saved(position);
        cursor.save(positions, done);
      },
    };
  }

  /** Another disk takes the place of this one. */
  restore({ journal, signing, ...facts }: Files): void {
    this.journal = memoryJournal(this.#defers(), journal);
    this.signing = memorySigningRecord(this.#defers(), signing);
    this.store = new SimStore(this.#world, this.#diskMs, this.#isTearable);
    this.store.fill(facts);
    this.artefacts = memoryArtefacts(this.#defers(this.#artefactMs));
  }

  #defers(delayMs: () => number = () => this.#diskMs) {
    return { defer: (run: () => void) => void this.#world.after(delayMs(), run) };
  }
}

/** A position is replaced whole: what waits for the disk gives way to what comes after it, and goes with the process. */
class SimCursor {
  readonly #defer: (run: () => void) => void;
  kept: ReadonlyMap<number, CursorPosition> = new Map();
  #waiting: { readonly positions: ReadonlyMap<number, CursorPosition>; readonly done: Done<void>[] } | null = null;

  constructor(defer: (run: () => void) => void) {
    this.#defer = defer;
  }

  save(positions: ReadonlyMap<number, CursorPosition>, done: Done<void>): void {
    const isWriting = this.#waiting !== null;
    const waiting = { positions, done: [...(this.#waiting?.done ?? []), done] };
    this.#waiting = waiting;
    if (!isWriting) this.#defer(() => this.#write());
  }

  crash(isLost: boolean): void {
    this.#waiting = null;
    if (isLost) this.kept = new Map();
  }

  #write(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    this.kept = waiting.positions;
    for (const done of waiting.done) done({ ok: true, value: undefined });
  }
}

/** Batches and certificates, with what it takes to undo the writes since the last sync. */
export class SimStore implements Store {
  readonly #world: World;
  readonly #diskMs: number;
  readonly #batches = new Map<Key, Map<number, StoredBatch>>();
  readonly #certificates = new Map<Hash, StoredCertificate>();
  readonly #gone = new Map<Key, StoredGone>();
  readonly #starts = new Map<Key, StoredStart>();
  readonly #closed = new Map<string, Closed>();
  /** The certificates of a chain in order of height. */
  readonly #chains = new Map<number, StoredCertificate[]>();
  #undo: (() => void)[] = [];
  readonly #isTearable: boolean;
  #due: (() => void)[] = [];
  /** Certificates kept of a chain; the oldest are moved away beyond it. */
  certificatesMax: number = Number.POSITIVE_INFINITY;

  constructor(world: World, diskMs: number, isTearable: boolean) {
    this.#world = world;
    this.#diskMs = diskMs;
    this.#isTearable = isTearable;
  }

  load(done: Done<StoredFacts>): void {
    const value = this.files();
    this.#later(() => done({ ok: true, value }));
  }

  files(): StoreFiles {
    const authors = [...this.#batches].sort(([a], [b]) => (a < b ? -1 : 1));
    const batches = authors.flatMap(([, feed]) => [...feed.values()].sort((a, b) => a.number - b.number));
    const [certificates, gone, closed] = [[...this.#chains.values()].flat(), this.#gone, this.#closed];
    const starts = [...this.#starts.values()];
    return { batches, certificates, gone: [...gone.values()], starts, closed: [...closed.values()] };
  }

  fill({ batches, certificates, gone, starts, closed }: StoreFiles): void {
    for (const each of starts) this.#starts.set(each.author, each);
    for (const each of closed) this.#closed.set(`${each.chain}/${each.hash}`, each);
    for (const each of gone) this.#gone.set(each.author, each);
    for (const batch of batches) this.#feed(batch.author).set(batch.number, batch);
    for (const certificate of certificates) this.#insert(certificate);
  }

  write(
    { batches = [], certificates = [], closed = [], forget = [], gone = [], starts = [], sync = false }: StoreChange,
    done: Done<void>,
  ): void {
    // A feed that was dropped has no spans, and leaves nothing behind.
    for (const each of gone) this.#set(this.#gone, each.author, each.spans.length > 0 ? each : undefined);
    for (const each of starts) this.#set(this.#starts, each.author, each.records.length > 0 ? each : undefined);
    for (const batch of batches) {
      this.#set(this.#feed(batch.author), batch.number, batch);
    }
    for (const certificate of certificates) {
      this.#insert(certificate);
      if (this.#isTearable) this.#undo.push(() => this.#remove(certificate));
    }
    for (const each of closed) this.#set(this.#closed, `${each.chain}/${each.hash}`, each);
    for (const { author, number } of forget) {
      const feed = this.#feed(author);
      const before = feed.get(number);
      feed.delete(number);
      if (this.#isTearable && before !== undefined) this.#undo.push(() => void feed.set(number, before));
    }
    const written = this.#undo.length;
    this.#later(() => {
      if (sync) this.#undo.splice(0, written);
      done({ ok: true, value: undefined });
    });
  }

  /** `undefined` takes the value away. */
  #set<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
    const put = (to: V | undefined) => void (to === undefined ? map.delete(key) : map.set(key, to));
    if (this.#isTearable) {
      const before = map.get(key);
      this.#undo.push(() => put(before));
    }
    put(value);
  }

  certificates(chain: number, fromHeight: number, countMax: number, done: Done<readonly StoredCertificate[]>): void {
    const all = this.#chains.get(chain) ?? [];
    const first = all.findIndex(({ height }) => height >= fromHeight);
    const value = first < 0 ? [] : all.slice(first, first + countMax);
    // What is written meanwhile is not in it.
    this.#world.after(READ_TIMES * this.#diskMs, () => done({ ok: true, value }));
  }

  certificate(block: Hash, done: Done<StoredCertificate | null>): void {
    const value = this.#certificates.get(block) ?? null;
    this.#later(() => done({ ok: true, value }));
  }

  closed(chain: number, hash: Hash, done: Done<Closed | null>): void {
    const value = this.#closed.get(`${chain}/${hash}`) ?? null;
    this.#later(() => done({ ok: true, value }));
  }

  /** Whether the block's certificate is here. */
  holds(block: Hash): boolean {
    return this.#certificates.has(block);
  }

  /** Whether the index of certified blocks has it. */
  isClosed(chain: number, hash: Hash): boolean {
    return this.#closed.has(`${chain}/${hash}`);
  }

  /** The machine died: what was not synced is gone, from some write on. */
  loseUnsynced(chance: Chance): void {
    const lost = this.#undo.splice(chance.between(0, this.#undo.length));
    for (const undo of lost.reverse()) undo();
    this.#undo = [];
  }

  /** What comes within one delay is answered together: the store is asked for every message. */
  #later(run: () => void): void {
    this.#due.push(run);
    if (this.#due.length > 1) return;
    this.#world.after(this.#diskMs, () => {
      const due = this.#due;
      this.#due = [];
      for (const answer of due) answer();
    });
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
    for (const old of chain.splice(0, Math.max(chain.length - this.certificatesMax, 0)))
      this.#certificates.delete(old.block);
  }

  #remove({ chain, block }: StoredCertificate): void {
    const there = this.#chains.get(chain) ?? [];
    const at = there.findIndex((certificate) => certificate.block === block);
    if (at >= 0) there.splice(at, 1);
    this.#certificates.delete(block);
  }
}

function isBefore(a: StoredCertificate, b: StoredCertificate): boolean {
  return a.height < b.height || (a.height === b.height && a.block < b.block);
}
