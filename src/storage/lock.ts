/**
 * One process per data directory, because two processes with one key would sign twice.
 *
 * Locks are numbered files, `lock.1`, `lock.2` and so on, and the highest number holds. Who finds the highest one left
 * by a dead process adds the next, which only one can; nobody ever removes a lock that may be alive, so a slow taker
 * cannot throw out a fast one. A lock is given back by being marked, not deleted, so that numbers only grow.
 */
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { codeOf, StorageFault, systemFault } from "./fault.ts";
import { readIfThere, syncDirectory } from "./files.ts";

export interface DirectoryLock {
  /** Random; another one seen with our key is another process with our key. */
  readonly instance: string;
  /** Doing it twice does nothing. */
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** When the process started, in the system's own ticks: a pid is soon given to someone else. */
  readonly started: string;
  readonly boot: string;
  readonly instance: string;
  readonly released: boolean;
}

const LOCK = /^lock\.([1-9][0-9]{0,14})$/;

/** Throws `data.locked` when another process, or this one, has the directory, and `data.not-writable`. */
export function lockDirectory(dir: string): DirectoryLock {
  const own: Holder = {
    pid: process.pid,
    started: startOf(process.pid) ?? "",
    boot: bootId(),
    instance: randomUUID(),
    released: false,
  };
  try {
    for (;;) {
      const held = highest(dir);
      const holder = held === 0 ? null : readHolder(dir, held);
      if (holder !== null && isAlive(holder)) {
        throw new StorageFault("data.locked", `${dir} is in use by process ${holder.pid}`);
      }
      // Whoever took a number in the meantime is looked at in the next round.
      if (!take(dir, held + 1, own)) continue;
      if (highest(dir) > held + 1) {
        fs.rmSync(fileOf(dir, held + 1), { force: true });
        continue;
      }
      for (const number of numbers(dir)) if (number <= held) fs.rmSync(fileOf(dir, number), { force: true });
      return { instance: own.instance, release: () => release(dir, held + 1, own) };
    }
  } catch (error) {
    throw systemFault(error, "data.not-writable", `cannot lock ${dir}`);
  }
}

/** Links a complete file, so that nobody ever reads half a lock. */
function take(dir: string, number: number, own: Holder): boolean {
  const temporary = writeTemporary(dir, own);
  try {
    fs.linkSync(temporary, fileOf(dir, number));
    syncDirectory(dir);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    fs.unlinkSync(temporary);
  }
}

function release(dir: string, number: number, own: Holder): void {
  if (readHolder(dir, number)?.instance !== own.instance) return;
  fs.renameSync(writeTemporary(dir, { ...own, released: true }), fileOf(dir, number));
}

function writeTemporary(dir: string, holder: Holder): string {
  const temporary = path.join(dir, `lock-${randomUUID()}.tmp`);
  fs.writeFileSync(temporary, `${JSON.stringify(holder)}\n`, { flag: "wx", mode: 0o600, flush: true });
  return temporary;
}

/** `null` when it is gone or unreadable: since it is linked whole, only a power cut leaves it unreadable. */
function readHolder(dir: string, number: number): Holder | null {
  const bytes = readIfThere(fileOf(dir, number));
  try {
    const parsed: unknown = bytes === null ? null : JSON.parse(bytes.toString("utf8"));
    return isHolder(parsed) ? parsed : null;
  } catch {
    return null;
  }
}

function isHolder(value: unknown): value is Holder {
  if (typeof value !== "object" || value === null) return false;
  const { pid, started, boot, instance, released } = value as Partial<Record<keyof Holder, unknown>>;
  return (
    typeof pid === "number" &&
    Number.isSafeInteger(pid) &&
    pid > 0 &&
    typeof started === "string" &&
    typeof boot === "string" &&
    typeof instance === "string" &&
    typeof released === "boolean"
  );
}

function isAlive(holder: Holder): boolean {
  if (holder.released || holder.boot !== bootId()) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // A process that we may not signal is there all the same.
    if (codeOf(error) !== "EPERM") return false;
  }
  const started = startOf(holder.pid);
  return started === null || holder.started === "" || started === holder.started;
}

/** The start time of a process where the system tells it (field 22 of its stat line), else `null`. */
function startOf(pid: number): string | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the program, in parentheses, may contain anything.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

/** Changes with every start of the machine. */
function bootId(): string {
  try {
    return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // To the minute: the two clocks drift.
    return `boot-${Math.round((Date.now() / 1000 - os.uptime()) / 60)}`;
  }
}

function highest(dir: string): number {
  return Math.max(0, ...numbers(dir));
}

function numbers(dir: string): number[] {
  return fs.readdirSync(dir).flatMap((name) => {
    const match = LOCK.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

function fileOf(dir: string, number: number): string {
  return path.join(dir, `lock.${number}`);
}
