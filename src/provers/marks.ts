/**
 * Marks in the environment by which the processes of a group are found, whatever session they are in. Linux alone shows
 * the environment of other processes; elsewhere only the group itself is seen.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";

const MARK_BYTES = 12;
/** A process may start another while the search is under way. */
const PASSES_MAX = 5;

/** The name of a variable. Each group has a name of its own, so a node that runs inside of a group keeps the outer mark. */
export function createMark(): string {
  return `PROOFMESH_GROUP_${randomBytes(MARK_BYTES).toString("hex")}`;
}

/** Kills all that carry the mark. Processes of other users do not show their environment, and take no signal anyway. */
export function killMarked(mark: string): void {
  if (process.platform !== "linux") return;
  for (let pass = 0, found = true; found && pass < PASSES_MAX; pass++) {
    found = false;
    for (const pid of marked(mark)) found = send(Number(pid), "SIGKILL") || found;
  }
}

/** Sends SIGTERM to all that carry the mark outside of the group, which has had the signal as a whole. */
export function askMarked(mark: string, group: number): void {
  if (process.platform !== "linux") return;
  for (const pid of marked(mark)) if (lookAt(pid)?.group !== group) send(Number(pid), "SIGTERM");
}

/**
 * Whether a process of the group, or on Linux one that carries the mark, still lives. A search reads all of `/proc`, so
 * the answer is about the processes that the last search found, until none of them is left.
 */
export function createWatch(group: number, mark: string): () => boolean {
  if (process.platform !== "linux") return () => groupExists(group);
  let known: readonly Seen[] = [];
  return () => {
    known = known.filter(({ pid, began }) => lookAt(pid)?.began === began);
    if (known.length === 0) known = livingOf(group, mark);
    return known.length > 0;
  };
}

interface Seen {
  readonly pid: string;
  readonly group: number;
  /** The system may give the number of a process that is gone to another one, which began at another time. */
  readonly began: string;
}

function livingOf(group: number, mark: string): readonly Seen[] {
  const isOurs = (seen: Seen | null): seen is Seen =>
    seen !== null && (seen.group === group || carries(seen.pid, mark));
  return others().map(lookAt).filter(isOurs);
}

/** Null where the process is gone, or is a zombie without threads that still end: it holds no memory and no device. */
function lookAt(pid: string): Seen | null {
  const stat = read(`/proc/${pid}/stat`);
  // The name, in parentheses, may hold anything. The fields after it are numbered from 3 in proc(5).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state = "", , group] = fields;
  const [threads, , began = ""] = fields.slice(17);
  const isDead = state === "" || state === "X" || (state === "Z" && Number(threads) < 2);
  return isDead ? null : { pid, group: Number(group), began };
}

function groupExists(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}

function marked(mark: string): readonly string[] {
  return others().filter((pid) => carries(pid, mark));
}

function carries(pid: string, mark: string): boolean {
  return `\0${read(`/proc/${pid}/environ`)}`.includes(`\0${mark}=`);
}

function others(): readonly string[] {
  return names("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
}

function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Empty where the process is gone. A zombie and a process of another user show no environment either. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function send(pid: number, signal: "SIGTERM" | "SIGKILL"): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * The same for a shell, which does it when this process is gone: "$1" is the mark, "$2" the group, which goes last
 * because the shell is one of it.
 */
export const SWEEP = `for pass in 1 2 3 4 5; do
  found=
  for file in $(grep -lszxF -e "$1=1" /proc/[0-9]*/environ); do
    pid=\${file#/proc/}
    pid=\${pid%/environ}
    [ "$pid" = "$2" ] && continue
    kill -s KILL "$pid" && found=1
  done
  [ -n "$found" ] || break
done
kill -s KILL -- "-$2"`;
