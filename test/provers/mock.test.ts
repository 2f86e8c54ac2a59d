import { afterAll, describe, expect, it } from "vitest";
import type { Cancel, Clock, ProveEvent, ProveJob } from "../../src/ports.ts";
import { createMockProver, createMockVerifier, mockProof, mockValues, mockVerify } from "../../src/provers/mock.ts";
import type { Prepared } from "../../src/provers/statement.ts";
import { proverSuite } from "../compliance/prover.ts";
import { verifierSuite } from "../compliance/verifier.ts";
import * as fixtures from "./fixtures.ts";

const BEFORE = new Uint8Array(32).fill(3);
const MADE = fixtures.proveJob(fixtures.SMALL, BEFORE, { system: "mock" });
const VALUES = mockValues(MADE.id.block, MADE.id.stage, MADE.id.index, BEFORE);
const job = (changes: Partial<ProveJob> = {}): ProveJob => ({ ...MADE, values: VALUES, ...changes });

const verifier = createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 });
afterAll(() => verifier.close());

proverSuite("mock", {
  make: () => createMockProver({ clock: fixtures.CLOCK, seed: "1", slots: 2, provingMs: 20 }),
  makeSlow: () => createMockProver({ clock: fixtures.CLOCK, seed: "1", slots: 2, provingMs: 500 }),
  job,
  verifier: () => verifier,
  verifyJob: ({ system, key, values }, proof) => ({ system, key, values, parts: [], proof }),
  processes: fixtures.descendants,
});

const statement = (index: number, block = job().id.block): Uint8Array => mockValues(block, "shard", index, BEFORE);

verifierSuite("mock", {
  verifier: () => verifier,
  job: () => {
    return { system: "mock", key: "", values: statement(0), parts: [], proof: mockProof(statement(0)) };
  },
  otherTask: () => statement(1),
  otherBlock: () => statement(0, "ab".repeat(32)),
});

/** A clock that somebody else moves. */
function virtualClock(): { readonly clock: Clock; readonly advance: (ms: number) => void } {
  let now = 0;
  const waiting = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    clock: {
      now: () => now,
      wall: () => now,
      after(delayMs, run): Cancel {
        const entry = { at: now + delayMs, run };
        waiting.add(entry);
        return () => void waiting.delete(entry);
      },
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const next = [...waiting].sort((a, b) => a.at - b.at).find(({ at }) => at <= end);
        if (next === undefined) break;
        waiting.delete(next);
        now = next.at;
        next.run();
      }
      now = end;
    },
  };
}

function fates(seed: string): string[] {
  const { clock, advance } = virtualClock();
  const options = { infrastructure: 0.2, logical: 0.2, wrong: 0.2 };
  const prover = createMockProver({ clock, seed, slots: 1, provingMs: { min: 10, max: 1000 }, ...options });
  const seen: string[] = [];
  for (let attempt = 0; attempt < 100; attempt++) {
    prover.prove(job({ attempt }), (event) => {
      if (event.kind === "failed") seen.push(event.fault.code);
      if (event.kind === "proved") seen.push(`${mockVerify(event.values, event.proof).valid} ${event.provingMs}`);
    });
    advance(1000);
  }
  return seen;
}

describe("the mock prover", () => {
  it("repeats every time and fate from its seed, and no other's", () => {
    const [one, again, other] = [fates("a"), fates("a"), fates("b")];
    expect(one).toHaveLength(100);
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
    for (const fate of ["mock.infrastructure", "mock.logical"]) {
      const count = one.filter((text) => text === fate).length;
      expect(count, fate).toBeGreaterThan(8);
      expect(count, fate).toBeLessThan(35);
    }
    expect(one.some((text) => text.startsWith("false"))).toBe(true);
    expect(one.some((text) => text.startsWith("true"))).toBe(true);
  });

  it("lives on the clock it is given", () => {
    const { clock, advance } = virtualClock();
    const prover = createMockProver({ clock, seed: "1", slots: 1, provingMs: 1000 });
    const events: ProveEvent[] = [];
    prover.prove(job(), (event) => events.push(event));
    advance(999);
    expect(events).toEqual([1, 2, 3, 4].map((units) => ({ kind: "progress", units })));
    advance(1);
    expect(events.at(-1)).toMatchObject({ kind: "proved", provingMs: 1000 });
  });
});

describe("the mock verifier", () => {
  it("names values for every task and chains the commitment", async () => {
    const prepared = await fixtures.value<Prepared>((done) =>
      verifier.prepare(fixtures.prepareJob(fixtures.SMALL, 3), done),
    );
    expect(prepared.values["shard"]).toHaveLength(3);
    expect(prepared.values["block"]).toHaveLength(1);
    expect(prepared.after).not.toEqual(prepared.before);
  });

  it("tells whose payload is not the block's", async () => {
    const fault = { code: "payload.malformed", message: "made up" };
    const strict = createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0, check: () => fault });
    const result = await fixtures.outcome<unknown>((done) =>
      strict.prepare(fixtures.prepareJob(fixtures.SMALL, 3), done),
    );
    expect(result).toEqual({ ok: false, fault });
  });

  it("proof.length and proof.equation: takes no other proof", () => {
    const values = mockValues("ab".repeat(32), "shard", 0, BEFORE);
    expect(mockVerify(values, mockProof(values))).toEqual({ valid: true });
    expect(mockVerify(values, new Uint8Array(31))).toEqual({ valid: false, code: "proof.length" });
    expect(mockVerify(values, mockProof(BEFORE))).toEqual({ valid: false, code: "proof.equation" });
  });
});
