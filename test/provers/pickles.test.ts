/** What of the recursive system needs no library; `test/long/pickles.test.ts` has the rest. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { NOBODY } from "../../src/protocol/payee.ts";
import { missingPackages } from "../../src/proofs/table.ts";
import { decodePicklesValues, PASTA_ORDER, picklesRuns, picklesValuesOf } from "../../src/proofs/pickles/statement.ts";
import { decodeProof, encodeProof, readPicklesKey, writePicklesKey } from "../../src/proofs/pickles/verify.ts";
import { encodeElement, encodeValues, fold } from "../../src/provers/statement.ts";
import { KEYS_DIR } from "./fixtures.ts";

const KEY = new Uint8Array(readFileSync(join(KEYS_DIR, "shard.pickles.json")));
const VALUES = { before: 1n, after: 2n, fees: 3n, count: 4n, context: 5n };
const VALUE_BYTES = encodeValues(VALUES);
const proofOf = (text: string): Uint8Array =>
  encodeProof(VALUE_BYTES, { proof: Buffer.from(text, "latin1").toString("base64") });

/** Not a hash, but another number for any other input. */
const poseidon = (inputs: readonly bigint[]): bigint =>
  inputs.reduce((sum, each) => (sum * 7n + each) % PASTA_ORDER, 1n);

describe("the statement of a recursive proof", () => {
  it("leads through the shards of a block, and says the same of all of them as one after the other", () => {
    const item = { sender: "11".repeat(20), recipient: null, value: 5n, feeLimit: 7n };
    const other = { ...item, recipient: "00".repeat(20) };
    const [first, second] = picklesRuns([fold(9n, [item]), fold(1n, [other, item])], poseidon);
    const [whole] = picklesRuns([fold(9n, [item, other, item])], poseidon);
    expect([whole?.before, second?.before, whole?.after]).toEqual([first?.before, first?.after, second?.after]);
    expect(first?.before).not.toBe(first?.after);
    expect(first?.before).not.toBe(picklesRuns([fold(8n, [item])], poseidon)[0]?.before);
    if (second === undefined) throw new Error("two of two");
    const values = decodePicklesValues(picklesValuesOf(second, "ab".repeat(32), "shard", 1, NOBODY));
    expect(values).toMatchObject({ before: second.before, after: second.after, fees: 14n, count: 2n });
  });

  it("proof.not-canonical: has each number in one form", () => {
    expect(decodePicklesValues(VALUE_BYTES)).toEqual(VALUES);
    for (const [at, value] of [
      [0, PASTA_ORDER],
      [1, PASTA_ORDER],
      [2, 1n << 160n],
      [3, 1n << 32n],
      [4, PASTA_ORDER],
    ] as const) {
      const changed = VALUE_BYTES.slice();
      changed.set(encodeElement(value), at * 32);
      expect(decodePicklesValues(changed), `number ${at}`).toBeNull();
    }
    expect(decodePicklesValues(VALUE_BYTES.subarray(1))).toBeNull();
  });
});

describe("the bytes of a recursive proof", () => {
  it("are its values and one whole expression", () => {
    expect(decodeProof(proofOf("((a b)(c))"))?.json).toMatchObject({
      publicInput: ["1", "2", "3", "4", "5"],
      maxProofsVerified: 2,
    });
    for (const text of [
      "",
      "(",
      "(a",
      "(a))",
      "(a)(b)",
      "a(b)",
      "(a)\n",
      " (a)",
      "(\u00e9)",
      `(${"a".repeat(128 * 1024)})`,
    ])
      expect(decodeProof(proofOf(text)), text.slice(0, 10)).toBeNull();
  });
});

describe("the key of recursive proofs", () => {
  it("names library and statement, and is written as it is read", () => {
    const key = readPicklesKey(KEY);
    expect(writePicklesKey(key)).toBe(Buffer.from(KEY).toString());
    const json = JSON.parse(Buffer.from(KEY).toString()) as Record<string, unknown>;
    const read = (changes: object) => () => readPicklesKey(Buffer.from(JSON.stringify({ ...json, ...changes })));
    expect(read({ library: "o1js@1.0.0" })).toThrow(/by "o1js@1\.0\.0"; allowed: pickles-shard by o1js@2\.15\.0/);
    expect(read({ system: "stark-shard" })).toThrow(/allowed: pickles-shard/);
    expect(read({ proof: 7 })).toThrow(/no data, values and proof/);
  });

  it("keys.verifier-missing: needs a package that is opt-in", () => {
    const none = () => {
      throw new Error("not installed");
    };
    for (const system of ["pickles-shard", "pickles-merge"])
      expect(missingPackages(system, none)).toEqual(["o1js@2.15.0"]);
    expect(missingPackages("pickles-shard", () => "")).toEqual([]);
  });
});
