/**
 * Measures the proof systems that come with the node, or are opt-in, on one full shard: proving, verifying, sizes and memory.
 *
 *     node scripts/provers.ts [--proofs N] [--system NAME] [--json]
 *
 * The time of a processor says more than the clock's wherever a machine does something else beside it, so both are told.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { payloadOf, SHARD_ITEMS_MAX } from "../src/protocol/ethereum.ts";
import { artefactHash, blockId, ZERO_HASH } from "../src/protocol/ids.ts";
import { NOBODY } from "../src/protocol/payee.ts";
import { cutInto } from "../src/protocol/workflow.ts";
import type { Done, Preparation, ProveEvent, ProveJob, Prover } from "../src/ports.ts";
import { createGroth16Prover } from "../src/proofs/groth16/prover.ts";
import { createHalo2Prover } from "../src/proofs/halo2/prover.ts";
import { createPicklesProvers } from "../src/proofs/pickles/prover.ts";
import { createStarkProver } from "../src/proofs/stark/prover.ts";
import { createUltraHonkProver } from "../src/proofs/ultrahonk/prover.ts";
import { createVerifier } from "../src/provers/verifier.ts";
import { ROOT } from "./setup.ts";

const KEYS = join(ROOT, "config/keys");
const BLOCK = join(ROOT, "test/vectors/blocks/goerli-10536893.json");
const VERIFICATIONS = 20;
/** Of proc(5). */
const TICKS_PER_S = 100;

const { values: options } = parseArgs({
  options: {
    proofs: { type: "string", default: "3" },
    system: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

const LIMITS = { slots: 1, keysDir: KEYS, timeoutMs: 1_000_000 };
const SYSTEMS: Readonly<Record<string, { readonly key: string; readonly open: () => Prover }>> = {
  "groth16-shard": { key: "shard.vkey.json", open: () => createGroth16Prover(LIMITS) },
  "ultrahonk-shard": { key: "shard.honk.vkey", open: () => createUltraHonkProver(LIMITS) },
  "stark-shard": { key: "shard.stark.json", open: () => createStarkProver(LIMITS) },
  "halo2-shard": { key: "shard.halo2.vkey", open: () => createHalo2Prover(LIMITS) },
  "pickles-shard": { key: "shard.pickles.json", open: () => first(createPicklesProvers(LIMITS)) },
};

/** Measured only where they are asked for. */
const OPT_IN: ReadonlySet<string> = new Set(["halo2-shard", "pickles-shard"]);

function first(provers: readonly Prover[]): Prover {
  const [prover] = provers;
  if (prover === undefined) throw new Error("no prover");
  return prover;
}

interface Figures {
  readonly system: string;
  /** The first proof of a program, with its start, and the fastest of the others. */
  readonly firstS: number;
  readonly proveS: number;
  readonly proveCpuS: number;
  readonly verifyMs: number;
  readonly verifyCpuMs: number;
  readonly bytes: number;
  readonly memoryMiB: number;
}

async function settled<T>(start: (done: Done<T>) => unknown): Promise<T> {
  const result = await new Promise<Parameters<Done<T>>[0]>((resolve) => void start(resolve));
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}

/** What this process has started has used: seconds of processors, and the most memory at once of any. */
function used(): { readonly cpuS: number; readonly memoryMiB: number } {
  const parents = new Map<number, number>();
  const ticks = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const fields = read(`/proc/${name}/stat`)
      .replace(/^.*\) /s, "")
      .split(" ");
    parents.set(Number(name), Number(fields[1]));
    ticks.set(Number(name), Number(fields[11] ?? 0) + Number(fields[12] ?? 0));
  }
  const isOurs = (pid: number): boolean => {
    const parent = parents.get(pid) ?? 0;
    return parent === process.pid || (parent > 1 && isOurs(parent));
  };
  const ours = [...parents.keys()].filter(isOurs);
  const memory = ours.map((pid) => Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1024);
  return {
    cpuS: ours.reduce((sum, pid) => sum + (ticks.get(pid) ?? 0), 0) / TICKS_PER_S,
    memoryMiB: Math.round(Math.max(0, ...memory)),
  };
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

async function measure(system: string, { key: file, open }: (typeof SYSTEMS)[string]): Promise<Figures> {
  const encoded = payloadOf(JSON.parse(readFileSync(BLOCK, "utf8")) as Record<string, unknown>);
  if (!encoded.ok) throw new Error(encoded.fault.message);
  const { height, hash, parent, items, payload } = encoded.value;
  const shards = Math.ceil(items / SHARD_ITEMS_MAX);
  const announced = { chain: 1, height, hash, parent, start: true, workflow: "block", items };
  const block = blockId(ZERO_HASH, { ...announced, payload: artefactHash(payload) });
  const bytes = new Uint8Array(readFileSync(join(KEYS, file)));
  const key = artefactHash(bytes);
  const verifier = createVerifier({ keys: new Map([[key, { system, bytes }]]), deadlineMs: LIMITS.timeoutMs });
  const stages = [{ name: "shard", systems: [system], groups: shards, shards: cutInto(shards) }];
  const prepareJob = {
    chain: 1,
    chainId: 1,
    height,
    block,
    hash,
    parent,
    items,
    payload,
    range: 1,
    before: null,
    stages,
  };
  const prepared = await settled<Preparation & { readonly before: Uint8Array }>((done) =>
    verifier.prepare(prepareJob, done),
  );
  const values = prepared.values["shard"]?.[0] ?? new Uint8Array();
  const id = { chain: 1, chainId: 1, height, block, hash, parent, stage: "shard", index: 0 };
  const { before } = prepared;
  const paid = { prover: NOBODY, values, makers: [] };
  const job: ProveJob = { id, attempt: 0, system, key, payload, before, ...paid, group: 0, shards, inputs: [] };
  const prover = open();
  const prove = async (): Promise<{ readonly proof: Uint8Array; readonly s: number; readonly cpuS: number }> => {
    const [started, cpu] = [performance.now(), used().cpuS];
    const event = await new Promise<ProveEvent>((resolve) => {
      prover.prove(job, (each) => {
        if (each.kind !== "progress") resolve(each);
      });
    });
    if (event.kind !== "proved") throw new Error(JSON.stringify(event));
    return { proof: event.proof, s: (performance.now() - started) / 1000, cpuS: used().cpuS - cpu };
  };
  const cold = await prove();
  const others = [];
  for (let i = 0; i < Number(options.proofs); i++) others.push(await prove());
  const { memoryMiB } = used();
  await prover.close();

  const { proof } = cold;
  const verify = () =>
    settled<{ readonly valid: boolean }>((done) => verifier.verify({ system, key, values, parts: [], proof }, done));
  if (!(await verify()).valid) throw new Error(`${system}: the proof does not hold`);
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  for (let i = 0; i < VERIFICATIONS; i++) await verify();
  const verifyMs = (performance.now() - started) / VERIFICATIONS;
  const { user, system: kernel } = process.cpuUsage(cpu);
  await verifier.close();
  return {
    system,
    firstS: cold.s,
    proveS: Math.min(...others.map(({ s }) => s)),
    proveCpuS: Math.min(...others.map(({ cpuS }) => cpuS)),
    verifyMs,
    verifyCpuMs: (user + kernel) / 1000 / VERIFICATIONS,
    bytes: proof.length,
    memoryMiB,
  };
}

const rows: Figures[] = [];
for (const [system, known] of Object.entries(SYSTEMS)) {
  // What is opt-in is measured where it is asked for.
  const isWanted = options.system === undefined ? !OPT_IN.has(system) : options.system === system;
  if (isWanted) rows.push(await measure(system, known));
}
if (options.json) {
  console.log(JSON.stringify(rows));
} else {
  const line = (cells: readonly unknown[]): string => `| ${cells.join(" | ")} |`;
  console.log(line(["system", "first s", "prove s", "cpu s", "verify ms", "cpu ms", "bytes", "MiB"]));
  console.log(line(Array.from({ length: 8 }, () => "---")));
  for (const row of rows) {
    const { system, firstS, proveS, proveCpuS, verifyMs, verifyCpuMs, bytes, memoryMiB } = row;
    const seconds = [firstS, proveS, proveCpuS].map((each) => each.toFixed(1));
    const ms = [verifyMs, verifyCpuMs].map((each) => each.toFixed(0));
    console.log(line([system, ...seconds, ...ms, bytes, memoryMiB]));
  }
}
