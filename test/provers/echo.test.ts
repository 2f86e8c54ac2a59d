import { afterAll, describe, expect, it } from "vitest";
import { createEchoProver, echoOf } from "../../src/provers/echo.ts";
import { createMockVerifier } from "../../src/provers/mock.ts";
import { itemsIn } from "../../src/protocol/items.ts";
import { proverSuite } from "../compliance/prover.ts";
import * as fixtures from "./fixtures.ts";

const MADE = fixtures.proveJob(fixtures.SMALL, new Uint8Array(32), { system: "cut" });
const inner = createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 });
afterAll(() => inner.close());

proverSuite("echo", {
  make: () => createEchoProver({ clock: fixtures.CLOCK, system: "cut", slots: 1, delayMs: 20 }),
  makeSlow: () => createEchoProver({ clock: fixtures.CLOCK, system: "cut", slots: 1, delayMs: 500 }),
  job: (changes = {}) => ({ ...MADE, ...changes }),
  verifier: () => ({
    ...inner,
    // What is recomputed is compared.
    verify(job, done) {
      const valid = Buffer.from(job.proof).equals(Buffer.from(echoOf(MADE)));
      done({ ok: true, value: valid ? { valid } : { valid: false, code: "result.differs" } });
      return () => {};
    },
  }),
  verifyJob: ({ system, key, values }, proof) => ({ system, key, values, parts: [], proof }),
  processes: fixtures.descendants,
  instant: true,
});

describe("what echo makes", () => {
  it("is a function of its job, and a list where it is asked for one", () => {
    expect(echoOf(MADE)).toEqual(echoOf({ ...MADE, attempt: 7 }));
    expect(echoOf(MADE)).not.toEqual(echoOf({ ...MADE, inputs: [Uint8Array.of(1)] }));
    expect(itemsIn(Buffer.from(echoOf(MADE, 5)).toString("utf8"), 5)).toHaveLength(5);
  });
});
