import { describe, expect, it } from "vitest";
import { isMachines, NoVerdict } from "../../src/provers/no-verdict.ts";
import { encodeProof, holdsBy, type PicklesKey } from "../../src/proofs/pickles/verify.ts";
import { VALUES_BYTES } from "../../src/provers/statement.ts";

describe("an exception of a verifying library", () => {
  it("is the machine's where engine or system say so, and otherwise about the proof", () => {
    const errno = Object.assign(new Error("open"), { code: "EMFILE" });
    const stopped = Object.assign(new Error("unreachable"), { name: "RuntimeError" });
    for (const error of [
      new RangeError("Array buffer allocation failed"),
      new RangeError("WebAssembly.Memory(): could not allocate memory"),
      new RangeError("Maximum call stack size exceeded"),
      new Error("Verification of low degree failed: Array buffer allocation failed"),
      errno,
      stopped,
    ])
      expect(isMachines(error), error.message).toBe(true);
    const beyond = Object.assign(new RangeError("The value of offset is out of range"), { code: "ERR_OUT_OF_RANGE" });
    // What reading a proof that is cut short ends with.
    const outside = new RangeError("Attempt to access memory outside buffer bounds");
    for (const error of [
      outside,
      new Error("Verification of evaluation Merkle proof failed"),
      new TypeError("x"),
      beyond,
    ])
      expect(isMachines(error), error.message).toBe(false);
  });
});

describe("a library that throws for what is no proof", () => {
  const sample = {
    values: new Uint8Array(VALUES_BYTES),
    proof: encodeProof(new Uint8Array(VALUES_BYTES), { proof: "KGEp" }),
  };
  const key: PicklesKey = { data: "key", sample };
  const json = { publicInput: [], publicOutput: [], maxProofsVerified: 2, proof: "KGIp" } as const;
  const holds = (error: Error, isSampleTrue: () => boolean) =>
    holdsBy(
      { verify: ({ proof }) => (proof === json.proof ? Promise.reject(error) : Promise.resolve(isSampleTrue())) },
      key,
      json,
    );

  it("refuses a proof where it still verifies the key's own, and gives no verdict where it does not", async () => {
    expect(await holds(new Error("invalid s-expression"), () => true)).toBe(false);
    await expect(holds(new Error("invalid s-expression"), () => false)).rejects.toThrow(NoVerdict);
    const broken = () => {
      throw new Error("broken");
    };
    await expect(holds(new Error("invalid s-expression"), broken)).rejects.toThrow(NoVerdict);
    await expect(holds(new RangeError("out of memory"), () => true)).rejects.toThrow(NoVerdict);
  });
});
