/**
 * genSTARK as a program of its own: `node program.js KEYS_DIRECTORY` (`program/serve.ts`).
 *
 * Nothing is imported from here: importing it starts it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Prove, serveJobs } from "../../provers/program/serve.ts";
import { assertionsOf, traceOf } from "./air.ts";
import { loadGenstark, proveTrace, STARK_PACKAGES } from "./genstark.ts";
import { decodeStarkValues, starkRuns, starkValuesOf } from "./statement.ts";
import { instantiate, readStarkKey } from "./verify.ts";

async function open(directory: string): Promise<Prove> {
  const genstark = await loadGenstark();
  const key = readStarkKey(readFileSync(join(directory, "shard.stark.json")));
  return async ({ run, runs, block, stage, index, prover }, progress) => {
    const made = starkRuns(runs)[runs.indexOf(run)];
    if (made === undefined) throw new Error("the run is none of the block's");
    const values = starkValuesOf(made, block, stage, index, prover);
    const decoded = decodeStarkValues(values);
    if (decoded === null) throw new Error("values out of range");
    progress();
    // A new instance each time: its memory is never given back.
    const stark = instantiate(genstark, key, made.slots.length);
    const proof = proveTrace(stark, traceOf(made, decoded.context), assertionsOf(decoded));
    return { proof: stark.serialize(proof), values };
  };
}

serveJobs({ name: "stark", packages: STARK_PACKAGES, open: () => open(process.argv[2] ?? "") });
