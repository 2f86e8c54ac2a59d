/**
 * Marks in the environment by which the processes of a group are found, whatever session they are in. Linux alone shows
 * the environment of other processes; elsewhere nothing is found.
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

/** Signals all that carry the mark. Processes of other users do not show their environment, and take no signal anyway. */
export function signalMarked(mark: string, signal: "SIGTERM" | "SIGKILL"): void {
  if (process.platform !== "linux") return;
  // What is killed is gone at the next look; what is only asked to end is not.
  const passes = signal === "SIGKILL" ? PASSES_MAX : 1;
  for (let pass = 0, found = true; found && pass < passes; pass++) {
    found = false;
    for (const pid of marked(mark)) found = send(pid, signal) || found;
  }
}

function marked(mark: string): readonly number[] {
  const pids = names("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const wanted = `\0${mark}=`;
  return pids.filter((pid) => `\0${environmentOf(pid)}`.includes(wanted)).map(Number);
}

function names(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Empty where the process is gone, is a zombie or is another user's. */
function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
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
