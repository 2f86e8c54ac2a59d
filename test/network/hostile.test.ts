/** Peers that do what honest ones do not. */
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Stream } from "@libp2p/interface";
import { PING_PROTOCOL } from "@libp2p/ping";
import { multiaddr } from "@multiformats/multiaddr";
import { afterAll, expect, test } from "vitest";
import { writeFrames } from "../../src/network/streams.ts";
import { reject } from "../../src/protocol/verdict.ts";
import {
  MESSAGE_BYTES_MAX,
  TestNode,
  hurried,
  closeAll,
  connected,
  fetched,
  newSeed,
  realClock,
  requested,
  sha256,
  startNode,
  until,
} from "./fixture.ts";
import { distinct, keyOfRaw, startRaw } from "./raw.ts";
import type { Raw } from "./raw.ts";

const nodes: TestNode[] = [];
const raws: Raw[] = [];

async function victim(options: Parameters<typeof startNode>[0] = {}, times = 1): Promise<TestNode> {
  const node = await startNode(options, Object.assign(new TestNode(), { clock: hurried(times) }));
  nodes.push(node);
  return node;
}

async function raw(...to: readonly TestNode[]): Promise<Raw> {
  const one = await startRaw();
  raws.push(one);
  for (const target of to) {
    await one.dial(target);
    await until("each hears the other", () => target.network.peers().includes(keyOfRaw(one)) && one.hears(target));
  }
  return one;
}

afterAll(async () => {
  await closeAll(nodes.splice(0));
  await Promise.all(raws.splice(0).map(async ({ node }) => node.stop()));
});

test.concurrent("garbage costs the score, and below the graylist the peer is banned, also after a restart", async () => {
  const banFile = join(await mkdtemp(join(tmpdir(), "bans-")), "bans.json");
  const seed = newSeed();
  const a = await victim({ banFile, seed });
  a.verdict = () => reject("message.malformed");
  const bad = await raw(a);
  for (const bytes of distinct("garbage", 60)) bad.publish(bytes);
  await until("it is banned", () => a.emitted("network.banned") > 0);
  await until("it is gone", () => !a.network.peers().includes(keyOfRaw(bad)));
  await until("it was hung up on", () => bad.node.getConnections().length === 0);
  await bad.dial(a).catch(() => undefined);
  await until("its dial is refused", () => a.count("network.refused banned") > 0);
  expect(a.emitted("network.banned")).toBe(1);

  await a.network.close();
  await until("it has noticed", () => bad.node.getConnections().length === 0);
  expect(await readFile(banFile, "utf8")).toContain(keyOfRaw(bad));
  const again = await victim({ banFile, seed });
  await bad.dial(again).catch(() => undefined);
  await until("its dial is refused again", () => again.count("network.refused banned") > 0);
  expect(again.heard).toEqual([]);
}, 15_000);

test.concurrent("a message above the limit is rejected before the handler sees it", async () => {
  const a = await victim();
  const bad = await raw(a);
  bad.publish(new Uint8Array(MESSAGE_BYTES_MAX + 1));
  await until("it is counted", () => a.count("network.message message.too-large") > 0);
  bad.publish(new Uint8Array(MESSAGE_BYTES_MAX));
  await until("the next one is heard", () => a.heard.length > 0);
  expect(a.heard).toHaveLength(1);
  expect(a.heard[0]?.from).toBe(keyOfRaw(bad));
});

test.concurrent("what one node rejects it does not pass on", async () => {
  const a = await victim();
  const b = await victim({ bootstrap: a.network.addresses() });
  await connected([a, b]);
  a.verdict = () => reject("signature.invalid");
  const bad = await raw(a);
  bad.publish(new Uint8Array([1, 2, 3]));
  await until("a has judged", () => a.heard.length > 0);
  a.network.publish(new Uint8Array([4]));
  await until("b hears a", () => b.heard.length > 0);
  expect(b.heard.map(({ bytes }) => bytes.length)).toEqual([1]);
});

test.concurrent("a peer whose key is not Ed25519 is refused", async () => {
  const a = await victim();
  const other = await startRaw("secp256k1");
  raws.push(other);
  await other.dial(a).catch(() => undefined);
  await until("it is refused", () => a.count("network.refused key-type") > 0);
  await until("it is gone", () => other.node.getConnections().length === 0);
  expect(a.network.peers()).toEqual([]);
});

test.concurrent("a frame above the limit kills gossip, and the connection is recycled", async () => {
  const a = await victim({}, 5);
  const bad = await raw(a);
  bad.frame(a, new Uint8Array(3 * 1024 * 1024));
  await until("it is recycled", () => a.emitted("network.recycled") > 0, 30_000);
  await until("it is back", () => a.states.filter((state) => state.startsWith("up")).length > 1, 15_000);
  bad.publish(new Uint8Array([1]));
  await until("gossip flows again", () => a.heard.length > 0);
  expect(a.events.find(({ event }) => event === "refused")?.fields["code"]).toBe("frame.too-large");
  expect(a.states.map((state) => state.split(" ")[0])).toEqual(["up", "down", "up"]);
}, 45_000);

test.concurrent("pings without a pause are cut off, and in the end banned; one every few seconds is not", async () => {
  const a = await victim();
  const [calm, bad] = [await raw(a), await raw(a)];
  const address = multiaddr(a.network.addresses()[0]);
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));
  // Cut off it comes again, until it may not any more.
  const isBanned = (): boolean => a.emitted("network.banned") > 0;
  const ping = async (stream: Stream): Promise<void> => {
    while (stream.status === "open" && !isBanned()) {
      stream.send(new Uint8Array(32));
      await turn();
    }
  };
  const pinging = (async (): Promise<void> => {
    while (!isBanned()) {
      await bad.node.dialProtocol(address, PING_PROTOCOL).then(ping, () => undefined);
      await turn();
    }
  })();
  await until("it is banned", isBanned, 40_000);
  await pinging;
  expect(a.emitted("network.flooded")).toBe(4);
  expect(await calm.node.services.ping.ping(address)).toBeGreaterThanOrEqual(0);
  expect(a.network.peers()).toContain(keyOfRaw(calm));
}, 45_000);

test("a flood is cut off while another peer is still heard", async () => {
  const a = await victim();
  const b = await victim({ bootstrap: a.network.addresses() });
  await connected([a, b]);
  const bad = await raw(a);
  const stop = new AbortController();
  const flood = (async (): Promise<void> => {
    for (let round = 0; !stop.signal.aborted; round += 1) {
      for (const bytes of distinct(`flood ${round}`, 100)) bad.publish(bytes);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  await until("the flood is noticed", () => a.count("network.message peer.flood") > 0);
  b.network.publish(new Uint8Array([7]));
  await until("b is heard", () => a.heard.some(({ bytes }) => bytes.length === 1));
  await until("it is cut off", () => a.emitted("network.flooded") > 0);
  stop.abort();
  await flood;
  expect(a.network.peers()).toContain(b.network.key);
}, 20_000);

test.concurrent("frames that are none cost the score, and the ban says why", async () => {
  const a = await victim();
  const bad = await raw(a);
  for (const bytes of distinct("no frame", 8)) bad.frame(a, new Uint8Array([0x0f, ...bytes]));
  await until("it is banned", () => a.emitted("network.banned") > 0);
  await until("it was hung up on", () => bad.node.getConnections().length === 0);
  expect(a.events.find(({ event }) => event === "network.banned")?.fields["code"]).toBe("frame.malformed");
  expect(a.emitted("network.banned")).toBe(1);
}, 15_000);

/** Time stands still for budgets until the test lets it pass, so that a slow machine floods as well as a fast one. */
async function unhurried(): Promise<{ readonly a: TestNode; readonly pass: (ms: number) => void }> {
  let now = 1_000;
  const clock = { ...realClock, now: () => now };
  const a = await startNode({}, Object.assign(new TestNode(), { clock }));
  nodes.push(a);
  return { a, pass: (ms) => void (now += ms) };
}

test.concurrent("frames about nothing are dropped before they are read, and a peer that goes on is cut off", async () => {
  const { a, pass } = await unhurried();
  const bad = await raw(a);
  const isGone = (): boolean => bad.node.getConnections().length === 0 && !bad.hears(a);
  for (let round = 0; round < 4; round++) {
    expect(a.emitted("network.flooded")).toBe(0);
    const before = a.count("network.message peer.flood");
    for (let at = 0; at < (round === 0 ? 2_000 : 500); at++) bad.frame(a, new Uint8Array(0));
    await until("some are dropped", () => a.count("network.message peer.flood") > before);
    pass(900);
  }
  await until("it is cut off", () => a.emitted("network.flooded") > 0);
  await until("it is gone", isGone);
  // Whoever comes back at once has no calm second behind it, and the fourth time is the last.
  while (a.emitted("network.banned") === 0) {
    const times = a.emitted("network.flooded");
    await bad.dial(a).catch(() => undefined);
    await until("it may speak, or not any more", () => bad.hears(a) || bad.node.getConnections().length === 0);
    for (let at = 0; bad.hears(a) && at < 500; at++) bad.frame(a, new Uint8Array(0));
    await until("it is cut off again", () => a.emitted("network.flooded") > times || a.emitted("network.banned") > 0);
    await until("it is gone again", isGone);
  }
  expect(a.emitted("network.flooded")).toBe(4);
}, 40_000);

test.concurrent("one key has a few connections, however many it opens", async () => {
  const a = await victim();
  const bad = await raw(a);
  for (let at = 0; at < 8; at++) {
    await bad.node
      .dial(multiaddr(a.network.addresses()[0]), { force: true, signal: AbortSignal.timeout(2_000) })
      .catch(() => undefined);
  }
  await until("some are cut", () => a.count("network.cut crowded") > 0);
  await until("few are left", () => bad.node.getConnections().length <= 3);
  expect(a.network.peers()).toContain(keyOfRaw(bad));
}, 15_000);

test.concurrent("a peer that never stops asking more than it may is cut off", async () => {
  const { a, pass } = await unhurried();
  const bad = await raw(a);
  for (let round = 0; round < 4; round++) {
    expect(a.emitted("network.flooded")).toBe(0);
    const before = a.count("network.request peers.request.rate");
    for (let at = 0; a.count("network.request peers.request.rate") === before && at < 60; at++) {
      const stream = await bad.stream(a, "peers");
      if (stream.status === "open") stream.abort(new Error("next"));
    }
    await until("one is refused", () => a.count("network.request peers.request.rate") > before);
    pass(900);
  }
  const last = await bad.stream(a, "peers").catch(() => null);
  for (let at = 0; a.emitted("network.flooded") === 0 && at < 20; at++) await bad.stream(a, "peers").catch(() => null);
  last?.abort(new Error("seen"));
  await until("it is cut off", () => a.emitted("network.flooded") > 0);
}, 30_000);

test.concurrent("more requests a second than granted are refused and counted", async () => {
  const { a } = await unhurried();
  const bad = await raw(a);
  for (let index = 0; index < 60; index += 1) {
    const stream = await bad.stream(a, "sync");
    // A refused stream may be reset before anything is written to it.
    if (stream.status === "open") await writeFrames(stream, [new Uint8Array([index])]).catch(() => undefined);
    await until("answered or refused", () => stream.status !== "open" || stream.readBufferLength > 0);
    if (stream.status === "open") stream.abort(new Error("seen"));
  }
  expect(a.count("network.request sync.answered")).toBeGreaterThanOrEqual(8);
  expect(a.count("network.request sync.request.rate")).toBeGreaterThan(0);
});

test.concurrent("a request above its limit is cut before it has arrived", async () => {
  const a = await victim();
  const bad = await raw(a);
  const stream = await bad.stream(a, "sync");
  stream.send(Buffer.from([0xff, 0xff, 0xff, 0x7f, 0]));
  await until("it is cut", () => a.count("network.request sync.request.body-too-large") > 0);
});

test.concurrent("a peer that asks at a byte a second is cut", async () => {
  const a = await victim({}, 10);
  const bad = await raw(a);
  const stream = await bad.stream(a, "sync");
  stream.send(Buffer.from([100, 1]));
  await until("it is cut", () => a.count("network.request sync.request.slow") > 0);
  await until("and told", () => stream.status !== "open");
}, 15_000);

test.concurrent("a peer that does not read its answer is cut, and little of it is held for it", async () => {
  const a = await victim({}, 30);
  a.answer = (_peer, _request, _body, reply) => reply([new Uint8Array(1_000_000), new Uint8Array(1_000_000)]);
  const bad = await raw(a);
  const stream = await bad.stream(a, "sync");
  stream.pause();
  stream.send(Buffer.from([1, 1]));
  await until("it is cut", () => a.count("network.request sync.request.slow") > 0);
  await until("and told", () => stream.status !== "open");
  expect(stream.readBufferLength).toBeLessThan(1_500_000);
  expect(a.count("network.request sync.answered")).toBe(0);
});

test.concurrent("artefact.wrong-bytes: bytes of another hash never reach the store", async () => {
  const a = await victim();
  const b = await victim({ bootstrap: a.network.addresses() });
  await connected([a, b]);
  const right = new Uint8Array(300_000).fill(1);
  const wrong = new Uint8Array(300_000).fill(2);
  b.artefacts.files.set(sha256(right), wrong);
  expect(await fetched(a, b, sha256(right), 1_000_000)).toMatchObject({ fault: { code: "artefact.wrong-bytes" } });
  expect(a.artefacts.files.size).toBe(0);
});

test.concurrent("an answer that stops in the middle ends at the asker's time limit", async () => {
  const a = await victim();
  const b = await victim({ bootstrap: a.network.addresses() });
  await connected([a, b]);
  b.answer = () => undefined;
  const began = performance.now();
  expect(await requested(a, b, new Uint8Array(1), 1_000, 300)).toMatchObject({ fault: { code: "request.timeout" } });
  expect(performance.now() - began).toBeLessThan(2_000);
});
