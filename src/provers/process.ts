/**
 * A prover that is any program, with exit status 0 when it has proved; in one of two forms.
 *
 * `json`: `BINARY [args] --input-path F --output-path F`. This is push0's contract, so its provers run here unchanged.
 * Input, bytes as hex with 0x in front:
 *
 *     { "block": height, "task": { chain, chainId, height, block, hash, parent, stage, index }, "attempt", "system", "key",
 *       "statement",
 *       "payload", "before", "values", "shards", "inputs": [proof, ...] }
 *
 * Output: `{ "block": height, "proof": hex with 0x or base64, "prover": name, "values"?: the same }`. A program that
 * names no values proves the job's own.
 *
 * `raw`: the files are the bytes themselves, for programs that know nothing of us; the output is the proof. Where the
 * statement leaves bytes of the public values open, the output is the public values, followed by the proof.
 *
 * Arguments may name what the job has (`PLACEHOLDERS`): `prove -i {input} -o {output} --block {height}`. Those of the
 * `json` form that name neither file get the two options of push0 at their end.
 *
 * The program gets no standard input, and sees of the machine's GPUs those that the task was given. Its files lie in a directory of their own, which goes when the job ends.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cancel, Fault, ProveEvent, ProveJob, Prover, Result } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import { shorten } from "../protocol/shape.ts";
import { isOpen, SHARD_FOLD } from "../protocol/statement.ts";
import { deviceEnvironment, type DeviceNames, namesOf } from "./devices.ts";
import { CPU_TIME_KNOWN, createCpuMeter, residentBytes } from "./usage.ts";
import { type Group, startGroup } from "./group.ts";

export interface ProcessOptions {
  readonly system: string;
  readonly slots: number;
  readonly command: string;
  /** With placeholders; see `unknownPlaceholder`. */
  readonly args?: readonly string[];
  readonly form?: "json" | "raw";
  readonly timeoutMs: number;
  /** Exit statuses that are a verdict on the input; any other but 0 is this machine's failure. */
  readonly verdictStatuses?: readonly number[];
  /** Of all its processes together; looked at as often as for a sign of life. */
  readonly memoryBytesMax?: number | undefined;
  readonly outputBytesMax?: number;
  readonly directory?: string | undefined;
  /** The bytes of a verifying key by their hash; `null` for a key that the manifest does not have. */
  readonly keyOf?: (hash: Hash) => Uint8Array | null;
  readonly environment?: Readonly<Record<string, string>>;
  /** How often the program is asked for a sign of life. */
  readonly probeMs?: number;
  /**
   * What a sign of life is: CPU time of its processes (the default), or that the program has not ended (`alive`), for one that
   * waits for a machine elsewhere.
   */
  readonly progress?: "cpu" | "alive" | undefined;
  /** How `{gpus}` and the environment name GPUs; by UUID if left out. */
  readonly gpuNames?: DeviceNames | undefined;
  /** A cancelled program gets SIGTERM, and so long to end. */
  readonly graceMs?: number | undefined;
}

/**
 * What an argument may name in braces. `input`, `output`, `values`, `before`, `vk` (the verifying key) are files, `inputs`
 * a directory with the proofs that the task takes as 0, 1, ...; `input` is the job as JSON, or the block's payload in the
 * raw form. `chain` is the id that the chain's own nodes have. `gpus` are
 * the GPUs that the task was given, with commas between.
 */
export const PLACEHOLDERS = [
  "input",
  "output",
  "values",
  "before",
  "inputs",
  "vk",
  "chain",
  "height",
  "hash",
  "parent",
  "stage",
  "index",
  "shards",
  "attempt",
  "gpus",
] as const;

type Placeholder = (typeof PLACEHOLDERS)[number];

const BRACES = /\{([a-z]+)\}/g;

/** The first name in braces that is none of `PLACEHOLDERS`; `null` if all are. */
export function unknownPlaceholder(argument: string): string | null {
  const names: readonly string[] = PLACEHOLDERS;
  for (const [, name = ""] of argument.matchAll(BRACES)) if (!names.includes(name)) return name;
  return null;
}

/** The largest proofs we know are transparent ones of some 150 KB; in hex they are twice that. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const PROBE_MS = 500;
/** Enough to free shared memory and to cancel a job elsewhere, and short beside a lease. */
const GRACE_MS = 3_000;

type Failed = Extract<ProveEvent, { kind: "failed" }>;

interface Run {
  readonly group: Group;
  readonly directory: string;
  readonly output: string;
  readonly moved: () => boolean;
  ended: boolean;
  units: number;
}

export function createProcessProver(options: ProcessOptions): Prover {
  const running = new Set<Cancel>();
  const stopping = createStopping(options.graceMs ?? GRACE_MS);
  return {
    system: options.system,
    slots: options.slots,
    prove(job: ProveJob, emit: (event: ProveEvent) => void): Cancel {
      const started = performance.now();
      const run = tryRun(options, job);
      if ("kind" in run) {
        const soon = setImmediate(() => emit(run));
        return () => clearImmediate(soon);
      }
      const end = (event: ProveEvent | null): void => {
        if (run.ended) return;
        run.ended = true;
        running.delete(cancel);
        clearTimeout(timer);
        clearInterval(probe);
        stopping.stop(run);
        if (event !== null) emit(event);
      };
      const cancel = (): void => end(null);
      running.add(cancel);
      const timer = setTimeout(
        () => end(failure("process.timeout", `no proof within ${options.timeoutMs} ms`, false)),
        options.timeoutMs,
      );
      const probe = setInterval(() => void watch(run, options, emit, end), options.probeMs ?? PROBE_MS);
      const { child } = run.group;
      child.on("error", (error) => end(notStarted(error)));
      run.group.ended((status, signal) => {
        if (run.ended) return;
        if (status !== 0) return end(died(options, status, signal, run.group.complaint()));
        void readOutput(run.output, options, job)
          .catch((error: unknown) => malformed(messageOf(error)))
          .then((output) => {
            if (output.ok) end({ kind: "proved", ...output.value, provingMs: performance.now() - started });
            else end({ kind: "failed", logical: false, fault: output.fault });
          });
      });
      return cancel;
    },
    vacate(_, done) {
      stopping.whenOver(done);
    },
    async close() {
      for (const cancel of running) cancel();
      await new Promise<void>((resolve) => stopping.whenOver(resolve));
    },
  };
}

interface Stopping {
  stop(run: Run): void;
  /** Calls `done` when no stopped program is left. */
  whenOver(done: () => void): void;
}

/** Programs that were told to end and have not ended yet: their machine is not free. */
function createStopping(graceMs: number): Stopping {
  const runs = new Set<Run>();
  const waiting = new Set<() => void>();
  return {
    stop(run) {
      runs.add(run);
      run.group.stop(graceMs, () => {
        remove(run.directory);
        runs.delete(run);
        if (runs.size > 0) return;
        for (const done of waiting) done();
        waiting.clear();
      });
    },
    whenOver(done) {
      if (runs.size === 0) done();
      else waiting.add(done);
    },
  };
}

function failure(code: string, message: string, logical: boolean): Failed {
  return { kind: "failed", logical, fault: { code, message } };
}

/** Nothing was started, so the next task would fail as well. */
function notStarted(error: unknown): Failed {
  const errno = error instanceof Error && "code" in error ? error.code : null;
  const isFull = errno === "ENOSPC" || errno === "EDQUOT";
  const message = isFull ? `no room for the task's files in ${tmpdir()}: ${messageOf(error)}` : messageOf(error);
  return { ...failure(isFull ? "process.disk-full" : "process.start", message, false), disabled: true };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Tried again where a process that is being killed still writes. A directory that stays is no reason to fail the task. */
function remove(directory: string): void {
  try {
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    // What is left is in the folder for temporary files, which the system clears.
  }
}

/** Which statuses are the program's verdict on the input its operator knows. All else is this machine's failure. */
function died(
  { verdictStatuses = [] }: ProcessOptions,
  status: number | null,
  signal: string | null,
  complaint: string,
): Failed {
  const suffix = complaint === "" ? "" : `: ${complaint}`;
  if (status === 126 || status === 127)
    return { ...failure("process.start", `the program cannot be started${suffix}`, false), disabled: true };
  if (status === null || status > 128) {
    const number = status === null ? signal : status - 128;
    return failure("process.killed", `the program was killed by signal ${number}${suffix}`, false);
  }
  const isVerdict = verdictStatuses.includes(status);
  const code = isVerdict ? "process.refused" : "process.failed";
  return failure(code, `the program ended with status ${status}${suffix}`, isVerdict);
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}

/** A run, or why it cannot begin: no place for its files, or no process to be had. */
function tryRun(options: ProcessOptions, job: ProveJob): Run | Failed {
  let directory: string | null = null;
  try {
    directory = mkdtempSync(join(tmpdir(), "proofmesh-prover-"));
    return startRun(options, job, directory);
  } catch (error) {
    if (directory !== null) remove(directory);
    return notStarted(error);
  }
}

function startRun(options: ProcessOptions, job: ProveJob, directory: string): Run {
  const files = writeFiles(directory, options, job);
  const { id } = job;
  const known: Readonly<Record<Placeholder, string | number>> = {
    ...files,
    chain: id.chainId,
    height: id.height,
    hash: id.hash,
    parent: id.parent,
    stage: id.stage,
    index: id.index,
    shards: job.shards,
    attempt: job.attempt,
    gpus: namesOf(job.devices ?? [], options.gpuNames ?? "uuid"),
  };
  const given = options.args ?? [];
  const args = given.map((argument) => argument.replace(BRACES, (_, name: Placeholder) => String(known[name])));
  const isPlain = isJson(options) && !given.some((argument) => /\{(input|output)\}/.test(argument));
  if (isPlain) args.push("--input-path", files.input, "--output-path", files.output);
  const group = startGroup({
    command: options.command,
    args,
    remove: directory,
    ...(options.directory === undefined ? {} : { directory: options.directory }),
    environment: {
      ...options.environment,
      ...(job.devices === undefined ? {} : deviceEnvironment(job.devices, options.gpuNames)),
    },
  });
  group.child.stdin?.end();
  // What it prints is its own affair, but a full pipe would stop it.
  group.child.stdout?.resume();
  const moved = createCpuMeter(group.child.pid ?? 0);
  return { group, directory, output: files.output, moved, ended: false, units: 0 };
}

function isJson(options: ProcessOptions): boolean {
  return options.form !== "raw";
}

function writeFiles(
  directory: string,
  options: ProcessOptions,
  job: ProveJob,
): Readonly<Record<"input" | "output" | "values" | "before" | "inputs" | "vk", string>> {
  const at = (name: string): string => join(directory, name);
  const extension = isJson(options) ? "json" : "bin";
  const files = {
    input: at(`input.${extension}`),
    output: at(`output.${extension}`),
    values: at("values.bin"),
    before: at("before.bin"),
    inputs: at("inputs"),
    vk: at("vk.bin"),
  };
  writeFileSync(files.input, isJson(options) ? jobJson(job) : job.payload);
  writeFileSync(files.values, job.values);
  writeFileSync(files.before, job.before);
  writeFileSync(files.vk, options.keyOf?.(job.key) ?? new Uint8Array(0));
  mkdirSync(files.inputs);
  for (const [index, proof] of job.inputs.entries()) writeFileSync(join(files.inputs, String(index)), proof);
  return files;
}

/** A job as the JSON that programs and guests read. */
export function jobJson(job: ProveJob): string {
  const { id, attempt, system, key, statement = SHARD_FOLD, shards } = job;
  const { chain, chainId, height, block, hash, parent, stage, index } = id;
  const task = { chain, chainId, height, block, hash, parent, stage, index };
  const bytes = {
    payload: hex(job.payload),
    before: hex(job.before),
    values: hex(job.values),
    inputs: job.inputs.map(hex),
  };
  return JSON.stringify({ block: id.height, task, attempt, system, key, statement, shards, ...bytes });
}

async function watch(
  run: Run,
  options: ProcessOptions,
  emit: (event: ProveEvent) => void,
  end: (event: ProveEvent) => void,
): Promise<void> {
  const written = await stat(run.output).then(
    ({ size }) => size,
    () => 0,
  );
  const bytesMax = options.outputBytesMax ?? OUTPUT_BYTES_MAX;
  if (written > bytesMax) return end(failure("process.output", `over ${bytesMax} bytes of output`, false));
  const { memoryBytesMax } = options;
  if (memoryBytesMax !== undefined && residentBytes(run.group.child.pid ?? 0) > memoryBytesMax)
    return end(failure("process.memory", `over ${memoryBytesMax} bytes of memory`, false));
  // Elsewhere than on Linux a program that still runs is all the sign there is.
  const moved = options.progress !== "alive" && CPU_TIME_KNOWN ? run.moved() : true;
  if (run.ended || !moved) return;
  run.units++;
  emit({ kind: "progress", units: run.units });
}

interface Output {
  readonly proof: Uint8Array;
  readonly values: Uint8Array;
}

async function readOutput(path: string, options: ProcessOptions, job: ProveJob): Promise<Result<Output>> {
  const bytesMax = options.outputBytesMax ?? OUTPUT_BYTES_MAX;
  const bytes = await readLimited(path, bytesMax);
  if (bytes === null) return malformed(`no output of at most ${bytesMax} bytes`);
  if (isJson(options)) return readResult(bytes.toString("utf8"), job);
  const { length } = isOpen(job.statement ?? SHARD_FOLD) ? job.values : [];
  if (bytes.length <= length) return malformed(length === 0 ? "the output is empty" : "the output holds no proof");
  return {
    ok: true,
    value: { proof: bytes.subarray(length), values: length === 0 ? job.values : bytes.subarray(0, length) },
  };
}

/** What the program says that it has proved; the text may be anything. */
export function readResult(text: string, job: Pick<ProveJob, "id" | "values">): Result<Output> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return malformed("the output is no JSON");
  }
  const { block, proof, values } = (typeof json === "object" && json !== null ? json : {}) as Record<string, unknown>;
  if (block !== job.id.height) return malformed(`the output is about block ${shorten(block)}, not ${job.id.height}`);
  const proofBytes = bytesOf(proof);
  if (proofBytes === null) return malformed("the output's proof is neither hex nor base64");
  if (values === undefined) return { ok: true, value: { proof: proofBytes, values: job.values } };
  const valueBytes = bytesOf(values);
  if (valueBytes === null) return malformed("the output's values are neither hex nor base64");
  return { ok: true, value: { proof: proofBytes, values: valueBytes } };
}

function malformed(message: string): { readonly ok: false; readonly fault: Fault } {
  return { ok: false, fault: { code: "process.output", message } };
}

async function readLimited(path: string, bytesMax: number): Promise<Buffer | null> {
  const file = await open(path).catch(() => null);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    return size > bytesMax ? null : await file.readFile();
  } finally {
    await file.close();
  }
}

function bytesOf(text: unknown): Uint8Array | null {
  if (typeof text !== "string" || text === "") return null;
  if (text.startsWith("0x")) {
    return /^0x([0-9a-fA-F]{2})+$/.test(text) ? new Uint8Array(Buffer.from(text.slice(2), "hex")) : null;
  }
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return new Uint8Array(Buffer.from(text, "base64"));
  return null;
}
