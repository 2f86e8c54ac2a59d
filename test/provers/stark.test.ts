import { describe, expect, it } from "vitest";
import { airHash, CONSTRAINTS, traceOf } from "../../src/proofs/stark/air.ts";
import { hashRound, MIX, ROUND_CONSTANTS, STARK_ORDER } from "../../src/proofs/stark/hash.ts";
import { createStarkProver } from "../../src/proofs/stark/prover.ts";
import { decodeStarkValues, type Slot, starkRuns } from "../../src/proofs/stark/statement.ts";
import { loadGenstark, proveTrace } from "../../src/proofs/stark/genstark.ts";
import { instantiate, readStarkKey } from "../../src/proofs/stark/verify.ts";
import { fold } from "../../src/provers/statement.ts";
import { changed, systemSuite } from "../compliance/system.ts";
import { KEYS_DIR, STARK_KEY } from "./fixtures.ts";

const json = JSON.parse(Buffer.from(STARK_KEY).toString()) as Record<string, unknown>;
const keyWith = (changes: Readonly<Record<string, unknown>>): Uint8Array =>
  new Uint8Array(Buffer.from(JSON.stringify({ ...json, ...changes })));

const OTHER_KEY = keyWith({ traceQueries: 60 });

const made = systemSuite({
  name: "stark",
  key: STARK_KEY,
  otherKey: OTHER_KEY,
  make: (limits) => createStarkProver({ slots: 1, keysDir: KEYS_DIR, ...limits }),
  timeoutMs: 100_000,
  notCanonical: ({ proof, values }) => {
    const beyond = new Uint8Array(16).fill(255);
    return [
      { values: changed(values, 16, beyond), proof },
      { values: values.with(127, 9), proof },
      // The first row that is opened comes after a root and a count; its numbers are little-endian.
      { values, proof: changed(proof, 33, beyond) },
    ];
  },
});

describe("the STARK's statement", () => {
  it("leads through the shards of a block, from a commitment of its own", () => {
    const [first, second] = made().bench.values.map(decodeStarkValues);
    expect(second?.before).toEqual(first?.after);
    expect(first?.before).not.toEqual(first?.after);
    expect(first?.count).toBe(2);
  });

  it("is another for any other item, order, number of items or place", () => {
    const item = { sender: "11".repeat(20), recipient: null, value: 5n, feeLimit: 7n };
    const other = { ...item, recipient: "00".repeat(20) };
    const after = (...items: readonly (typeof item | typeof other)[]): string =>
      (starkRuns([fold(9n, items)])[0]?.after ?? []).join();
    const all = [
      after(),
      after(item),
      after(other),
      after(item, item),
      after(item, other),
      after(other, item),
      after(item, item, item),
      after({ ...item, value: 7n, feeLimit: 5n }),
    ];
    expect(new Set(all).size).toBe(all.length);
    expect(starkRuns([fold(8n, [item])])[0]?.after.join()).not.toBe(after(item));
  });

  it("has the hash and the constraints that its key names", () => {
    expect(json["air"]).toBe(airHash());
    expect(CONSTRAINTS).toBe(27);
  });
});

describe("the STARK's hash", () => {
  it("is a permutation of its field: cubes have one root, and the matrix mixes everything", () => {
    expect((STARK_ORDER - 1n) % 3n).not.toBe(0n);
    for (const row of MIX) expect(row.every((factor) => factor !== 0n)).toBe(true);
    expect(new Set(ROUND_CONSTANTS.flat()).size).toBe(128 * 7);
    const state = [1n, 2n, 3n, 4n, 5n, 6n, 7n];
    const another = hashRound([1n, 2n, 3n, 4n, 5n, 6n, 8n], 0);
    expect(hashRound(state, 0).every((element, i) => element !== another[i])).toBe(true);
    expect(hashRound(state, 1)).not.toEqual(hashRound(state, 0));
  });
});

describe("a STARK's trace", () => {
  it("has a row for every round and ends with the sums", () => {
    const item = { sender: "11".repeat(20), recipient: null, value: 5n, feeLimit: 7n };
    const [run] = starkRuns([fold(9n, [item, item, item])]);
    if (run === undefined) throw new Error("no run");
    const columns = traceOf(run, 1n << 200n);
    expect(columns.map(({ length }) => length)).toEqual(columns.map(() => 4 * 128));
    expect([columns[15]?.at(-1), columns[16]?.at(-1)]).toEqual([21n, 3n]);
    expect([columns[0]?.at(-1), columns[1]?.at(-1)]).toEqual(run.after);
  });
});

describe("the STARK's constraints", () => {
  const item = { sender: "11".repeat(20), recipient: "22".repeat(20), value: 5n, feeLimit: 7n };
  const [run] = starkRuns([fold(9n, [item])]);
  const context = 1n << 200n;

  /** Which constraint refuses the trace of a changed slot, or a trace that is changed itself. */
  async function refusal(slot: Partial<Slot>, change: (columns: bigint[][]) => void = () => {}): Promise<string> {
    const [only] = run?.slots ?? [];
    if (run === undefined || only === undefined) throw new Error("no run");
    const columns = traceOf({ ...run, slots: [{ ...only, ...slot }] }, context);
    change(columns);
    const stark = instantiate(await loadGenstark(), readStarkKey(STARK_KEY), 1);
    try {
      proveTrace(stark, columns, [{ register: 17, step: 0, value: columns[17]?.[0] ?? 0n }]);
      return "none";
    } catch (error) {
      return /Constraint (\d+) didn't/.exec(error instanceof Error ? error.message : "")?.[1] ?? String(error);
    }
  }
  const set = (register: number, row: number, value: bigint) => (columns: bigint[][]) => {
    const column = columns[register];
    if (column !== undefined) column[row] = value;
  };
  /** The sponge takes in what the words are, so only their range is wrong. */
  const word = (at: number, value: bigint): Partial<Slot> => ({
    words: [1n, 0n, 1n, 1n, 1n, 0n].with(at, value),
  });

  it.each<[string, number, Partial<Slot>, ((columns: bigint[][]) => void)?]>([
    ["a hash that is none", 3, {}, set(3, 77, 1n)],
    ["a word that loses more than a bit", 7, {}, set(7, 5, 0n)],
    ["a lower part of more than 124 bits", 14, word(1, 1n << 124n)],
    ["a fee limit of more than 124 bits", 16, word(3, 1n << 126n)],
    ["a sender or value of too many bits", 17, word(4, 1n << 40n)],
    ["a recipient of more than 160 bits", 18, word(5, 1n << 36n)],
    ["an item that is neither there nor absent", 19, { active: 2n }],
    ["a creation that is half one", 20, { creation: 2n }],
    ["a creation that has a recipient", 21, { creation: 1n }],
    ["another sum of fee limits", 23, {}, set(15, 100, 8n)],
    ["another number of items", 24, {}, set(16, 100, 2n)],
    ["a context that changes on the way", 25, {}, set(17, 64, 1n)],
  ])("refuse %s", async (_, constraint, slot, change) => {
    expect(await refusal(slot, change)).toBe(String(constraint));
  });
});

describe("a STARK key", () => {
  it("names the statement, and enough queries for 128 bits", () => {
    expect(readStarkKey(STARK_KEY)).toEqual({ extension: 16, traceQueries: 54, foldQueries: 32 });
    const read = (changes: Readonly<Record<string, unknown>>) => () => readStarkKey(keyWith(changes));
    expect(read({ air: "00".repeat(32) })).toThrow("the key is of another statement");
    expect(read({ system: "groth16-shard" })).toThrow("the key is of another statement");
    expect(read({ extension: 8 })).toThrow("the key has extension 8; allowed: 16, 32");
    expect(read({ traceQueries: 53 })).toThrow("the key has 53 traceQueries; allowed: 54 to 128");
    expect(read({ foldQueries: 31.5 })).toThrow("the key has 31.5 foldQueries; allowed: 32 to 64");
    expect(read({ extension: 32, traceQueries: 38, foldQueries: 26 })).not.toThrow();
  });
});
