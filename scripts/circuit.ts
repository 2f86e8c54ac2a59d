/**
 * Builds the shard circuit and its keys.
 *
 *     node scripts/circuit.ts [--out DIR] [--ptau FILE] [--zkey FILE] [--r1cs-out FILE] [--help]
 *
 * The secrets of both phases are drawn from the system's random source and forgotten with the process.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { SHARD_ITEMS_MAX } from "../src/protocol/ethereum.ts";
import { loadSnarkjs, type Snarkjs } from "../src/proofs/groth16/snarkjs.ts";
import { POSEIDON } from "../src/provers/poseidon.ts";
import { describeFiles, progress, ROOT, say, secret, version } from "./setup.ts";

const HELP = `Builds the shard circuit and its keys: shard.wasm, shard.zkey, shard.vkey.json, manifest.json.

  --out DIR        where to (default config/keys; a network of its own names its own directory)
  --ptau FILE      a powers-of-tau file prepared for phase 2, of power 13 or more, instead of a new one by one party
  --zkey FILE      a finished proving key instead of a new one; it is checked against the circuit and --ptau
  --r1cs-out FILE  also keep the constraint system, which every contributor of a ceremony needs
  --help           this text

With neither --ptau nor --zkey the setup is made here by one party: whoever could read this process could forge proofs.
That serves development. A network that anybody else depends on runs a ceremony with the snarkjs program:

  1. phase 1, once:   snarkjs powersoftau new bn128 13 0.ptau; every party in turn: snarkjs powersoftau contribute;
                      then snarkjs powersoftau prepare phase2. Or any public BN254 file of power 13 or more.
  2. the circuit:     node scripts/circuit.ts --ptau final.ptau --r1cs-out shard.r1cs --out first
  3. phase 2:         every party in turn: snarkjs zkey contribute, starting from first/shard.zkey
  4. the result:      node scripts/circuit.ts --ptau final.ptau --zkey last.zkey --out keys

One honest party in each phase is enough. The hash of shard.vkey.json goes into the manifest of the network.
`;

/** The circuit has 7,874 constraints and six public wires: 2^13 is the next power of two, and nine items pass it. */
const POWER = 13;
const CIRCUIT = join(ROOT, "src/proofs/groth16/circuit");

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: join(ROOT, "config/keys") },
    ptau: { type: "string" },
    zkey: { type: "string" },
    "r1cs-out": { type: "string" },
    help: { type: "boolean", default: false },
  },
});

function rows(matrix: readonly (readonly bigint[])[]): string {
  return matrix.map((row) => `    [${row.join(", ")}]`).join(",\n");
}

/** The constants stand in the repository so that the circuit can be read as a whole; this keeps them the true ones. */
function writeConstants(): void {
  const text = `pragma circom 2.2.0;

// Poseidon's constants for BN254, t = 5, from the Grain LFSR. Written by scripts/circuit.ts; not to be edited.

function ROUND_CONSTANTS() {
  return [
${rows(POSEIDON.roundConstants)}
  ];
}

function MDS() {
  return [
${rows(POSEIDON.mds)}
  ];
}
`;
  writeFileSync(join(CIRCUIT, "constants.circom"), text);
}

function compile(directory: string): void {
  const source = readFileSync(join(CIRCUIT, "shard.circom"), "utf8");
  if (!source.includes(`= Shard(${SHARD_ITEMS_MAX});`)) throw new Error("shard.circom and SHARD_ITEMS_MAX differ");
  const compiler = join(dirname(createRequire(import.meta.url).resolve("circom2/package.json")), "cli.js");
  execFileSync(
    process.execPath,
    [compiler, join(CIRCUIT, "shard.circom"), "--r1cs", "--wasm", "--O1", "-o", directory],
    { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] },
  );
}

async function powersOfTau(snarkjs: Snarkjs, directory: string): Promise<string> {
  if (options.ptau !== undefined) return options.ptau;
  const [empty, contributed, prepared] = ["0.ptau", "1.ptau", "final.ptau"].map((name) => join(directory, name));
  if (empty === undefined || contributed === undefined || prepared === undefined) throw new Error("three names");
  say(`powers of tau 2^${POWER}, by this party alone`);
  await snarkjs.powersOfTau.newAccumulator(await snarkjs.curves.getCurveFromName("bn128"), POWER, empty);
  await snarkjs.powersOfTau.contribute(empty, contributed, "one party", secret(), progress());
  say("preparing phase 2");
  await snarkjs.powersOfTau.preparePhase2(contributed, prepared, progress());
  return prepared;
}

async function provingKey(snarkjs: Snarkjs, directory: string, r1cs: string, powers: string): Promise<string> {
  if (options.zkey !== undefined) return options.zkey;
  say("proving key");
  const [first, contributed] = [join(directory, "0.zkey"), join(directory, "1.zkey")];
  await snarkjs.zKey.newZKey(r1cs, powers, first, progress());
  await snarkjs.zKey.contribute(first, contributed, "one party", secret(), progress());
  return contributed;
}

async function build(directory: string): Promise<void> {
  const snarkjs = await loadSnarkjs();
  writeConstants();
  say("compiling the circuit");
  compile(directory);
  const r1cs = join(directory, "shard.r1cs");
  const { nConstraints: constraints } = await snarkjs.r1cs.info(r1cs);
  say(`${constraints} constraints for ${SHARD_ITEMS_MAX} items`);
  const powers = await powersOfTau(snarkjs, directory);
  const key = await provingKey(snarkjs, directory, r1cs, powers);
  say("checking the proving key against the circuit");
  if (!(await snarkjs.zKey.verifyFromR1cs(r1cs, powers, key))) throw new Error("the proving key is not the circuit's");
  const verifyingKey = await snarkjs.zKey.exportVerificationKey(key);

  const out = resolve(options.out);
  mkdirSync(out, { recursive: true });
  copyFileSync(join(directory, "shard_js/shard.wasm"), join(out, "shard.wasm"));
  copyFileSync(key, join(out, "shard.zkey"));
  writeFileSync(join(out, "shard.vkey.json"), `${JSON.stringify(verifyingKey, null, 1)}\n`);
  if (options["r1cs-out"] !== undefined) copyFileSync(r1cs, options["r1cs-out"]);
  const files = describeFiles(out, ["shard.wasm", "shard.zkey", "shard.vkey.json"]);
  const setup = options.ptau === undefined || options.zkey === undefined ? "one-party" : "ceremony";
  const versions = { snarkjs: version("snarkjs"), circom2: version("circom2") };
  const manifest = { circuit: "shard", itemsMax: SHARD_ITEMS_MAX, constraints, setup, ...versions, files };
  writeFileSync(join(out, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

if (options.help) {
  console.log(HELP);
} else {
  const directory = mkdtempSync(join(tmpdir(), "proofmesh-circuit-"));
  try {
    await build(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
// snarkjs leaves worker threads running.
process.exit(0);
