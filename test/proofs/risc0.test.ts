import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { claimOf, readRisc0Key, verifyRisc0 } from "../../src/proofs/risc0/groth16.ts";
import { bytesOf, flipped } from "./sp1-vectors.ts";

const VECTORS = new URL("../vectors/risc0/", import.meta.url);

type Point2 = readonly [readonly [string, string], readonly [string, string]];
interface CircuitKey {
  readonly alpha: readonly [string, string];
  readonly beta: Point2;
  readonly gamma: Point2;
  readonly delta: Point2;
  readonly ic: readonly (readonly [string, string])[];
}

const receipt = JSON.parse(readFileSync(new URL("receipt-3.0.json", VECTORS), "utf8")) as Readonly<
  Record<"seal" | "journal" | "imageId" | "controlRoot" | "bn254ControlId" | "claimDigest", string>
>;
const circuit = JSON.parse(readFileSync(new URL("verifying-key.json", VECTORS), "utf8")) as CircuitKey;

function word(decimal: string): Uint8Array {
  return bytesOf(BigInt(decimal).toString(16).padStart(64, "0"));
}

const g2 = ([[x0, x1], [y0, y1]]: Point2): string[] => [x1, x0, y1, y0];
const words = [circuit.alpha, g2(circuit.beta), g2(circuit.gamma), g2(circuit.delta), ...circuit.ic].flat();
const keyBytes = Uint8Array.from([
  ...words.flatMap((each) => [...word(each)]),
  ...bytesOf(receipt.controlRoot),
  ...bytesOf(receipt.bn254ControlId),
  ...bytesOf(receipt.imageId),
]);
const key = readRisc0Key(keyBytes);
const [seal, journal] = [bytesOf(receipt.seal), bytesOf(receipt.journal)];

describe("a real RISC Zero 3.0 receipt", () => {
  it("holds", () => {
    expect(Buffer.from(key.selector).toString("hex")).toBe("73c457ba");
    expect(Buffer.from(claimOf(key.image, journal)).toString("hex")).toBe(receipt.claimDigest);
    expect(verifyRisc0(key, journal, seal)).toEqual({ valid: true });
  });

  it("does not hold after any changed byte", () => {
    for (let at = 0; at < seal.length; at++) {
      const code = at < 4 ? { code: "proof.wrong-key" } : {};
      expect(verifyRisc0(key, journal, flipped(seal, at)), `byte ${at}`).toMatchObject({ valid: false, ...code });
    }
  });

  it("does not hold for another journal", () => {
    for (let at = 0; at < journal.length; at++)
      expect(verifyRisc0(key, flipped(journal, at), seal)).toEqual({ valid: false, code: "proof.equation" });
    expect(verifyRisc0(key, new Uint8Array(), seal)).toEqual({ valid: false, code: "proof.equation" });
    expect(verifyRisc0(key, Uint8Array.from([...journal, 0]), seal)).toEqual({ valid: false, code: "proof.equation" });
  });

  it("does not hold for another guest", () => {
    for (let at = 896; at < keyBytes.length; at += 5)
      expect(verifyRisc0(readRisc0Key(flipped(keyBytes, at)), journal, seal)).toEqual({
        valid: false,
        code: "proof.equation",
      });
  });

  it("has another selector under any other circuit or version", () => {
    for (let at = 832; at < 896; at += 3) {
      const other = readRisc0Key(flipped(keyBytes, at));
      expect(verifyRisc0(other, journal, seal), `byte ${at}`).toEqual({ valid: false, code: "proof.wrong-key" });
    }
    // A changed point is off the curve.
    for (let at = 0; at < 832; at += 3) expect(() => readRisc0Key(flipped(keyBytes, at)), `byte ${at}`).toThrow();
  });

  it("is refused where it is cut short, too long or in a second form", () => {
    for (const end of [0, 3, 4, 259])
      expect(verifyRisc0(key, journal, seal.subarray(0, end))).toEqual({ valid: false, code: "proof.length" });
    expect(verifyRisc0(key, journal, Uint8Array.from([...seal, 0]))).toEqual({ valid: false, code: "proof.length" });
    const order = 0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47n;
    const x = BigInt(`0x${Buffer.from(seal.subarray(4, 36)).toString("hex")}`) + order;
    const other = Uint8Array.from([...seal.subarray(0, 4), ...word(String(x)), ...seal.subarray(36)]);
    expect(verifyRisc0(key, journal, other)).toEqual({ valid: false, code: "proof.not-canonical" });
  });
});

describe("a key of RISC Zero", () => {
  it("is a file of the package and the image id", () => {
    const packaged = readFileSync(new URL("../../config/keys/zkvms/risc0-groth16-3.0.vkey", import.meta.url));
    expect(Uint8Array.from([...packaged, ...bytesOf(receipt.imageId)])).toEqual(keyBytes);
  });

  it("says what is wrong with it", () => {
    expect(() => readRisc0Key(keyBytes.subarray(1))).toThrow("the key has 927 bytes; a RISC Zero key has 928");
    expect(() => readRisc0Key(keyBytes.with(864, 0xff))).toThrow("the control id is no element of the scalar field");
  });
});
