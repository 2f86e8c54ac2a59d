/**
 * Proves with a library that runs as a program of its own (`serve.ts` is its side): one that does not end by itself,
 * cannot be stopped in the middle, may eat the machine's memory, or whose licence has to stay apart from ours. A slot
 * keeps its program warm between jobs.
 */
import { createInterface } from "node:readline";
import type { Cancel, Fault, ProveEvent, ProveJob, Prover } from "../../ports.ts";
import { type Group, startGroup } from "../group.ts";
import { CPU_TIME_KNOWN, createCpuMeter, residentBytes } from "../usage.ts";
import type { ProgramEvent, ProgramJob } from "./serve.ts";

export interface ProgramOptions {
  readonly system: string;
  /** What the codes of its faults begin with. */
  readonly name: string;
  /** How many programs prove at once. */
  readonly slots: number;
  /** The program's file, and what it is told at its start. */
  readonly program: string;
  readonly args: readonly string[];
  /** A proof that takes longer is given up. */
  readonly timeoutMs: number;
  /** Memory of the program's JavaScript heap; the tables of a proof live outside it. */
  readonly heapMiBMax?: number;
  /** Of all its processes together. */
  readonly memoryBytesMax?: number;
}

const HEAP_MIB_MAX = 1024;
/** Several times what any of the systems that come with the node takes for a full shard. */
const MEMORY_BYTES_MAX: number = 2 * 1024 ** 3;
/** How often the program is asked for a sign of life. */
const PROBE_MS = 250;

interface Slot {
  group: Group | null;
  job: { readonly number: number; readonly emit: (event: ProveEvent) => void; units: number } | null;
  timer: NodeJS.Timeout | null;
  probe: NodeJS.Timeout | null;
}

export function createProgramProver(options: ProgramOptions): Prover {
  const { name, timeoutMs } = options;
  const slots: Slot[] = Array.from({ length: options.slots }, () => ({
    group: null,
    job: null,
    timer: null,
    probe: null,
  }));
  let numbers = 0;
  let closed = false;

  return {
    system: options.system,
    slots: options.slots,
    prove(job: ProveJob, emit): Cancel {
      const slot = slots.find((some) => some.job === null);
      if (closed || slot === undefined) {
        const soon = setImmediate(() => emit(failure({ code: `${name}.busy`, message: "no slot is free" }, false)));
        return () => clearImmediate(soon);
      }
      const number = numbers++;
      slot.job = { number, emit, units: 0 };
      slot.timer = setTimeout(
        () => giveUp(slot, { code: `${name}.timeout`, message: `no proof within ${timeoutMs} ms` }),
        timeoutMs,
      );
      try {
        slot.group ??= startProgram(slot, options);
      } catch (error) {
        release(slot);
        const fault = { code: `${name}.start`, message: error instanceof Error ? error.message : String(error) };
        const soon = setImmediate(() => emit(failure(fault, false)));
        return () => clearImmediate(soon);
      }
      if (CPU_TIME_KNOWN) slot.probe = watch(slot, number, slot.group.child.pid ?? 0, options);
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

/** Frees the slot first: `emit` may hand out the next job at once. */
function finish(slot: Slot, event: ProveEvent): void {
  const { job } = slot;
  release(slot);
  job?.emit(event);
}

/** The machine's failure, with everything that the job had started. */
function giveUp(slot: Slot, fault: Fault): void {
  stop(slot);
  finish(slot, failure(fault, false));
}

/** From out here, because reading a block and making a witness block the program's one thread for long. */
function watch(slot: Slot, number: number, group: number, options: ProgramOptions): NodeJS.Timeout {
  const bytesMax = options.memoryBytesMax ?? MEMORY_BYTES_MAX;
  const moved = createCpuMeter(group);
  moved();
  return setInterval(() => {
    if (slot.job?.number !== number) return;
    if (residentBytes(group) > bytesMax) {
      giveUp(slot, { code: `${options.name}.memory`, message: `over ${bytesMax} bytes of memory` });
    } else if (moved()) advance(slot.job);
  }, PROBE_MS);
}

function advance(job: NonNullable<Slot["job"]>): void {
  job.units++;
  job.emit({ kind: "progress", units: job.units });
}

function failure(fault: Fault, logical: boolean): ProveEvent {
  const { code } = fault;
  // A program that could not even begin is in no state to take the next task.
  const disabled = code.endsWith(".start") || code.endsWith(".not-installed");
  return { kind: "failed", logical, ...(disabled ? { disabled } : {}), fault };
}

function request(number: number, job: ProveJob): ProgramJob {
  const { chain, hash, block, stage, index } = job.id;
  const [payload, before] = [job.payload, job.before].map((bytes) => Buffer.from(bytes).toString("base64"));
  if (payload === undefined || before === undefined) throw new Error("two of two");
  const inputs = job.inputs.map((bytes) => Buffer.from(bytes).toString("base64"));
  const { group, shards } = job;
  return { job: number, payload, chain, hash, block, stage, index, before, group, shards, inputs };
}

function startProgram(slot: Slot, options: ProgramOptions): Group {
  const { name } = options;
  const heap = `--max-old-space-size=${options.heapMiBMax ?? HEAP_MIB_MAX}`;
  const group = startGroup({ command: process.execPath, args: [heap, options.program, ...options.args] });
  const { child } = group;
  if (child.stdout === null) throw new Error("standard output is a pipe");
  const die = (fault: Fault): void => {
    if (slot.group === group) giveUp(slot, fault);
  };
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (slot.group !== group) return;
    const event = parse(line);
    if (event === null) die({ code: `${name}.output`, message: `not a line of ours: ${line.slice(0, 200)}` });
    else answer(slot, event, die, name);
  });
  child.on("error", (error) => die({ code: `${name}.start`, message: error.message }));
  // Its last line may still be on its way when it ends, and says more than the status does.
  group.ended((code, signal) => {
    const how = signal === null ? `ended with status ${code}` : `was killed by ${signal}`;
    die({ code: `${name}.killed`, message: `the prover ${how}. ${group.complaint()}`.trim() });
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

function answer(slot: Slot, event: ProgramEvent, die: (fault: Fault) => void, name: string): void {
  // The program could not start at all: whatever it was asked for fails.
  if (event.job === -1 && event.kind === "failed") return die({ code: event.code, message: event.message });
  const { job } = slot;
  if (job === null || job.number !== event.job) return;
  switch (event.kind) {
    case "progress":
      return advance(job);
    case "proved": {
      const { proof: proofText, values: valuesText } = event as Partial<typeof event>;
      if (typeof proofText !== "string" || typeof valuesText !== "string")
        return die({ code: `${name}.output`, message: "a proof without its bytes or its values" });
      const [proof, values] = [proofText, valuesText].map((text) => new Uint8Array(Buffer.from(text, "base64")));
      if (proof === undefined || values === undefined) throw new Error("two of two");
      return finish(slot, { kind: "proved", proof, values, provingMs: event.ms });
    }
    case "failed":
      return finish(slot, failure({ code: event.code, message: event.message }, event.logical));
  }
}
