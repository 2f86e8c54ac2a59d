/** Halo2, whose library is installed for it alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SHARD_ITEMS_MAX } from "../../src/protocol/ethereum.ts";
import { CIRCUIT_CONFIG, layOut } from "../../src/proofs/halo2/circuit.ts";
import { createHalo2Prover } from "../../src/proofs/halo2/prover.ts";
import { PROOF_BYTES } from "../../src/proofs/halo2/verify.ts";
import { loadHalo2 } from "../../src/proofs/halo2/wasm.ts";
import { FIELD_ORDER } from "../../src/protocol/payee.ts";
import { bigEndian } from "../../src/proofs/bytes.ts";
import { encodeElement, fold, type Witness, witnessOf } from "../../src/provers/statement.ts";
import { changed, systemSuite } from "../compliance/system.ts";
import { KEYS_DIR, otherSetup } from "../provers/fixtures.ts";
import { install } from "./install.ts";

const KEY = new Uint8Array(readFileSync(join(KEYS_DIR, "shard.halo2.vkey")));

const made = systemSuite({
  name: "halo2",
  key: KEY,
  otherKey: otherSetup(KEY),
  make: (limits) => createHalo2Prover({ slots: 1, keysDir: KEYS_DIR, ...limits }),
  timeoutMs: 300_000,
  prepare: () => install("halo2"),
  notCanonical: ({ proof, values }) => {
    const beyond = encodeElement(bigEndian(values.subarray(32, 64)) + FIELD_ORDER);
    const aliases = [17, 69].map((word) => {
      const number = bigEndian(proof.slice(32 * word, 32 * word + 32).reverse());
      return { values, proof: changed(proof, 32 * word, encodeElement(number + FIELD_ORDER).reverse()) };
    });
    return [{ values: changed(values, 32, beyond), proof }, ...aliases];
  },
});

describe("a Halo2 proof", () => {
  it("has one size, whatever it proves", () => {
    expect(made().proof.length).toBe(PROOF_BYTES);
  });
});

describe("the Halo2 circuit", () => {
  const items = [
    { sender: "11".repeat(20), recipient: "22".repeat(20), value: 13n, feeLimit: 14n },
    { sender: "ff".repeat(20), recipient: null, value: (1n << 128n) - 1n, feeLimit: (1n << 124n) - 1n },
  ];
  const taken = (witness: Witness): boolean => {
    // A refusal is a panic, after which an instance is of no use.
    const module = loadHalo2();
    const circuit = new module.Halo2Wasm();
    circuit.config(CIRCUIT_CONFIG);
    try {
      layOut(module, circuit, witness);
      circuit.mock();
      return true;
    } catch {
      return false;
    }
  };
  const true2 = witnessOf(fold(5n, items), 7n);

  it("takes what is true, from no item to all", () => {
    const full = Array.from({ length: SHARD_ITEMS_MAX }, (_, i) => items[i % 2]).flatMap((item) => item ?? []);
    for (const run of [[], items.slice(0, 1), items, full]) expect(taken(witnessOf(fold(5n, run), 7n))).toBe(true);
  });

  it("refuses other sums and another end", () => {
    for (const name of ["before", "after", "fees", "count"] as const)
      expect(taken({ ...true2, [name]: true2[name] + 1n }), name).toBe(false);
    // Any context will do: it says whose proof this is.
    expect(taken({ ...true2, context: 8n })).toBe(true);
  });

  it("refuses rows that are none", () => {
    const refused = (name: keyof Witness, row: number, value: bigint): void => {
      const column = true2[name];
      if (typeof column === "bigint") throw new Error(`${name} is no column`);
      expect(taken({ ...true2, [name]: column.with(row, value) }), `${name} ${row}`).toBe(false);
    };
    refused("active", 0, 2n);
    // An item after an absent one; one that is left out; one out of its range, even where it is absent.
    refused("active", 3, 1n);
    refused("active", 1, 0n);
    refused("sender", 5, 1n << 160n);
    refused("recipient", 5, 1n << 160n);
    refused("value", 5, 1n << 128n);
    refused("feeLimit", 5, 1n << 124n);
    // A creation that is half one, and one with a recipient.
    refused("creation", 5, 2n);
    refused("creation", 0, 1n);
  });
});
