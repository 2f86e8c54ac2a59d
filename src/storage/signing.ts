/**
 * The keys directory: the node's secret key, and how far it has signed.
 *
 *     key.json           the secret key (`keystore.ts`)
 *     signed/<network>   the signing state of the key in a network, or in a partition of one
 *     lock               who uses it now (`lock.ts`)
 *
 * It lies beside the data directory and never inside, so that a data directory restored from a copy does not bring an old
 * signing state with it. `signed` is made together with the key. Where it is missing, nobody knows what the key has
 * signed; where it has no file for a network, the key has never signed there.
 *
 * A state is written into one of two slots in turn, so a write that a crash cuts off leaves the state before.
 */
import { hash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import type { Done, SigningRecord, SigningState } from "../ports.ts";
import { type Hash, isHash, ZERO_HASH } from "../protocol/ids.ts";
import { DONE, failed, systemFault } from "./fault.ts";
import { makeDirectory, readIfThere, syncDirectory, writeFileDurably } from "./files.ts";
import { createKey, type NodeKey } from "./keystore.ts";
import { type DirectoryLock, lockDirectory } from "./lock.ts";

const SIGNED = "signed";
const SLOT_BYTES = 512;
const SLOTS = 2;
const NEVER: SigningState = Object.freeze({ counter: 0, next: 0, head: ZERO_HASH, lost: false });

export interface FileSigningRecord extends SigningRecord {
  close(): void;
}

export function keyFileIn(dir: string): string {
  return path.join(dir, "key.json");
}

/** Makes the directory and a key in it. Throws what `createKey` throws. */
export function createKeys(dir: string): NodeKey {
  try {
    makeDirectory(path.join(path.resolve(dir), SIGNED), 0o700);
    syncDirectory(dir);
  } catch (error) {
    throw systemFault(error, "key.failed", `cannot make the keys directory ${dir}`);
  }
  return createKey(keyFileIn(dir));
}

/** Locks the directory, so that no second node signs with its key. Throws `data.locked` or `key.failed`. */
export async function lockKeys(dir: string): Promise<DirectoryLock> {
  try {
    makeDirectory(path.resolve(dir), 0o700);
  } catch (error) {
    throw systemFault(error, "key.failed", `cannot make the keys directory ${dir}`);
  }
  return lockDirectory(dir);
}

/** Throws `signing.failed` or `disk.full`. */
export function openSigning({ dir, network }: { readonly dir: string; readonly network: Hash }): FileSigningRecord {
  const file = path.join(dir, SIGNED, network);
  try {
    const isKept = fs.existsSync(path.join(dir, SIGNED));
    const found = isKept ? readIfThere(file) : null;
    const newest = found === null ? null : newestOf(found);
    const state = !isKept ? null : found === null ? NEVER : (newest?.state ?? null);
    makeDirectory(path.join(dir, SIGNED), 0o700);
    if (newest === null) writeFileDurably(file, slotsOf(state), 0o600);
    const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_DSYNC);
    return new SlotFile(file, fd, state, newest?.sequence ?? 0);
  } catch (error) {
    throw systemFault(error, "signing.failed", `cannot use the signing state ${file}`);
  }
}

class SlotFile implements FileSigningRecord {
  readonly #file: string;
  readonly #fd: number;
  readonly #found: SigningState | null;
  #sequence: number;
  #queue: { readonly state: SigningState; readonly done: Done<void> }[] = [];
  #isBusy = false;
  #isClosed = false;

  constructor(file: string, fd: number, found: SigningState | null, sequence: number) {
    this.#file = file;
    this.#fd = fd;
    this.#found = found;
    this.#sequence = sequence;
  }

  load(): SigningState | null {
    return this.#found;
  }

  write(state: SigningState, done: Done<void>): void {
    this.#queue.push({ state, done });
    this.#work();
  }

  close(): void {
    this.#isClosed = true;
    if (!this.#isBusy) fs.closeSync(this.#fd);
  }

  /** Each state contains all before it, so of those that wait only the last is written. */
  #work(): void {
    const last = this.#queue.at(-1);
    if (this.#isBusy || last === undefined) return;
    const waiting = this.#queue.splice(0);
    const finish = (error: Error | null): void => {
      this.#isBusy = false;
      const result = error === null ? DONE : failed(systemFault(error, "signing.failed", `cannot write ${this.#file}`));
      for (const { done } of waiting) done(result);
      if (this.#isClosed) fs.closeSync(this.#fd);
      else this.#work();
    };
    if (this.#isClosed) {
      const error = new Error("the signing state is closed");
      queueMicrotask(() =>
        waiting.forEach(({ done }) => done(failed(systemFault(error, "signing.failed", error.message)))),
      );
      return;
    }
    this.#isBusy = true;
    this.#sequence++;
    const slot = slotOf(this.#sequence, last.state);
    fs.write(this.#fd, slot, 0, SLOT_BYTES, (this.#sequence % SLOTS) * SLOT_BYTES, (error, written) =>
      finish(error ?? (written === SLOT_BYTES ? null : new Error(`${written} of ${SLOT_BYTES} bytes were written`))),
    );
  }
}

/** A file before its first write. A state that is not known stays unknown until one is written. */
function slotsOf(state: SigningState | null): Buffer {
  const empty = Buffer.alloc(SLOT_BYTES);
  return Buffer.concat([state === null ? empty : slotOf(0, state), empty]);
}

/** One line of JSON with its checksum in front, filled up with spaces. */
function slotOf(sequence: number, state: SigningState): Buffer {
  const text = JSON.stringify({ sequence, ...state });
  return Buffer.from(`${hash("sha256", text)} ${text}\n`.padEnd(SLOT_BYTES, " "));
}

function newestOf(file: Buffer): { readonly sequence: number; readonly state: SigningState } | null {
  const read = Array.from({ length: SLOTS }, (_, at) =>
    readSlot(file.subarray(at * SLOT_BYTES, (at + 1) * SLOT_BYTES)),
  );
  const whole = read.flatMap((slot) => slot ?? []);
  return whole.sort((a, b) => b.sequence - a.sequence)[0] ?? null;
}

function readSlot(bytes: Buffer): { readonly sequence: number; readonly state: SigningState } | null {
  const [checksum = "", text = ""] = bytes.toString("utf8").trimEnd().split(/ (.*)/s);
  if (hash("sha256", text) !== checksum) return null;
  const { sequence, counter, next, head, lost } = JSON.parse(text) as SigningState & { readonly sequence: number };
  const isWhole = [sequence, counter, next].every(Number.isSafeInteger) && isHash(head) && typeof lost === "boolean";
  return isWhole ? { sequence, state: { counter, next, head, lost } } : null;
}
