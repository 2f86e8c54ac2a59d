/**
 * Artefacts on their way in: one file each, named by the hash that it is to have, which grows until it is whole.
 *
 * Nothing about it is remembered but the file itself, so a process that dies in between loses at most what the disk had
 * not taken. The hash is checked over the whole file at the end, from disk: what came in an earlier life counts like the rest.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import fsp from "node:fs/promises";
import path from "node:path";
import type { Done, Incoming } from "../ports.ts";
import { type Hash, isHash } from "../protocol/ids.ts";
import { DONE, failed, StorageFault, succeeded, systemFault } from "./fault.ts";

/** Half a fetch that nobody has gone on with for so long will not be gone on with. */
const KEPT_MS_MAX = 86_400_000;
/** At once, for all peers together. */
const OPEN_MAX = 16;

export interface IncomingStore {
  /** Makes room for so many bytes more, or throws `artefact.quota`. */
  readonly reserve: (bytes: number) => Promise<void>;
  /** Gives back what was reserved. */
  readonly release: (bytes: number) => void;
  /** Takes the finished file over. */
  readonly adopt: (hash: Hash, file: string, length: number) => Promise<void>;
}

export class IncomingFiles {
  readonly #dir: string;
  readonly #store: IncomingStore;
  readonly #open = new Set<Hash>();

  /** Blocks while it looks for what is left of earlier tries. */
  constructor(dir: string, store: IncomingStore) {
    this.#dir = dir;
    this.#store = store;
    fs.mkdirSync(dir, { recursive: true });
    for (const name of fs.readdirSync(dir)) {
      const file = path.join(dir, name);
      if (!isHash(name) || Date.now() - fs.statSync(file).mtimeMs > KEPT_MS_MAX) fs.rmSync(file, { force: true });
    }
  }

  /** Bytes on disk that belong to no open try. */
  left(): number {
    return this.#names().reduce((sum, name) => sum + fs.statSync(path.join(this.#dir, name)).size, 0);
  }

  /** Lets go of what nobody is taking in now. */
  clear(): void {
    for (const name of this.#names()) {
      this.#store.release(fs.statSync(path.join(this.#dir, name)).size);
      fs.rmSync(path.join(this.#dir, name), { force: true });
    }
  }

  #names(): string[] {
    return fs.readdirSync(this.#dir).filter((name) => !this.#open.has(name));
  }

  receive(hash: Hash, length: number, done: Done<Incoming>): void {
    if (this.#open.has(hash) || this.#open.size >= OPEN_MAX) {
      const message = this.#open.has(hash) ? `artefact ${hash} is on its way already` : `${OPEN_MAX} are on their way`;
      queueMicrotask(() => done(failed(new StorageFault("artefact.busy", message))));
      return;
    }
    this.#open.add(hash);
    void this.#begin(hash, length).then(
      (incoming) => done(succeeded(incoming)),
      (error: unknown) => {
        this.#open.delete(hash);
        done(failed(systemFault(error, "artefact.failed", `cannot take in artefact ${hash}`)));
      },
    );
  }

  async #begin(hash: Hash, length: number): Promise<Incoming> {
    const file = path.join(this.#dir, hash);
    const handle = await fsp.open(file, "a", 0o600);
    try {
      let { size } = await handle.stat();
      if (size > length) {
        // Somebody said another length the first time.
        await handle.truncate(0);
        this.#store.release(size);
        size = 0;
      }
      await this.#store.reserve(length - size);
      const end = () => this.#open.delete(hash);
      return new IncomingFile({ hash, length, file, handle, size, store: this.#store, end });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
}

interface Parts {
  readonly hash: Hash;
  readonly length: number;
  readonly file: string;
  readonly handle: fsp.FileHandle;
  readonly size: number;
  readonly store: IncomingStore;
  readonly end: () => void;
}

class IncomingFile implements Incoming {
  readonly #parts: Parts;
  #bytes: number;
  #over = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#bytes = parts.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  append(bytes: Uint8Array, done: Done<void>): void {
    const { handle, length, hash } = this.#parts;
    if (this.#over || this.#bytes + bytes.length > length) {
      const fault = new StorageFault("artefact.too-large", `artefact ${hash} was to have ${length} bytes`);
      queueMicrotask(() => done(failed(fault)));
      return;
    }
    void handle.appendFile(bytes).then(
      () => {
        this.#bytes += bytes.length;
        done(DONE);
      },
      (error: unknown) => done(failed(systemFault(error, "artefact.failed", `cannot write artefact ${hash}`))),
    );
  }

  finish(done: Done<boolean>): void {
    const { hash } = this.#parts;
    void this.#whole().then(
      (whole) => done(succeeded(whole)),
      (error: unknown) => done(failed(systemFault(error, "artefact.failed", `cannot take in artefact ${hash}`))),
    );
  }

  async #whole(): Promise<boolean> {
    const { hash, length, file, handle, store, end } = this.#parts;
    this.#over = true;
    try {
      await handle.sync();
      await handle.close();
      if (this.#bytes === length && (await hashOfFile(file)) === hash) {
        await store.adopt(hash, file, length);
        return true;
      }
      await fsp.rm(file, { force: true });
      store.release(length);
      return false;
    } finally {
      end();
    }
  }

  pause(): void {
    if (this.#over) return;
    this.#over = true;
    const { handle, length, store, end } = this.#parts;
    store.release(length - this.#bytes);
    // No write is under way, so whoever goes on at once meets nobody.
    end();
    void handle.close();
  }
}

export async function hashOfFile(file: string): Promise<Hash> {
  const digest = createHash("sha256");
  for await (const part of fs.createReadStream(file, { highWaterMark: 1024 * 1024 })) digest.update(part as Buffer);
  return digest.digest("hex");
}
