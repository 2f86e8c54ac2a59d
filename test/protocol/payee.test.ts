import { describe, expect, it } from "vitest";
import { contextFor, FIELD_ORDER, NOBODY, valuesFor } from "../../src/protocol/payee.ts";
import { payeeOf } from "../../src/protocol/systems.ts";
import { contextOf, decodeValues, encodeElement, encodeValues } from "../../src/provers/statement.ts";
import { hashOf } from "./fixtures.ts";

const [P, Q] = [hashOf("p"), hashOf("q")];
const VALUES = encodeValues({ before: 1n, after: 2n, fees: 3n, count: 4n, context: 5n });

describe("the public values of a task for a prover", () => {
  it("differ from those for another and for nobody in the context alone", () => {
    const [nobody, p, q] = [NOBODY, P, Q].map((prover) => decodeValues(valuesFor("context", VALUES, prover)));
    expect(nobody).toEqual(decodeValues(VALUES));
    expect(p).toEqual({ before: 1n, after: 2n, fees: 3n, count: 4n, context: p?.context });
    expect(new Set([nobody, p, q].map((values) => values?.context)).size).toBe(3);
  });

  it("have the context that a proving program works out from the task and the prover", () => {
    const place = [hashOf("block"), "shard", 3] as const;
    for (const prover of [NOBODY, P]) {
      const context = encodeElement(contextOf(...place, prover));
      expect(contextFor(encodeElement(contextOf(...place, NOBODY)), prover)).toEqual(context);
      expect(BigInt(`0x${Buffer.from(context).toString("hex")}`) < FIELD_ORDER).toBe(true);
    }
  });

  it("are another digest where the values are one, and the same where a system has no room for a payee", () => {
    expect(valuesFor("digest", VALUES, P)).not.toEqual(valuesFor("digest", VALUES, Q));
    expect(valuesFor("digest", VALUES, NOBODY)).toBe(VALUES);
    expect(valuesFor("none", VALUES, P)).toBe(VALUES);
  });
});

describe("proof systems that name the payee", () => {
  it("are those of the shard circuits, and the simulated ones; any other name is of none", () => {
    for (const system of ["groth16-shard", "ultrahonk-shard", "halo2-shard", "stark-shard", "pickles-merge"])
      expect(payeeOf(system), system).toBe("context");
    for (const system of ["mock", "mock-zkvm", "sim", "sim-two"]) expect(payeeOf(system), system).toBe("digest");
    for (const system of ["groth16-batch", "sp1-groth16", "mocked", "simple", "toString", ""])
      expect(payeeOf(system), system).toBe("none");
  });

  it("do so only where the statement has room for a prover", () => {
    for (const system of ["mock", "groth16-shard", "zisk"]) expect(payeeOf(system, "block-hash")).toBe("none");
    expect(payeeOf("mock", "shard-fold")).toBe("digest");
  });
});
