import { describe, expect, it } from "vitest";
import { FIELD_ORDER } from "../../src/protocol/payee.ts";
import { bigEndian } from "../../src/proofs/bytes.ts";
import { encodeElement } from "../../src/provers/statement.ts";
import { createUltraHonkProver } from "../../src/proofs/ultrahonk/prover.ts";
import { PROOF_BYTES, readUltraHonkKey } from "../../src/proofs/ultrahonk/verify.ts";
import { changed, systemSuite } from "../compliance/system.ts";
import { HONK_KEY, KEYS_DIR, otherSetup, value } from "../provers/fixtures.ts";

/** The bytes with the field's order added to one word. */
function aliased(bytes: Uint8Array, word: number): Uint8Array {
  const number = bigEndian(bytes.subarray(32 * word, 32 * word + 32));
  return changed(bytes, 32 * word, encodeElement(number + FIELD_ORDER));
}

const made = systemSuite({
  name: "ultrahonk",
  key: HONK_KEY,
  otherKey: otherSetup(HONK_KEY),
  make: (limits) => createUltraHonkProver({ slots: 1, keysDir: KEYS_DIR, ...limits }),
  timeoutMs: 100_000,
  notCanonical: ({ proof, values }) => {
    // The library itself takes each of these for the true statement and the true proof.
    const told = [2, 3].map((word) => ({ values: aliased(values, word), proof }));
    return [...told, { values, proof: aliased(proof, 300) }];
  },
});

describe("an UltraHonk proof", () => {
  it("has one size, whatever it proves", () => {
    expect(made().proof.length).toBe(PROOF_BYTES);
  });

  it("proof.not-on-curve: has points of the curve only", async () => {
    // The lowest bit of an ordinate of each kind: of a wire, of a folding, of the opening.
    const { bench, proof } = made();
    for (const word of [2, 298, 438]) {
      const at = 32 * word + 31;
      const job = bench.verifyJob(proof.with(at, (proof[at] ?? 0) ^ 1));
      const verdict = await value<unknown>((done) => bench.verifier.verify(job, done));
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
