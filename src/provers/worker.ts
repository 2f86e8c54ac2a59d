/** What runs in a worker thread of the pool: reading blocks, folding them, checking proofs. */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import type { Hash } from "../protocol/ids.ts";
import type { PrepareJob, Result, VerifyJob } from "../ports.ts";
import { readVerifyingKey, type Verdict, verifyBatch, type VerifyingKey, verifyOne } from "./groth16/verify.ts";
import { mockValues, mockVerify } from "./mock.ts";
import {
  type Check,
  elementOf,
  encodeElement,
  foldBlock,
  type Prepared,
  type StageRow,
  valuesOf,
} from "./statement.ts";

export interface WorkerData {
  readonly stages: readonly StageRow[];
  /** Verifying keys by their hash, as snarkjs writes them. */
  readonly keys: ReadonlyMap<Hash, Uint8Array>;
}

export type WorkerRequest =
  | { readonly kind: "prepare"; readonly job: PrepareJob }
  | { readonly kind: "verify"; readonly job: VerifyJob };

export type Answer = Result<unknown>;

function refuse(
  code: string,
  message: string,
): { readonly ok: false; readonly fault: { code: string; message: string } } {
  return { ok: false, fault: { code, message } };
}

export function prepare(job: PrepareJob, stages: readonly StageRow[]): Result<Prepared> {
  const given = job.before === null ? null : elementOf(job.before);
  if (job.before !== null && given === null) return refuse("prepare.before", "before is no field element");
  const folded = foldBlock(job.payload, job.hash, given, job.chain, job.shards);
  if (!folded.ok) return folded;
  const { block, whole, shards } = folded.value;
  const announced = { parent: job.parent, height: job.height, items: job.items };
  const found = { parent: block.parent, height: block.height, items: block.items.length };
  for (const name of ["parent", "height", "items"] as const) {
    if (announced[name] === found[name]) continue;
    return refuse(`payload.${name}-mismatch`, `the block has ${name} ${found[name]}, not ${announced[name]}`);
  }
  const before = encodeElement(whole.before);
  const values: Record<string, readonly Uint8Array[]> = {};
  for (const { name, system, aggregates } of stages) {
    const runs = aggregates === undefined ? shards : [whole];
    values[name] = runs.map((run, index) =>
      system === "mock" ? mockValues(job.block, name, index, before) : valuesOf(run, job.block, name, index),
    );
  }
  return { ok: true, value: { before, after: encodeElement(whole.after), values } };
}

export function check(job: VerifyJob, keys: ReadonlyMap<Hash, VerifyingKey>): Result<Check> {
  if (job.system === "mock") return { ok: true, value: mockVerify(job.values, job.proof) };
  if (job.system !== "groth16-shard" && job.system !== "groth16-batch") {
    return refuse("verifier.unknown-system", `no verifier for ${job.system}`);
  }
  const key = keys.get(job.key);
  if (key === undefined) return refuse("verifier.unknown-key", `no verifying key ${job.key}`);
  const value: Verdict =
    job.system === "groth16-batch"
      ? verifyBatch(key, job.values, job.parts, job.proof)
      : verifyOne(key, job.values, job.proof);
  return { ok: true, value };
}

function serve(data: WorkerData): void {
  const keys = new Map([...data.keys].map(([hash, bytes]) => [hash, readVerifyingKey(bytes)]));
  const answer = (request: WorkerRequest): Answer => {
    switch (request.kind) {
      case "prepare":
        return prepare(request.job, data.stages);
      case "verify":
        return check(request.job, keys);
    }
  };
  parentPort?.on("message", (request: WorkerRequest) => parentPort?.postMessage(answer(request), []));
}

if (!isMainThread && parentPort !== null && (workerData as Partial<WorkerData> | null)?.stages !== undefined) {
  serve(workerData as WorkerData);
}
