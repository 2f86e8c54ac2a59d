import { describe, expect, it } from "vitest";
import { artefactHash } from "../../src/protocol/ids.ts";
import {
  commitmentOf,
  decodeOpening,
  encodeOpening,
  isOpening,
  type Opening,
  OPENING_BYTES,
} from "../../src/protocol/opening.ts";
import { hashOf } from "./fixtures.ts";

const opening: Opening = {
  prover: hashOf("prover"),
  nonce: new Uint8Array(32).fill(7),
  artefact: hashOf("result"),
  bytes: 2 ** 40,
};

describe("an opening", () => {
  it("reads back, and the commitment is its SHA-256", () => {
    const file = encodeOpening(opening);
    expect(file).toHaveLength(OPENING_BYTES);
    expect(decodeOpening(file)).toEqual(opening);
    expect(commitmentOf(opening)).toBe(artefactHash(file));
  });

  it("has another commitment with another prover, nonce, result or length", () => {
    const changes: readonly Partial<Opening>[] = [
      { prover: hashOf("other") },
      { nonce: new Uint8Array(32).fill(8) },
      { artefact: hashOf("other") },
      { bytes: 1 },
    ];
    const commitments = [opening, ...changes.map((change) => ({ ...opening, ...change }))].map(commitmentOf);
    expect(new Set(commitments).size).toBe(5);
  });

  it("is recognised by length and prefix, and no other file is one", () => {
    const file = encodeOpening(opening);
    expect(isOpening(file)).toBe(true);
    expect(decodeOpening(file.subarray(1))).toBeNull();
    expect(decodeOpening(new Uint8Array([...file, 0]))).toBeNull();
    expect(decodeOpening(file.map((byte, at) => (at === 0 ? byte ^ 1 : byte)))).toBeNull();
    // A length beyond the safe integers is nobody's.
    expect(decodeOpening(file.map((byte, at) => (at >= OPENING_BYTES - 8 ? 0xff : byte)))).toBeNull();
  });

  it("takes a nonce of 32 bytes and no other", () => {
    for (const length of [0, 31, 33]) {
      const nonce = new Uint8Array(length);
      expect(commitmentOf({ ...opening, nonce })).toBeNull();
      expect(() => encodeOpening({ ...opening, nonce })).toThrow(`a nonce of ${length} bytes; allowed: 32`);
    }
  });
});
