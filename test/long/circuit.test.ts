/**
 * What the shard circuit refuses. A witness is forged by the circuit itself with every assertion taken out, and held
 * against the real constraints: exactly one of them has to stand in its way.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SHARD_ITEMS_MAX } from "../../src/protocol/ethereum.ts";
import { FIELD_ORDER } from "../../src/protocol/payee.ts";
import { poseidon } from "../../src/provers/poseidon.ts";
import { type Circuit, readCircuit, readNames, violations } from "../provers/r1cs.ts";

const CIRCUIT = join(import.meta.dirname, "../../src/proofs/groth16/circuit");
const load = createRequire(import.meta.url);

interface Row {
  readonly active: bigint;
  readonly sender: bigint;
  readonly recipient: bigint;
  readonly creation: bigint;
  readonly value: bigint;
  readonly feeLimit: bigint;
}

type Inputs = Readonly<Record<string, bigint | readonly bigint[]>>;
type Forge = (inputs: Inputs) => Promise<readonly bigint[]>;

const ABSENT: Row = { active: 0n, sender: 0n, recipient: 0n, creation: 0n, value: 0n, feeLimit: 0n };
const FIRST: Row = { active: 1n, sender: 11n, recipient: 12n, creation: 0n, value: 13n, feeLimit: 14n };
const SECOND: Row = { active: 1n, sender: (1n << 160n) - 1n, recipient: 0n, creation: 1n, value: 23n, feeLimit: 24n };

const directory = mkdtempSync(join(tmpdir(), "proofmesh-test-"));
let circuit: Circuit;
let names: ReadonlyMap<string, number>;
let forge: Forge;
let forgedNames: ReadonlyMap<string, number>;

function compile(name: string, source: string, options: readonly string[]): string {
  const out = join(directory, name);
  mkdirSync(out);
  writeFileSync(join(out, "constants.circom"), readFileSync(join(CIRCUIT, "constants.circom")));
  writeFileSync(join(out, "shard.circom"), source);
  const compiler = join(dirname(load.resolve("circom2/package.json")), "cli.js");
  execFileSync(process.execPath, [compiler, "shard.circom", "--sym", ...options], { cwd: out, stdio: "ignore" });
  return out;
}

beforeAll(() => {
  const source = readFileSync(join(CIRCUIT, "shard.circom"), "utf8");
  const real = compile("real", source, ["--O1", "--r1cs"]);
  circuit = readCircuit(readFileSync(join(real, "shard.r1cs")));
  names = readNames(readFileSync(join(real, "shard.sym"), "utf8"));
  const lenient = compile("lenient", source.replace(/^.*===.*;$/gm, ""), ["--O0", "--wasm"]);
  forgedNames = readNames(readFileSync(join(lenient, "shard.sym"), "utf8"));
  const build = load(join(lenient, "shard_js/witness_calculator.js")) as (
    code: Uint8Array,
  ) => Promise<{ calculateWitness(inputs: Inputs): Promise<readonly bigint[]> }>;
  const code = readFileSync(join(lenient, "shard_js/shard.wasm"));
  forge = async (inputs) => (await build(code)).calculateWitness(inputs);
}, 120_000);

afterAll(() => rmSync(directory, { recursive: true }));

/** As the circuit folds, whatever the numbers are. */
function statement(rows: readonly Row[]): Record<string, bigint> {
  let [after, fees, count] = [5n, 0n, 0n];
  for (const { active, sender, recipient, creation, value, feeLimit } of rows) {
    const hash = poseidon(after, sender, recipient + (creation << 160n), value + (feeLimit << 128n));
    after += active * (hash - after);
    fees += active * feeLimit;
    count += active;
  }
  const modulo = (number: bigint): bigint => ((number % FIELD_ORDER) + FIELD_ORDER) % FIELD_ORDER;
  return { before: 5n, after: modulo(after), fees: modulo(fees), count: modulo(count), context: 7n };
}

/** How many constraints refuse the rows, where the forger says `changes` about them and sets `wires` by hand. */
async function refusals(
  rows: readonly Row[],
  changes: Readonly<Record<string, bigint>> = {},
  wires: Readonly<Record<string, bigint>> = {},
): Promise<number> {
  const all = Array.from({ length: SHARD_ITEMS_MAX }, (_, i) => rows[i] ?? ABSENT);
  const columns = (Object.keys(ABSENT) as (keyof Row)[]).map((name) => [name, all.map((row) => row[name])] as const);
  const forged = await forge({ ...statement(all), ...Object.fromEntries(columns), ...changes });
  const witness = Array.from({ length: circuit.wires }, () => 0n);
  witness[0] = 1n;
  for (const [name, wire] of names) if (wire !== -1) witness[wire] = forged[forgedNames.get(name) ?? -1] ?? 0n;
  for (const [name, value] of Object.entries(wires)) {
    const wire = names.get(name) ?? -1;
    if (wire === -1) throw new Error(`${name} has no wire of its own`);
    witness[wire] = value;
  }
  return violations(circuit, witness);
}

/** Bits that sum up to `value`, the lowest of which is no bit. */
function noBits(range: string, length: number, value: bigint): Record<string, bigint> {
  return Object.fromEntries(Array.from({ length }, (_, i) => [`main.${range}.bits[${i}]`, i === 0 ? value : 0n]));
}

describe("the shard circuit", () => {
  it("fits its domain and takes what is true, from no item to all", async () => {
    expect(circuit.publicInputs).toBe(5);
    expect(circuit.constraints.length + circuit.publicInputs + 1).toBeLessThanOrEqual(2 ** 13);
    const full = Array.from({ length: SHARD_ITEMS_MAX }, (_, i) => (i % 2 === 0 ? FIRST : SECOND));
    for (const rows of [[], [FIRST], [FIRST, SECOND], full]) expect(await refusals(rows), `${rows.length}`).toBe(0);
  });

  it("refuses an item that is neither there nor absent", async () => {
    for (const active of [2n, FIELD_ORDER - 1n]) expect(await refusals([{ ...FIRST, active }])).toBe(1);
  });

  it("refuses an item after an absent one", async () => {
    expect(await refusals([FIRST, ABSENT, SECOND])).toBe(1);
  });

  it.each([
    ["sender", "senderRange", 160],
    ["recipient", "recipientRange", 160],
    ["value", "valueRange", 128],
    ["feeLimit", "feeRange", 124],
  ])("refuses a %s out of its range, also in bits that are none", async (field, range, bits) => {
    for (const value of [1n << BigInt(bits), FIELD_ORDER - 1n]) {
      const rows = [FIRST, { ...FIRST, [field]: value }];
      expect(await refusals(rows)).toBe(1);
      expect(await refusals(rows, {}, noBits(`${range}[1]`, bits, value))).toBe(1);
    }
    expect(await refusals([{ ...FIRST, [field]: (1n << BigInt(bits)) - 1n }])).toBe(0);
    // An absent item is held to the same ranges: nothing can hide in one.
    expect(await refusals([FIRST, { ...ABSENT, [field]: 1n << BigInt(bits) }])).toBe(1);
  });

  it("refuses a creation that is half one, or that has a recipient", async () => {
    expect(await refusals([{ ...FIRST, recipient: 0n, creation: 2n }])).toBe(1);
    expect(await refusals([{ ...FIRST, creation: 1n }])).toBe(1);
    // The recipient of a creation without its flag is an address out of range.
    expect(await refusals([{ ...FIRST, recipient: 1n << 160n }])).toBe(1);
  });

  it("refuses other sums, another end and other places", async () => {
    const rows = [FIRST, SECOND];
    const { after = 0n, fees = 0n, count = 0n } = statement(rows);
    expect(await refusals(rows, { fees: fees + 1n })).toBe(1);
    expect(await refusals(rows, { fees: fees - FIRST.feeLimit }, { "main.fee[0]": 0n })).toBe(1);
    expect(await refusals(rows, { count: count + 1n })).toBe(1);
    expect(await refusals(rows, { after: after + 1n })).toBe(1);
    expect(await refusals(rows, {}, { "main.context": 8n })).toBe(1);
    expect(await refusals(rows, {}, { "main.before": 6n })).toBeGreaterThan(0);
  });

  it("refuses the items in another order, one left out and one twice", async () => {
    const { after = 0n, fees = 0n, count = 0n } = statement([FIRST, SECOND]);
    expect(await refusals([SECOND, FIRST], { after })).toBe(1);
    expect(await refusals([FIRST], { after, fees, count })).toBeGreaterThan(1);
    expect(await refusals([FIRST, SECOND, FIRST], { after, fees, count })).toBeGreaterThan(1);
  });

  it("refuses a hash that is none", async () => {
    for (const box of [0, 50, 99]) {
      for (const wire of ["square", "fourth"]) {
        const name = `main.hash[0].fifth[${box}].${wire}`;
        expect(await refusals([FIRST], {}, { [name]: 1n }), name).toBeGreaterThan(0);
      }
    }
  });
});
