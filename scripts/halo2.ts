/**
 * Makes the key of the Halo2 circuit, and of the reference string what its prover takes besides shard.crs.
 *
 *     node scripts/halo2.ts [--out DIR] [--help]        after `npm ci --prefix config/halo2`
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bn254 } from "@noble/curves/bn254.js";
import { loadSnarkjs } from "../src/proofs/groth16/snarkjs.ts";
import { CIRCUIT_CONFIG, CIRCUIT_POWER, layOut } from "../src/proofs/halo2/circuit.ts";
import { G1_BYTES, G2_BYTES, POINTS, provingParameters } from "../src/proofs/halo2/setup.ts";
import { readHalo2Key } from "../src/proofs/halo2/verify.ts";
import { loadHalo2 } from "../src/proofs/halo2/wasm.ts";
import { fold, witnessOf } from "../src/provers/statement.ts";
import { describeFiles, ROOT, say } from "./setup.ts";

const HELP = `Makes shard.lagrange and shard.halo2.vkey from shard.crs and shard.honk.vkey.

  --out DIR    where those are and these go (default config/keys; a network of its own names its own directory)
  --help       this text

There is no secret in it: the setup is the one that scripts/ultrahonk.ts made or took from a ceremony.
The hash of shard.halo2.vkey goes into the manifest of the network.
`;

const { Fr } = bn254.fields;
/** What Halo2 takes for a primitive root of unity of order 2^28 is a power of 7; snarkjs has another. */
const [ROOT_POWER, ROOT_BASE] = [28, 7n];

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: join(ROOT, "config/keys") },
    help: { type: "boolean", default: false },
  },
});

/** The first powers as values of Lagrange's polynomials, in the order of Halo2's roots of unity; plain and big-endian. */
async function lagrangeOf(crs: Uint8Array): Promise<Uint8Array> {
  const curve = await (await loadSnarkjs()).curves.getCurveFromName("bn128");
  const { G1 } = curve;
  const powers = new Uint8Array(POINTS * G1_BYTES);
  for (let at = 0; at < powers.length; at += G1_BYTES) powers.set(G1.fromRprUncompressed(crs, at), at);
  const found = await G1.lagrangeEvaluations(powers, "affine", "affine");
  const theirs = curve.Fr.toObject(curve.Fr.w[CIRCUIT_POWER] ?? curve.Fr.one);
  const ours = Fr.pow(
    Fr.pow(ROOT_BASE, (Fr.ORDER - 1n) >> BigInt(ROOT_POWER)),
    1n << BigInt(ROOT_POWER - CIRCUIT_POWER),
  );
  let step = 0;
  for (let power = 1n; power !== ours; power = Fr.mul(power, theirs)) step++;
  const lagrange = new Uint8Array(powers.length);
  for (let i = 0; i < POINTS; i++) {
    const from = ((step * i) % POINTS) * G1_BYTES;
    G1.toRprUncompressed(lagrange, i * G1_BYTES, found.subarray(from, from + G1_BYTES));
  }
  return lagrange;
}

async function build(): Promise<void> {
  const out = resolve(options.out);
  const crs = new Uint8Array(readFileSync(join(out, "shard.crs")));
  const g2 = new Uint8Array(readFileSync(join(out, "shard.honk.vkey")).subarray(0, G2_BYTES));
  say(`${POINTS} powers as values of Lagrange's polynomials`);
  const lagrange = await lagrangeOf(crs);
  say("verifying key");
  const module = loadHalo2();
  const circuit = new module.Halo2Wasm();
  circuit.config(CIRCUIT_CONFIG);
  circuit.loadParams(provingParameters(crs, lagrange, g2));
  layOut(module, circuit, witnessOf(fold(0n, []), 0n));
  const { advice, lookup, fixed } = circuit.getCircuitStats();
  say(`${advice} cells, ${lookup} lookups, ${fixed} constants`);
  circuit.genVk();
  const key = new Uint8Array([...g2, ...circuit.getVk()]);
  readHalo2Key(key);
  writeFileSync(join(out, "shard.lagrange"), lagrange);
  writeFileSync(join(out, "shard.halo2.vkey"), key);
  describeFiles(out, ["shard.lagrange", "shard.halo2.vkey"]);
}

if (options.help) {
  console.log(HELP);
} else {
  await build();
}
// snarkjs leaves worker threads running.
process.exit(0);
