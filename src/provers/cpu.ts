/**
 * CPU time as a sign of life: a program that computes moves on, however little it says; one that hangs does not.
 */
import { readdir, readFile } from "node:fs/promises";

/** Whether this system tells the CPU time of other processes. Elsewhere a program has to speak for itself. */
export const CPU_TIME_KNOWN: boolean = process.platform === "linux";
/** Two ticks of proc(5), 20 ms: what a runtime's own timers use of a processor between two samples stays below it. */
const STEP_TICKS = 2;
/** Groups sampled together share one reading of /proc, which costs some 10 ms where hundreds of processes run. */
const SHARED_MS = 100;

let reading: { readonly at: number; readonly ticks: Promise<ReadonlyMap<number, number>> } | null = null;

/** Says whether a process group has used its processor since it last said so. */
export function createCpuMeter(group: number): () => Promise<boolean> {
  let last: number | null = null;
  return async () => {
    const ticks = (await sample()).get(group) ?? 0;
    const moved = last !== null && ticks >= last + STEP_TICKS;
    // A process that ends takes its time along unless somebody waited for it: less is a new beginning.
    if (last === null || moved || ticks < last) last = ticks;
    return moved;
  };
}

function sample(): Promise<ReadonlyMap<number, number>> {
  const now = performance.now();
  if (reading === null || now - reading.at > SHARED_MS) reading = { at: now, ticks: readTicks() };
  return reading.ticks;
}

/** Clock ticks that each process group has used, with the children it waited for, by proc(5). */
async function readTicks(): Promise<ReadonlyMap<number, number>> {
  const entries = await readdir("/proc").catch(() => []);
  const texts = await Promise.all(
    entries
      .filter((name) => /^\d+$/.test(name))
      .map((name) => readFile(`/proc/${name}/stat`, "latin1").catch(() => "")),
  );
  const ticks = new Map<number, number>();
  for (const text of texts) {
    // The command in parentheses may hold anything; the fields after it are state, parent, group, ...
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const group = Number(fields[2]);
    const used = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field] ?? 0), 0);
    ticks.set(group, (ticks.get(group) ?? 0) + used);
  }
  return ticks;
}
