/**
 * Halo2 as a program of its own: `node program.js KEYS_DIRECTORY` (`program/serve.ts`).
 *
 * Nothing is imported from here: importing it starts it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Prove, serveJobs } from "../../provers/program/serve.ts";
import { decodeValues, fold, valuesOf, witnessOf } from "../../provers/statement.ts";
import { CIRCUIT_CONFIG, layOut } from "./circuit.ts";
import { provingParameters } from "./setup.ts";
import { createHalo2Verifier, readHalo2Key } from "./verify.ts";
import { type Halo2Circuit, type Halo2Module, HALO2_PACKAGES, loadHalo2 } from "./wasm.ts";

interface Warm {
  readonly module: Halo2Module;
  readonly circuit: Halo2Circuit;
}

function open(directory: string): Promise<Prove> {
  const read = (name: string): Uint8Array => readFileSync(join(directory, name));
  const key = readHalo2Key(read("shard.halo2.vkey"));
  const parameters = provingParameters(read("shard.crs"), read("shard.lagrange"), key.g2);
  const start = (): Warm => {
    const module = loadHalo2();
    const circuit = new module.Halo2Wasm();
    circuit.config(CIRCUIT_CONFIG);
    circuit.loadParams(parameters);
    circuit.loadVk(key.circuit);
    layOut(module, circuit, witnessOf(fold(0n, []), 0n));
    circuit.genPk();
    return { module, circuit };
  };
  const verifier = createHalo2Verifier();
  let warm: Warm | null = start();
  return Promise.resolve(async ({ run, block, stage, index, prover }, progress) => {
    const values = valuesOf(run, block, stage, index, prover);
    const decoded = decodeValues(values);
    if (decoded === null) throw new Error("values out of range");
    const { module, circuit } = warm ?? start();
    // After a panic nothing of the instance is to be trusted.
    warm = null;
    layOut(module, circuit, witnessOf(run, decoded.context));
    progress();
    const proof = circuit.prove();
    warm = { module, circuit };
    // It proves whatever it is given: that the constraints hold is seen here.
    if (!verifier.verify(key, values, proof).valid) throw new Error("the run does not satisfy the circuit");
    return Promise.resolve({ proof, values });
  });
}

serveJobs({ name: "halo2", packages: HALO2_PACKAGES, open: async () => open(process.argv[2] ?? "") });
