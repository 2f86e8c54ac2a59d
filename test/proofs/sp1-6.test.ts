import { readFileSync } from "node:fs";
import { sha256 } from "@noble/hashes/sha2.js";
import { describe, expect, it } from "vitest";
import { readSp1Groth16Key, verifySp1Groth16 } from "../../src/proofs/sp1/groth16.ts";
import { readSp1PlonkKey, verifySp1Plonk } from "../../src/proofs/sp1/plonk.ts";
import { holdsForOne } from "../../src/proofs/sp1/statement.ts";
import { bytesOf, flipped, ROOT_6_0, ROOT_6_1, SP1_NUMBERS, sp1File, sp1Vector, sp1Vector6 } from "./sp1-vectors.ts";

const ORDER_R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001n;
const ORDER_P = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47n;
const PROGRAM_BYTES = 32;

const groth16 = { ...sp1Vector6("groth16"), read: readSp1Groth16Key, length: 356 };
const plonk = { ...sp1Vector6("plonk"), read: readSp1PlonkKey, length: 964 };
const groth16Key = readSp1Groth16Key(groth16.keyBytes);
const plonkKey = readSp1PlonkKey(plonk.keyBytes);
const systems = [
  { ...groth16, verify: (v: Uint8Array, p: Uint8Array) => verifySp1Groth16(groth16Key, v, p) },
  { ...plonk, verify: (v: Uint8Array, p: Uint8Array) => verifySp1Plonk(plonkKey, v, p) },
];

/** The same number modulo `order`, in a second encoding. */
function shifted(bytes: Uint8Array, at: number, order: bigint): Uint8Array {
  const value = BigInt(`0x${Buffer.from(bytes.subarray(at, at + 32)).toString("hex")}`) + order;
  const other = bytes.slice();
  other.set(bytesOf(value.toString(16).padStart(64, "0")), at);
  return other;
}

describe.each(systems)("a real SP1 6.0 proof, $name", ({ proof, values, verify, length }) => {
  it("holds", () => {
    expect(proof).toHaveLength(length);
    expect(verify(values, proof)).toEqual({ valid: true });
  });

  it("does not hold for other public values", () => {
    for (let at = 0; at < values.length; at += 17)
      expect(verify(flipped(values, at), proof), `byte ${at}`).toEqual({ valid: false, code: "proof.equation" });
    expect(verify(values.subarray(1), proof)).toEqual({ valid: false, code: "proof.equation" });
    expect(verify(new Uint8Array(), proof)).toEqual({ valid: false, code: "proof.equation" });
  });

  it("is refused after any changed byte of its head, with the code of what the byte says", () => {
    const codes = ["proof.exit-code", "proof.wrong-key", "proof.equation"];
    for (let at = 0; at < 4; at++)
      expect(verify(values, flipped(proof, at))).toEqual({ valid: false, code: "proof.wrong-key" });
    for (let at = 4; at < 100; at += at < 68 ? 1 : 5)
      expect(verify(values, flipped(proof, at)), `byte ${at}`).toEqual({
        valid: false,
        code: codes[Math.floor((at - 4) / 32)],
      });
  });

  it("is refused under the root of another version", () => {
    const other = proof.slice();
    other.set(ROOT_6_1, 36);
    expect(verify(values, other)).toEqual({ valid: false, code: "proof.wrong-key" });
  });

  it("has no second form", () => {
    expect(verify(values, shifted(proof, 68, ORDER_R))).toEqual({ valid: false, code: "proof.not-canonical" });
    expect(verify(values, shifted(proof, 100, ORDER_P))).toEqual({ valid: false, code: "proof.not-canonical" });
    expect(verify(values, Uint8Array.from([...proof, 0]))).toEqual({ valid: false, code: "proof.length" });
    for (const end of [0, 4, 36, 100, proof.length - 1])
      expect(verify(values, proof.subarray(0, end))).toEqual({ valid: false, code: "proof.length" });
  });
});

describe("the points of an SP1 6 proof", () => {
  it("cannot be changed in any byte (groth16)", () => {
    const { proof, values } = groth16;
    for (let at = 100; at < proof.length; at++)
      expect(verifySp1Groth16(groth16Key, values, flipped(proof, at)).valid, `byte ${at}`).toBe(false);
  });

  it("cannot be changed in any byte (plonk)", () => {
    const { proof, values } = plonk;
    // A changed coordinate leaves the curve, which is cheap to see. The scalars cost two checks of the equation a byte.
    const scalars = [484, 516, 548, 580, 612, 708, 868].map((at) => [at, at + 32] as const);
    const isScalar = (at: number): boolean => scalars.some(([from, to]) => at >= from && at < to);
    for (let at = 100; at < proof.length; at++) {
      if (isScalar(at) && at % 11 !== 0) continue;
      expect(verifySp1Plonk(plonkKey, values, flipped(proof, at)).valid, `byte ${at}`).toBe(false);
    }
    for (const [from] of scalars)
      expect(verifySp1Plonk(plonkKey, values, shifted(proof, from, ORDER_R))).toEqual({
        valid: false,
        code: "proof.not-canonical",
      });
  });

  it("do not hold for another program", () => {
    for (const { keyBytes } of [groth16]) {
      const key = readSp1Groth16Key(flipped(keyBytes, keyBytes.length - 1));
      expect(verifySp1Groth16(key, groth16.values, groth16.proof)).toEqual({ valid: false, code: "proof.equation" });
    }
    const key = readSp1PlonkKey(flipped(plonk.keyBytes, plonk.keyBytes.length - 1));
    expect(verifySp1Plonk(key, plonk.values, plonk.proof)).toEqual({ valid: false, code: "proof.equation" });
  });
});

describe("a key of SP1 6", () => {
  it("is a file of the package and the program", () => {
    const packaged = (version: string): Uint8Array =>
      new Uint8Array(readFileSync(new URL(`../../config/keys/zkvms/sp1-groth16-${version}.vkey`, import.meta.url)));
    const { keyBytes, proof, values } = groth16;
    const program = keyBytes.subarray(keyBytes.length - PROGRAM_BYTES);
    const key = readSp1Groth16Key(Uint8Array.from([...packaged("6.0"), ...program]));
    expect(verifySp1Groth16(key, values, proof)).toEqual({ valid: true });
    expect(packaged("6.1")).toEqual(Uint8Array.from([...sp1File("vk-4388a21c.bin"), ...ROOT_6_1]));
    const five = SP1_NUMBERS.map(sp1Vector).filter(({ proof: [head] }) => head === 0xa4);
    expect(five).not.toEqual([]);
    for (const vector of five) {
      const read = readSp1Groth16Key(Uint8Array.from([...packaged("5.0"), ...vector.keyBytes.slice(-PROGRAM_BYTES)]));
      expect(verifySp1Groth16(read, vector.values, vector.proof), vector.name).toEqual({ valid: true });
    }
  });

  it("of a published circuit has the root of its version", () => {
    const { keyBytes } = groth16;
    const circuit = keyBytes.subarray(0, 492);
    const program = keyBytes.subarray(keyBytes.length - PROGRAM_BYTES);
    expect(() => readSp1Groth16Key(Uint8Array.from([...circuit, ...ROOT_6_1, ...program]))).toThrow(
      `SP1 publishes ${Buffer.from(ROOT_6_0).toString("hex")} for this circuit`,
    );
    const newer = sp1File("vk-4388a21c.bin");
    expect(() => readSp1Groth16Key(Uint8Array.from([...newer, ...ROOT_6_0, ...program]))).toThrow("SP1 publishes");
    const key = readSp1Groth16Key(Uint8Array.from([...newer, ...ROOT_6_1, ...program]));
    expect(verifySp1Groth16(key, groth16.values, groth16.proof)).toEqual({ valid: false, code: "proof.wrong-key" });
  });

  it("says what is wrong with it", () => {
    const { keyBytes } = groth16;
    expect(() => readSp1Groth16Key(keyBytes.subarray(0, 492))).toThrow("stand 0 bytes, not the 64 of the root");
    expect(() => readSp1Groth16Key(keyBytes.with(492, 0xff))).toThrow("SP1 publishes");
    expect(() => readSp1Groth16Key(keyBytes.fill(0xff, keyBytes.length - 32))).toThrow("program's key");
    const bytes = plonk.keyBytes;
    expect(() => readSp1PlonkKey(bytes.subarray(0, 100))).toThrow("SP1's PLONK key alone has 34368");
    expect(() => readSp1PlonkKey(bytes.with(79, 6))).toThrow("the key has 6 public inputs; SP1 6 has 5");
    expect(() => readSp1PlonkKey(bytes.with(4, 3))).toThrow("no power of two");
    expect(() => readSp1PlonkKey(bytes.with(4, 4))).toThrow("another inverse of its size");
    expect(() => readSp1PlonkKey(flipped(bytes, 71))).toThrow("generator has another order");
    expect(() => readSp1PlonkKey(flipped(bytes, 371))).toThrow("exactly one commitment");
  });
});

describe("the digest of the public values", () => {
  it("is SHA-256, or BLAKE3 where the equation does not hold for SHA-256", () => {
    const mask = (1n << 253n) - 1n;
    const values = new TextEncoder().encode("abc");
    const sha = BigInt(`0x${Buffer.from(sha256(values)).toString("hex")}`) & mask;
    // The test vector of BLAKE3 for "abc".
    const blake = 0x6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85n & mask;
    const asked: bigint[] = [];
    const verdict = holdsForOne(values, (digest) => {
      asked.push(digest);
      return digest === blake ? { valid: true } : { valid: false, code: "proof.equation" };
    });
    expect(verdict).toEqual({ valid: true });
    expect(asked).toEqual([sha, blake]);
  });

  it("is asked for once where the proof cannot be read", () => {
    let count = 0;
    const verdict = holdsForOne(new Uint8Array(), () => {
      count++;
      return { valid: false, code: "proof.not-on-curve" };
    });
    expect([verdict, count]).toEqual([{ valid: false, code: "proof.not-on-curve" }, 1]);
  });
});
