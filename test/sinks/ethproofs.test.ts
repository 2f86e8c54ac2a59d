import path from "node:path";
import { expect, test } from "vitest";
import type { Done, Sink, SinkFault } from "../../src/ports.ts";
import { ethproofsSink, type EthproofsCollaborators, type EthproofsOptions } from "../../src/sinks/ethproofs.ts";
import { ProvingTimes } from "../../src/sinks/times.ts";
import { faultOf, valueOf } from "../compliance/completion.ts";
import { type RemotePlace, remoteSinkCompliance, Serving } from "../compliance/sink.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { certified, CHAIN, chainOf, NETWORK, proofOf, storeOf } from "./blocks.ts";
import { FakeEthproofs } from "./fake-ethproofs.ts";
import { Lossy } from "./lossy.ts";

const PROOFS: ReadonlyMap<string, Buffer> = new Map(
  chainOf(1, 300).map(({ height, content }) => [content.tasks[0]?.artefact ?? "", proofOf(height)]),
);

function proof(artefact: string, _bytesMax: number, done: Done<Uint8Array>): void {
  const found = PROOFS.get(artefact);
  const fault = { code: "artefact.unavailable", message: `nobody has ${artefact}` };
  queueMicrotask(() => done(found === undefined ? { ok: false, fault } : { ok: true, value: found }));
}

class Rig {
  readonly ethproofs: FakeEthproofs;
  readonly server: Lossy;

  private constructor(ethproofs: FakeEthproofs, server: Lossy) {
    this.ethproofs = ethproofs;
    this.server = server;
  }

  static async open(requests: number = 100_000, windowMs: number = 60_000): Promise<Rig> {
    const ethproofs = new FakeEthproofs({ requests, windowMs });
    return new Rig(ethproofs, await Lossy.open((request) => ethproofs.answer(request)));
  }

  sink(options: Partial<EthproofsOptions> = {}, collaborators: Partial<EthproofsCollaborators> = {}): Sink {
    const url = `${this.server.url}/api/v0`;
    const which = { network: NETWORK, url, apiKey: "the key", cluster: 3, stage: null, system: null, every: 1 };
    return ethproofsSink(
      { ...which, requestsPerMinute: 100_000, timeoutMs: 2000, ...options },
      {
        times: new ProvingTimes(path.join(temporaryDirectory(), "times")),
        provingMs: () => 1234.5,
        proof,
        ...collaborators,
      },
    );
  }
}

remoteSinkCompliance("ethproofs", async (): Promise<RemotePlace> => {
  const rig = await Rig.open();
  return {
    open: () => rig.sink(),
    heights: async () => rig.ethproofs.proved,
    down: async (is) => void (rig.server.down = is),
    loseAnswer: () => rig.server.loseNext((request) => request.path.endsWith("/proved")),
  };
});

function noticed(sink: Sink, state: "queued" | "proving" | "certified", height: number): void {
  const { block, content } = certified(height);
  sink.notice?.({ state, chain: CHAIN, height, hash: content.hash, block });
}

test("a block is reported as queued, proving and proved, with the proof and how long it took", async () => {
  const rig = await Rig.open();
  const sink = rig.sink();
  noticed(sink, "queued", 5);
  noticed(sink, "proving", 5);
  await valueOf<void>((done) => sink.deliver(certified(5), done));
  expect(rig.ethproofs.log).toEqual(["queued 5 200", "proving 5 200", "proved 5 200"]);
  expect(rig.ethproofs.proofs.get(5)).toEqual(proofOf(5));
  expect([...rig.ethproofs.rows.values()]).toMatchObject([
    { proof_status: "proved", proving_time: 1235, size_bytes: proofOf(5).length, cluster_version_id: 32 },
  ]);
});

test("a proof is reported without the public values that stand before it in the artefact", async () => {
  const rig = await Rig.open();
  const sink = rig.sink({}, { valuesBefore: ({ height }) => (height === 5 ? 3 : 0) });
  for (const height of [5, 6]) await valueOf<void>((done) => sink.deliver(certified(height), done));
  expect(rig.ethproofs.proofs.get(5)).toEqual(proofOf(5).subarray(3));
  expect(rig.ethproofs.proofs.get(6)).toEqual(proofOf(6));
});

test("a block that nobody has announced is announced before its proof", async () => {
  const rig = await Rig.open();
  await valueOf<void>((done) => rig.sink().deliver(certified(5), done));
  expect(rig.ethproofs.log).toEqual(["proving 5 200", "proved 5 200"]);
});

test("a row that is gone by the time of the proof is made again", async () => {
  const rig = await Rig.open();
  const sink = rig.sink();
  noticed(sink, "proving", 5);
  await valueOf((done) => sink.look(certified(6), done));
  // Their database was restored from a backup.
  const fresh = new FakeEthproofs();
  rig.ethproofs.answer = (request) => fresh.answer(request);
  expect(await faultOf((done) => sink.deliver(certified(5), done))).toMatchObject({ code: "ethproofs.unavailable" });
  await valueOf<void>((done) => sink.deliver(certified(5), done));
  expect(fresh.log).toEqual(["proved 5 500", "proving 5 200", "proved 5 200"]);
});

test("409: what is proved already, by whomever, is done", async () => {
  const rig = await Rig.open();
  await valueOf<void>((done) => rig.sink().deliver(certified(5), done));
  const other = rig.sink();
  noticed(other, "proving", 5);
  await valueOf<void>((done) => other.deliver(certified(5), done));
  await valueOf<void>((done) => rig.sink().deliver(certified(5), done));
  const last = ["proving 5 409", "proved 5 409", "proving 5 409"];
  expect(rig.ethproofs.log).toEqual(["proving 5 200", "proved 5 200", ...last]);
});

test("429: it rests for as long as it is asked to, and nothing is lost", async () => {
  const rig = await Rig.open(9, 1000);
  const serving = new Serving(rig.sink(), temporaryDirectory(), 0, await storeOf(...chainOf(1, 5)));
  await serving.whenever(() => serving.events.some((event) => event.includes("ethproofs.rate-limited")));
  expect(serving.proposer.status()[0]).toMatchObject({ state: "failing", height: 3 });
  expect(serving.proposer.status()[0]?.why).toContain("Rate limit exceeded");
  const refused = rig.server.requests.length;
  await serving.until(5);
  expect(rig.ethproofs.proved).toEqual([1, 2, 3, 4, 5]);
  // One request was refused at a time: while it rests it asks nothing.
  expect(rig.server.requests.length - refused).toBeLessThan(16);
});

test("it keeps below the limit by itself, and announcements leave room for proofs", async () => {
  const rig = await Rig.open(8);
  const sink = rig.sink({ requestsPerMinute: 8 });
  await valueOf((done) => sink.look(certified(1), done));
  for (const height of [1, 2, 3, 4, 5, 6, 7, 8]) noticed(sink, "queued", height);
  await valueOf<void>((done) => sink.deliver(certified(1), done));
  expect(rig.ethproofs.log.filter((line) => line.endsWith("429"))).toEqual([]);
  expect(rig.ethproofs.proved).toEqual([1]);
  expect(rig.server.requests).toHaveLength(6);
});

test("only blocks of the cluster's turn are reported", async () => {
  const rig = await Rig.open();
  const sink = rig.sink({ every: 3 });
  for (const height of [1, 2, 3]) noticed(sink, "queued", height);
  const serving = new Serving(sink, temporaryDirectory(), 0, await storeOf(...chainOf(1, 7)));
  await serving.until(7);
  expect(rig.ethproofs.proved).toEqual([3, 6]);
  expect(rig.ethproofs.log[0]).toBe("queued 3 200");
});

async function deliverFault(options: Partial<EthproofsOptions>): Promise<SinkFault> {
  const rig = await Rig.open();
  return (await faultOf((done) => rig.sink(options).deliver(certified(1), done))) as SinkFault;
}

test("an unknown key and an unknown cluster are told in the server's words, and tried again", async () => {
  const key = await deliverFault({ apiKey: "mistyped" });
  expect(key).toMatchObject({ code: "ethproofs.refused" });
  expect(key.message).toMatch(/HTTP status 401: Invalid API key$/);
  expect((await deliverFault({ cluster: 9 })).message).toMatch(/HTTP status 404: Cluster not found$/);
  const rig = await Rig.open();
  const look = await faultOf((done) => rig.sink({ cluster: 9 }).look(certified(1), done));
  expect(look).toMatchObject({ code: "ethproofs.cluster" });
  expect(key.hopeless).toBeUndefined();
});

test("ethproofs.time, ethproofs.stage and a proof that is gone are hopeless, and the next block goes on", async () => {
  expect(await deliverFault({ stage: "none" })).toMatchObject({ code: "ethproofs.stage", hopeless: true });
  expect(await deliverFault({ system: "none" })).toMatchObject({ code: "ethproofs.stage", hopeless: true });
  const rig = await Rig.open();
  const ignorant = rig.sink({}, { provingMs: (block) => (block === certified(1).block ? null : 5) });
  const serving = new Serving(ignorant, temporaryDirectory(), 0, await storeOf(...chainOf(1, 2)));
  await serving.until(2);
  expect(serving.events).toEqual(["sink.passed 1 ethproofs.time", "sink.delivered 2"]);
  const without = rig.sink({}, { proof: (_artefact, _max, done) => proof("none", 0, done) });
  const tries = [];
  for (let at = 0; at < 10; at++) tries.push(await faultOf((done) => without.deliver(certified(3), done)));
  expect(tries[8]).toEqual({ code: "artefact.unavailable", message: "nobody has none" });
  expect(tries[9]).toMatchObject({ code: "artefact.unavailable", hopeless: true });
});

test("how long a block took is noted when it is certified, and known after a restart without the log", async () => {
  const rig = await Rig.open();
  const file = path.join(temporaryDirectory(), "times");
  const before = rig.sink({}, { times: new ProvingTimes(file), provingMs: () => 77 });
  noticed(before, "certified", 1);
  noticed(before, "certified", 2);
  await before.close();
  const after = rig.sink({}, { times: new ProvingTimes(file), provingMs: () => null });
  await valueOf<void>((done) => after.deliver(certified(1), done));
  expect([...rig.ethproofs.rows.values()]).toMatchObject([{ proving_time: 77 }]);
  const times = new ProvingTimes(file);
  expect([times.get(certified(1).block), times.get(certified(2).block)]).toEqual([null, 77]);
});

test("ethproofs.threw: an exception is the fault of one block, and those after it are delivered", async () => {
  const rig = await Rig.open();
  let isBroken = true;
  const provingMs = (): number => {
    if (isBroken) throw new Error("no such table");
    return 5;
  };
  const sink = rig.sink({}, { provingMs });
  expect(await faultOf((done) => sink.deliver(certified(5), done))).toEqual({
    code: "ethproofs.threw",
    message: "no such table",
  });
  isBroken = false;
  await valueOf<void>((done) => sink.deliver(certified(5), done));
  expect(rig.ethproofs.proofs.get(5)).toEqual(proofOf(5));
});
