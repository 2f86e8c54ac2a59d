/** What every verifier does with a proof, whatever system it is of. */
import { describe, expect, it } from "vitest";
import type { Verifier, VerifyJob } from "../../src/ports.ts";
import type { Hash } from "../../src/protocol/ids.ts";

type Verdict = { readonly valid: true } | { readonly valid: false; readonly code: string };

export interface VerifierCase {
  readonly verifier: () => Verifier;
  /** A proof that holds. */
  readonly job: () => VerifyJob;
  /** Public values of another task of the same block, and of the same task of another block. */
  readonly otherTask: () => Uint8Array;
  readonly otherBlock: () => Uint8Array;
  /** A key of the same system that the verifier also has. */
  readonly otherKey?: Hash;
  /** The same statement or proof in numbers that are not the only form of themselves. */
  readonly notCanonical?: () => readonly Pick<VerifyJob, "values" | "proof">[];
}

/** Every code that an objective refusal may have. */
const CODES = [
  "proof.length",
  "proof.not-canonical",
  "proof.not-on-curve",
  "proof.equation",
  "proof.wrong-key",
  "proof.chain",
];

/** The same on every run, and like nothing. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 24;
  });
}

export function verifierSuite(name: string, options: VerifierCase): void {
  const { verifier, job, otherTask, otherBlock, otherKey, notCanonical } = options;
  const ask = (changes: Partial<VerifyJob>): Promise<Verdict> =>
    new Promise((resolve, reject) => {
      verifier().verify({ ...job(), ...changes }, (result) => {
        if (result.ok) resolve(result.value);
        else reject(new Error(`${result.fault.code}: ${result.fault.message}`));
      });
    });
  const refused = (code: string): Verdict => ({ valid: false, code });

  describe(`${name} as a verifier`, () => {
    it("accepts a true proof, again and again", async () => {
      for (let i = 0; i < 3; i++) expect(await ask({})).toEqual({ valid: true });
    });

    it("proof.equation: refuses a wrong proof, and one for another task or block", async () => {
      const { proof, values } = job();
      const last = proof.length - 1;
      expect((await ask({ proof: proof.with(last, (proof[last] ?? 0) ^ 1) })).valid).toBe(false);
      expect(await ask({ values: otherTask() })).toEqual(refused("proof.equation"));
      expect(await ask({ values: otherBlock() })).toEqual(refused("proof.equation"));
      // The lowest bit of every number of the statement.
      for (let at = 31; at < values.length; at += 32)
        expect((await ask({ values: values.with(at, (values[at] ?? 0) ^ 1) })).valid, `byte ${at}`).toBe(false);
    });

    it("proof.wrong-key: refuses a proof under another key, and says so where it has that key", async () => {
      if (otherKey !== undefined) expect(await ask({ key: otherKey })).toEqual(refused("proof.wrong-key"));
    });

    it("proof.not-canonical: refuses a number that is written in another form", async () => {
      for (const changed of notCanonical?.() ?? []) expect(await ask(changed)).toEqual(refused("proof.not-canonical"));
    });

    it("proof.length: refuses what is cut short, empty or too long", async () => {
      const { proof, values } = job();
      for (const length of [0, 1, proof.length >> 1, proof.length - 1])
        expect(await ask({ proof: proof.subarray(0, length) }), `${length} bytes`).toEqual(refused("proof.length"));
      expect(await ask({ proof: Uint8Array.from([...proof, 0]) })).toEqual(refused("proof.length"));
      if (otherKey !== undefined) {
        expect(await ask({ values: values.subarray(1) })).toEqual(refused("proof.length"));
        expect(await ask({ values: new Uint8Array() })).toEqual(refused("proof.length"));
      }
    });

    it("refuses bytes of any kind with a code, and is alive afterwards", async () => {
      const { length } = job().proof;
      const noises = [1, 2, 3, 4, 5].map((seed) => noise(length, seed));
      for (const proof of [...noises, new Uint8Array(length), new Uint8Array(length).fill(255)]) {
        const verdict = await ask({ proof });
        expect(verdict.valid ? "valid" : verdict.code).toBeOneOf(CODES);
      }
      // Single bits, all over the proof.
      for (let i = 0; i < 24; i++) {
        const { proof } = job();
        const at = Math.floor((i * proof.length) / 24);
        const verdict = await ask({ proof: proof.with(at, (proof[at] ?? 0) ^ (1 << (i % 8))) });
        expect(verdict.valid ? `valid with byte ${at} changed` : verdict.code).toBeOneOf(CODES);
      }
      expect(await ask({})).toEqual({ valid: true });
    }, 60_000);
  });
}
