/** Honest nodes: finding each other, and finding each other again. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, expect, test } from "vitest";
import { fetchManifest } from "../../src/network/joiner.ts";
import { NETWORK, TestNode, closeAll, connected, hurried, newSeed, startNode, startNodes, until } from "./fixture.ts";

const nodes: TestNode[] = [];

function track<T extends TestNode>(node: T): T {
  nodes.push(node);
  return node;
}

afterAll(() => closeAll(nodes.splice(0)));

test("a message from one of four nodes reaches the other three within milliseconds", async () => {
  nodes.push(...(await startNodes(4)));
  const [a, ...others] = nodes as [TestNode, ...TestNode[]];
  const delays: number[] = [];
  for (let index = 0; index < 50; index += 1) {
    const at = performance.now();
    a.network.publish(new Uint8Array([index, ...crypto.getRandomValues(new Uint8Array(300))]));
    await until("all have heard it", () => others.every(({ heard }) => heard.length > index));
    for (const { heard } of others) delays.push((heard[index]?.at ?? Number.POSITIVE_INFINITY) - at);
  }
  const sorted = delays.sort((x, y) => x - y);
  const p50 = sorted[Math.floor(sorted.length / 2)] ?? 0;
  if (process.env["REPORT"] !== undefined) {
    console.log(`delivery P50 ${p50.toFixed(2)} ms, P99 ${sorted[Math.floor(sorted.length * 0.99)]?.toFixed(2)} ms`);
  }
  expect(p50).toBeLessThan(100);
});

test.concurrent("a node that knows one address finds everybody behind it", async () => {
  const a = track(await startNode());
  const b = track(await startNode({ bootstrap: a.network.addresses() }));
  const c = track(await startNode({ bootstrap: b.network.addresses() }));
  // An address without a peer id is enough as well.
  const withoutId = c.network.addresses().map((address) => address.replace(/\/p2p\/.*$/, ""));
  const d = track(await startNode({ bootstrap: withoutId }));
  await connected([a, b, c, d]);
});

test.concurrent("a peer that restarts on the same port is found again", async () => {
  const a = track(await startNode());
  const seed = newSeed();
  const b = await startNode({ seed });
  const listen = b.network.addresses().map((address) => address.replace(/\/p2p\/.*$/, ""));
  const c = track(await startNode({ bootstrap: [...a.network.addresses(), ...b.network.addresses()] }));
  await connected([a, b, c]);
  await b.network.close();
  await until("both have lost it", () => [a, c].every(({ states }) => states.includes(`down ${b.network.key}`)));
  const again = track(await startNode({ seed, listen }));
  await connected([a, c, again]);
});

test.concurrent("a peer that was away for longer than libp2p tries is found again", async () => {
  const seed = newSeed();
  const b = await startNode({ seed });
  const bootstrap = b.network.addresses();
  const listen = bootstrap.map((address) => address.replace(/\/p2p\/.*$/, ""));
  const a = track(await startNode({ bootstrap }, Object.assign(new TestNode(), { clock: hurried(50) })));
  await connected([a, b]);
  await b.network.close();
  const failures = (): number =>
    [...a.counts].reduce((sum, [id, n]) => sum + (id.startsWith("network.dial") ? n : 0), 0);
  await until("seven dials have failed", () => failures() >= 7);
  await connected([a, track(await startNode({ seed, listen }))]);
}, 15_000);

test.concurrent("two nodes that dial each other at once stay connected", async () => {
  const seeds = [newSeed(), newSeed()] as const;
  const ports = await Promise.all(seeds.map((seed) => startNode({ seed })));
  const addresses = ports.map(({ network }) => network.addresses());
  await closeAll(ports);
  const both = await Promise.all(
    seeds.map((seed, index) =>
      startNode({
        seed,
        listen: (addresses[index] ?? []).map((address) => address.replace(/\/p2p\/.*$/, "")),
        bootstrap: addresses.flat(),
      }),
    ),
  );
  nodes.push(...both);
  await connected(both);
  both[0]?.network.publish(new Uint8Array([1]));
  await until("it is heard", () => both[1]?.heard.length === 1);
});

test.concurrent("listen.in-use: a port in use is named", async () => {
  const a = track(await startNode());
  const listen = a.network.addresses().map((address) => address.replace(/\/p2p\/.*$/, ""));
  await expect(startNode({ listen })).rejects.toMatchObject({
    code: "listen.in-use",
    message: expect.stringContaining(listen[0] ?? "") as string,
  });
});

test.concurrent("config.address: an address that is none is named with its use", async () => {
  await expect(startNode({ bootstrap: ["127.0.0.1:9000"] })).rejects.toMatchObject({
    code: "config.address",
    message: expect.stringContaining('bootstrap address "127.0.0.1:9000"') as string,
  });
  await expect(startNode({ listen: ["/ip4/127.0.0.1/udp/9000"] })).rejects.toMatchObject({ code: "config.address" });
});

test.concurrent("a joiner gets the manifest from an address alone", async () => {
  const manifest = new Uint8Array(700_000).fill(3);
  const a = track(await startNode({ manifest }));
  const address = a.network.addresses()[0] ?? "";
  expect(await fetchManifest(address, NETWORK, 5_000)).toEqual(Buffer.from(manifest));
  await expect(fetchManifest(address, "cd".repeat(32), 5_000)).rejects.toMatchObject({
    code: "join.refused",
    message: expect.stringContaining(address) as string,
  });
  expect(a.states).toEqual([]);
});

test.concurrent("join.unreachable: a joiner is told which address does not answer", async () => {
  const a = await startNode();
  const address = a.network.addresses()[0] ?? "";
  await a.network.close();
  await expect(fetchManifest(address, NETWORK, 2_000)).rejects.toMatchObject({
    code: "join.unreachable",
    message: expect.stringContaining(address) as string,
  });
});

test.concurrent("after close nothing is called, pending requests have ended, and the process exits by itself", async () => {
  const script = `
    import { startNode, startNodes, closeAll } from "./test/network/fixture.ts";
    const nodes = await startNodes(3);
    nodes[1].answer = () => undefined;
    let code = "none";
    nodes[0].network.request(nodes[1].network.key, "sync", new Uint8Array(1), 100, 60000, (r) => { code = r.fault.code; });
    await closeAll(nodes);
    const states = nodes.map((node) => node.states.length).join();
    setTimeout(() => console.log(code, states === nodes.map((node) => node.states.length).join()), 200);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, "exit")) as [number];
  expect(code).toBe(0);
  expect(output.trim()).toBe("network.closed true");
}, 20_000);
