/**
 * snarkjs as a program of its own: jobs in, proofs out, one JSON object a line.
 *
 *     in   { job, payload, hash, block, stage, index, before, shards }             bytes in base64
 *     out  { job, kind: "progress" } | { job, kind: "proved", proof, values, ms } | { job, kind: "failed", logical, code, message }
 *
 * It stays warm between jobs and ends with its standard input, so it never outlives the node that started it.
 *
 *     node program.js KEYS_DIRECTORY
 *
 * Other files take only types from here: importing it starts it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { SHARD_ITEMS_MAX } from "../../protocol/ethereum.ts";
import { CPU_TIME_KNOWN } from "../usage.ts";
import { CREATION, elementOf, type Folded, foldBlock, itemFields, type Run, valuesOf } from "../statement.ts";
import { loadSnarkjs, type Snarkjs, type SnarkjsFile } from "./snarkjs.ts";
import { encodeProof } from "./verify.ts";

/** What the program is asked. */
export interface ProgramJob {
  readonly job: number;
  readonly payload: string;
  readonly chain: number;
  readonly hash: string;
  readonly block: string;
  readonly stage: string;
  readonly index: number;
  readonly before: string;
  readonly shards: number;
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

interface Keys {
  readonly wasm: Uint8Array;
  readonly zkey: Uint8Array;
}

/** CPU time, and how often it is looked at, that counts as progress where the node cannot see it (`cpu.ts`). */
const STEP_US = 20_000;
const PROBE_MS = 250;

function say(event: ProgramEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** The circuit's inputs; absent items are zeros. */
function witnessInput(run: Run, context: bigint): Record<string, bigint | bigint[]> {
  const rows = run.items.map(itemFields);
  const column = (i: number): bigint[] => Array.from({ length: SHARD_ITEMS_MAX }, (_, row) => rows[row]?.[i] ?? 0n);
  return {
    before: run.before,
    after: run.after,
    fees: run.fees,
    count: BigInt(run.items.length),
    context,
    active: Array.from({ length: SHARD_ITEMS_MAX }, (_, i) => (i < run.items.length ? 1n : 0n)),
    sender: column(0),
    recipient: column(1).map((recipient) => (recipient === CREATION ? 0n : recipient)),
    creation: column(1).map((recipient) => (recipient === CREATION ? 1n : 0n)),
    value: column(2),
    feeLimit: column(3),
  };
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
    const folded = foldBlock(Buffer.from(job.payload, "base64"), job.hash, before, job.chain, job.shards);
    if (folded.ok) last = { name, folded: folded.value };
    return folded;
  };
}

async function prove(
  snarkjs: Snarkjs,
  keys: Keys,
  read: ReturnType<typeof createReader>,
  job: ProgramJob,
): Promise<void> {
  const started = performance.now();
  const progress = (): void => say({ job: job.job, kind: "progress" });
  const folded = read(job);
  if (!folded.ok) return say({ job: job.job, kind: "failed", logical: true, ...folded.fault });
  const run = folded.value.shards[job.index];
  if (run === undefined) {
    return say({ job: job.job, kind: "failed", logical: true, code: "job.index", message: `no shard ${job.index}` });
  }
  progress();
  const values = valuesOf(run, job.block, job.stage, job.index);
  const context = elementOf(values.subarray(-32)) ?? 0n;
  const witness: SnarkjsFile = { type: "mem" };
  await snarkjs.wtns.calculate(witnessInput(run, context), { type: "mem", data: keys.wasm }, witness);
  progress();
  // Each of its log lines marks a transform or a multi-exponentiation that is done.
  const logger = { debug: progress, info: progress, warn: progress, error: progress };
  const { proof } = await snarkjs.groth16.prove({ type: "mem", data: keys.zkey }, witness, logger);
  const ms = performance.now() - started;
  const bytes = Buffer.from(encodeProof(proof));
  say({
    job: job.job,
    kind: "proved",
    proof: bytes.toString("base64"),
    values: Buffer.from(values).toString("base64"),
    ms,
  });
}

async function main(directory: string): Promise<void> {
  const snarkjs = await loadSnarkjs();
  const keys = { wasm: readFileSync(join(directory, "shard.wasm")), zkey: readFileSync(join(directory, "shard.zkey")) };
  const read = createReader();
  const lines = createInterface({ input: process.stdin });
  // The node is gone, by whatever death: nobody waits for this proof.
  lines.on("close", () => process.exit(0));
  let queue = Promise.resolve();
  lines.on("line", (line) => {
    const job = JSON.parse(line) as ProgramJob;
    queue = queue.then(async () => {
      const stop = speakFor(job.job);
      await prove(snarkjs, keys, read, job).catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        say({ job: job.job, kind: "failed", logical: false, code: "groth16.failed", message });
      });
      stop();
    });
  });
}

main(process.argv[2] ?? "").catch((error: unknown) => {
  const missing = (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
  say({
    job: -1,
    kind: "failed",
    logical: false,
    code: missing ? "groth16.snarkjs-missing" : "groth16.start",
    message: missing ? "proving needs the optional dependency snarkjs: npm install snarkjs@0.7.6" : String(error),
  });
  process.stdout.write("", () => process.exit(1));
});
