import { describe, expect, it } from "vitest";
import { readSp1Groth16Key, verifySp1Groth16 } from "../../src/proofs/sp1/groth16.ts";
import { bytesOf, flipped, SP1_NUMBERS, sp1Vector } from "./sp1-vectors.ts";

const vectors = SP1_NUMBERS.map((number) => {
  const vector = sp1Vector(number);
  return { ...vector, key: readSp1Groth16Key(vector.keyBytes) };
});
const [first] = vectors;
if (first === undefined) throw new Error("no vectors");

describe("a real SP1 proof", () => {
  it.each(vectors)("$name holds", ({ key, proof, values }) => {
    expect(verifySp1Groth16(key, values, proof)).toEqual({ valid: true });
  });

  it("does not hold after any changed byte", () => {
    const { key, proof, values } = first;
    for (let at = 0; at < proof.length; at++)
      expect(verifySp1Groth16(key, values, flipped(proof, at)), `byte ${at}`).toMatchObject({ valid: false });
    const padded = vectors.find((vector) => vector.proof.length > proof.length);
    if (padded === undefined) throw new Error("no proof in gnark's raw form");
    for (let at = proof.length; at < padded.proof.length; at++)
      expect(verifySp1Groth16(padded.key, padded.values, flipped(padded.proof, at))).toEqual({
        valid: false,
        code: "proof.not-canonical",
      });
  });

  it("does not hold for other public values, nor for values of another length", () => {
    const { key, proof, values } = first;
    // Every seventh byte: each costs two pairing checks.
    for (let at = 0; at < values.length; at += 7)
      expect(verifySp1Groth16(key, flipped(values, at), proof)).toEqual({ valid: false, code: "proof.equation" });
    expect(verifySp1Groth16(key, values.subarray(1), proof)).toMatchObject({ valid: false });
    expect(verifySp1Groth16(key, new Uint8Array(), proof)).toMatchObject({ valid: false });
  });

  it("does not hold for another program, nor under another circuit's key", () => {
    const { keyBytes, proof, values } = first;
    const program = readSp1Groth16Key(flipped(keyBytes, keyBytes.length - 1));
    expect(verifySp1Groth16(program, values, proof)).toEqual({ valid: false, code: "proof.equation" });
    const other = vectors.find((vector) => vector.proof[0] !== proof[0]);
    if (other === undefined) throw new Error("all vectors are of one circuit");
    expect(verifySp1Groth16(other.key, values, proof)).toEqual({ valid: false, code: "proof.wrong-key" });
  });

  it("is refused where it is cut short, too long or another one's", () => {
    const { key, proof, values } = first;
    for (const length of [0, 3, 4, 259])
      expect(verifySp1Groth16(key, values, proof.subarray(0, length))).toEqual({ valid: false, code: "proof.length" });
    expect(verifySp1Groth16(key, values, Uint8Array.from([...proof, 0]))).toEqual({
      valid: false,
      code: "proof.length",
    });
    const mixed = vectors.filter((vector) => vector.values.join() !== values.join() && vector.proof[0] === proof[0]);
    for (const other of mixed) expect(verifySp1Groth16(key, values, other.proof)).toMatchObject({ valid: false });
  });

  it("has no second form: a coordinate beyond the field is refused", () => {
    const { key, proof, values } = first;
    const order = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47n;
    const x = BigInt(`0x${Buffer.from(proof.subarray(4, 36)).toString("hex")}`);
    const shifted = bytesOf((x + order).toString(16).padStart(64, "0"));
    const other = Uint8Array.from([...proof.subarray(0, 4), ...shifted, ...proof.subarray(36)]);
    expect(verifySp1Groth16(key, values, other)).toEqual({ valid: false, code: "proof.not-canonical" });
  });
});

describe("a key that is none", () => {
  it("is refused whichever byte of it is changed, or is another key", () => {
    const { keyBytes, proof, values } = first;
    // Every fifth byte: each costs two pairing checks.
    for (let at = 0; at < keyBytes.length - 32; at += 5) {
      let holds = false;
      try {
        holds = verifySp1Groth16(readSp1Groth16Key(flipped(keyBytes, at)), values, proof).valid;
      } catch {}
      expect(holds, `byte ${at}`).toBe(false);
    }
  });

  it("says what is wrong with it", () => {
    const { keyBytes } = first;
    expect(() => readSp1Groth16Key(keyBytes.subarray(0, 100))).toThrow(
      "the key has 100 bytes; an SP1 key has at least 428",
    );
    expect(() => readSp1Groth16Key(keyBytes.with(291, 4))).toThrow(
      "the key has 4 input points; SP1 3 to 5 have 3, SP1 6 has 6",
    );
    expect(() => readSp1Groth16Key(keyBytes.with(0, 0))).toThrow("a point of the key is not compressed");
    expect(() => readSp1Groth16Key(keyBytes.with(390, 1))).toThrow("the key has commitments");
    expect(() => readSp1Groth16Key(keyBytes.subarray(1))).toThrow();
    expect(() => readSp1Groth16Key(keyBytes.subarray(0, keyBytes.length - 1))).toThrow(
      "behind the circuit's key stand 31 bytes, not the 32 of the program's key",
    );
  });
});
