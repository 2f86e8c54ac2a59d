import { describe, expect, it, vi } from "vitest";
import { guardedProver, guardedSink, guardedSource, guardedVerifier } from "../../src/node/guard.ts";
import type { ProveEvent, Prover, Sink, Source, SourceBlock, SourceEvent, Verifier } from "../../src/ports.ts";
import { encodeElement } from "../../src/provers/statement.ts";
import { ProverScheduler } from "../../src/runtime/scheduler.ts";
import { Devices } from "../../src/scheduler/devices.ts";
import * as fixtures from "../provers/fixtures.ts";

const job = fixtures.proveJob(fixtures.SMALL, encodeElement(5n), { system: "mock" });
const full = (): Error => Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });

function prover(prove: Prover["prove"]): Prover {
  return { system: "mock", slots: 1, prove, close: () => Promise.resolve() };
}

/** Work that breaks its port's contract: it throws at once, or it returns a promise that rejects. */
const BROKEN: readonly (readonly [string, (error: Error) => never])[] = [
  [
    "throws",
    (error) => {
      throw error;
    },
  ],
  ["rejects", (error) => Promise.reject(error) as never],
];

describe.each(BROKEN)("an adapter that %s", (_, fail) => {
  it("prover.threw: fails its task as the machine's fault, and is in no state to prove", async () => {
    const event = await fixtures.last(guardedProver(prover(() => fail(new Error("no such directory")))), job);
    const fault = { code: "prover.threw", message: "no such directory" };
    expect(event).toEqual({ kind: "failed", logical: false, disabled: true, fault });
  });

  it("prover.disk-full: names a full disk by a code of its own", async () => {
    const event = await fixtures.last(guardedProver(prover(() => fail(full()))), job);
    expect(event).toMatchObject({ logical: false, disabled: true, fault: { code: "prover.disk-full" } });
  });

  it("verifier.threw: gives no verdict", async () => {
    const broken: Verifier = {
      prepare: () => fail(new Error("broken")),
      verify: () => fail(new Error("broken")),
      close: () => Promise.resolve(),
    };
    const guarded = guardedVerifier(broken);
    const fault = { code: "verifier.threw", message: "broken" };
    const verify = { system: "mock", key: "", values: job.values, parts: [], proof: job.values };
    expect(await fixtures.outcome((done) => guarded.verify(verify, done))).toEqual({ ok: false, fault });
    const prepare = fixtures.prepareJob(fixtures.SMALL, 2);
    expect(await fixtures.outcome((done) => guarded.prepare(prepare, done))).toEqual({ ok: false, fault });
  });

  it("sink.threw: keeps its block, and loses no more than a notice", async () => {
    const guarded = guardedSink({
      look: () => fail(new Error("broken")),
      deliver: () => fail(full()),
      notice: () => fail(new Error("broken")),
      close: () => Promise.resolve(),
    });
    const codeOf = (start: Parameters<typeof fixtures.outcome>[0]) =>
      fixtures.outcome(start).then((result) => (result.ok ? "ok" : result.fault.code));
    const block = {} as Parameters<Sink["look"]>[0];
    expect(await codeOf((done) => guarded.look(block, done as never))).toBe("sink.threw");
    expect(await codeOf((done) => guarded.deliver(block, done as never))).toBe("sink.disk-full");
    guarded.notice?.({ state: "queued", chain: 1, height: 1, hash: "", block: "" });
  });

  it("source.threw: reports trouble, and goes on behind its last block after a pause", async () => {
    const timers: (() => void)[] = [];
    const clock = { after: (_delayMs: number, run: () => void) => (timers.push(run), () => {}) };
    const starts: unknown[] = [];
    const block = { chain: 1, height: 7, hash: "aa", parent: "bb", payload: new Uint8Array(), items: 0 };
    const source: Source = {
      start: (after, emit) => {
        starts.push(after);
        if (starts.length > 1) return;
        void emit({ kind: "block", block: block satisfies SourceBlock });
        return fail(new Error("broken"));
      },
      close: () => Promise.resolve(),
    };
    const events: SourceEvent[] = [];
    guardedSource(source, { chain: 1, clock }).start(null, (event) => void events.push(event));
    await vi.waitFor(() => expect(timers).toHaveLength(1));
    expect(events).toEqual([
      { kind: "block", block },
      { kind: "trouble", chain: 1, fault: { code: "source.threw", message: "broken" } },
    ]);
    timers[0]?.();
    expect(starts).toEqual([null, { height: 7, hash: "aa" }]);
  });

  it("gives its place and its devices back", async () => {
    const devices = new Devices([{ vendor: "nvidia", id: "0", name: "0", memoryBytes: null }], {
      cpus: 1,
      memoryBytes: 1,
    });
    let proves = 0;
    const broken = prover(() => {
      proves++;
      return fail(new Error("broken"));
    });
    const resources = { cpus: 0, gpus: 1, memoryBytes: 0 };
    const guarded = { prover: guardedProver(broken), resources, server: "http://s", counted: true };
    const [own] = new ProverScheduler([guarded], 1, devices).for(null);
    if (own === undefined) throw new Error("no prover");
    for (let task = 0; task < 2; task++)
      expect(await fixtures.last(own, job)).toMatchObject({ fault: { code: "prover.threw" } });
    expect([proves, devices.status()[0]?.holder]).toEqual([2, null]);
  });
});

describe("a guarded prover", () => {
  it("emits nothing after its end, nor after a cancel that throws", async () => {
    let say: (event: ProveEvent) => void = () => {};
    const guarded = guardedProver(
      prover((_, emit) => {
        say = emit;
        return () => {
          throw new Error("busy");
        };
      }),
    );
    const events: ProveEvent[] = [];
    guarded.prove(job, (event) => events.push(event))();
    say({ kind: "progress", units: 1 });
    expect(events).toEqual([]);
    guarded.prove(job, (event) => events.push(event));
    for (const units of [1, 2]) say({ kind: "progress", units });
    for (let end = 0; end < 2; end++)
      say({ kind: "failed", logical: false, fault: { code: "process.killed", message: "" } });
    expect(events.map(({ kind }) => kind)).toEqual(["progress", "progress", "failed"]);
  });

  it("does not swallow an exception of the node's own callback", async () => {
    const thrown: unknown[] = [];
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.once("uncaughtException", (error) => thrown.push(error));
    try {
      const events: ProveEvent[] = [];
      const emits = prover((_, emit) => {
        emit({ kind: "progress", units: 1 });
        return () => {};
      });
      guardedProver(emits).prove(job, (event) => {
        events.push(event);
        throw new Error("ours");
      });
      await vi.waitFor(() => expect(thrown).toMatchObject([{ message: "ours" }]));
      expect(events).toEqual([{ kind: "progress", units: 1 }]);
    } finally {
      for (const listener of listeners) process.on("uncaughtException", listener);
    }
  });
});
