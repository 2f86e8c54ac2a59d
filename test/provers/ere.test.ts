import { artefactHash } from "../../src/protocol/ids.ts";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { ProveEvent, ProveJob, Prover, Verifier, VerifyJob } from "../../src/ports.ts";
import { createEreProver } from "../../src/provers/ere/prover.ts";
import { createEreVerifier } from "../../src/provers/ere/verifier.ts";
import { createMockVerifier } from "../../src/provers/mock.ts";
import { withOutside } from "../../src/provers/outside.ts";
import { committedTo } from "../../src/provers/values.ts";
import type { LayoutField, Statement } from "../../src/protocol/statement.ts";
import { proverSuite } from "../compliance/prover.ts";
import { type FakeEre, fakeEre } from "./fake-ere.ts";
import * as fixtures from "./fixtures.ts";

const BEFORE = new Uint8Array(32).fill(3);
const SYSTEM = "zisk";

let server: FakeEre;
let verifier: Verifier;
let keyHash: string;
const provers: Prover[] = [];

beforeAll(async () => {
  server = await fakeEre();
  keyHash = artefactHash(server.key);
  const inner = createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 });
  verifier = withOutside(inner, [createEreVerifier({ system: SYSTEM, url: server.url, timeoutMs: 5_000 })]);
});
afterAll(async () => {
  await Promise.all(provers.map((prover) => prover.close()));
  await verifier.close();
  await server.close();
});
beforeEach(() => {
  server.provingMs = 20;
  server.stuckAfterMs = Number.POSITIVE_INFINITY;
  server.health = [];
  server.guest = () => ({ values: padded(job().values) });
});

const job = (changes: Partial<ProveJob> = {}): ProveJob =>
  fixtures.proveJob(fixtures.SMALL, BEFORE, { system: SYSTEM, key: keyHash, ...changes });

/** ZisK's public values are 256 bytes. */
function padded(values: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(256);
  bytes.set(values);
  return bytes;
}

function open(changes: Partial<Parameters<typeof createEreProver>[0]> = {}): Prover {
  const prover = createEreProver({ system: SYSTEM, url: server.url, timeoutMs: 5_000, probeMs: 10, ...changes });
  provers.push(prover);
  return prover;
}

const verifyJob = (of: ProveJob, proof: Uint8Array): VerifyJob => {
  return { system: of.system, key: of.key, values: of.values, parts: [], proof };
};
const verdictOf = (proof: VerifyJob) => fixtures.outcome((done) => verifier.verify(proof, done));
const codeOf = (event: ProveEvent): string => (event.kind === "failed" ? event.fault.code : event.kind);

async function proven(): Promise<Uint8Array> {
  const event = await fixtures.last(open(), job());
  if (event.kind !== "proved") throw new Error(codeOf(event));
  return event.proof;
}

proverSuite("ere-server", {
  make: () => open(),
  makeSlow: () => {
    server.provingMs = 300;
    return open();
  },
  job,
  verifier: () => verifier,
  verifyJob,
  processes: () => [],
});

describe("a prover behind ere-server", () => {
  it("gives the guest the block's payload, and the one proof that the task takes", async () => {
    const heard: (Uint8Array | null)[] = [];
    server.guest = (stdin, proofs) => {
      heard.push(Uint8Array.from(stdin), proofs === null ? null : Uint8Array.from(proofs));
      return { values: job().values };
    };
    await fixtures.last(open(), job({ inputs: [Uint8Array.of(1, 2, 3)] }));
    // What was cancelled before still runs there first.
    expect(heard.slice(-2)).toEqual([Uint8Array.from(job().payload), Uint8Array.of(1, 2, 3)]);
  });

  it("gives the guest the job as JSON where it is configured so", async () => {
    let heard = "";
    server.guest = (stdin) => {
      heard = new TextDecoder().decode(stdin);
      return { values: job().values };
    };
    await fixtures.last(open({ input: "json" }), job());
    expect(JSON.parse(heard)).toMatchObject({ block: job().id.height, system: SYSTEM });
  });

  it("takes a zkVM's failure, which comes with status 200, for the machine's: the server says no more", async () => {
    server.guest = () => ({ error: "guest panicked: assertion failed" });
    const event = await fixtures.last(open(), job());
    expect(event).toMatchObject({
      kind: "failed",
      logical: false,
      fault: { code: "ere.refused", message: "guest panicked: assertion failed" },
    });
  });

  it("fails where the guest commits to other values than the task implies", async () => {
    server.guest = () => ({ values: padded(Uint8Array.of(9)) });
    expect(codeOf(await fixtures.last(open(), job()))).toBe("ere.values");
  });

  it("names the server's own fault", async () => {
    const event = await fixtures.last(open({ url: `${server.url}/wrong` }), job());
    expect(event).toMatchObject({ kind: "failed", logical: false, fault: { code: "ere.fault" } });
    expect(event.kind === "failed" && event.fault.message).toContain("bad_route (404)");
  });

  it("says that nobody is there", async () => {
    const event = await fixtures.last(open({ url: "http://127.0.0.1:1" }), job());
    expect(event).toMatchObject({ kind: "failed", logical: false, fault: { code: "ere.unreachable" } });
  });

  it("fails at once while the server still proves what was cancelled, and proves again afterwards", async () => {
    server.provingMs = 300;
    const prover = open();
    const begun = server.begun();
    const cancel = prover.prove(job(), () => {});
    await vi.waitFor(() => expect(server.begun()).toBe(begun + 1));
    cancel();
    const ended = server.ended();
    expect(codeOf(await fixtures.last(prover, job()))).toBe("ere.busy");
    expect(server.ended()).toBe(ended);
    await vi.waitFor(() => expect(server.ended()).toBe(ended + 1));
    await vi.waitFor(async () => expect(codeOf(await fixtures.last(prover, job()))).toBe("proved"));
  });

  it("says when it is done with what was cancelled, and until then that it works", async () => {
    server.provingMs = 300;
    const prover = open();
    const begun = server.begun();
    prover.prove(job(), () => {})();
    await vi.waitFor(() => expect(server.begun()).toBe(begun + 1));
    const ended = server.ended();
    let moved = 0;
    await new Promise<void>((resolve) => {
      prover.vacate?.(() => moved++, resolve);
    });
    expect(server.ended()).toBe(ended + 1);
    expect(moved).toBeGreaterThan(0);
    expect(codeOf(await fixtures.last(prover, job()))).toBe("proved");
    let idle = false;
    prover.vacate?.(
      () => {},
      () => {
        idle = true;
      },
    );
    expect(idle).toBe(true);
  });

  it("keeps a proof whose server gives no answer about its health, a late one or a proxy's: the answer to Prove decides", async () => {
    for (const health of [["reset", "reset", "reset", "reset"], ["late"], [503, 502, 503, 503, "reset"]] as const) {
      server.provingMs = health.includes("late" as never) ? 4_000 : 300;
      server.health = [...health];
      expect(codeOf(await fixtures.last(open({ timeoutMs: 10_000 }), job())), health.join()).toBe("proved");
      expect(server.health).toEqual([]);
    }
  }, 30_000);

  it("gives up at once where the server goes away in the middle of a proof", async () => {
    const other = await fakeEre();
    other.provingMs = 5_000;
    const proved = fixtures.last(open({ url: other.url }), job());
    await vi.waitFor(() => expect(other.begun()).toBe(1));
    await other.close();
    expect(codeOf(await proved)).toBe("ere.unreachable");
  });

  it("gives up a server that says of itself that it hangs", async () => {
    server.provingMs = 2_000;
    server.stuckAfterMs = 50;
    expect(codeOf(await fixtures.last(open(), job()))).toBe("ere.stuck");
  });

  it("gives up after its time", async () => {
    server.provingMs = 2_000;
    expect(codeOf(await fixtures.last(open({ timeoutMs: 50, probeMs: 1_000 }), job()))).toBe("ere.timeout");
  });
});

describe("a guest whose statement is a layout", () => {
  const layout = (...fields: readonly LayoutField[]): Statement => ({ kind: "layout", bytes: 34, fields: [...fields] });
  const open34 = layout({ at: 0, is: "block-hash" }, { at: 32, anything: 2 });
  const bound = layout({ at: 0, is: "block-hash" }, { at: 32, constant: "0000" });
  const implied = new Uint8Array(34).fill(7, 0, 32);
  const committed = (...tail: readonly number[]) => new Uint8Array([...implied.subarray(0, 32), ...tail]);

  it("commits to what the statement says, and to anything where it says nothing; some guests put zeros behind", () => {
    expect(committedTo(open34, implied, committed(1, 2))).toEqual(committed(1, 2));
    expect(committedTo(open34, implied, committed(1, 2, 0, 0))).toEqual(committed(1, 2));
    expect(committedTo(open34, implied, committed(1, 2, 0, 3))).toBe(null);
    expect(committedTo(open34, implied, committed(1))).toBe(null);
    expect(committedTo(bound, implied, committed(1, 2))).toBe(null);
    expect(committedTo(bound, implied, committed(0, 0, 0))).toEqual(committed(0, 0));
  });
});

describe("verification by ere-server", () => {
  it("refuses a proof that does not verify, one that cannot be read, and one of other values, each by its code", async () => {
    const proof = await proven();
    const wrong = Uint8Array.from(proof, (byte, at) => (at === 10 ? byte ^ 1 : byte));
    expect(await verdictOf(verifyJob(job(), proof))).toEqual({ ok: true, value: { valid: true } });
    expect(await verdictOf(verifyJob(job(), wrong))).toEqual({
      ok: true,
      value: { valid: false, code: "proof.equation" },
    });
    expect(await verdictOf(verifyJob(job(), proof.subarray(1)))).toEqual({
      ok: true,
      value: { valid: false, code: "proof.shape" },
    });
    const other = { ...verifyJob(job(), proof), values: Uint8Array.of(7) };
    expect(await verdictOf(other)).toEqual({ ok: true, value: { valid: false, code: "proof.values" } });
    expect(await verdictOf(verifyJob(job(), proof))).toEqual({ ok: true, value: { valid: true } });
  });

  it("gives no verdict for a refusal before any proof was accepted", async () => {
    const fresh = withOutside(createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 }), [
      createEreVerifier({ system: SYSTEM, url: server.url, timeoutMs: 5_000 }),
    ]);
    const proof = await proven();
    const ask = (bytes: Uint8Array) => fixtures.outcome((done) => fresh.verify(verifyJob(job(), bytes), done));
    const wrong = Uint8Array.from(proof, (byte, at) => (at === 10 ? byte ^ 1 : byte));
    expect(await ask(wrong)).toMatchObject({ ok: false, fault: { code: "verifier.server" } });
    expect(await ask(proof)).toEqual({ ok: true, value: { valid: true } });
    expect(await ask(wrong)).toEqual({ ok: true, value: { valid: false, code: "proof.equation" } });
    await fresh.close();
  });

  it("gives no verdict for a true proof where the server's verifier fails", async () => {
    const proof = await proven();
    expect(await verdictOf(verifyJob(job(), proof))).toEqual({ ok: true, value: { valid: true } });
    server.verifyError = "verify panicked: out of memory";
    const result = await verdictOf(verifyJob(job(), proof));
    server.verifyError = null;
    expect(result).toMatchObject({ ok: false, fault: { code: "verifier.server" } });
  });

  it("gives no verdict once another program is loaded behind the same URL", async () => {
    const proof = await proven();
    const { key } = server;
    const task = verifyJob(job(), proof);
    expect(await verdictOf(task)).toEqual({ ok: true, value: { valid: true } });
    server.key = Uint8Array.of(...key, 1);
    const result = await verdictOf({ ...task, proof: await proven() });
    server.key = key;
    expect(result).toMatchObject({ ok: false, fault: { code: "verifier.server" } });
  });

  it("gives no verdict where the server verifies another program", async () => {
    const result = await verdictOf({ ...verifyJob(job(), await proven()), key: artefactHash(Uint8Array.of(1)) });
    expect(result).toMatchObject({ ok: false, fault: { code: "verifier.server" } });
  });

  it("gives no verdict where nobody answers", async () => {
    const inner = createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 });
    const nobody = withOutside(inner, [
      createEreVerifier({ system: SYSTEM, url: "http://127.0.0.1:1", timeoutMs: 1_000 }),
    ]);
    const result = await fixtures.outcome((done) => nobody.verify(verifyJob(job(), Uint8Array.of(1)), done));
    expect(result).toMatchObject({ ok: false, fault: { code: "verifier.server" } });
    await nobody.close();
  });
});
