/** What of Halo2 needs no library; `test/long/halo2.test.ts` has the rest. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bn254 } from "@noble/curves/bn254.js";
import { describe, expect, it } from "vitest";
import { createSchedule } from "../../src/proofs/halo2/hash.ts";
import { decodeCoordinate, encodeCoordinate, provingParameters } from "../../src/proofs/halo2/setup.ts";
import { createHalo2Verifier, type LoadHalo2, PROOF_BYTES, readHalo2Key } from "../../src/proofs/halo2/verify.ts";
import { NoVerdict } from "../../src/provers/no-verdict.ts";
import { FIELD_ORDER } from "../../src/protocol/payee.ts";
import { poseidon } from "../../src/provers/poseidon.ts";
import { encodeElement, encodeValues } from "../../src/provers/statement.ts";
import { KEYS_DIR } from "./fixtures.ts";

const KEY = new Uint8Array(readFileSync(join(KEYS_DIR, "shard.halo2.vkey")));
const { Fr, Fp } = bn254.fields;

describe("Poseidon as the Halo2 circuit computes it", () => {
  it("is the hash of the other circuits, with one constant in each partial round", () => {
    const { add, rounds } = createSchedule();
    const hash = (inputs: readonly bigint[]): bigint => {
      const dot = (row: readonly bigint[], of: readonly bigint[]): bigint =>
        row.reduce((sum, each, i) => Fr.add(sum, Fr.mul(each, of[i] ?? 0n)), 0n);
      const fifth = (x: bigint): bigint => Fr.pow(x, 5n);
      let state = [0n, ...inputs].map((each, i) => Fr.add(each, add[i] ?? 0n));
      for (const round of rounds) {
        const [head = 0n, ...rest] = state;
        const mixed =
          round.kind === "full"
            ? round.matrix.map((row) => dot(row, state.map(fifth)))
            : [
                dot(round.row, [fifth(head), ...rest]),
                ...rest.map((each, i) => Fr.add(each, Fr.mul(fifth(head), round.column[i] ?? 0n))),
              ];
        state = mixed.map((each, i) => Fr.add(each, round.add[i] ?? 0n));
      }
      return state[0] ?? 0n;
    };
    const all: readonly (readonly [bigint, bigint, bigint, bigint])[] = [
      [0n, 0n, 0n, 0n],
      [1n, 2n, 3n, 4n],
      [FIELD_ORDER - 1n, 1n << 160n, 7n, 1n << 252n],
    ];
    for (const inputs of all) expect(hash(inputs)).toBe(poseidon(...inputs));
    // Of those after the first half of the full rounds only the last has constants for all.
    const partial = rounds.filter(({ kind }) => kind === "partial").slice(0, -1);
    expect(partial).toHaveLength(59);
    for (const round of partial) expect(round.add.slice(1)).toEqual([0n, 0n, 0n, 0n]);
  });
});

describe("a reference string for Halo2", () => {
  it("has coordinates in one form", () => {
    for (const value of [0n, 1n, 12_345n, Fp.ORDER - 1n]) expect(decodeCoordinate(encodeCoordinate(value))).toBe(value);
    expect(decodeCoordinate(new Uint8Array(32).fill(255))).toBeNull();
  });

  it("is refused where it is too short", () => {
    const points = new Uint8Array(8192 * 64);
    const secret = KEY.subarray(0, 128);
    expect(provingParameters(points, points, secret)).toHaveLength(4 + 2 * points.length + 256);
    expect(() => provingParameters(points.subarray(64), points, secret)).toThrow("the circuit takes 524288");
    expect(() => provingParameters(points, points.subarray(64), secret)).toThrow("the circuit takes 524288");
  });
});

describe("a Halo2 key", () => {
  it("is of the shard circuit, with points that are on the curve", () => {
    expect(readHalo2Key(KEY).circuit).toHaveLength(KEY.length - 128);
    expect(() => readHalo2Key(KEY.subarray(1))).toThrow("a Halo2 key has 1098 bytes, not 1097");
    expect(() => readHalo2Key(KEY.with(40, 1))).toThrow();
    expect(() => readHalo2Key(KEY.with(129, 14))).toThrow("the header 2,14,0,7; allowed: 2,13,0,7");
    expect(() => readHalo2Key(KEY.with(138, (KEY[138] ?? 0) ^ 1))).toThrow("no point at byte 10");
    expect(() => readHalo2Key(KEY.with(1097, 255))).toThrow("no point at byte 906");
  });
});

describe("the form of a Halo2 proof", () => {
  const values = encodeValues({ before: 1n, after: 2n, fees: 3n, count: 4n, context: 5n });
  const code = (proof: Uint8Array, of: Uint8Array = values): string => {
    const check = createHalo2Verifier().verify(readHalo2Key(KEY), of, proof);
    return check.valid ? "valid" : check.code;
  };
  /** The generator everywhere, and 1 for the numbers: well formed. */
  const formed = new Uint8Array(PROOF_BYTES).map((_, i) => (i % 32 === 0 ? 1 : 0));
  const put = (word: number, value: bigint): Uint8Array => {
    const changed = formed.slice();
    changed.set(encodeElement(value).reverse(), 32 * word);
    return changed;
  };

  it("proof.length: is of one length, like its values", () => {
    expect(code(formed.subarray(1))).toBe("proof.length");
    expect(code(new Uint8Array([...formed, 0]))).toBe("proof.length");
    expect(code(formed, values.subarray(1))).toBe("proof.length");
  });

  it("proof.not-canonical: has every number and every coordinate in one form", () => {
    for (const word of [17, 40, 69]) expect(code(put(word, FIELD_ORDER)), `number ${word}`).toBe("proof.not-canonical");
    for (const word of [0, 16, 70, 71]) {
      expect(code(put(word, Fp.ORDER)), `point ${word}`).toBe("proof.not-canonical");
      // What would be the point at infinity.
      expect(code(put(word, 1n << 255n)), `point ${word}`).toBe("proof.not-canonical");
    }
    const beyond = values.slice();
    beyond.set(encodeElement(FIELD_ORDER), 32);
    expect(code(formed, beyond)).toBe("proof.not-canonical");
  });

  it("proof.not-on-curve: has points of the curve only", () => {
    // x³ + 3 has no root for 4.
    for (const word of [0, 16, 70, 71]) expect(code(put(word, 4n)), `point ${word}`).toBe("proof.not-on-curve");
  });
});

describe("a Halo2 verifier", () => {
  const values = encodeValues({ before: 1n, after: 2n, fees: 3n, count: 4n, context: 5n });
  const formed = new Uint8Array(PROOF_BYTES).map((_, i) => (i % 32 === 0 ? 1 : 0));
  const key = readHalo2Key(KEY);

  /** Instances of the library, each of which does this when it verifies. */
  function library(...verifies: readonly (() => void)[]): { readonly load: LoadHalo2; readonly made: () => number } {
    let made = 0;
    const load = (): ReturnType<LoadHalo2> => {
      const verify = verifies[made++];
      if (verify === undefined) throw new RangeError("WebAssembly.Memory(): could not allocate memory");
      const nothing = (): void => {};
      const circuit = {
        clear: nothing,
        config: nothing,
        loadParams: nothing,
        loadVk: nothing,
        assignInstances: nothing,
      };
      const builder = { witness: () => 0, make_public: nothing, free: nothing };
      const [Halo2Wasm, Halo2LibWasm] = [{ ...circuit, verify }, builder].map(
        (instance) =>
          function () {
            return instance;
          },
      );
      return { initPanicHook: nothing, Halo2Wasm, Halo2LibWasm } as unknown as ReturnType<LoadHalo2>;
    };
    return { load, made: () => made };
  }

  const panic = (why: string) => () => {
    if (why !== "")
      console.error(`panicked at halo2-wasm/src/lib.rs:154:10:\n${why}\n\nStack:\n\nError\n    at verify`);
    throw new Error("unreachable");
  };
  const refuses = (error: string) => panic(`called \`Result::unwrap()\` on an \`Err\` value: ${error}`);

  it("proof.equation: refuses a proof where the library's panic names its verdict", () => {
    for (const error of ["ConstraintSystemFailure", "Opening", "Transcript(Custom { kind: Other })"]) {
      const { load, made } = library(refuses(error));
      expect(createHalo2Verifier(load).verify(key, values, formed), error).toEqual({
        valid: false,
        code: "proof.equation",
      });
      expect(made()).toBe(1);
    }
  });

  it("gives no verdict where memory is short, no instance can be made or something else panics", () => {
    const silent = panic("");
    const verify = (...verifies: readonly (() => void)[]) => {
      return () => createHalo2Verifier(library(...verifies).load).verify(key, values, formed);
    };
    expect(verify(silent, silent)).toThrow(NoVerdict);
    expect(verify()).toThrow("could not allocate memory");
    expect(verify(silent)).toThrow("could not allocate memory");
    const other = panic("called `Option::unwrap()` on a `None` value");
    expect(verify(other, other)).toThrow("panicked at halo2-wasm/src/lib.rs:154:10:\ncalled `Option::unwrap()`");
    expect(verify(refuses("InvalidInstances"), refuses("InvalidInstances"))).toThrow(NoVerdict);
  });

  it("asks a new instance after a failure, and leaves the console as it was", () => {
    const { error } = console;
    const { load, made } = library(panic(""), () => {});
    expect(createHalo2Verifier(load).verify(key, values, formed)).toEqual({ valid: true });
    expect([made(), console.error === error]).toEqual([2, true]);
  });
});
