/**
 * o1js as a program of its own: `node program.js KEYS_DIRECTORY` (`program/serve.ts`). It proves shards, and it merges what
 * it is given.
 *
 * Nothing is imported from here: importing it starts it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type ProgramTask, type Prove, serveJobs } from "../../provers/program/serve.ts";
import { type Values, witnessOf } from "../../provers/statement.ts";
import { circuitItems, circuitValues, createCircuit } from "./circuit.ts";
import { type CircuitProgram, loadO1js, type O1js, PICKLES_PACKAGES, type RecursiveProof } from "./o1js.ts";
import { decodePicklesValues, picklesRuns, picklesValuesOf } from "./statement.ts";
import { decodeProof, encodeProof, poseidonOf, readPicklesKey } from "./verify.ts";

async function open(directory: string): Promise<Prove> {
  const key = readPicklesKey(readFileSync(join(directory, "shard.pickles.json")));
  const o1js = await loadO1js();
  const circuit = createCircuit(o1js);
  const { verificationKey } = await circuit.compile({ cache: o1js.Cache.FileSystemDefault });
  if (verificationKey.data !== key.data)
    throw new Error("the circuit has another verifying key than shard.pickles.json");
  return (task, progress) => prove(o1js, circuit, task, progress);
}

async function prove(
  o1js: O1js,
  circuit: CircuitProgram,
  { run, runs, block, stage, index, prover, inputs }: ProgramTask,
  progress: () => void,
): Promise<{ proof: Uint8Array; values: Uint8Array }> {
  const made = picklesRuns(runs, poseidonOf(o1js))[runs.indexOf(run)];
  if (made === undefined) throw new Error("the run is none of the block's");
  const values = picklesValuesOf(made, block, stage, index, prover);
  const wanted = decodePicklesValues(values);
  if (wanted === null) throw new Error("values out of range");
  const shard = async (of: typeof made): Promise<RecursiveProof> => {
    const witness = witnessOf(of, wanted.context);
    return (await circuit.shard(circuitValues(o1js, witness), circuitItems(o1js, witness))).proof;
  };
  if (inputs.length === 0) return { proof: encodeProof(values, (await shard(made)).toJSON()), values };
  const parts = await Promise.all(
    inputs.map(async (bytes) => {
      const input = decodeProof(bytes);
      if (input === null) throw new Error("an input is no proof of this system");
      return { values: input.values, proof: await circuit.Proof.fromJSON(input.json) };
    }),
  );
  // One alone is merged with a proof of nothing after it: a merged proof has a context of its own.
  if (parts.length === 1) {
    const nothing = { before: made.after, after: made.after, fees: 0n, items: [] };
    const { context } = wanted;
    parts.push({ values: { ...nothing, count: 0n, context }, proof: await shard(nothing) });
  }
  const proof = await mergeAll(o1js, circuit, parts, wanted, progress);
  return { proof: encodeProof(values, proof.toJSON()), values };
}

interface Part {
  readonly values: Values;
  readonly proof: RecursiveProof;
}

/** Two by two, until one is left. Fails where they do not follow each other from the first commitment to the last. */
async function mergeAll(
  o1js: O1js,
  circuit: CircuitProgram,
  parts: readonly Part[],
  wanted: Values,
  progress: () => void,
): Promise<RecursiveProof> {
  let level = parts;
  while (level.length > 1) {
    const next: Part[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = level.slice(at, at + 2);
      if (left === undefined || right === undefined) {
        next.push(...level.slice(at));
        continue;
      }
      const { before, fees, count } = left.values;
      const { after } = right.values;
      const sum = { fees: fees + right.values.fees, count: count + right.values.count };
      const values = { before, after, ...sum, context: wanted.context };
      const { proof } = await circuit.merge(circuitValues(o1js, values), left.proof, right.proof);
      progress();
      next.push({ values, proof });
    }
    level = next;
  }
  const [last] = level;
  if (last === undefined) throw new Error("nothing to merge");
  for (const name of ["before", "after", "fees", "count"] as const)
    if (last.values[name] !== wanted[name]) throw new Error(`the inputs are not the block's: ${name} differs`);
  return last.proof;
}

serveJobs({ name: "pickles", packages: PICKLES_PACKAGES, open: () => open(process.argv[2] ?? "") });
