/**
 * The store on LevelDB. It holds only what can be had again from peers, so it never repairs: what is damaged is dropped.
 *
 * LevelDB does not say when a value has changed, ends the process on some kinds of damage, and a handle that met a full
 * disk refuses writes for good. So: checksums (`keyspace.ts`), a reader in a child process after an unclean end
 * (`scrub.ts`), and close, wait, reopen after an error.
 */
import type { Closed } from "../protocol/certificate.ts";
import fs from "node:fs";
import path from "node:path";
import { Level } from "level";
import type {
  Cancel,
  Clock,
  Done,
  Fault,
  Store,
  StoreChange,
  StoredBatch,
  StoredCertificate,
  StoredGone,
  StoredStart,
  Telemetry,
} from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import {
  codeOf,
  DONE,
  failed,
  isDamage,
  messageOf,
  StorageFault,
  succeeded,
  systemFault,
  isDiskFull,
} from "./fault.ts";
import { makeDirectory, syncDirectory, writeFileDurably } from "./files.ts";
import {
  BATCHES,
  GONES,
  goneAt,
  batchAt,
  bytesOf,
  CERTIFICATES,
  certificateAt,
  certificateRange,
  closedIn,
  closedKey,
  indexKey,
  operationsOf,
  type Operation,
  PROBE_KEY,
  STARTS,
  startsAt,
  unwrap,
  wrap,
} from "./keyspace.ts";
import { moveAside, scrubInChild, type ScrubCount } from "./level-scrub.ts";

export interface LevelOptions {
  /** LevelDB's own directory; `<dir>.clean` and `<dir>.damaged-<n>` lie beside it. */
  readonly dir: string;
}

export interface LevelCollaborators {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** What was found when the store was opened. */
export interface StoreReport {
  /** What the check after an unclean end has counted; `null` when there was nothing to check. */
  readonly scrubbed: ScrubCount | null;
  /** Set when the directory was not fit to be read and a new one was made. */
  readonly replaced: { readonly reason: string; readonly movedTo: string } | null;
}

export interface LevelStore extends Store {
  /** Values found damaged, and dropped, since the store was opened. */
  damaged(): number;
  /** The fault that keeps the store from writing now, or `null`. */
  fault(): Fault | null;
  /** Finishes the writes under way and marks the directory as whole. */
  close(): Promise<void>;
}

type Database = Level<Buffer, Buffer>;
type Write = { readonly change: StoreChange; readonly bytes: number; readonly done: Done<void> };
type Loaded = {
  readonly batches: StoredBatch[];
  readonly certificates: StoredCertificate[];
  readonly gone: StoredGone[];
  readonly starts: StoredStart[];
};

/** About a second of the busiest node; who is further behind has lost its disk. */
const QUEUE_CHANGES_MAX = 4096;
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** Changes that go to LevelDB in one batch. A flipped bit in its log costs the whole batch. */
const BATCH_CHANGES_MAX = 64;
const READ_VALUES = 256;
/** A full disk must be noticed as free within ten seconds. */
const REOPEN_MS_MIN = 250;
const REOPEN_MS_MAX = 4_000;

/**
 * Throws `store.locked` when another process has it, `disk.full` or `store.failed` when it cannot be opened. A damaged
 * directory is no error: it is moved aside, and the report says so.
 */
export async function openLevelStore(
  options: LevelOptions,
  collaborators: LevelCollaborators,
): Promise<{ readonly store: LevelStore; readonly report: StoreReport }> {
  const { dir } = options;
  try {
    const marker = markerOf(dir);
    const clean = fs.existsSync(marker) || !fs.existsSync(dir);
    fs.rmSync(marker, { force: true });
    makeDirectory(dir, 0o700);
    // A power cut must not bring the marker back.
    syncDirectory(path.dirname(dir));
    let scrubbed: ScrubCount | null = null;
    let reason: string | null = null;
    if (!clean) {
      const scrub = await scrubInChild(dir);
      if (scrub.kind === "unreadable") reason = scrub.reason;
      else if (scrub.count.disordered > 0) reason = "keys out of order";
      else scrubbed = scrub.count;
    }
    let db = reason === null ? await openOrNull(dir) : null;
    let replaced: StoreReport["replaced"] = null;
    if (db === null) {
      replaced = { reason: reason ?? "corrupt", movedTo: moveAside(dir) };
      db = await openDatabase(dir);
    }
    return { store: new DiskStore(options, collaborators, db), report: { scrubbed, replaced } };
  } catch (error) {
    throw storeFault(error, `cannot open the store in ${dir}`);
  }
}

class DiskStore implements LevelStore {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  /** `null` while it is being reopened. */
  #db: Database | null;
  #fault: StorageFault | null = null;
  #queue: Write[] = [];
  #queuedBytes = 0;
  #drops = new Map<string, Buffer>();
  #salvaged: Loaded | null = null;
  #writing = false;
  #idle: (() => void)[] = [];
  #damaged = 0;
  #reopenMs = REOPEN_MS_MIN;
  #cancelReopen: Cancel | null = null;
  #reopening: Promise<void> | null = null;
  #closed = false;

  constructor(options: LevelOptions, collaborators: LevelCollaborators, db: Database) {
    this.#dir = options.dir;
    this.#clock = collaborators.clock;
    this.#telemetry = collaborators.telemetry;
    this.#db = db;
  }

  write(change: StoreChange, done: Done<void>): void {
    const bytes = bytesOf(change);
    const full = this.#queue.length >= QUEUE_CHANGES_MAX || this.#queuedBytes + bytes > QUEUE_BYTES_MAX;
    const fault = this.#closed
      ? new StorageFault("store.closed", "the store is closed")
      : (this.#fault ??
        (full ? new StorageFault("store.busy", `${this.#queue.length} changes wait for the disk`) : null));
    if (fault !== null) {
      queueMicrotask(() => done(failed(fault)));
      return;
    }
    this.#queue.push({ change, bytes, done });
    this.#queuedBytes += bytes;
    if (!this.#writing) void this.#writeQueued();
  }

  load(done: Done<Loaded>): void {
    const loaded: Loaded = { batches: [], certificates: [], gone: [], starts: [] };
    void this.#read(async (db) => {
      await this.#salvage(loaded, () =>
        this.#scan(db, BATCHES, (key, bytes) => loaded.batches.push(batchAt(key, bytes)) > 0),
      );
      await this.#salvage(loaded, () =>
        this.#scan(db, CERTIFICATES, (key, bytes) => loaded.certificates.push(certificateAt(key, bytes)) > 0),
      );
      await this.#salvage(loaded, () =>
        this.#scan(db, GONES, (key, bytes) => loaded.gone.push(goneAt(key, bytes)) > 0),
      );
      await this.#salvage(loaded, () =>
        this.#scan(db, STARTS, (key, bytes) => loaded.starts.push(startsAt(key, bytes)) > 0),
      );
      return loaded;
    }, done);
  }

  certificates(chain: number, fromHeight: number, countMax: number, done: Done<readonly StoredCertificate[]>): void {
    const found: StoredCertificate[] = [];
    void this.#read(async (db) => {
      if (countMax < 1) return found;
      await this.#scan(db, certificateRange(chain, fromHeight), (key, bytes) => {
        return found.push(certificateAt(key, bytes)) < countMax;
      });
      return found;
    }, done);
  }

  certificate(block: Hash, done: Done<StoredCertificate | null>): void {
    void this.#read(async (db) => {
      const place = await this.#get(db, indexKey(block));
      if (place === null) return null;
      const key = Buffer.from(place);
      const bytes = await this.#get(db, key);
      return bytes === null ? null : certificateAt(key, bytes);
    }, done);
  }

  closed(chain: number, hash: Hash, done: Done<Closed | null>): void {
    void this.#read(async (db) => {
      const bytes = await this.#get(db, closedKey(chain, hash));
      return bytes === null ? null : closedIn(bytes);
    }, done);
  }

  damaged(): number {
    return this.#damaged;
  }

  fault(): Fault | null {
    return this.#fault;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelReopen?.();
    await this.#reopening;
    if (this.#writing) await new Promise<void>((resolve) => this.#idle.push(resolve));
    await this.#db?.close();
    const whole = this.#db !== null && this.#fault === null;
    this.#db = null;
    if (!whole) return;
    try {
      writeFileDurably(markerOf(this.#dir), Buffer.from("clean\n"), 0o600);
    } catch (error) {
      // Without the mark the next start reads everything once more: slower, and no less right.
      if (!isDiskFull(error)) throw error;
    }
  }

  async #writeQueued(): Promise<void> {
    this.#writing = true;
    while ((this.#queue.length > 0 || this.#drops.size > 0) && this.#db !== null && this.#fault === null) {
      const writes = this.#queue.splice(0, BATCH_CHANGES_MAX);
      for (const { bytes } of writes) this.#queuedBytes -= bytes;
      const sync = writes.some(({ change }) => change.sync === true);
      try {
        const dropped = await this.#takeDrops(this.#db);
        await this.#db.batch([...dropped, ...writes.flatMap(({ change }) => operationsOf(change))], { sync });
      } catch (error) {
        const fault = this.#trouble(error, "cannot write to the store");
        for (const { done } of writes) done(failed(fault));
        continue;
      }
      for (const { done } of writes) done(DONE);
    }
    this.#writing = false;
    const fault = this.#fault;
    if (fault !== null) {
      const writes = this.#queue.splice(0);
      this.#queuedBytes = 0;
      for (const { done } of writes) done(failed(fault));
    }
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #read<T>(read: (db: Database) => Promise<T>, done: Done<T>): Promise<void> {
    const db = this.#db;
    let result: Parameters<Done<T>>[0];
    if (db === null || this.#closed) {
      const closed = new StorageFault("store.closed", "the store is closed");
      await Promise.resolve();
      result = failed(this.#closed ? closed : (this.#fault ?? closed));
    } else {
      try {
        result = succeeded(await read(db));
      } catch (error) {
        result = failed(this.#trouble(error, "cannot read the store"));
      }
    }
    done(result);
  }

  /** Passes what is whole to `take` until it has enough; what is damaged is dropped. */
  async #scan(
    db: Database,
    [gte, lt]: readonly [Buffer, Buffer],
    take: (key: Buffer, bytes: Uint8Array) => boolean,
  ): Promise<void> {
    const iterator = db.iterator({ gte, lt });
    try {
      for (;;) {
        const part = await iterator.nextv(READ_VALUES);
        if (part.length === 0) return;
        for (const [key, value] of part) {
          const bytes = unwrap(key, value);
          if (bytes === null) this.#drop(key);
          else if (!take(key, bytes)) return;
        }
      }
    } finally {
      await iterator.close();
    }
  }

  async #get(db: Database, key: Buffer): Promise<Uint8Array | null> {
    const value: Buffer | undefined = await db.get(key);
    if (value === undefined) return null;
    const bytes = unwrap(key, value);
    if (bytes === null) this.#drop(key);
    return bytes;
  }

  #drop(key: Buffer): void {
    this.#damaged++;
    this.#telemetry.count("store.damaged", key.toString("latin1", 0, 1));
    this.#drops.set(key.toString("hex"), key);
    if (!this.#writing) void this.#writeQueued();
  }

  /** Looked at again in the order of writes: a peer may have brought the value again in the meantime. */
  async #takeDrops(db: Database): Promise<readonly Operation[]> {
    const keys = [...this.#drops.values()];
    this.#drops.clear();
    const operations: Operation[] = [];
    for (const key of keys) {
      const value: Buffer | undefined = await db.get(key);
      if (value !== undefined && unwrap(key, value) === null) operations.push({ type: "del", key });
    }
    return operations;
  }

  /** What was read before LevelDB gave up is whole and goes into the directory that replaces this one. */
  async #salvage(loaded: Loaded, scan: () => Promise<void>): Promise<void> {
    try {
      await scan();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#salvaged = loaded;
      this.#trouble(error, "cannot load all of the store");
    }
  }

  /** From here on writes fail with this fault until the store has been reopened. */
  #trouble(error: unknown, doing: string): StorageFault {
    const fault = storeFault(error, doing);
    // An operation that met the reopening itself says nothing new.
    if (this.#fault !== null || this.#closed) return this.#fault ?? fault;
    this.#fault = fault;
    this.#telemetry.emit("store.failed", { code: fault.code, message: fault.message });
    this.#reopenMs = REOPEN_MS_MIN;
    this.#reopenLater(isDamage(error));
    return fault;
  }

  #reopenLater(corrupt: boolean): void {
    this.#cancelReopen = this.#clock.after(this.#reopenMs, () => {
      this.#reopening = this.#reopen(corrupt).finally(() => (this.#reopening = null));
    });
    this.#reopenMs = Math.min(2 * this.#reopenMs, REOPEN_MS_MAX);
  }

  async #reopen(corrupt: boolean): Promise<void> {
    const old = this.#db;
    this.#db = null;
    try {
      await old?.close();
      if (corrupt) {
        const movedTo = moveAside(this.#dir);
        this.#telemetry.emit("store.replaced", { reason: "corrupt", movedTo });
      }
      const db = await openDatabase(this.#dir);
      this.#db = db;
      if (this.#salvaged !== null) await db.batch(operationsOf(this.#salvaged), { sync: true });
      this.#salvaged = null;
      await db.put(PROBE_KEY, wrap(PROBE_KEY, new Uint8Array()), { sync: true });
      this.#fault = null;
      this.#telemetry.emit("store.reopened");
    } catch (error) {
      if (!this.#closed) this.#reopenLater(isDamage(error));
    }
  }
}

async function openDatabase(dir: string): Promise<Database> {
  const db = new Level<Buffer, Buffer>(dir, { keyEncoding: "buffer", valueEncoding: "buffer" });
  await db.open();
  return db;
}

/** `null` when LevelDB itself says that the directory is damaged. */
async function openOrNull(dir: string): Promise<Database | null> {
  try {
    return await openDatabase(dir);
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

function storeFault(error: unknown, doing: string): StorageFault {
  if (codeOf(error) === "LEVEL_LOCKED") return new StorageFault("store.locked", `${doing}: ${messageOf(error)}`, error);
  return systemFault(error, isDamage(error) ? "store.damaged" : "store.failed", doing);
}

function markerOf(dir: string): string {
  return `${dir}.clean`;
}
