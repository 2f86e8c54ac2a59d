import { concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { hashes, Point, verify } from "@noble/ed25519";
import fs from "node:fs";
import { describe, expect, it } from "vitest";
import { equalBytes } from "../../src/protocol/messages.ts";
import { type Equation, isStrictKey, verifyStrict } from "../../src/protocol/signing.ts";
import { nativeEquation } from "../../src/storage/keystore.ts";
import { createKeyFrom } from "../keys.ts";

hashes.sha512 = sha512;

/**
 * The reference: RFC 8032's cofactorless equation, [S]B = R + [k]A, written out over an audited library's points. Its
 * own `verify` multiplies by the cofactor whatever it is told, and is no reference for this rule.
 */
const reference: Equation = (signature, message, key) => {
  try {
    const r = signature.subarray(0, 32);
    const s = littleEndian(signature.subarray(32));
    const k = littleEndian(sha512(concatBytes(r, key, message))) % ORDER;
    const left = s === 0n ? Point.ZERO : Point.BASE.multiply(s, false);
    const challenge = k === 0n ? Point.ZERO : Point.fromBytes(key).multiply(k, false);
    return equalBytes(left.subtract(challenge).toBytes(), r);
  } catch {
    return false;
  }
};

const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

interface Case {
  readonly name: string;
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

function load(file: string): unknown {
  return JSON.parse(fs.readFileSync(new URL(`../vectors/ed25519/${file}.json`, import.meta.url), "utf8"));
}

function pairs(file: string): Case[] {
  const json = load(file) as { message: string; pub_key: string; signature: string }[];
  return json.map(({ message, pub_key, signature }, at) => ({
    name: `${file} ${at}`,
    key: hexToBytes(pub_key),
    message: hexToBytes(message),
    signature: hexToBytes(signature),
  }));
}

function wycheproof(): (Case & { readonly valid: boolean })[] {
  const { testGroups } = load("wyche") as {
    testGroups: { publicKey: { pk: string }; tests: { tcId: number; msg: string; sig: string; result: string }[] }[];
  };
  return testGroups.flatMap(({ publicKey, tests }) =>
    tests.map((test) => ({
      name: `wycheproof ${test.tcId}`,
      key: hexToBytes(publicKey.pk),
      message: hexToBytes(test.msg),
      signature: hexToBytes(test.sig),
      valid: test.result === "valid",
    })),
  );
}

function zip215(): Case[] {
  const json = load("zip215") as { vk_bytes: string; sig_bytes: string }[];
  return json.map(({ vk_bytes, sig_bytes }, at) => ({
    name: `zip215 ${at}`,
    key: hexToBytes(vk_bytes),
    message: utf8ToBytes("Zcash"),
    signature: hexToBytes(sig_bytes),
  }));
}

function rfc8032(): (Case & { readonly seed: Uint8Array })[] {
  const json = load("rfc8032-ed25519") as { priv: string; pub: string; msg: string; sig: string }[];
  return json.map(({ priv, pub, msg, sig }, at) => ({
    name: `rfc8032 ${at}`,
    seed: hexToBytes(priv),
    key: hexToBytes(pub),
    message: hexToBytes(msg),
    signature: hexToBytes(sig),
  }));
}

/** The one answer of both equations; a vector on which they differ would split a mixed fleet. */
function answer({ name, signature, message, key }: Case): boolean {
  const native = verifyStrict(nativeEquation, signature, message, key);
  expect(verifyStrict(reference, signature, message, key), name).toBe(native);
  return native;
}

describe("a signature is valid by one rule (BATCH-10)", () => {
  it("gives the published answer to all 151 cases of Wycheproof", () => {
    const cases = wycheproof();
    expect(cases).toHaveLength(151);
    expect(cases.filter((each) => answer(each) !== each.valid).map(({ name }) => name)).toEqual([]);
  });

  it("accepts of the crafted signatures of eprint 2020/1244 exactly the one that every verifier accepts", () => {
    expect(
      pairs("speccheck")
        .filter(answer)
        .map(({ name }) => name),
    ).toEqual(["speccheck 3"]);
  });

  it("differs from verifiers that multiply by the cofactor, so none of them may stand in for the equation", () => {
    const accepted = pairs("speccheck").filter(({ signature, message, key }) =>
      verifyStrict((...said) => verify(...said, { zip215: false }), signature, message, key),
    );
    expect(accepted.map(({ name }) => name)).toEqual(["speccheck 3", "speccheck 4", "speccheck 5"]);
  });

  it("accepts none of the 196 signatures with points of small order", () => {
    const cases = zip215();
    expect(cases).toHaveLength(196);
    expect(cases.filter(answer)).toEqual([]);
  });

  it("gives the edge cases of noble one answer", () => {
    expect(
      pairs("noble-edge-cases")
        .filter(answer)
        .map(({ name }) => name),
    ).toEqual(["noble-edge-cases 3"]);
  });

  it("accepts and makes the signatures of RFC 8032", () => {
    for (const each of rfc8032()) {
      expect(answer(each), each.name).toBe(true);
      const { key, sign } = createKeyFrom(each.seed);
      expect(hexToBytes(key)).toEqual(each.key);
      expect(sign(each.message)).toEqual(each.signature);
    }
  });
});

describe("a valid signature", () => {
  const seed = new Uint8Array(32).fill(7);
  const { key, sign } = createKeyFrom(seed);
  const message = utf8ToBytes("what was said");
  const good: Case = { name: "good", key: hexToBytes(key), message, signature: sign(message) };

  it("is refused after any flipped bit of it, of its key or of its message", () => {
    expect(answer(good)).toBe(true);
    for (const field of ["signature", "key", "message"] as const) {
      for (let bit = 0; bit < good[field].length * 8; bit++) {
        const bytes = Uint8Array.from(good[field]);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const flipped = { ...good, name: `${field} bit ${bit}`, [field]: bytes };
        // The reference costs a millisecond a try, so it looks at every eighth.
        const valid =
          bit % 8 === 0
            ? answer(flipped)
            : verifyStrict(nativeEquation, flipped.signature, flipped.message, flipped.key);
        expect(valid, flipped.name).toBe(false);
      }
    }
  });

  it("is refused with S + L, which satisfies the equation as well", () => {
    const s = littleEndian(good.signature.subarray(32));
    const malleable = Uint8Array.from(good.signature);
    for (let i = 0, rest = s + ORDER; i < 32; i++, rest >>= 8n) malleable[32 + i] = Number(rest & 0xffn);
    expect(answer({ ...good, name: "S + L", signature: malleable })).toBe(false);
  });

  it("is refused with R and S exchanged, with other lengths and under the key of zeros", () => {
    const { signature } = good;
    const others: Uint8Array[] = [
      new Uint8Array([...signature.subarray(32), ...signature.subarray(0, 32)]),
      signature.subarray(0, 63),
      new Uint8Array([...signature, 0]),
      new Uint8Array(),
      new Uint8Array(64),
    ];
    for (const other of others)
      expect(answer({ ...good, name: `${other.length} bytes`, signature: other })).toBe(false);
    for (const other of [new Uint8Array(32), good.key.subarray(0, 31), new Uint8Array(33)]) {
      expect(answer({ ...good, name: `key of ${other.length} bytes`, key: other })).toBe(false);
      expect(isStrictKey(other)).toBe(false);
    }
  });

  it("covers messages of any length", () => {
    for (const length of [0, 1, 1 << 20]) {
      const long = new Uint8Array(length).fill(3);
      expect(answer({ ...good, name: `${length} bytes`, message: long, signature: sign(long) })).toBe(true);
    }
  });
});
