import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { bn254 } from "@noble/curves/bn254.js";
import { type EncodedBlock, payloadOf } from "../../src/protocol/ethereum.ts";
import { artefactHash, blockId, type Hash, type Key, ZERO_HASH } from "../../src/protocol/ids.ts";
import { valuesFor } from "../../src/protocol/payee.ts";
import { payeeOf } from "../../src/protocol/systems.ts";
import { cutInto } from "../../src/protocol/workflow.ts";
import type {
  Clock,
  Done,
  PrepareJob,
  ProveEvent,
  ProveJob,
  Prover,
  Result,
  Verifier,
  VerifyJob,
} from "../../src/ports.ts";
import { elementOf, encodeElement, foldBlock, type Prepared, valuesOf } from "../../src/provers/statement.ts";
import { createVerifier } from "../../src/provers/verifier.ts";

export const KEYS_DIR: string = join(import.meta.dirname, "../../config/keys");
const BLOCKS = join(import.meta.dirname, "../vectors/blocks");

export const VKEY: Uint8Array = new Uint8Array(readFileSync(join(KEYS_DIR, "shard.vkey.json")));
export const HONK_KEY: Uint8Array = new Uint8Array(readFileSync(join(KEYS_DIR, "shard.honk.vkey")));
export const STARK_KEY: Uint8Array = new Uint8Array(readFileSync(join(KEYS_DIR, "shard.stark.json")));
export const VKEY_HASH: Hash = artefactHash(VKEY);

export function rpcBlock(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(BLOCKS, `${name}.json`), "utf8")) as Record<string, unknown>;
}

export function block(name: string): EncodedBlock {
  const result = payloadOf(rpcBlock(name));
  if (!result.ok) throw new Error(result.fault.message);
  return result.value;
}

/** Four legacy transactions: small enough to prove in a test. */
export const SMALL: EncodedBlock = block("mainnet-2000004");
export const SMALL_SHARDS = 2;

/** A stage of shards and one that takes them. */
export function rows(shard: string, aggregate: string, shards: number): PrepareJob["stages"] {
  return [
    { name: "shard", systems: [shard], groups: shards, shards: cutInto(shards) },
    { name: "block", systems: [aggregate], groups: 1, shards: null },
  ];
}

function blockOf({ height, hash, parent, items, payload }: EncodedBlock): string {
  const place = { chain: 1, height, hash, parent, start: true };
  return blockId(ZERO_HASH, { ...place, workflow: "block", items, payload: artefactHash(payload) });
}

export function prepareJob(of: EncodedBlock, shards: number, changes: Partial<PrepareJob> = {}): PrepareJob {
  const { height, hash, parent, items, payload } = of;
  const id = blockOf(of);
  const stages = rows("groth16-shard", "groth16-batch", shards);
  const place = { chain: 1, chainId: 1, height, block: id, hash, parent };
  return { ...place, items, payload, range: 1, before: null, stages, ...changes };
}

/** Who is paid for the proofs that tests make. */
export const PROVER: Key = artefactHash(Buffer.from("a prover"));

export function proveJob(of: EncodedBlock, before: Uint8Array, changes: Partial<ProveJob> = {}): ProveJob {
  const { height, hash, parent, payload } = of;
  const id = { chain: 1, chainId: 1, height, block: blockOf(of), hash, parent, stage: "shard", index: 0 };
  const { shards = SMALL_SHARDS } = changes;
  const folded = foldBlock(payload, hash, elementOf(before), 1, shards);
  const shard = folded.ok ? folded.value.shards[0] : undefined;
  if (shard === undefined) throw new Error("no first shard");
  const values = valuesOf(shard, id.block, id.stage, 0, PROVER);
  const rest = { payload, before, prover: PROVER, values, group: 0, shards, inputs: [], makers: [] };
  return { id, attempt: 0, system: "groth16-shard", key: VKEY_HASH, ...rest, ...changes };
}

/** A key that begins with the secret's point of its setup, under another setup: its point is another one of the group. */
export function otherSetup(bytes: Uint8Array): Uint8Array {
  const { x, y } = bn254.G2.Point.BASE.multiply(7n).toAffine();
  const key = bytes.slice();
  [x.c0, x.c1, y.c0, y.c1].forEach((coordinate, i) => key.set(encodeElement(coordinate), 32 * i));
  return key;
}

/** A system with its key, a verifier that has it, and what is to be proved of the small block. */
export interface Bench {
  readonly verifier: Verifier;
  readonly key: Hash;
  readonly before: Uint8Array;
  /** Public values of its shards. */
  readonly values: readonly Uint8Array[];
  readonly job: (index?: number) => ProveJob;
  readonly verifyJob: (proof: Uint8Array, index?: number) => VerifyJob;
}

export async function bench(system: string, bytes: Uint8Array, ...others: readonly Uint8Array[]): Promise<Bench> {
  const key = artefactHash(bytes);
  const keys = new Map([bytes, ...others].map((each) => [artefactHash(each), { system, bytes: each }]));
  const verifier = createVerifier({ keys });
  const stages = [{ name: "shard", systems: [system], groups: SMALL_SHARDS, shards: cutInto(SMALL_SHARDS) }];
  const prepared = await value<Prepared>((done) => verifier.prepare(prepareJob(SMALL, SMALL_SHARDS, { stages }), done));
  const { before } = prepared;
  const values = (prepared.values["shard"] ?? []).map((each) => valuesFor(payeeOf(system), each, PROVER));
  const of = (index: number): Uint8Array => values[index] ?? new Uint8Array();
  return {
    verifier,
    key,
    before,
    values,
    job: (index = 0) => {
      const job = proveJob(SMALL, before, { system, key, values: of(index) });
      return { ...job, id: { ...job.id, index }, group: index };
    },
    verifyJob: (proof, index = 0) => ({ system, key, values: of(index), parts: [], proof }),
  };
}

/** All events of one job, after which the prover goes, and its proof. */
export async function proofOf(
  prover: Prover,
  job: ProveJob,
): Promise<{ readonly events: readonly ProveEvent[]; readonly proof: Uint8Array }> {
  const events = await run(prover, job);
  await prover.close();
  const event = events.at(-1);
  if (event?.kind !== "proved") throw new Error(JSON.stringify(event));
  return { events, proof: event.proof };
}

export function outcome<T>(start: (done: Done<T>) => unknown): Promise<Result<T>> {
  return new Promise((resolve) => {
    start(resolve);
  });
}

export async function value<T>(start: (done: Done<T>) => unknown): Promise<T> {
  const result = await outcome(start);
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}

/** All events of a job, up to its last. */
export function run(prover: Prover, job: ProveJob): Promise<readonly ProveEvent[]> {
  return new Promise((resolve) => {
    const events: ProveEvent[] = [];
    prover.prove(job, (event) => {
      events.push(event);
      if (event.kind !== "progress") resolve(events);
    });
  });
}

export async function last(prover: Prover, job: ProveJob): Promise<ProveEvent> {
  const event = (await run(prover, job)).at(-1);
  if (event === undefined) throw new Error("no event");
  return event;
}

export const CLOCK: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(delayMs, later) {
    const timer = setTimeout(later, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Fields of proc(5) after the command: state, parent, ... A dead process waits as a zombie for whoever reaps it. */
function stat(pid: number | string): readonly string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? null : fields;
  } catch {
    return null;
  }
}

export function alive(pid: number): boolean {
  return stat(pid) !== null;
}

/** Processes that this one started, and what they started. */
export function descendants(): readonly number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const fields = stat(name);
    if (fields !== null) parents.set(Number(name), Number(fields[1]));
  }
  const found = new Set([process.pid]);
  for (let grew = true; grew; ) {
    grew = false;
    for (const [child, parent] of parents) {
      if (!found.has(parent) || found.has(child)) continue;
      found.add(child);
      grew = true;
    }
  }
  found.delete(process.pid);
  return [...found];
}
