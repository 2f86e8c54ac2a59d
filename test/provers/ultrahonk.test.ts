import { bn254 } from "@noble/curves/bn254.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ProveEvent } from "../../src/ports.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import { FIELD_ORDER } from "../../src/provers/poseidon.ts";
import { bigEndian, encodeElement } from "../../src/provers/statement.ts";
import { createUltraHonkProver } from "../../src/provers/ultrahonk/prover.ts";
import { PROOF_BYTES, readUltraHonkKey } from "../../src/provers/ultrahonk/verify.ts";
import { programSuite } from "../compliance/program.ts";
import { proverSuite } from "../compliance/prover.ts";
import { verifierSuite } from "../compliance/verifier.ts";
import * as fixtures from "./fixtures.ts";

const { HONK_KEY, KEYS_DIR } = fixtures;

/** The circuit under another setup: the secret's point is another one of the group. */
function otherSetup(): Uint8Array {
  const { x, y } = bn254.G2.Point.BASE.multiply(7n).toAffine();
  const key = HONK_KEY.slice();
  [x.c0, x.c1, y.c0, y.c1].forEach((coordinate, i) => key.set(encodeElement(coordinate), 32 * i));
  return key;
}

const OTHER_KEY = otherSetup();
const make = (limits: { timeoutMs: number; memoryBytesMax?: number } = { timeoutMs: 100_000 }) =>
  createUltraHonkProver({ slots: 1, keysDir: KEYS_DIR, ...limits });

let bench: fixtures.Bench;
let proof: Uint8Array;
let events: readonly ProveEvent[];

beforeAll(async () => {
  bench = await fixtures.bench("ultrahonk-shard", HONK_KEY, OTHER_KEY);
  ({ proof, events } = await fixtures.proofOf(make(), bench.job()));
}, 120_000);

afterAll(() => bench.verifier.close());

proverSuite("ultrahonk-shard", {
  make,
  makeSlow: make,
  job: () => bench.job(),
  verifier: () => bench.verifier,
  verifyJob: (_, bytes) => bench.verifyJob(bytes),
  events: () => events,
  processes: fixtures.descendants,
});

programSuite({ name: "ultrahonk", make, job: () => bench.job(), processes: fixtures.descendants });

/** The statement of a block of another hash: only the context differs. */
function encodeOther(values: Uint8Array): Uint8Array {
  const other = values.slice();
  other.set(encodeElement(5n), 128);
  return other;
}

/** The bytes with the field's order added to one word. */
function aliased(bytes: Uint8Array, word: number): Uint8Array {
  const alias = bytes.slice();
  alias.set(encodeElement(bigEndian(bytes.subarray(32 * word, 32 * word + 32)) + FIELD_ORDER), 32 * word);
  return alias;
}

verifierSuite("ultrahonk-shard", {
  verifier: () => bench.verifier,
  job: () => bench.verifyJob(proof),
  otherTask: () => bench.values[1] ?? new Uint8Array(),
  otherBlock: () => encodeOther(bench.values[0] ?? new Uint8Array()),
  otherKey: artefactHash(OTHER_KEY),
  notCanonical: () => {
    const { values } = bench.verifyJob(proof);
    // The library itself takes each of these for the true statement and the true proof.
    const told = [2, 3].map((word) => ({ values: aliased(values, word), proof }));
    return [...told, { values, proof: aliased(proof, 300) }];
  },
});

describe("an UltraHonk proof", () => {
  it("has one size, whatever it proves", () => {
    expect(proof.length).toBe(PROOF_BYTES);
  });

  it("proof.not-on-curve: has points of the curve only", async () => {
    // The lowest bit of an ordinate of each kind: of a wire, of a folding, of the opening.
    for (const word of [2, 298, 438]) {
      const at = 32 * word + 31;
      const job = bench.verifyJob(proof.with(at, (proof[at] ?? 0) ^ 1));
      const verdict = await fixtures.value<unknown>((done) => bench.verifier.verify(job, done));
      expect(verdict).toEqual({ valid: false, code: "proof.not-on-curve" });
    }
  });
});

describe("an UltraHonk key", () => {
  it("is of the shard's statement, and of a setup whose secret's point is one of the group", () => {
    expect(readUltraHonkKey(HONK_KEY).circuit.length).toBeGreaterThan(0);
    expect(() => readUltraHonkKey(HONK_KEY.subarray(1))).toThrow("an UltraHonk key has");
    expect(() => readUltraHonkKey(HONK_KEY.with(40, 1))).toThrow();
    expect(() => readUltraHonkKey(HONK_KEY.with(128 + 23, 6))).toThrow("the circuit of the key has 6 public values");
    expect(() => readUltraHonkKey(HONK_KEY.with(128 + 7, 1))).toThrow("rows; allowed: a power of 2");
  });
});
