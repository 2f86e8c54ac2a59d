import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { ProveEvent, ProveJob, Prover, Verifier, VerifyJob } from "../../src/ports.ts";
import { createMockVerifier } from "../../src/provers/mock.ts";
import { withOutside } from "../../src/provers/outside.ts";
import { createZkboostProver, createZkboostVerifier } from "../../src/provers/zkboost/prover.ts";
import { proverSuite } from "../compliance/prover.ts";
import { type FakeZkboost, fakeZkboost, rootOf } from "./fake-zkboost.ts";
import * as fixtures from "./fixtures.ts";

const BEFORE = new Uint8Array(32).fill(3);
const SYSTEM = "zkboost-zisk";

let server: FakeZkboost;
let verifier: Verifier;
const provers: Prover[] = [];
let bodies = 0;

beforeAll(async () => {
  server = await fakeZkboost();
  const inner = createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 });
  verifier = withOutside(inner, [createZkboostVerifier(options())]);
});
afterAll(async () => {
  await Promise.all(provers.map((prover) => prover.close()));
  await verifier.close();
  await server.close();
});
beforeEach(() => Object.assign(server, { provingMs: 20, failure: null, losesEvents: false, lost: [] }));

const options = (): Parameters<typeof createZkboostProver>[0] => {
  return { system: SYSTEM, url: server.url, proofType: "reth-zisk", timeoutMs: 5_000, pollMs: 10 };
};

function open(changes: Partial<ReturnType<typeof options>> = {}): Prover {
  const prover = createZkboostProver({ ...options(), ...changes });
  provers.push(prover);
  return prover;
}

/** A payload that nobody has asked for yet, and the values that it implies. */
function job(changes: Partial<ProveJob> = {}): ProveJob {
  const payload = new Uint8Array(64);
  new DataView(payload.buffer).setUint32(0, ++bodies);
  return fixtures.proveJob(fixtures.SMALL, BEFORE, { system: SYSTEM, payload, values: rootOf(payload), ...changes });
}

const verifyJob = (of: ProveJob, proof: Uint8Array): VerifyJob => {
  return { system: of.system, key: of.key, values: of.values, parts: [], proof };
};
const codeOf = (event: ProveEvent): string => (event.kind === "failed" ? event.fault.code : event.kind);

proverSuite("zkboost", {
  make: () => open(),
  makeSlow: () => {
    server.provingMs = 300;
    return open();
  },
  job: () => job(),
  verifier: () => verifier,
  verifyJob,
  processes: () => [],
});

describe("a prover behind zkboost", () => {
  it("gets a proof that is there already without having it proven again", async () => {
    const task = job();
    expect(codeOf(await fixtures.last(open(), task))).toBe("proved");
    const before = server.proved();
    expect(codeOf(await fixtures.last(open(), task))).toBe("proved");
    expect(server.proved()).toBe(before);
  });

  it("finds the proof although the events are lost", async () => {
    server.losesEvents = true;
    expect(codeOf(await fixtures.last(open(), job()))).toBe("proved");
  });

  it("keeps a proof though questions for it are lost, and gives up a server that answers no more", async () => {
    server.provingMs = 200;
    server.lost = [0, 502, 503, 0, 0, 502];
    expect(codeOf(await fixtures.last(open(), job()))).toBe("proved");
    expect(server.lost).toEqual([]);
    server.lost = Array.from({ length: 1000 }, () => 0);
    expect(codeOf(await fixtures.last(open({ pollMs: 1 }), job()))).toBe("zkboost.unreachable");
    server.lost = Array.from({ length: 1000 }, () => 404);
    expect(codeOf(await fixtures.last(open({ timeoutMs: 300 }), job()))).toBe("zkboost.timeout");
  });

  it("hears of the proof by its event long before it would ask again", async () => {
    const startedMs = performance.now();
    const event = await fixtures.last(open({ pollMs: 60_000 }), job());
    expect(codeOf(event)).toBe("proved");
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  it("counts as busy until what was cancelled is proven, and says meanwhile that it works", async () => {
    server.provingMs = 200;
    const prover = open();
    const before = server.proved();
    const events: ProveEvent[] = [];
    const cancel = prover.prove(job(), (event) => events.push(event));
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(0));
    cancel();
    const heard = events.length;
    let moved = 0;
    await new Promise<void>((resolve) => {
      prover.vacate?.(() => moved++, resolve);
    });
    expect(server.proved()).toBe(before + 1);
    expect([moved > 0, events.length]).toEqual([true, heard]);
  });

  it("tells a failure of the proving from one of the machine", async () => {
    server.failure = { reason: "proving_error", error: "guest panicked" };
    expect(await fixtures.last(open({ pollMs: 60_000 }), job())).toMatchObject({
      logical: true,
      fault: { code: "zkboost.proving-error", message: "guest panicked" },
    });
    server.failure = { reason: "witness_timeout", error: "no witness" };
    expect(await fixtures.last(open({ pollMs: 60_000 }), job())).toMatchObject({
      logical: false,
      fault: { code: "zkboost.witness-timeout" },
    });
  });

  it("refuses to prove a payload that is not the task's", async () => {
    expect(codeOf(await fixtures.last(open(), job({ values: new Uint8Array(32) })))).toBe("zkboost.values");
  });

  it("names why the server refuses", async () => {
    expect(await fixtures.last(open({ proofType: "reth-sp1" }), job())).toMatchObject({
      logical: false,
      fault: { code: "zkboost.refused", message: "400: no zkVM configured for proof type 'reth-sp1'" },
    });
    const short = Uint8Array.of(1);
    expect(await fixtures.last(open(), job({ payload: short, values: rootOf(short) }))).toMatchObject({
      logical: true,
      fault: { code: "zkboost.refused", message: "400: invalid SSZ body: offset out of bounds" },
    });
  });

  it("says that nobody is there, and gives up after its time", async () => {
    expect(codeOf(await fixtures.last(open({ url: "http://127.0.0.1:1" }), job()))).toBe("zkboost.unreachable");
    server.provingMs = 2_000;
    expect(codeOf(await fixtures.last(open({ timeoutMs: 50 }), job()))).toBe("zkboost.timeout");
  });

  it("has every proof verified under the root that the task implies", async () => {
    const task = job();
    let proof = new Uint8Array();
    const event = await fixtures.last(open(), task);
    if (event.kind === "proved") proof = Uint8Array.from(event.proof);
    const verdict = (of: VerifyJob) => fixtures.outcome((done) => verifier.verify(of, done));
    expect(await verdict(verifyJob(task, proof))).toEqual({ ok: true, value: { valid: true } });
    expect(await verdict(verifyJob(job(), proof))).toEqual({
      ok: true,
      value: { valid: false, code: "proof.equation" },
    });
    expect(await verdict({ ...verifyJob(task, proof), values: Uint8Array.of(1) })).toEqual({
      ok: true,
      value: { valid: false, code: "proof.values" },
    });
  });
});
