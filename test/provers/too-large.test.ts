import { expect, it } from "vitest";
import type { Prover } from "../../src/ports.ts";
import { encodeElement } from "../../src/provers/statement.ts";
import { refusingLarge } from "../../src/provers/too-large.ts";
import * as fixtures from "./fixtures.ts";

const job = fixtures.proveJob(fixtures.SMALL, encodeElement(5n), { system: "mock" });

function proverOf(bytes: number): Prover {
  return {
    system: "mock",
    slots: 1,
    prove: ({ values }, emit) => {
      emit({ kind: "progress", units: 1 });
      emit({ kind: "proved", proof: new Uint8Array(bytes), values, provingMs: 5 });
      return () => {};
    },
    close: () => Promise.resolve(),
  };
}

it("proof.too-large: tells a prover that its proofs do not fit, and takes it out of use", async () => {
  expect(await fixtures.last(refusingLarge(proverOf(1001), 1000), job)).toEqual({
    kind: "failed",
    logical: false,
    disabled: true,
    fault: {
      code: "proof.too-large",
      message: "the proof has 1001 bytes; this network allows 1000 (limits.proofBytesMax of its manifest)",
    },
  });
  expect(await fixtures.last(refusingLarge(proverOf(1000), 1000), job)).toMatchObject({ kind: "proved" });
});
