import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { readConfig } from "../../src/config.ts";
import { Qualification } from "../../src/node/qualification.ts";
import { qualifyingBlock } from "../../src/node/trials.ts";
import { genesis, openNode, readManifestFile } from "../../src/node.ts";
import type { Fault, ProveEvent, ProveJob, Prover, Verifier } from "../../src/ports.ts";
import { createMockVerifier, mockProof } from "../../src/provers/mock.ts";
import { type Manifest, readManifest } from "../../src/protocol/manifest.ts";
import { createKeyFrom } from "../keys.ts";
import * as fixtures from "../provers/fixtures.ts";
import { nextBlock, submit } from "./blocks.ts";
import { makeMembers } from "./members.ts";
import { eventually, type LogLine } from "./processes.ts";

/** Time that passes when the test says so. */
class ManualClock {
  nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  now(): number {
    return this.nowMs;
  }

  wall(): number {
    return this.nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  pass(ms: number): void {
    this.nowMs += ms;
    const due = [...this.#timers].filter(({ atMs }) => atMs <= this.nowMs);
    for (const timer of due) {
      this.#timers.delete(timer);
      timer.run();
    }
  }
}

/** Its jobs end when the test says so. It takes one at a time, and says so like a broken invariant. */
class ManualProver implements Prover {
  readonly slots = 1;
  readonly system: string;
  begun = 0;
  cancelled = 0;
  #running: { readonly job: ProveJob; readonly emit: (event: ProveEvent) => void } | null = null;

  constructor(system: string) {
    this.system = system;
  }

  prove(job: ProveJob, emit: (event: ProveEvent) => void): () => void {
    if (this.#running !== null) throw new Error("proving without a free slot");
    const run = { job, emit };
    this.#running = run;
    this.begun++;
    return () => {
      if (this.#running !== run) return;
      this.#running = null;
      this.cancelled++;
    };
  }

  get stage(): string | null {
    return this.#running?.job.id.stage ?? null;
  }

  ends(how: "well" | "wrong" | "failed" | "disabled"): void {
    const run = this.#running;
    if (run === null) throw new Error(`${this.system} does not run`);
    this.#running = null;
    const { values } = run.job;
    const fault = { code: "process.start", message: "no such program" };
    if (how === "failed") return run.emit({ kind: "failed", logical: false, fault });
    if (how === "disabled") return run.emit({ kind: "failed", logical: false, disabled: true, fault });
    const proof = how === "well" ? mockProof(values) : Uint8Array.of(1);
    run.emit({ kind: "proved", proof, values, provingMs: 5 });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Shards, and a stage that takes them all and is made by another prover. */
function network(): Manifest {
  const { key } = createKeyFrom(new Uint8Array(32).fill(7));
  const json = genesis({
    name: "qualification",
    attesters: [key],
    sources: [key],
    provers: [],
    admission: "open",
    chains: [{ id: 1, start: "any", confirmations: 0, workflow: "block" }],
    shards: 2,
    window: 1,
    system: "mock",
    bootstrap: [],
  });
  const stages = json.workflows["block"]?.stages.map((stage) => ({ ...stage, executor: stage.name })) ?? [];
  const read = readManifest({ ...json, workflows: { block: { window: 1, stages } } });
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  return read.value;
}

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function open(changes: { readonly untried?: readonly string[]; readonly verifier?: Verifier } = {}) {
  const clock = new ManualClock();
  const [shard, aggregate] = [new ManualProver("shard"), new ManualProver("aggregate")];
  const verifier = changes.verifier ?? createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 });
  const said: string[] = [];
  const changed: string[] = [];
  const fatal: Fault[] = [];
  const qualification = new Qualification(
    { manifest: network(), untried: new Set(changes.untried), exempt: new Set() },
    {
      provers: [shard, aggregate],
      verifier,
      clock,
      telemetry: { emit: (event, fields) => said.push(`${event} ${String(fields?.["prover"])}`) },
      changed: (executor, isAble) => changed.push(`${executor} ${isAble}`),
      fatal: (fault) => fatal.push(fault),
    },
  );
  closers.push(
    () => qualification.close(),
    () => verifier.close(),
  );
  qualification.start();
  const [own] = qualification.watch([shard]);
  const job = fixtures.proveJob(fixtures.SMALL, new Uint8Array(32), { system: "mock" });
  const real = () => own?.prove(job, () => {});
  const of = (executor: string) => qualification.status().find(({ prover }) => prover === executor);
  const until = (check: () => boolean) =>
    vi.waitFor(() => expect(check()).toBe(true), { interval: 1, timeout: 10_000 });
  return { clock, shard, aggregate, qualification, said, changed, fatal, real, of, until };
}

describe("a node's provers", () => {
  it("are tried at once, and the ones that take others' proofs when nothing else is to do", async () => {
    const { clock, shard, aggregate, said, changed, of, until } = open();
    await until(() => shard.stage === "shard");
    expect([of("shard")?.state, of("aggregate")?.state]).toEqual(["trying", "untried"]);
    shard.ends("well");
    await until(() => of("shard")?.state === "able");
    expect(shard.begun).toBe(1);
    clock.pass(20_000);
    for (let proof = 0; proof < 2; proof++) {
      await until(() => shard.stage === "shard");
      shard.ends("well");
    }
    await until(() => aggregate.stage === "aggregate");
    aggregate.ends("well");
    await until(() => of("aggregate")?.state === "able");
    expect(said).toEqual(["prover.able shard", "prover.able aggregate"]);
    expect(changed).toEqual([]);
  });

  it("go out of use when they fail, are said once, and are tried again after pauses that grow", async () => {
    const { clock, shard, said, changed, of, until, qualification } = open();
    const fails = async (failures: number) => {
      await until(() => shard.stage !== null);
      shard.ends("failed");
      await until(() => of("shard")?.failures === failures);
    };
    await fails(1);
    expect(of("shard")).toMatchObject({ state: "unable", fault: { code: "replay.failed" }, retryInMs: 30_000 });
    expect(of("shard")?.fault?.message).toContain("process.start: no such program");
    expect([said, changed, qualification.unable()]).toEqual([["prover.unable shard"], ["shard false"], ["shard"]]);
    clock.pass(30_000);
    await fails(2);
    expect(of("shard")?.retryInMs).toBe(60_000);
    clock.pass(59_999);
    expect(shard.begun).toBe(2);
    clock.pass(1);
    await until(() => shard.stage !== null);
    shard.ends("well");
    await until(() => of("shard")?.state === "able");
    expect(said).toEqual(["prover.unable shard", "prover.able shard"]);
    expect(changed).toEqual(["shard false", "shard true"]);
  });

  it("go out of use when their proof does not verify", async () => {
    const { shard, of, until } = open();
    await until(() => shard.stage !== null);
    shard.ends("wrong");
    await until(() => of("shard")?.state === "unable");
    expect(of("shard")?.fault?.code).toBe("replay.invalid");
  });

  it("proof.accepted: end the node whose verifier takes a changed proof", async () => {
    const inner = createMockVerifier({ clock: fixtures.CLOCK, delayMs: 0 });
    const verify: Verifier["verify"] = (_, done) =>
      fixtures.CLOCK.after(0, () => done({ ok: true, value: { valid: true } }));
    const { shard, fatal, until } = open({ verifier: { ...inner, verify } });
    await until(() => shard.stage !== null);
    shard.ends("well");
    await until(() => fatal.length > 0);
    expect(fatal).toMatchObject([{ code: "proof.accepted" }]);
  });

  it("drop a trial for a real task, which counts in its place", async () => {
    const { clock, shard, of, until, real } = open();
    await until(() => shard.stage !== null);
    real();
    expect([shard.cancelled, shard.begun]).toEqual([1, 2]);
    shard.ends("well");
    expect(of("shard")?.state).toBe("able");
    clock.pass(20_000);
    await until(() => shard.begun === 3);
  });

  it("are tried again where the real task came to nothing", async () => {
    const { clock, shard, of, until, real } = open();
    await until(() => shard.stage !== null);
    const cancel = real();
    await until(() => of("shard")?.retryInMs === 20_000);
    clock.pass(20_000);
    // It still runs.
    expect(shard.begun).toBe(2);
    cancel?.();
    clock.pass(20_000);
    await until(() => shard.begun === 3);
  });

  it("drop a trial that keeps them from a real task, though it is another's", async () => {
    const { clock, shard, of, until, real } = open();
    await until(() => shard.stage !== null);
    shard.ends("well");
    await until(() => of("shard")?.state === "able");
    clock.pass(20_000);
    await until(() => shard.begun === 2);
    real();
    expect([shard.cancelled, shard.begun]).toEqual([1, 3]);
    shard.ends("failed");
    expect(of("shard")?.state).toBe("able");
  });

  it("go out of use, though they have worked, when they can begin no task any more, until a trial works again", async () => {
    const { clock, shard, changed, of, until, real } = open();
    await until(() => shard.stage !== null);
    shard.ends("well");
    await until(() => of("shard")?.state === "able");
    real();
    shard.ends("failed");
    expect(of("shard")?.state).toBe("able");
    real();
    shard.ends("disabled");
    expect(of("shard")).toMatchObject({ state: "unable", fault: { code: "process.start" }, retryInMs: 30_000 });
    clock.pass(30_000);
    await until(() => shard.stage !== null);
    shard.ends("well");
    await until(() => of("shard")?.state === "able");
    expect(changed).toEqual(["shard false", "shard true"]);
  });

  it("are not blamed where what they take cannot be made", async () => {
    const { clock, shard, of, until } = open();
    await until(() => shard.stage !== null);
    shard.ends("well");
    await until(() => of("shard")?.state === "able");
    clock.pass(20_000);
    await until(() => shard.stage !== null);
    shard.ends("failed");
    await until(() => of("aggregate")?.state === "untried");
    expect(of("aggregate")).toMatchObject({ fault: null, failures: 0, retryInMs: 20_000 });
  });

  it("show with their first task alone where no trial would say anything", async () => {
    const { clock, shard, changed, of, real, until } = open({ untried: ["shard"] });
    expect(of("shard")).toMatchObject({ state: "untried", retryInMs: null });
    real();
    shard.ends("failed");
    expect(of("shard")?.state).toBe("unable");
    clock.pass(30_000);
    await until(() => of("shard")?.state === "untried");
    expect([shard.begun, changed]).toEqual([1, ["shard false", "shard true"]]);
    real();
    shard.ends("failed");
    expect(of("shard")?.retryInMs).toBe(60_000);
  });
});

it("the block that provers are tried on has few transactions", () => {
  const { json } = readManifestFile(makeMembers(1).manifest);
  expect(qualifyingBlock({ json }, "block").items).toBe(4);
  const [stage] = json.workflows["block"]?.stages ?? [];
  if (stage === undefined) throw new Error("no stage");
  for (const statement of ["block-hash", { kind: "stateless-result", schema: 1 }] as const) {
    const workflows = { block: { window: 1, stages: [{ ...stage, tasks: {}, statement }] } };
    expect(qualifyingBlock({ json: { ...json, workflows } }, "block")).toMatchObject({ height: 0x4b0, items: 0 });
  }
});

it("a node whose prover does not work says so once, claims nothing for it, and shows it in its status", async () => {
  const { manifest, list } = makeMembers(1);
  const file = path.join(list[0]?.data ?? "", "config.json");
  const provers = [{ kind: "process", system: "mock", command: "/nowhere/prover", timeoutMs: 5000 }];
  const rest = { listen: ["/ip4/127.0.0.1/tcp/0"], http: "127.0.0.1:0", profile: "local", log: "json" };
  writeFileSync(file, JSON.stringify({ ...rest, data: list[0]?.data, manifest, provers }));
  const log: LogLine[] = [];
  const node = await openNode(readConfig(file, {}, {}), (line) => log.push(JSON.parse(line) as LogLine));
  onTestFinished(() => node.close());
  const events = (name: string) => log.filter(({ event }) => event === name);
  await eventually("the trial is over", () => (events("prover.unable").length > 0 ? true : null));
  expect(node.status().abilities).toMatchObject([
    { prover: "mock", state: "unable", fault: { code: "replay.failed" } },
  ]);
  await submit(node.http ?? "", nextBlock(null));
  await eventually("the block is open", () => (events("block.opened").length > 0 ? true : null));
  await eventually("its tasks are given on", () => {
    const [block] = node.status().blocks;
    return block?.tasks.every(({ stage, attempt }) => stage !== "shard" || attempt > 0) === true ? true : null;
  });
  expect([events("task.claimed"), events("prover.unable").length]).toEqual([[], 1]);
});
