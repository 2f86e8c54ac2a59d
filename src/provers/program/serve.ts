/**
 * A proving library as a program of its own: jobs in, proofs out, one JSON object a line.
 *
 *     in   { job, payload, hash, block, stage, index, prover, before, group, shards, inputs }      bytes in base64
 *     out  { job, kind: "progress" } | { job, kind: "proved", proof, values, ms } | { job, kind: "failed", logical, code, message }
 *
 * It stays warm between jobs and ends with its standard input, so it never outlives the node that started it.
 */
import { createInterface } from "node:readline";
import { SHARD_ITEMS_MAX } from "../../protocol/ethereum.ts";
import { elementOf, type Folded, foldBlock, type Run } from "../statement.ts";
import { CPU_TIME_KNOWN } from "../usage.ts";

/** What the program is asked. */
export interface ProgramJob {
  readonly job: number;
  readonly payload: string;
  readonly chain: number;
  readonly hash: string;
  readonly block: string;
  readonly stage: string;
  readonly index: number;
  /** Key of the prover that is paid for the proof. */
  readonly prover: string;
  readonly before: string;
  readonly group: number;
  readonly shards: number;
  /** Proofs that the task takes. */
  readonly inputs: readonly string[];
}

/** What it answers. */
export type ProgramEvent =
  | { readonly job: number; readonly kind: "progress" }
  | {
      readonly job: number;
      readonly kind: "proved";
      readonly proof: string;
      readonly values: string;
      readonly ms: number;
    }
  | {
      readonly job: number;
      readonly kind: "failed";
      readonly logical: boolean;
      readonly code: string;
      readonly message: string;
    };

/** A job whose block has been read: the run to prove, and all that its stage cuts the block into. */
export interface ProgramTask {
  readonly run: Run;
  readonly runs: readonly Run[];
  readonly block: string;
  readonly stage: string;
  readonly index: number;
  readonly prover: string;
  readonly inputs: readonly Uint8Array[];
}

export type Prove = (
  task: ProgramTask,
  progress: () => void,
) => Promise<{ readonly proof: Uint8Array; readonly values: Uint8Array }>;

export interface Program {
  /** What the codes of its faults begin with. */
  readonly name: string;
  /** What it needs installed, as npm takes it: optional dependencies, which may be missing. */
  readonly packages: readonly string[];
  /** Loads the library and the keys. */
  readonly open: () => Promise<Prove>;
}

/** CPU time, and how often it is looked at, that counts as progress where the node cannot see it (`usage.ts`). */
const STEP_US = 20_000;
const PROBE_MS = 250;

function say(event: ProgramEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** Says progress while this process computes, until it is stopped. */
function speakFor(job: number): () => void {
  if (CPU_TIME_KNOWN) return () => {};
  let last = process.cpuUsage();
  const timer = setInterval(() => {
    const { user, system } = process.cpuUsage(last);
    if (user + system < STEP_US) return;
    last = process.cpuUsage();
    say({ job, kind: "progress" });
  }, PROBE_MS);
  return () => clearInterval(timer);
}

/** Reading a block costs more than folding it, and its shards come one after the other: the last one is kept. */
function createReader(): (job: ProgramJob) => ReturnType<typeof foldBlock> {
  let last: { readonly name: string; readonly folded: Folded } | null = null;
  return (job) => {
    const name = [job.chain, job.hash, job.before, job.shards].join("/");
    if (last?.name === name) return { ok: true, value: last.folded };
    const before = elementOf(Buffer.from(job.before, "base64"));
    if (before === null) return { ok: false, fault: { code: "job.before", message: "before is no field element" } };
    const folded = foldBlock(Buffer.from(job.payload, "base64"), job.hash, before, job.chain, Math.max(job.shards, 1));
    if (folded.ok) last = { name, folded: folded.value };
    return folded;
  };
}

/** The first block is read before the library is loaded, so what is wrong with it is said at once. */
async function answer(
  job: ProgramJob,
  read: ReturnType<typeof createReader>,
  library: () => Promise<Prove>,
): Promise<void> {
  const started = performance.now();
  const progress = (): void => say({ job: job.job, kind: "progress" });
  const folded = read(job);
  if (!folded.ok) return say({ job: job.job, kind: "failed", logical: true, ...folded.fault });
  const { whole, shards } = folded.value;
  const runs = job.shards === 0 ? [whole] : shards;
  const run = job.shards === 0 ? whole : shards[job.group];
  if (run === undefined) {
    return say({ job: job.job, kind: "failed", logical: true, code: "job.index", message: `no shard ${job.group}` });
  }
  // What takes proofs folds nothing itself.
  if (job.inputs.length === 0 && run.items.length > SHARD_ITEMS_MAX) {
    const message = `${run.items.length} items; the circuit has room for ${SHARD_ITEMS_MAX}`;
    return say({ job: job.job, kind: "failed", logical: true, code: "job.too-large", message });
  }
  progress();
  // One that cannot be opened has been said, and ends the program.
  const prove = await library().catch(() => null);
  if (prove === null) return;
  const { block, stage, index, prover } = job;
  const inputs = job.inputs.map((text) => new Uint8Array(Buffer.from(text, "base64")));
  const { proof, values } = await prove({ run, runs, block, stage, index, prover, inputs }, progress);
  const ms = performance.now() - started;
  const [proofText, valuesText] = [proof, values].map((bytes) => Buffer.from(bytes).toString("base64"));
  say({ job: job.job, kind: "proved", proof: proofText ?? "", values: valuesText ?? "", ms });
}

/** Runs until its standard input ends. Libraries print; what they print must not be taken for an answer. */
export function serveJobs({ name, packages, open }: Program): void {
  console.log = console.error;
  console.info = console.error;
  console.warn = console.error;
  const read = createReader();
  const lines = createInterface({ input: process.stdin });
  // The node is gone, by whatever death: nobody waits for this proof.
  lines.on("close", () => process.exit(0));
  let opened: Promise<Prove> | null = null;
  const library = (): Promise<Prove> => {
    if (opened === null) {
      opened = open();
      opened.catch((error: unknown) => giveUp(name, packages, error));
    }
    return opened;
  };
  let queue = Promise.resolve();
  lines.on("line", (line) => {
    const job = JSON.parse(line) as ProgramJob;
    queue = queue.then(async () => {
      const stop = speakFor(job.job);
      await answer(job, read, library).catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        say({ job: job.job, kind: "failed", logical: false, code: `${name}.failed`, message });
      });
      stop();
    });
  });
}

function giveUp(name: string, packages: readonly string[], error: unknown): void {
  const { code: why } = error as NodeJS.ErrnoException;
  const missing = why === "ERR_MODULE_NOT_FOUND" || why === "MODULE_NOT_FOUND";
  const message = missing ? `proving needs optional packages: npm install ${packages.join(" ")}` : String(error);
  say({ job: -1, kind: "failed", logical: false, code: `${name}.${missing ? "not-installed" : "start"}`, message });
  process.stdout.write("", () => process.exit(1));
}
