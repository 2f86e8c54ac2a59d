import { expect, test } from "vitest";
import { relaySink, type RelayOptions } from "../../src/sinks/relay.ts";
import type { Prove } from "../../src/sinks/call.ts";
import { faultOf, valueOf } from "../compliance/completion.ts";
import { Serving } from "../compliance/sink.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { certified, chainOf, proofOf, storeOf } from "./blocks.ts";
import { type Answer, Lossy, type Passed } from "./lossy.ts";

const proven: Prove = async ({ height }, { stage }) => {
  return {
    ok: true,
    value: { values: new Uint8Array(32), proof: Buffer.from(`${stage}: ${proofOf(height).toString()}`) },
  };
};

const optionsOf = (url: string, change: Partial<RelayOptions> = {}): RelayOptions => {
  return {
    url: `${url}/proofs`,
    proofType: "reth-sp1",
    stage: null,
    system: null,
    token: null,
    timeoutMs: 2000,
    ...change,
  };
};

/** A relay that keeps one proof for each hash and type, as it was handed in. */
class Relay {
  readonly kept = new Map<string, Passed>();

  answer(request: Passed): Answer {
    const isKnown = this.kept.has(request.path);
    if (!isKnown) this.kept.set(request.path, request);
    return { status: isKnown ? 409 : 201, text: "" };
  }

  get heights(): readonly number[] {
    return [...this.kept.values()].map(({ body }) => Number(/[0-9]+$/.exec(body.toString())?.[0]));
  }
}

test("a proof whose answer is lost is posted again, in order, and the relay keeps one", async () => {
  const relay = new Relay();
  const server = await Lossy.open((request) => relay.answer(request));
  server.loseNext(({ method }) => method === "POST");
  const sink = relaySink(optionsOf(server.url), proven);
  const serving = new Serving(sink, temporaryDirectory(), 0, await storeOf(...chainOf(1, 3)));
  await serving.until(3);
  expect(relay.heights).toEqual([1, 2, 3]);
  expect(server.requests.length).toBe(4);
});

async function posted(change: Partial<RelayOptions>): Promise<Passed> {
  const server = await Lossy.open(() => ({ status: 200, text: "" }));
  await valueOf<void>((done) => relaySink(optionsOf(server.url, change), proven).deliver(certified(3), done));
  const [request] = server.requests;
  if (request === undefined) throw new Error("nothing was posted");
  return request;
}

test("a relay gets the bytes of the proof under the block's hash and the type of the proof", async () => {
  const { path, headers, body } = await posted({});
  expect(path).toBe(`/proofs?block_hash=0x${certified(3).content.hash}&proof_type=reth-sp1`);
  expect(body.toString()).toBe("aggregate: the proof of 3");
  expect(headers).toMatchObject({ "content-type": "application/octet-stream" });
  expect(headers).not.toHaveProperty("authorization");
});

test("the operator says which stage's proof a relay gets, and shows who asks", async () => {
  const { headers, body } = await posted({ stage: "shard", system: "mock", token: "secret" });
  expect([body.toString(), headers["authorization"]]).toEqual(["shard: the proof of 3", "Bearer secret"]);
});

test("relay.stage and relay.refused: nothing is said to be there that is not", async () => {
  const server = await Lossy.open(() => ({ status: 400, text: "no such type" }));
  const code = async (change: Partial<RelayOptions>) =>
    await faultOf((done) => relaySink(optionsOf(server.url, change), proven).deliver(certified(3), done));
  expect(await code({ stage: "wrap" })).toMatchObject({ code: "relay.stage", hopeless: true });
  expect(await code({})).toMatchObject({ code: "relay.refused", message: expect.stringContaining("no such type") });
});
