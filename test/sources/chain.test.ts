import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { readPayload } from "../../src/protocol/ethereum.ts";
import type { Source } from "../../src/ports.ts";
import { chainSource, type ChainSourceOptions, checkChain } from "../../src/sources/chain.ts";
import { type DevChain, startDevChain } from "../../src/sources/devchain.ts";
import { FakeNode } from "./fake-node.ts";
import { Watch } from "./watch.ts";

let chain: DevChain;
let node: FakeNode;
const open: Source[] = [];

beforeAll(async () => {
  const started = await startDevChain({ blockTimeS: null, seed: 7 });
  if (!started.ok) throw new Error(started.fault.message);
  chain = started.value;
  node = await new FakeNode(chain.url).listen();
  await grow(3);
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((opened) => opened.close()));
  node.behaviour = { kind: "pass" };
  node.requestedAt.length = 0;
});

afterAll(async () => {
  await node.stop();
  await chain.close();
});

/** Blocks with transactions of all kinds. */
async function grow(blocks: number): Promise<void> {
  for (let block = 0; block < blocks; block++) {
    await chain.send(6);
    await chain.mine(1);
  }
}

async function head(): Promise<{ readonly height: number; readonly hash: string }> {
  const block = (await chain.call("eth_getBlockByNumber", ["latest", false])) as { number: string; hash: string };
  return { height: Number(block.number), hash: block.hash.slice(2) };
}

function source(options: Partial<ChainSourceOptions> = {}): Source {
  const opened = chainSource({ chain: 31337, url: chain.url, start: 0, pollMs: 25, timeoutMs: 2_000, ...options });
  open.push(opened);
  return opened;
}

describe("a chain source", () => {
  test("tells a real node's blocks in order, and their payloads hash to them", async () => {
    const newest = await head();
    const watch = new Watch(source());
    await watch.until("all blocks", () => watch.newest === newest.height);
    expect(watch.path.map((block) => block.height)).toEqual(Array.from({ length: newest.height + 1 }, (_, at) => at));
    expect(watch.path.at(-1)?.hash).toBe(newest.hash);
    expect(watch.path.some((block) => block.items > 0)).toBe(true);
    for (const block of watch.path) {
      const read = readPayload(block.payload, block.hash);
      expect(read.ok && read.value.items.length).toBe(block.items);
    }
    await grow(2);
    await watch.until("new blocks", () => watch.newest === newest.height + 2);
    expect(new Set(watch.events.map(({ kind }) => kind))).toEqual(new Set(["block", "seen"]));
  });

  test("asks for the header before a block and carries its body, where a statement needs them", async () => {
    const form = { body: true, parent: true };
    const newest = await head();
    const watch = new Watch(source({ start: 1, form }));
    await watch.until("all blocks", () => watch.newest === newest.height);
    for (const block of watch.path) {
      const read = readPayload(block.payload, block.hash, form);
      expect(read.ok && read.value.bytes.body?.withdrawals).toEqual([]);
    }
    // The first block of a chain has none before it.
    const early = new Watch(source({ start: 0, form }));
    await early.until("trouble", () => early.events.some(({ kind }) => kind === "trouble"));
    expect(early.events.find(({ kind }) => kind === "trouble")).toMatchObject({
      fault: { code: "payload.parent-missing" },
    });
  });

  test("source.threw: an exception in a look is trouble, and the next look goes on", async () => {
    const newest = await head();
    let looks = 0;
    const until = (): number => {
      if (++looks === 2) throw new Error("broken");
      return newest.height;
    };
    const watch = new Watch(source({ until }));
    const troubles = () =>
      watch.events.flatMap((event) => (event.kind === "trouble" ? [event.fault?.code ?? null] : []));
    await watch.until("all blocks", () => watch.newest === newest.height && troubles().length === 2);
    expect(troubles()).toEqual(["source.threw", null]);
    expect(watch.path.map((block) => block.height)).toEqual(Array.from({ length: newest.height + 1 }, (_, at) => at));
  });

  test("holds back what is not confirmed", async () => {
    const { height } = await head();
    const watch = new Watch(source({ confirmations: 2, start: "latest" }));
    await watch.until("the confirmed head", () => watch.newest === height - 2);
    await chain.mine(1);
    await watch.until("one more", () => watch.newest === height - 1);
    expect(watch.path.map((block) => block.height)).toEqual([height - 2, height - 1]);
  });

  test("is pushed new heads over a websocket", async () => {
    const { height } = await head();
    const watch = new Watch(source({ url: chain.socketUrl, start: height, pollMs: 10_000 }));
    await watch.until("the head", () => watch.newest === height);
    // Polling would take 50 s.
    for (const blocks of [1, 2, 3]) {
      await chain.mine(1);
      await watch.until("a pushed block", () => watch.newest === height + blocks);
    }
  });

  test("goes on after the block it stopped at", async () => {
    const { height } = await head();
    const first = source({ start: height - 1 });
    const before = new Watch(first);
    await before.until("the head", () => before.newest === height);
    await first.close();
    await grow(2);
    const told = before.events.length;
    const after = new Watch(source({ start: height - 1 }), before.path.at(-1));
    await after.until("the new head", () => after.newest === height + 2);
    expect(after.path.map((block) => block.height)).toEqual([height + 1, height + 2]);
    expect(before.events).toHaveLength(told);
  });

  for (const depth of [1, 20]) {
    test(`follows a reorg ${depth} deep`, async () => {
      await chain.mine(depth);
      const old = await head();
      const watch = new Watch(source({ start: Math.max(0, old.height - depth - 2) }));
      await watch.until("the old head", () => watch.newest === old.height);
      await chain.reorg(depth);
      await grow(1);
      const now = await head();
      await watch.until("the new head", () => watch.path.at(-1)?.hash === now.hash);
      const retracted = watch.events.filter((event) => event.kind === "retract");
      expect(retracted).toHaveLength(depth);
      expect(retracted[0]?.hash).toBe(old.hash);
      expect(watch.troubles).toEqual([]);
    });
  }

  test("retracts the block it stopped at when that is gone", async () => {
    await chain.mine(2);
    const old = await head();
    await chain.reorg(1);
    await chain.mine(1);
    const now = await head();
    const watch = new Watch(source({ start: old.height - 5 }), old);
    await watch.until("the new head", () => watch.path.at(-1)?.hash === now.hash);
    expect(watch.events.find((event) => event.kind !== "trouble")).toEqual({
      kind: "retract",
      chain: 31337,
      hash: old.hash,
    });
  });

  test("is not misled by a chain that was rolled back and grew again", async () => {
    const id = await chain.snapshot();
    await grow(3);
    const watch = new Watch(source({ start: "latest" }));
    await watch.until("the head", () => watch.newest > 0);
    await chain.revert(id);
    await chain.call("anvil_setCoinbase", ["0x00000000000000000000000000000000000000aa"]);
    await chain.mine(5);
    const now = await head();
    await watch.until("the new head", () => watch.path.at(-1)?.hash === now.hash);
  });

  test("catches up with at most four full blocks and no more requests under way, at its pace", async () => {
    await chain.mine(60);
    const { height } = await head();
    node.inFlightMax = 0;
    const began = performance.now();
    const watch = new Watch(source({ url: node.url, start: height - 29, blocksPerSecondMax: 20, burst: 10 }));
    await watch.until("the head", () => watch.newest === height);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(node.inFlightMax).toBeLessThanOrEqual(4);
  });
});

describe("a chain source whose node is in trouble", () => {
  const wellAgain = async (code: string, behaviour: FakeNode["behaviour"], timeoutMs = 2_000): Promise<Watch> => {
    const watch = new Watch(source({ url: node.url, start: "latest", timeoutMs }));
    await watch.until("a first block", () => watch.path.length === 1);
    node.behaviour = behaviour;
    await watch.until(code, () => watch.troubles.length > 0);
    const tries = node.requestedAt.length;
    await expect.poll(() => node.requestedAt.length, { timeout: 5_000 }).toBeGreaterThanOrEqual(tries + 2);
    node.behaviour = { kind: "pass" };
    await chain.mine(1);
    await watch.until("the next block", () => watch.path.length >= 2);
    await watch.until("well again", () => watch.troubles.at(-1) === null);
    expect(watch.troubles).toEqual([code, null]);
    return watch;
  };

  test("source.not-json-rpc", async () => {
    const text = `<!doctype html>\n<title>Sign in</title>${"x".repeat(500)}`;
    const watch = await wellAgain("source.not-json-rpc", { kind: "text", type: "text/html", text });
    const trouble = watch.events.find((event) => event.kind === "trouble");
    expect(trouble?.fault?.message).toContain(node.url);
    expect(trouble?.fault?.message).toContain(text.replace("\n", " ").slice(0, 80));
    expect(trouble?.fault?.message).not.toContain(text.replace("\n", " ").slice(0, 81));
  });

  test("source.not-json-rpc, though it says it is JSON", async () => {
    await wellAgain("source.not-json-rpc", {
      kind: "text",
      type: "application/json",
      text: '{"message":"no such route"}',
    });
  });

  test("source.unavailable", async () => {
    await wellAgain("source.unavailable", { kind: "status", status: 500 });
  });

  test("source.timeout", async () => {
    await wellAgain("source.timeout", { kind: "hang" }, 500);
  });

  test("source.rate-limited, waiting as long as it was asked to", async () => {
    const watch = new Watch(source({ url: node.url, start: "latest" }));
    await watch.until("a first block", () => watch.path.length === 1);
    node.behaviour = { kind: "status", status: 429, headers: { "retry-after": "1" } };
    await watch.until("trouble", () => watch.troubles.includes("source.rate-limited"));
    const last = node.requestedAt.at(-1) ?? 0;
    const tries = node.requestedAt.length;
    await expect.poll(() => node.requestedAt.length, { timeout: 5_000 }).toBeGreaterThan(tries);
    expect((node.requestedAt[tries] ?? 0) - last).toBeGreaterThan(950);
  });

  test("source.unreachable, and goes on when the node is back", async () => {
    const watch = new Watch(source({ url: node.url, start: "latest" }));
    await watch.until("a first block", () => watch.path.length === 1);
    await node.stop();
    await watch.until("trouble", () => watch.troubles.length > 0);
    await chain.mine(2);
    await node.listen();
    await watch.until("the next blocks", () => watch.path.length === 3);
    await watch.until("well again", () => watch.troubles.at(-1) === null);
    expect(watch.troubles).toEqual(["source.unreachable", null]);
  });

  test("source.unreachable, and goes on over a new websocket when the node is back", async () => {
    const directory = mkdtempSync(join(tmpdir(), "proofmesh-chain-"));
    const options = { blockTimeS: null, stateFile: join(directory, "chain.json") };
    const first = await startDevChain(options);
    if (!first.ok) throw new Error(first.fault.message);
    const { socketUrl } = first.value;
    const watch = new Watch(source({ url: socketUrl, pollMs: 10_000 }));
    await watch.until("a first block", () => watch.newest === 0);
    await first.value.mine(1);
    await watch.until("a pushed block", () => watch.newest === 1);
    await first.value.close();
    await watch.until("trouble", () => watch.troubles.length > 0);
    const second = await startDevChain({ ...options, port: Number(new URL(socketUrl).port) });
    if (!second.ok) throw new Error(second.fault.message);
    await watch.until("well again", () => watch.troubles.at(-1) === null);
    await second.value.mine(1);
    await watch.until("a pushed block", () => watch.newest === 2);
    expect(watch.troubles).toEqual(["source.unreachable", null]);
    await second.value.close();
    rmSync(directory, { recursive: true });
  });

  test("source.unreachable over a websocket to nobody", async () => {
    const watch = new Watch(source({ url: node.url.replace("http", "ws") }));
    await watch.until("trouble", () => watch.troubles.length > 0);
    expect(watch.troubles).toEqual(["source.unreachable"]);
  });

  test("source.wrong-chain", async () => {
    const watch = new Watch(source({ chain: 1 }));
    await watch.until("trouble", () => watch.troubles.length > 0);
    expect(watch.events).toEqual([
      {
        kind: "trouble",
        chain: 1,
        fault: { code: "source.wrong-chain", message: `${chain.url} serves chain 31337, not chain 1` },
      },
    ]);
  });

  test("closes at once while the node hangs, and tells nothing after", async () => {
    node.behaviour = { kind: "hang" };
    const hanging = source({ url: node.url, timeoutMs: 60_000 });
    const watch = new Watch(hanging);
    await expect.poll(() => node.requestedAt.length).toBeGreaterThan(0);
    await hanging.close();
    expect(watch.events).toEqual([]);
  });
});

describe("checkChain", () => {
  test("answers with the head of the right chain", async () => {
    const { height } = await head();
    expect(await checkChain({ chain: 31337, url: chain.url, start: 0 })).toEqual({ ok: true, value: height });
    expect(await checkChain({ chain: 31337, url: chain.socketUrl, start: 0 })).toEqual({ ok: true, value: height });
  });

  test("refuses another chain, naming both", async () => {
    const checked = await checkChain({ chain: 17, url: chain.url, start: 0 });
    expect(checked).toMatchObject({ ok: false, fault: { code: "source.wrong-chain" } });
    expect(checked.ok ? "" : checked.fault.message).toMatch(/31337.*17/);
  });

  test("shows no credentials", async () => {
    const url = `${chain.url.replace("//", "//user:secret@")}/v3/0123456789abcdef0123456789abcdef?key=secret`;
    const checked = await checkChain({ chain: 17, url, start: 0 });
    expect(checked.ok ? "" : checked.fault.message).not.toMatch(/secret|0123456789/);
  });
});
