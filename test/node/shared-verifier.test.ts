import { describe, expect, it } from "vitest";
import { sharedVerifier, VerifierSlots } from "../../src/node/shared-verifier.ts";
import type { Verifier } from "../../src/ports.ts";
import { dealSlots } from "../../src/scheduler/slots.ts";

describe("slots", () => {
  it("are dealt to the partitions, the remainder to the first (SLOT-6)", () => {
    expect([...dealSlots(5, ["a", "b"])]).toEqual([
      ["a", 3],
      ["b", 2],
    ]);
    expect([...dealSlots(4, [null])]).toEqual([[null, 4]]);
  });

  it("are one each where there are fewer than partitions", () => {
    expect([...dealSlots(2, ["a", "b", "c"]).values()]).toEqual([1, 1, 1]);
  });
});

describe("partitions that share a verifier", () => {
  it("have one proof verified for each of another that has hundreds, and refuse too many", async () => {
    const verified: string[] = [];
    const asked: (() => void)[] = [];
    const verifier: Verifier = {
      prepare: () => () => {},
      verify: ({ system }, done) => {
        asked.push(() => {
          verified.push(system);
          done({ ok: true, value: { valid: true } });
        });
        return () => {};
      },
      close: () => Promise.resolve(),
    };
    const slots = new VerifierSlots(1);
    const faults: string[] = [];
    const verify = (partition: string, system: string): void => {
      const job = { system, key: "", values: new Uint8Array(), parts: [], proof: new Uint8Array() };
      sharedVerifier(verifier, slots, partition).verify(job, (result) => {
        if (!result.ok) faults.push(result.fault.code);
      });
    };
    for (let proof = 0; proof < 300; proof++) verify("behind", "late");
    verify("well", "first");
    verify("well", "second");
    for (let proof = 0; proof < 5; proof++) asked.shift()?.();
    expect(verified).toEqual(["late", "first", "late", "second", "late"]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(faults).toEqual(Array.from({ length: 300 - 257 }, () => "verifier.busy"));
  });
});
