/**
 * Noir and Barretenberg as a program of their own: `node program.js KEYS_DIRECTORY` (`program/serve.ts`).
 *
 * Nothing is imported from here: importing it starts it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type Prove, serveJobs } from "../../provers/program/serve.ts";
import { elementOf, VALUES_BYTES, valuesOf, type Witness, witnessOf } from "../../provers/statement.ts";
import { type Circuit, G2_BYTES, loadNoir, openBarretenberg, PROVER_PACKAGES } from "./bb.ts";

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** The circuit's inputs, under the names that they have there. */
function inputsOf({ feeLimit, ...rest }: Witness): Readonly<Record<string, unknown>> {
  const named = Object.entries({ ...rest, fee_limit: feeLimit });
  return Object.fromEntries(named.map(([name, of]) => [name, typeof of === "bigint" ? hex(of) : of.map(hex)]));
}

async function open(directory: string): Promise<Prove> {
  const { Noir } = await loadNoir();
  const circuit = JSON.parse(readFileSync(join(directory, "shard.noir.json"), "utf8")) as Circuit;
  const bytecode = gunzipSync(Buffer.from(circuit.bytecode, "base64"));
  const key = readFileSync(join(directory, "shard.honk.vkey"));
  const instance = await openBarretenberg(readFileSync(join(directory, "shard.crs")), key.subarray(0, G2_BYTES));
  const noir = new Noir(circuit);
  return async ({ run, block, stage, index, prover }, progress) => {
    const values = valuesOf(run, block, stage, index, prover);
    const { witness } = await noir.execute(inputsOf(witnessOf(run, elementOf(values.subarray(-32)) ?? 0n)));
    progress();
    // The public values stand in front of the proof; whoever verifies it has them from the block.
    const proof = instance.acirProveUltraHonk(bytecode, false, gunzipSync(witness)).slice(VALUES_BYTES);
    return { proof, values };
  };
}

serveJobs({ name: "ultrahonk", packages: PROVER_PACKAGES, open: () => open(process.argv[2] ?? "") });
