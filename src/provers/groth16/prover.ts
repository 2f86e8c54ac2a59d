/**
 * Proves shards with snarkjs, which runs as a program of its own (`program.ts`): it does not end by itself, cannot be
 * stopped in the middle, and its licence stays apart from ours. A slot keeps its program warm between jobs.
 */
import { existsSync } from "node:fs";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Cancel, Fault, ProveEvent, ProveJob, Prover } from "../../ports.ts";
import { CPU_TIME_KNOWN, createCpuMeter } from "../usage.ts";
import { type Group, startGroup } from "../group.ts";
import type { ProgramEvent, ProgramJob } from "./program.ts";

export interface Groth16Options {
  /** How many programs prove at once; each uses up to two cores and 300 MB. */
  readonly slots: number;
  /** Where shard.wasm and shard.zkey are. */
  readonly keysDir: string;
  /** A proof that takes longer is given up. */
  readonly timeoutMs: number;
  /** Memory of the program's JavaScript heap; the tables of the proof live outside it. */
  readonly heapMiBMax?: number;
}

/** What a node says in its log when it proves with the keys that come with the package. */
export const ONE_PARTY_SETUP =
  "The proving keys were made by one party from random secrets that it forgot. Whoever doubts that runs a ceremony " +
  "of their own: node scripts/circuit.ts --help";

const HEAP_MIB_MAX = 1024;
/** How often the program is asked for a sign of life. */
const PROBE_MS = 250;

const PROGRAM = fileURLToPath(new URL(`program${extname(import.meta.url)}`, import.meta.url));

interface Slot {
  group: Group | null;
  job: { readonly number: number; readonly emit: (event: ProveEvent) => void; units: number } | null;
  timer: NodeJS.Timeout | null;
  probe: NodeJS.Timeout | null;
}

export function createGroth16Prover(options: Groth16Options): Prover {
  for (const name of ["shard.wasm", "shard.zkey"]) {
    if (!existsSync(join(options.keysDir, name))) throw new Error(`no ${name} in ${options.keysDir}`);
  }
  const slots: Slot[] = Array.from({ length: options.slots }, () => ({
    group: null,
    job: null,
    timer: null,
    probe: null,
  }));
  let numbers = 0;
  let closed = false;

  /** Frees the slot first: `emit` may hand out the next job at once. */
  const finish = (slot: Slot, event: ProveEvent): void => {
    const { job } = slot;
    release(slot);
    job?.emit(event);
  };

  return {
    system: "groth16-shard",
    slots: options.slots,
    prove(job: ProveJob, emit): Cancel {
      const slot = slots.find((some) => some.job === null);
      if (closed || slot === undefined) throw new Error("proving without a free slot");
      const number = numbers++;
      slot.job = { number, emit, units: 0 };
      slot.timer = setTimeout(() => {
        stop(slot);
        const message = `no proof within ${options.timeoutMs} ms`;
        finish(slot, failure({ code: "groth16.timeout", message }, false));
      }, options.timeoutMs);
      slot.group ??= startProgram(slot, options, finish);
      if (CPU_TIME_KNOWN) slot.probe = watch(slot, number, slot.group.child.pid ?? 0);
      slot.group.child.stdin?.write(`${JSON.stringify(request(number, job))}\n`);
      return () => {
        if (slot.job?.number !== number) return;
        stop(slot);
        release(slot);
      };
    },
    async close() {
      closed = true;
      for (const slot of slots) {
        stop(slot);
        release(slot);
      }
    },
  };
}

function stop(slot: Slot): void {
  slot.group?.kill();
  slot.group = null;
}

function release(slot: Slot): void {
  if (slot.timer !== null) clearTimeout(slot.timer);
  if (slot.probe !== null) clearInterval(slot.probe);
  slot.timer = null;
  slot.probe = null;
  slot.job = null;
}

/** From out here, because reading a block and making a witness block the program's one thread for long. */
function watch(slot: Slot, number: number, group: number): NodeJS.Timeout {
  const moved = createCpuMeter(group);
  moved();
  return setInterval(() => {
    if (moved() && slot.job?.number === number) advance(slot.job);
  }, PROBE_MS);
}

function advance(job: NonNullable<Slot["job"]>): void {
  job.units++;
  job.emit({ kind: "progress", units: job.units });
}

function failure(fault: Fault, logical: boolean): ProveEvent {
  return { kind: "failed", logical, fault };
}

function request(number: number, job: ProveJob): ProgramJob {
  const { chain, hash, block, stage, index } = job.id;
  const [payload, before] = [job.payload, job.before].map((bytes) => Buffer.from(bytes).toString("base64"));
  if (payload === undefined || before === undefined) throw new Error("two of two");
  return { job: number, payload, chain, hash, block, stage, index, before, shards: job.shards };
}

function startProgram(slot: Slot, options: Groth16Options, finish: (slot: Slot, event: ProveEvent) => void): Group {
  const heap = `--max-old-space-size=${options.heapMiBMax ?? HEAP_MIB_MAX}`;
  const group = startGroup({ command: process.execPath, args: [heap, PROGRAM, options.keysDir] });
  const { child } = group;
  if (child.stdout === null) throw new Error("standard output is a pipe");
  const die = (fault: Fault): void => {
    if (slot.group !== group) return;
    stop(slot);
    finish(slot, failure(fault, false));
  };
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (slot.group !== group) return;
    const event = parse(line);
    if (event === null) die({ code: "groth16.output", message: `not a line of ours: ${line.slice(0, 200)}` });
    else answer(slot, event, finish, die);
  });
  child.on("error", (error) => die({ code: "groth16.start", message: error.message }));
  // Not at `exit`: its last line may still be on its way, and says more than the status does.
  child.on("close", (code, signal) => {
    const how = signal === null ? `ended with status ${code}` : `was killed by ${signal}`;
    die({ code: "groth16.killed", message: `the prover ${how}. ${group.complaint()}`.trim() });
  });
  return group;
}

function parse(line: string): ProgramEvent | null {
  try {
    return JSON.parse(line) as ProgramEvent;
  } catch {
    return null;
  }
}

function answer(
  slot: Slot,
  event: ProgramEvent,
  finish: (slot: Slot, event: ProveEvent) => void,
  die: (fault: Fault) => void,
): void {
  // The program could not start at all: whatever it was asked for fails.
  if (event.job === -1 && event.kind === "failed") return die({ code: event.code, message: event.message });
  const { job } = slot;
  if (job === null || job.number !== event.job) return;
  switch (event.kind) {
    case "progress":
      return advance(job);
    case "proved": {
      const [proof, values] = [event.proof, event.values].map((text) => new Uint8Array(Buffer.from(text, "base64")));
      if (proof === undefined || values === undefined) throw new Error("two of two");
      return finish(slot, { kind: "proved", proof, values, provingMs: event.ms });
    }
    case "failed":
      return finish(slot, failure({ code: event.code, message: event.message }, event.logical));
  }
}
