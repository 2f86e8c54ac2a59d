import { createHmac, createPublicKey, verify } from "node:crypto";
import { expect, test } from "vitest";
import type { SinkFault } from "../../src/ports.ts";
import { idempotencyKey, webhookSink, type WebhookOptions } from "../../src/sinks/webhook.ts";
import { faultOf, valueOf } from "../compliance/completion.ts";
import { type RemotePlace, remoteSinkCompliance, Serving } from "../compliance/sink.ts";
import { signerNamed } from "../protocol/fixtures.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { certified, chainOf, NETWORK, storeOf } from "./blocks.ts";
import { type Answer, Lossy, type Passed } from "./lossy.ts";

const SIGNER = signerNamed("node 0");

/** A receiver as the documentation asks for one: it takes each key once, and tells which it has. */
class Receiver {
  readonly taken = new Map<string, Buffer>();
  readonly posts: string[] = [];

  answer({ method, path, headers, body }: Passed): Answer {
    const key = String(headers["idempotency-key"]);
    if (method === "GET") {
      const found = [...this.taken.keys()].some((each) => path === `/has/${each}`);
      return { status: found ? 204 : 404, text: "" };
    }
    this.posts.push(key);
    if (!this.taken.has(key)) this.taken.set(key, body);
    return { status: 200, text: "" };
  }

  get heights(): readonly number[] {
    return [...this.taken.keys()].map((key) => Number(key.split("/")[2]));
  }
}

function options(url: string, change: Partial<WebhookOptions> = {}): WebhookOptions {
  return { url: `${url}/hook`, lookup: null, timeoutMs: 2000, secret: null, ...change };
}

remoteSinkCompliance("webhook with a receiver that tells what it has", async (): Promise<RemotePlace> => {
  const receiver = new Receiver();
  const server = await Lossy.open((request) => receiver.answer(request));
  const lookup = `${server.url}/has/{network}/{chain}/{height}/{block}`;
  return {
    open: (node) => webhookSink(options(server.url, { lookup }), { signer: signerNamed(`node ${node}`) }),
    heights: async () => receiver.heights,
    down: async (is) => void (server.down = is),
    loseAnswer: () => server.loseNext(({ method }) => method === "POST"),
  };
});

async function posted(change: Partial<WebhookOptions>): Promise<Passed> {
  const server = await Lossy.open(() => ({ status: 202, text: "" }));
  const sink = webhookSink(options(server.url, change), { signer: SIGNER });
  await valueOf<void>((done) => sink.deliver(certified(3), done));
  const [request] = server.requests;
  if (request === undefined) throw new Error("nothing was posted");
  return request;
}

test("the certificate itself is posted, under a key that names the block", async () => {
  const { headers, body, path } = await posted({});
  expect(path).toBe("/hook");
  expect(body.equals(Buffer.from(certified(3).bytes))).toBe(true);
  expect(headers["content-type"]).toBe("application/json");
  expect(headers["idempotency-key"]).toBe(`${NETWORK}/31337/3/${certified(3).block}`);
});

test("it is signed with the node's key, with the key that names the block", async () => {
  const { headers, body } = await posted({});
  const [, signature = "", key] =
    /^ed25519=([0-9a-f]{128}); key=(.*)$/.exec(String(headers["proofmesh-signature"])) ?? [];
  expect(key).toBe(SIGNER.key);
  const der = Buffer.from(`302a300506032b6570032100${SIGNER.key}`, "hex");
  const message = Buffer.concat([Buffer.from(`proofmesh/webhook/1\0${idempotencyKey(certified(3))}\n`), body]);
  const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
  expect(verify(null, message, publicKey, Buffer.from(signature, "hex"))).toBe(true);
});

test("it is signed with a shared secret where there is one", async () => {
  const { headers, body } = await posted({ secret: "between us" });
  const message = Buffer.concat([Buffer.from(`proofmesh/webhook/1\0${idempotencyKey(certified(3))}\n`), body]);
  const expected = createHmac("sha256", "between us").update(message).digest("hex");
  expect(headers["proofmesh-signature"]).toBe(`hmac-sha256=${expected}`);
});

async function faultFor(answer: Answer, path = ""): Promise<SinkFault> {
  const server = await Lossy.open(() => answer);
  const sink = webhookSink(options(server.url + path), { signer: SIGNER });
  return faultOf<void>((done) => sink.deliver(certified(1), done));
}

test("webhook.refused, webhook.unavailable and webhook.rate-limited say what the receiver says", async () => {
  const headers = { "retry-after": "7" };
  expect(await faultFor({ status: 403, text: "not\n you" })).toMatchObject({ code: "webhook.refused" });
  expect((await faultFor({ status: 403, text: "not\n you" })).message).toMatch(/HTTP status 403: not you$/);
  expect(await faultFor({ status: 503, text: "" })).toMatchObject({ code: "webhook.unavailable" });
  expect(await faultFor({ status: 429, headers, text: "" })).toMatchObject({
    code: "webhook.rate-limited",
    retryAfterMs: 7000,
  });
});

test("a redirect is not followed", async () => {
  const elsewhere = await Lossy.open(() => ({ status: 200, text: "" }));
  const headers = { location: elsewhere.url };
  expect(await faultFor({ status: 307, headers, text: "" })).toMatchObject({ code: "webhook.refused" });
  expect(elsewhere.requests).toEqual([]);
});

test("no fault names more of the address than its host", async () => {
  const { message } = await faultFor({ status: 500, text: "no" }, "/a-key-in-the-path?token=secret");
  expect(message).not.toMatch(/key|token|secret/);
});

test("http.timeout: an answer that is too slow is no answer, and the block is not handed on twice", async () => {
  const receiver = new Receiver();
  const slow = Promise.withResolvers<void>();
  const server = await Lossy.open(async (request) => {
    const answer = receiver.answer(request);
    if (receiver.posts.length === 1 && request.method === "POST") await slow.promise;
    return answer;
  });
  const sink = webhookSink(options(server.url, { timeoutMs: 300 }), { signer: SIGNER });
  const serving = new Serving(sink, temporaryDirectory(), 0, await storeOf(...chainOf(1, 3)));
  await serving.until(3);
  slow.resolve();
  expect(serving.events[0]).toBe("sink.failed 1 http.timeout");
  // Without a way to look it is posted again, under the same key.
  expect(receiver.posts).toHaveLength(4);
  expect(receiver.heights).toEqual([1, 2, 3]);
});

test("a receiver that fails now and then gets everything, in order", async () => {
  const receiver = new Receiver();
  let count = 0;
  const server = await Lossy.open((request) =>
    count++ % 3 === 0 ? { status: 500, text: "now and then" } : receiver.answer(request),
  );
  const sink = webhookSink(options(server.url), { signer: SIGNER });
  const serving = new Serving(sink, temporaryDirectory(), 0, await storeOf(...chainOf(1, 8)));
  await serving.until(8);
  expect(receiver.heights).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

test("webhook.threw: an exception is a fault of the block, looked for or delivered", async () => {
  const sign = (): never => {
    throw new Error("no key");
  };
  const sink = webhookSink(options("http://127.0.0.1:1", { lookup: "http://127.0.0.1:1/" }), {
    signer: { key: SIGNER.key, sign },
  });
  const fault = { code: "webhook.threw", message: "no key" };
  expect(await faultOf((done) => sink.deliver(certified(3), done))).toEqual(fault);
  expect(await faultOf((done) => sink.look(certified(3), done))).toEqual(fault);
});
