/**
 * One process per data directory, because two processes with one key would sign twice.
 *
 * The lock is a lock of the kernel. A pid in a file does not suffice: a process in another pid namespace (a container
 * on the same volume) finds no such pid, and would take the holder for dead. Node has no call for a lock of the kernel,
 * but LevelDB takes one on each database that it opens. So `lock/` is an empty database, open as long as the process
 * has the directory. The kernel releases the lock when the process ends, however it ends.
 *
 * `lock/holder` says who has the lock. The file is for people only: it decides nothing.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { Level } from "level";
import { codeOf, isDamage, StorageFault, systemFault } from "./fault.ts";
import { makeDirectory, readIfThere } from "./files.ts";

export interface DirectoryLock {
  /** Releasing it twice does nothing. */
  release(): Promise<void>;
}

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** The pid namespace, as the kernel names it: a pid means something only there. Empty where there is none. */
  readonly namespace: string;
}

const HOLDER_BYTES_MAX = 1_024;

/**
 * Directories that this process has. The kernel's lock belongs to a process: LevelDB would refuse a second one of this
 * process, but it closes the file while doing so, and closing the file gives up the first one.
 */
const held = new Set<string>();

/**
 * Takes the lock on a directory before anything else in it is touched.
 *
 * Throws `data.locked` when another process, or this one, has the directory, and `data.not-writable` or `disk.full`.
 */
export async function lockDirectory(dir: string): Promise<DirectoryLock> {
  let real: string | null = null;
  try {
    real = fs.realpathSync(dir);
    if (held.has(real)) throw new StorageFault("data.locked", `${dir} is in use by process ${process.pid}`);
    held.add(real);
    return await take(dir, real);
  } catch (error) {
    // LevelDB says the reason in the cause only.
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const fault =
      error instanceof StorageFault ? error : systemFault(reason, "data.not-writable", `cannot lock ${dir}`);
    if (real !== null && fault.code !== "data.locked") held.delete(real);
    throw fault;
  }
}

async function take(dir: string, real: string): Promise<DirectoryLock> {
  const lock = path.join(real, "lock");
  makeDirectory(lock, 0o700);
  const database = await openDatabase(lock);
  if (database === null) {
    held.delete(real);
    throw new StorageFault("data.locked", `${dir} is in use by ${nameOf(readHolder(lock))}`);
  }
  try {
    writeHolder(lock, { pid: process.pid, host: os.hostname(), namespace: pidNamespace() });
  } catch (error) {
    await database.close();
    throw error;
  }
  let released: Promise<void> | null = null;
  const close = (): Promise<void> => database.close().finally(() => held.delete(real));
  return { release: () => (released ??= close()) };
}

/** `null` while another process has the database open. */
async function openDatabase(dir: string): Promise<Level | null> {
  try {
    return await opened(dir);
  } catch (error) {
    if (codeOf(error) === "LEVEL_LOCKED") return null;
    if (!isDamage(error)) throw error;
  }
  // A power cut has damaged the database, which has no content. The file LOCK stays, because a lock on a file that has
  // been removed would keep nobody out.
  for (const name of fs.readdirSync(dir)) if (name !== "LOCK") fs.rmSync(path.join(dir, name), { recursive: true });
  try {
    return await opened(dir);
  } catch (error) {
    if (codeOf(error) === "LEVEL_LOCKED") return null;
    throw error;
  }
}

async function opened(dir: string): Promise<Level> {
  const database = new Level(dir);
  await database.open();
  return database;
}

function writeHolder(lock: string, holder: Holder): void {
  const temporary = path.join(lock, "holder.tmp");
  fs.writeFileSync(temporary, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  fs.renameSync(temporary, path.join(lock, "holder"));
}

/** `null` where the file is missing or cannot be read: the holder has not written it yet, or a power cut emptied it. */
function readHolder(lock: string): Holder | null {
  try {
    const bytes = readIfThere(path.join(lock, "holder"));
    const parsed: unknown = bytes === null ? null : JSON.parse(bytes.toString("utf8", 0, HOLDER_BYTES_MAX));
    return isHolder(parsed) ? parsed : null;
  } catch {
    return null;
  }
}

function isHolder(value: unknown): value is Holder {
  if (typeof value !== "object" || value === null) return false;
  const { pid, host, namespace } = value as Partial<Record<keyof Holder, unknown>>;
  return Number.isSafeInteger(pid) && typeof host === "string" && typeof namespace === "string";
}

function nameOf(holder: Holder | null): string {
  if (holder === null) return "another process";
  if (holder.host === os.hostname() && holder.namespace === pidNamespace()) return `process ${holder.pid}`;
  return `process ${holder.pid} of another pid namespace (a container?) on host ${JSON.stringify(holder.host)}`;
}

function pidNamespace(): string {
  try {
    return fs.readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}
