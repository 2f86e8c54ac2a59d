/**
 * What a group of processes uses. CPU time is a sign of life: a program that computes moves on, however little it says;
 * one that hangs does not. Memory has a limit.
 */
import { readFileSync } from "node:fs";

/** Whether this system tells the CPU time of other processes. Elsewhere a program has to speak for itself. */
export const CPU_TIME_KNOWN: boolean = process.platform === "linux";
/** Two ticks of proc(5), 20 ms: what a runtime's own timers use of a processor between two samples stays below it. */
const STEP_TICKS = 2;
/** Of the machines that tell (x86-64, and ARM as Linux is mostly built for it). */
const PAGE_BYTES = 4096;
/** Processes of one group that are looked at; a prover that starts more is busy enough with these. */
const PROCESSES_MAX = 64;

/**
 * Says whether a process group has used its processor since it last said so.
 *
 * Only the group's own processes are read, from its leader down: reading all of /proc four times a second had cost a
 * node more than its network. The files are in memory, so reading them at once is cheaper than a promise.
 */
export function createCpuMeter(group: number): () => boolean {
  let last: number | null = null;
  return () => {
    const ticks = ticksOf(group);
    const moved = last !== null && ticks >= last + STEP_TICKS;
    // A process that ends takes its time along unless somebody waited for it: less is a new beginning.
    if (last === null || moved || ticks < last) last = ticks;
    return moved;
  };
}

/** Memory in use by the processes of a group; what they share counts for each. 0 where the system does not tell. */
export function residentBytes(group: number): number {
  return usageOf(group).pages * PAGE_BYTES;
}

/** Clock ticks that a process and its descendants have used, with the children they waited for, by proc(5). */
function ticksOf(leader: number): number {
  return usageOf(leader).ticks;
}

function usageOf(leader: number): { readonly ticks: number; readonly pages: number } {
  const waiting = [leader];
  let [ticks, pages] = [0, 0];
  for (let seen = 0; seen < PROCESSES_MAX; seen++) {
    const pid = waiting.pop();
    if (pid === undefined) break;
    const text = read(`/proc/${pid}/stat`);
    // The command in parentheses may hold anything; the fields after it are state, parent, group, ...
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    for (const field of [11, 12, 13, 14]) ticks += Number(fields[field] ?? 0);
    pages += Number(fields[21] ?? 0);
    const children = read(`/proc/${pid}/task/${pid}/children`).split(" ");
    waiting.push(...children.filter((child) => child !== "").map(Number));
  }
  return { ticks, pages };
}

/** A process may be gone by the time it is looked at. */
function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
