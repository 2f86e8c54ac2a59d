/** What runs in a worker thread of the pool: reading blocks, folding them, checking proofs. */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import type { Hash } from "../protocol/ids.ts";
import type { PrepareJob, Result, VerifyJob } from "../ports.ts";
import type { Verdict } from "./groth16/equation.ts";
import { verifyBatch, verifyOne } from "./groth16/verify.ts";
import { type KeyBytes, readKey, type StageKey } from "./keys.ts";
import { mockValues, mockVerify } from "./mock.ts";
import { verifySp1 } from "./sp1/verify.ts";
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
  /** Verifying keys by the hash of their bytes. */
  readonly keys: ReadonlyMap<Hash, KeyBytes>;
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

export function check(job: VerifyJob, keys: ReadonlyMap<Hash, StageKey>): Result<Check> {
  if (job.system === "mock") return { ok: true, value: mockVerify(job.values, job.proof) };
  const known = keys.get(job.key);
  if (known === undefined) return refuse("verifier.unknown-key", `no verifying key ${job.key}`);
  const verdict = verdictOf(job, known);
  return verdict === null
    ? refuse("verifier.unknown-system", `no verifier for ${job.system}`)
    : { ok: true, value: verdict };
}

function verdictOf({ system, values, parts, proof }: VerifyJob, known: StageKey): Verdict | null {
  switch (known.family) {
    case "sp1":
      return system === "sp1-groth16" ? verifySp1(known.key, values, proof) : null;
    case "shard":
      if (system === "groth16-shard") return verifyOne(known.key, values, proof);
      return system === "groth16-batch" ? verifyBatch(known.key, values, parts, proof) : null;
  }
}

function serve(data: WorkerData): void {
  const keys = new Map([...data.keys].map(([hash, key]) => [hash, readKey(key)]));
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
