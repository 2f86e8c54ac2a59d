import { describe, expect, it } from "vitest";
import type { ProveEvent, ProveJob, Prover, Result } from "../../src/ports.ts";
import { Recomputer } from "../../src/runtime/recompute.ts";

const job = (index: number): ProveJob => ({
  id: { chain: 1, chainId: 1, height: 1, block: "00", hash: "01", parent: "02", stage: "cut", index },
  attempt: 0,
  system: "cut",
  key: "02",
  payload: new Uint8Array(),
  before: new Uint8Array(),
  prover: "03",
  values: new Uint8Array(),
  group: index,
  shards: 0,
  inputs: [],
  makers: [],
});

/** An executor whose runs end when the test says so. */
function executor() {
  const runs: { readonly index: number; readonly emit: (event: ProveEvent) => void }[] = [];
  let cancelled = 0;
  const prover: Prover = {
    system: "cut",
    slots: 1,
    prove: ({ id }, emit) => {
      runs.push({ index: id.index, emit });
      return () => void cancelled++;
    },
    close: () => Promise.resolve(),
  };
  const end = (at: number, event: ProveEvent = made(at)) => runs[at]?.emit(event);
  return { prover, runs, end, cancelled: () => cancelled };
}

function made(byte: number): ProveEvent {
  return { kind: "proved", proof: Uint8Array.of(byte), values: new Uint8Array(), provingMs: 1 };
}

const codeOf = (result: Result<Uint8Array> | undefined) => (result?.ok === false ? result.fault.code : "ok");

describe("making results again", () => {
  it("is done one at a time, and once for each task, however many claims there are", () => {
    const { prover, runs, end } = executor();
    const recomputer = new Recomputer([prover]);
    const results: Result<Uint8Array>[] = [];
    for (const index of [0, 0, 1]) recomputer.run("cut", job(index), (result) => results.push(result));
    expect(runs.map(({ index }) => index)).toEqual([0]);
    end(0);
    expect(results).toHaveLength(2);
    expect(runs.map(({ index }) => index)).toEqual([0, 1]);
    end(1);
    recomputer.run("cut", job(0), (result) => results.push(result));
    expect(runs).toHaveLength(2);
    expect(results.map((result) => (result.ok ? result.value[0] : -1))).toEqual([0, 0, 1, 0]);
  });

  it("executor.missing, executor.failed: is this node's own trouble where it cannot be done, and is tried again", () => {
    const { prover, runs, end } = executor();
    const recomputer = new Recomputer([prover]);
    const codes: string[] = [];
    const take = (result: Result<Uint8Array>) => {
      codes.push(codeOf(result));
      expect(result.ok || result.fault.reason === "own").toBe(true);
    };
    recomputer.run("other", job(0), take);
    recomputer.run("cut", job(0), take);
    end(0, { kind: "failed", logical: true, fault: { code: "process.failed", message: "ended with 1" } });
    recomputer.run("cut", job(0), take);
    end(1);
    expect(codes).toEqual(["executor.missing", "executor.failed", "ok"]);
    expect(runs).toHaveLength(2);
  });

  it("executor.busy: has a limit to what waits", () => {
    const { prover } = executor();
    const recomputer = new Recomputer([prover]);
    const codes: string[] = [];
    for (let index = 0; index < 300; index++) recomputer.run("cut", job(index), (result) => codes.push(codeOf(result)));
    expect(codes).toHaveLength(300 - 257);
    expect(new Set(codes)).toEqual(new Set(["executor.busy"]));
  });

  it("stops with the node, and says nothing more", () => {
    const { prover, end, cancelled } = executor();
    const recomputer = new Recomputer([prover]);
    const results: Result<Uint8Array>[] = [];
    recomputer.run("cut", job(0), (result) => results.push(result));
    recomputer.close();
    end(0);
    expect([cancelled(), results.length]).toEqual([1, 0]);
  });
});
