/**
 * snarkjs as a program of its own: `node program.js KEYS_DIRECTORY` (`program/serve.ts`).
 *
 * Nothing is imported from here: importing it starts it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Prove, serveJobs } from "../../provers/program/serve.ts";
import { elementOf, valuesOf, witnessOf } from "../../provers/statement.ts";
import { loadSnarkjs, type SnarkjsFile } from "./snarkjs.ts";
import { encodeProof } from "./verify.ts";

async function open(directory: string): Promise<Prove> {
  const snarkjs = await loadSnarkjs();
  const [wasm, zkey] = [readFileSync(join(directory, "shard.wasm")), readFileSync(join(directory, "shard.zkey"))];
  return async ({ run, block, stage, index, prover }, progress) => {
    const values = valuesOf(run, block, stage, index, prover);
    const input = witnessOf(run, elementOf(values.subarray(-32)) ?? 0n);
    const witness: SnarkjsFile = { type: "mem" };
    await snarkjs.wtns.calculate({ ...input }, { type: "mem", data: wasm }, witness);
    progress();
    // Each of its log lines marks a transform or a multi-exponentiation that is done.
    const logger = { debug: progress, info: progress, warn: progress, error: progress };
    const { proof } = await snarkjs.groth16.prove({ type: "mem", data: zkey }, witness, logger);
    return { proof: encodeProof(proof), values };
  };
}

serveJobs({ name: "groth16", packages: ["snarkjs@0.7.6"], open: () => open(process.argv[2] ?? "") });
