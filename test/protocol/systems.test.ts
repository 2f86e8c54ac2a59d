import { describe, expect, it } from "vitest";
import { familyOf } from "../../src/protocol/systems.ts";

describe("families of proof systems", () => {
  it("are different for the systems that come with the node, so that one mistake breaks one of them", () => {
    const families = ["groth16-shard", "ultrahonk-shard", "stark-shard"].map(familyOf);
    expect(families).toEqual(["groth16", "plonkish", "stark"]);
  });

  it("are one for what is checked by the same equation", () => {
    expect(new Set(["groth16-shard", "groth16-batch", "sp1-groth16"].map(familyOf)).size).toBe(1);
  });

  it("are of their own where a system is not known, whatever it is called", () => {
    for (const system of ["mock", "toString", "__proto__", "constructor"]) expect(familyOf(system)).toBe(system);
  });
});
