/**
 * Artefacts as files: `<dir>/<first two digits>/<hash>`, each named by the SHA-256 of its bytes.
 *
 * A file appears under its name only once it is whole, and on disk unless it is only kept. What does not hash to its name
 * when it is read was damaged since; it is deleted, because a peer has it too.
 */
import fs from "node:fs";
import fsp from "node:fs/promises";
import path from "node:path";
import type { Artefacts, Done, Incoming, Telemetry } from "../ports.ts";
import { artefactHash, type Hash, isHash } from "../protocol/ids.ts";
import { codeOf, DONE, failed, StorageFault, succeeded, systemFault } from "./fault.ts";
import { makeDirectory } from "./files.ts";
import { hashOfFile, IncomingFiles } from "./incoming.ts";

export interface ArtefactOptions {
  readonly dir: string;
  /** All files together; the oldest that are not needed make room. */
  readonly bytesMax: number;
}

export interface ArtefactCollaborators {
  readonly telemetry: Telemetry;
  /** What may not go, however old: asked for when room has to be made. */
  readonly needed: () => ReadonlySet<Hash>;
}

/** Blocks while it lists the files: call it at start. Throws `disk.full` or `artefact.failed`. */
export function openArtefacts(options: ArtefactOptions, collaborators: ArtefactCollaborators): Artefacts {
  try {
    makeDirectory(options.dir, 0o700);
    const temporary = path.join(options.dir, "tmp");
    fs.rmSync(temporary, { recursive: true, force: true });
    fs.mkdirSync(temporary);
    return new FileArtefacts(options, collaborators, list(options.dir));
  } catch (error) {
    throw systemFault(error, "artefact.failed", `cannot open the artefacts in ${options.dir}`);
  }
}

/** Each write holds a thread of the pool while it syncs, and the journal needs two of the four. */
const WRITES_AT_ONCE_MAX = 2;
/** Of what must be durable, and of what is only kept, each. Callers of `write` wait and ask again. */
const WAITING_WRITES_MAX = 256;

interface Write {
  readonly hash: Hash;
  readonly bytes: Uint8Array;
  readonly durable: boolean;
  /** Everyone who has asked to write these bytes. */
  readonly done: Done<Hash>[];
}

class FileArtefacts implements Artefacts {
  readonly #dir: string;
  readonly #bytesMax: number;
  readonly #collaborators: ArtefactCollaborators;
  /** Length by hash, the oldest first. */
  readonly #lengths: Map<Hash, number>;
  /** Those of them that nobody has forced to disk. */
  readonly #unsynced = new Set<Hash>();
  #hasNewFolders = false;
  #bytes = 0;
  readonly #writes = new Map<Hash, Write>();
  /** Peers decide how much is kept, so what must be durable has a queue of its own and goes first. */
  readonly #durable: Write[] = [];
  readonly #kept: Write[] = [];
  #writing = 0;
  #temporaries = 0;
  readonly #incoming: IncomingFiles;
  /** Files too long to be read whole, whose hash was checked since the start. */
  readonly #checked = new Map<Hash, Promise<boolean>>();

  constructor(options: ArtefactOptions, collaborators: ArtefactCollaborators, lengths: Map<Hash, number>) {
    this.#dir = options.dir;
    this.#bytesMax = options.bytesMax;
    this.#collaborators = collaborators;
    this.#lengths = lengths;
    for (const length of lengths.values()) this.#bytes += length;
    this.#incoming = new IncomingFiles(path.join(options.dir, "incoming"), {
      reserve: async (bytes) => {
        await this.#makeRoom(bytes);
        this.#bytes += bytes;
      },
      release: (bytes) => {
        this.#bytes -= bytes;
      },
      adopt: (hash, file, length) => this.#adopt(hash, file, length),
    });
    this.#bytes += this.#incoming.left();
  }

  size(hash: Hash, done: Done<number | null>): void {
    const length = this.#lengths.get(hash) ?? null;
    queueMicrotask(() => done(succeeded(length)));
  }

  readPart(hash: Hash, offset: number, bytesMax: number, done: Done<Uint8Array | null>): void {
    void this.#readPart(hash, offset, bytesMax).then(
      (bytes) => done(succeeded(bytes)),
      (error: unknown) => done(failed(systemFault(error, "artefact.failed", `cannot read artefact ${hash}`))),
    );
  }

  receive(hash: Hash, length: number, done: Done<Incoming>): void {
    this.#incoming.receive(hash, length, done);
  }

  has(hash: Hash, done: Done<boolean>): void {
    const there = this.#lengths.has(hash);
    queueMicrotask(() => done(succeeded(there)));
  }

  read(hash: Hash, bytesMax: number, done: Done<Uint8Array | null>): void {
    const length = this.#lengths.get(hash);
    if (length === undefined) {
      queueMicrotask(() => done(succeeded(null)));
    } else if (length > bytesMax) {
      const fault = new StorageFault("artefact.too-large", `artefact ${hash} has ${length} bytes of ${bytesMax}`);
      queueMicrotask(() => done(failed(fault)));
    } else {
      void this.#readFile(hash).then(
        (bytes) => done(succeeded(bytes)),
        (error: unknown) => done(failed(systemFault(error, "artefact.failed", `cannot read artefact ${hash}`))),
      );
    }
  }

  write(bytes: Uint8Array, done: Done<Hash>): void {
    this.#add(bytes, true, done);
  }

  keep(bytes: Uint8Array, done: Done<Hash>): void {
    this.#add(bytes, false, done);
  }

  #add(bytes: Uint8Array, durable: boolean, done: Done<Hash>): void {
    const hash = artefactHash(bytes);
    const same = this.#writes.get(hash);
    if (same !== undefined) {
      const enough = same.durable || !durable;
      same.done.push(enough ? done : (result) => (result.ok ? this.#add(bytes, true, done) : done(result)));
      return;
    }
    if (this.#lengths.has(hash) && !(durable && this.#unsynced.has(hash))) {
      queueMicrotask(() => done(succeeded(hash)));
      return;
    }
    const waiting = durable ? this.#durable : this.#kept;
    if (waiting.length >= WAITING_WRITES_MAX) {
      const fault = new StorageFault("artefact.busy", `${waiting.length} artefacts wait for the disk`);
      queueMicrotask(() => done(failed(fault)));
      return;
    }
    const write = { hash, bytes, durable, done: [done] };
    this.#writes.set(hash, write);
    waiting.push(write);
    this.#work();
  }

  forget(hashes: readonly Hash[], done: Done<void>): void {
    void Promise.all(hashes.map((hash) => this.#remove(hash))).then(
      () => done(DONE),
      (error: unknown) => done(failed(systemFault(error, "artefact.failed", "cannot delete artefacts"))),
    );
  }

  #work(): void {
    while (this.#writing < WRITES_AT_ONCE_MAX) {
      const write = this.#durable.shift() ?? this.#kept.shift();
      if (write === undefined) return;
      this.#writing++;
      const { hash } = write;
      void this.#writeFile(write).then(
        () => this.#finish(write, succeeded(hash)),
        (error: unknown) => {
          this.#finish(write, failed(systemFault(error, "artefact.failed", `cannot write artefact ${hash}`)));
        },
      );
    }
  }

  #finish(write: Write, result: Parameters<Done<Hash>>[0]): void {
    this.#writing--;
    this.#writes.delete(write.hash);
    this.#work();
    for (const done of write.done) done(result);
  }

  async #readFile(hash: Hash): Promise<Uint8Array | null> {
    const bytes = await fsp.readFile(this.#fileOf(hash)).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") return null;
      throw error;
    });
    if (bytes !== null && artefactHash(bytes) === hash) return bytes;
    // A file that is gone although it was not forgotten is damage as well.
    if (this.#lengths.has(hash))
      this.#collaborators.telemetry.count("artefact.damaged", bytes === null ? "gone" : "changed");
    await this.#remove(hash);
    return null;
  }

  async #readPart(hash: Hash, offset: number, bytesMax: number): Promise<Uint8Array | null> {
    const length = this.#lengths.get(hash);
    if (length === undefined) return null;
    const part = Math.max(0, Math.min(bytesMax, length - offset));
    if (part === length) return this.#readFile(hash);
    const checked = this.#checked.get(hash) ?? this.#check(hash);
    this.#checked.set(hash, checked);
    if (!(await checked)) return null;
    const handle = await fsp.open(this.#fileOf(hash), "r");
    try {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(part), 0, part, offset);
      return bytesRead === part ? buffer : null;
    } finally {
      await handle.close();
    }
  }

  /** Once in a node's life: a part alone cannot show that the file was damaged. */
  async #check(hash: Hash): Promise<boolean> {
    const found = await hashOfFile(this.#fileOf(hash)).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT") return null;
      throw error;
    });
    if (found === hash) return true;
    this.#collaborators.telemetry.count("artefact.damaged", found === null ? "gone" : "changed");
    await this.#remove(hash);
    return false;
  }

  /** Takes over a file that is whole, synced and checked. Its bytes are counted already. */
  async #adopt(hash: Hash, from: string, length: number): Promise<void> {
    const file = this.#fileOf(hash);
    if (this.#lengths.has(hash)) {
      await fsp.rm(from, { force: true });
      this.#bytes -= length;
      return;
    }
    const made = await fsp.mkdir(path.dirname(file), { recursive: true });
    if (made !== undefined) this.#hasNewFolders = true;
    await fsp.rename(from, file);
    await this.#syncFolders(path.dirname(file));
    this.#lengths.set(hash, length);
    this.#checked.set(hash, Promise.resolve(true));
  }

  async #writeFile({ hash, bytes, durable }: Write): Promise<void> {
    // What was only kept so far is replaced by itself, this time durably.
    const added = this.#lengths.has(hash) ? 0 : bytes.length;
    await this.#makeRoom(added);
    // Counted before it is there, or two writes at once would both find the last free place.
    this.#bytes += added;
    const temporary = path.join(this.#dir, "tmp", String(this.#temporaries++));
    const file = this.#fileOf(hash);
    try {
      const handle = await fsp.open(temporary, "wx", 0o600);
      try {
        await handle.writeFile(bytes);
        if (durable) await handle.sync();
      } finally {
        await handle.close();
      }
      const made = await fsp.mkdir(path.dirname(file), { recursive: true });
      await fsp.rename(temporary, file);
      if (made !== undefined) this.#hasNewFolders = true;
      if (durable) await this.#syncFolders(path.dirname(file));
    } catch (error) {
      this.#bytes -= added;
      await fsp.rm(temporary, { force: true });
      throw error;
    }
    this.#lengths.set(hash, bytes.length);
    if (durable) this.#unsynced.delete(hash);
    else this.#unsynced.add(hash);
  }

  async #syncFolders(folder: string): Promise<void> {
    await syncDirectory(folder);
    if (!this.#hasNewFolders) return;
    this.#hasNewFolders = false;
    await syncDirectory(this.#dir);
  }

  async #makeRoom(length: number): Promise<void> {
    if (this.#bytes + length <= this.#bytesMax) return;
    this.#incoming.clear();
    const needed = this.#collaborators.needed();
    for (const hash of this.#lengths.keys()) {
      if (this.#bytes + length <= this.#bytesMax) break;
      if (needed.has(hash)) continue;
      this.#collaborators.telemetry.count("artefact.evicted", "quota");
      await this.#remove(hash);
    }
    if (this.#bytes + length > this.#bytesMax) {
      throw new StorageFault(
        "artefact.quota",
        `${length} bytes do not fit: ${this.#bytes} of ${this.#bytesMax} are in use`,
      );
    }
  }

  async #remove(hash: Hash): Promise<void> {
    const length = this.#lengths.get(hash);
    if (length === undefined) return;
    this.#lengths.delete(hash);
    this.#unsynced.delete(hash);
    this.#checked.delete(hash);
    this.#bytes -= length;
    await fsp.rm(this.#fileOf(hash), { force: true });
  }

  #fileOf(hash: Hash): string {
    // A hash from a message becomes a part of a path here.
    if (!isHash(hash)) throw new RangeError(`not a hash: ${hash}`);
    return path.join(this.#dir, hash.slice(0, 2), hash);
  }
}

/** Every artefact and its length, the oldest first. */
function list(dir: string): Map<Hash, number> {
  const found: { readonly hash: Hash; readonly length: number; readonly writtenMs: number }[] = [];
  for (const folder of fs.readdirSync(dir)) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    for (const hash of fs.readdirSync(path.join(dir, folder))) {
      if (!isHash(hash)) continue;
      const { size, mtimeMs } = fs.statSync(path.join(dir, folder, hash));
      found.push({ hash, length: size, writtenMs: mtimeMs });
    }
  }
  found.sort((a, b) => a.writtenMs - b.writtenMs);
  return new Map(found.map(({ hash, length }) => [hash, length]));
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await fsp.open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
