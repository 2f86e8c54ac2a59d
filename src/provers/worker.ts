/** What runs in a worker thread of the pool: reading blocks, folding them, checking proofs. */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import type { Hash } from "../protocol/ids.ts";
import { NOBODY } from "../protocol/payee.ts";
import { rangeEndingAt, readRange } from "../protocol/range.ts";
import { formOf, SHARD_FOLD } from "../protocol/statement.ts";
import type { StageRow } from "../protocol/workflow.ts";
import type { Fault, PrepareJob, Result, VerifyJob } from "../ports.ts";
import { expectedValues, type Subject } from "../statements/expected.ts";
import { PICKLES_VERIFIER } from "../proofs/pickles/system.ts";
import { picklesRuns, picklesValuesOf } from "../proofs/pickles/statement.ts";
import { starkRuns, starkValuesOf } from "../proofs/stark/statement.ts";
import type { Keys, ProofSystem, ThreadVerifier } from "../proofs/system.ts";
import { systemOf } from "../proofs/table.ts";
import { NoVerdict } from "./no-verdict.ts";
import { isMock, mockValues, mockVerify } from "./mock.ts";
import {
  beginning,
  type Check,
  elementOf,
  encodeElement,
  fold,
  type Folded,
  foldShards,
  type Prepared,
  type Run,
  valuesOf,
} from "./statement.ts";

export interface WorkerData {
  /** Verifying keys by the hash of their bytes. */
  readonly keys: Keys;
}

export type WorkerRequest =
  | { readonly kind: "prepare"; readonly job: PrepareJob }
  | { readonly kind: "verify"; readonly job: VerifyJob };

export type Answer = Result<unknown>;

/** What a thread says when it has loaded what its keys take; it answers what it is asked before. */
export type Ready = "ready";

function refuse(
  code: string,
  message: string,
): { readonly ok: false; readonly fault: { code: string; message: string } } {
  return { ok: false, fault: { code, message } };
}

function notTheBlocks({ code, message }: Fault): Result<never> {
  return { ok: false, fault: { code, message, reason: "payload" } };
}

function prepare(job: PrepareJob): Result<Prepared> {
  const given = job.before === null ? null : elementOf(job.before);
  if (job.before !== null && given === null) return refuse("prepare.before", "before is no field element");
  const form = formOf(job.stages.flatMap(({ statements = [] }) => statements));
  const read = readRange(job.payload, job.hash, job.range, form);
  if (!read.ok) return notTheBlocks(read.fault);
  const block = read.value;
  const announced = { parent: job.parent, height: job.height, items: job.items };
  const found = { parent: block.parent, height: rangeEndingAt(block.height, job.range), items: block.items.length };
  for (const name of ["parent", "height", "items"] as const) {
    if (announced[name] === found[name]) continue;
    const message = `the block has ${name} ${found[name]}, not ${announced[name]}`;
    return notTheBlocks({ code: `payload.${name}-mismatch`, message });
  }
  const first = given ?? beginning(job.chain, block.parent);
  const folds = new Map<number, Folded>();
  const foldedIn = (shards: number): Folded => {
    const folded = folds.get(shards) ?? foldShards(block, first, shards);
    folds.set(shards, folded);
    return folded;
  };
  const whole = fold(first, block.items);
  const before = encodeElement(first);
  const subject = { chainId: job.chainId, first: block.first, last: block.bytes, isRange: job.range > 1 };
  const values: Record<string, readonly Uint8Array[]> = {};
  for (const stage of job.stages) {
    const implied = stageValues(job, stage, { before, whole, foldedIn }, subject);
    if (!implied.ok) return implied;
    values[stage.name] = implied.value;
  }
  return { ok: true, value: { before, after: encodeElement(whole.after), values } };
}

/** A block as the circuits of this repository prove it. */
interface Folds {
  readonly before: Uint8Array;
  readonly whole: Run;
  readonly foldedIn: (shards: number) => Folded;
}

/** What the proofs of a stage's tasks must say, by the index of the task. */
function stageValues(job: PrepareJob, stage: StageRow, folds: Folds, subject: Subject): Result<Uint8Array[]> {
  const valuesAt = foldOf(job, stage, folds);
  const statements = stage.systems.map((_, at) => stage.statements?.[at] ?? SHARD_FOLD);
  const values: Uint8Array[] = [];
  for (let index = 0; index < stage.groups * stage.systems.length; index++) {
    const statement = statements[index % statements.length] ?? SHARD_FOLD;
    const found = expectedValues(statement, subject, () => valuesAt(index));
    if (!found.ok) return found;
    values.push(found.value);
  }
  return { ok: true, value: values };
}

function foldOf(job: PrepareJob, stage: StageRow, { before, whole, foldedIn }: Folds): (index: number) => Uint8Array {
  // The block as it is cut, once or at each level; each cut has all of it.
  const cuts = stage.shards?.flatMap(({ of, at }) => (at === 0 ? [foldedIn(of).shards] : [])) ?? [[whole]];
  const runs = cuts.flat();
  // A system with a field of its own has a commitment of its own.
  const starks = stage.systems.includes("stark-shard") ? cuts.flatMap(starkRuns) : [];
  const isRecursive = stage.systems.some(isPickles);
  const recursive = isRecursive ? cuts.flatMap((cut) => picklesRuns(cut, PICKLES_VERIFIER.poseidon)) : [];
  return (index) => {
    const { length } = stage.systems;
    const system = stage.systems[index % length] ?? "";
    if (isMock(system)) return mockValues(job.block, stage.name, index, before);
    const group = stage.shards === null ? 0 : Math.floor(index / length);
    const stark = starks[group];
    if (system === "stark-shard" && stark !== undefined)
      return starkValuesOf(stark, job.block, stage.name, index, NOBODY);
    const own = recursive[group];
    if (isPickles(system) && own !== undefined) return picklesValuesOf(own, job.block, stage.name, index, NOBODY);
    return valuesOf(runs[group] ?? whole, job.block, stage.name, index, NOBODY);
  };
}

interface StageKey {
  readonly system: ProofSystem;
  readonly key: unknown;
}

async function check(job: VerifyJob, keys: ReadonlyMap<Hash, StageKey>): Promise<Result<Check>> {
  if (isMock(job.system)) return { ok: true, value: mockVerify(job.values, job.proof) };
  const known = keys.get(job.key);
  if (known === undefined) return refuse("verifier.unknown-key", `no verifying key ${job.key}`);
  const system = systemOf(job.system);
  if (system?.verifier === undefined || system.circuit !== known.system.circuit)
    return refuse("verifier.unknown-system", `no verifier for ${job.system}`);
  const { verifier } = system;
  const verdict = await verifier.verify(known.key, job);
  if (verdict.valid || verdict.code !== "proof.equation") return { ok: true, value: verdict };
  return { ok: true, value: (await holdsUnderAnother(job, verifier, known, keys)) ? WRONG_KEY : verdict };
}

const WRONG_KEY: Check = { valid: false, code: "proof.wrong-key" };
/** The versions that a network has of one circuit at a time are few, and a wrong proof must not cost much more than a true one. */
const OTHERS_MAX = 2;

/** Whether the proof was made under an older or a newer key of the network. Which keys it has, all its nodes know. */
async function holdsUnderAnother(
  job: VerifyJob,
  verifier: ThreadVerifier<unknown>,
  known: StageKey,
  keys: ReadonlyMap<Hash, StageKey>,
): Promise<boolean> {
  const others = [...keys.values()].filter(
    (each) => each.system.circuit === known.system.circuit && each.key !== known.key,
  );
  for (const other of others.slice(0, OTHERS_MAX)) if ((await verifier.verify(other.key, job)).valid) return true;
  return false;
}

/** Shards and what they are merged into say the same, of more or fewer items. */
function isPickles(system: string): boolean {
  return systemOf(system)?.circuit === "pickles";
}

/** What takes long before the first proof, and no time afterwards. */
async function load(keys: Iterable<StageKey>): Promise<void> {
  for (const { system, key } of keys) await system.verifier?.load?.(key);
}

function readKeys(keys: Keys): ReadonlyMap<Hash, StageKey> {
  const read = new Map<Hash, StageKey>();
  for (const [hash, { system: name, bytes }] of keys) {
    const system = systemOf(name);
    if (system !== undefined) read.set(hash, { system, key: system.readKey(bytes) });
  }
  return read;
}

function serve(data: WorkerData): void {
  const keys = readKeys(data.keys);
  const say = (what: Answer | Ready): void => parentPort?.postMessage(what, []);
  const answer = async (request: WorkerRequest): Promise<Answer> => {
    switch (request.kind) {
      case "prepare":
        return prepare(request.job);
      case "verify":
        return check(request.job, keys).catch((error: unknown) => {
          if (error instanceof NoVerdict) return refuse("verifier.no-verdict", error.message);
          throw error;
        });
    }
  };
  // What is rejected ends the thread: a fault of the pool's, and never an answer.
  const loaded = load(keys.values());
  void loaded.then(() => say("ready"));
  parentPort?.on("message", (request: WorkerRequest) => {
    void loaded.then(() => answer(request)).then(say);
  });
}

if (!isMainThread && parentPort !== null && (workerData as Partial<WorkerData> | null)?.keys !== undefined) {
  serve(workerData as WorkerData);
}
