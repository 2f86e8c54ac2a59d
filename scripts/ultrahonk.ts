/**
 * Compiles the shard circuit of UltraHonk and makes its reference string and key.
 *
 *     node scripts/ultrahonk.ts [--out DIR] [--ptau FILE] [--help]
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { compile as compileNoir, createFileManager } from "@noir-lang/noir_wasm";
import { SHARD_ITEMS_MAX } from "../src/protocol/ethereum.ts";
import { loadSnarkjs, type SnarkjsCurve } from "../src/proofs/groth16/snarkjs.ts";
import { G1_BYTES, G2_BYTES, openBarretenberg } from "../src/proofs/ultrahonk/bb.ts";
import { readUltraHonkKey } from "../src/proofs/ultrahonk/verify.ts";
import { describeFiles, ROOT, say, version } from "./setup.ts";

const HELP = `Compiles the shard circuit of UltraHonk: shard.noir.json, shard.crs, shard.honk.vkey, ultrahonk.manifest.json.

  --out DIR    where to (default config/keys; a network of its own names its own directory)
  --ptau FILE  a powers-of-tau file of power 14 or more instead of a new one by one party; the file of the ceremony that
               scripts/circuit.ts takes serves both, and nothing comes after it here
  --help       this text

Without --ptau the setup is made here by one party: whoever could read this process could forge proofs.
The hash of shard.honk.vkey goes into the manifest of the network.
`;

/** The circuit has 13,177 rows: 2^14 is the next power of two. */
const POWER = 14;
const CIRCUIT = join(ROOT, "src/proofs/ultrahonk/circuit");
/** The library asks for one power more than the circuit has rows. */
const POINTS = 2 ** POWER + 1;
/** Of a powers-of-tau file: powers in the first and in the second group. */
const [G1_SECTION, G2_SECTION] = [2, 3];

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: join(ROOT, "config/keys") },
    ptau: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** Only what proving takes: debug symbols and sources stay out, and with them this machine's paths. */
async function compile(): Promise<string> {
  const source = readFileSync(join(CIRCUIT, "src/main.nr"), "utf8");
  if (!source.includes(`global N: u32 = ${SHARD_ITEMS_MAX};`)) throw new Error("main.nr and SHARD_ITEMS_MAX differ");
  const { program } = (await compileNoir(createFileManager(CIRCUIT))) as unknown as {
    readonly program: Readonly<Record<string, unknown>>;
  };
  const { noir_version: noirVersion, abi, bytecode } = program;
  return `${JSON.stringify({ noir_version: noirVersion, abi, bytecode })}\n`;
}

/** The sections of a file of snarkjs: a magic word, a version, and so many of number, length and bytes. */
function sections(file: string): ReadonlyMap<number, Buffer> {
  const bytes = readFileSync(file);
  const found = new Map<number, Buffer>();
  let at = 12;
  for (let left = bytes.readUInt32LE(8); left > 0; left--) {
    const length = Number(bytes.readBigUInt64LE(at + 4));
    found.set(bytes.readUInt32LE(at), bytes.subarray(at + 12, at + 12 + length));
    at += 12 + length;
  }
  return found;
}

interface ReferenceString {
  readonly g1: Uint8Array;
  readonly g2: Uint8Array;
}

/** Affine points in Montgomery form and little-endian become big-endian ones. */
function encode({ G1, G2 }: SnarkjsCurve, powers: Uint8Array, secretPoint: Uint8Array): ReferenceString {
  const g1 = new Uint8Array(POINTS * G1_BYTES);
  for (let at = 0; at < g1.length; at += G1_BYTES) G1.toRprUncompressed(g1, at, powers.subarray(at, at + G1_BYTES));
  const point = G2.toObject(secretPoint);
  const coordinates = [point[0]?.[0], point[0]?.[1], point[1]?.[0], point[1]?.[1]];
  const hex = coordinates.map((each) => (each ?? 0n).toString(16).padStart(64, "0")).join("");
  return { g1, g2: new Uint8Array(Buffer.from(hex, "hex")) };
}

function fromCeremony(curve: SnarkjsCurve, file: string): ReferenceString {
  const found = sections(file);
  const [first, second] = [found.get(G1_SECTION), found.get(G2_SECTION)];
  if (first === undefined || second === undefined || first.length < POINTS * G1_BYTES)
    throw new Error(`${file} has fewer than ${POINTS} powers of tau`);
  // Of the second group the generator comes first, then the secret's point.
  return encode(curve, first, second.subarray(G2_BYTES, 2 * G2_BYTES));
}

/** The secret is a number of the system's random source that nothing but this function holds. */
async function fromOneParty(curve: SnarkjsCurve): Promise<ReferenceString> {
  say(`powers of tau 2^${POWER}, by this party alone`);
  const { G1, G2, Fr } = curve;
  const tau = Fr.random();
  const generators = new Uint8Array(POINTS * G1_BYTES);
  for (let at = 0; at < generators.length; at += G1_BYTES) generators.set(G1.toAffine(G1.g), at);
  return encode(curve, await G1.batchApplyKey(generators, Fr.one, tau), G2.toAffine(G2.timesFr(G2.g, tau)));
}

async function build(): Promise<void> {
  say("compiling the circuit");
  const circuit = await compile();
  const curve = await (await loadSnarkjs()).curves.getCurveFromName("bn128");
  const { g1, g2 } = options.ptau === undefined ? await fromOneParty(curve) : fromCeremony(curve, options.ptau);
  say("verifying key");
  const instance = await openBarretenberg(g1, g2);
  const { bytecode } = JSON.parse(circuit) as { readonly bytecode: string };
  const acir = gunzipSync(Buffer.from(bytecode, "base64"));
  const [rows, padded] = instance.acirGetCircuitSizes(acir, false, true);
  if (padded !== 2 ** POWER) throw new Error(`the circuit has ${rows} rows; this script expects up to 2^${POWER}`);
  say(`${rows} rows for ${SHARD_ITEMS_MAX} items`);
  const key = Buffer.concat([g2, instance.acirWriteVkUltraHonk(acir, false)]);
  readUltraHonkKey(new Uint8Array(key));

  const out = resolve(options.out);
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "shard.noir.json"), circuit);
  writeFileSync(join(out, "shard.crs"), g1);
  writeFileSync(join(out, "shard.honk.vkey"), key);
  const files = describeFiles(out, ["shard.noir.json", "shard.crs", "shard.honk.vkey"]);
  const setup = options.ptau === undefined ? "one-party" : "ceremony";
  const versions = { barretenberg: version("@aztec/bb.js"), noir: version("@noir-lang/noir_wasm") };
  const manifest = { circuit: "shard", itemsMax: SHARD_ITEMS_MAX, rows, setup, ...versions, files };
  writeFileSync(join(out, "ultrahonk.manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

if (options.help) {
  console.log(HELP);
} else {
  await build();
}
// snarkjs leaves worker threads running.
process.exit(0);
