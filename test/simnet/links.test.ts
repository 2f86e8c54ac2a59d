import net from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type LinkOptions, Links } from "../../simnet/local/links.ts";
import { Chance } from "../../simnet/virtual/world.ts";

/** The proxies between the processes of a local run, with a server that sends everything back in the place of node 1. */
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const FAST: LinkOptions = { delayMs: 0, jitterMs: 0, loss: 0 };

async function echo(): Promise<{ readonly port: number; readonly heard: () => string; readonly open: () => number }> {
  let heard = "";
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (bytes: Buffer) => {
      heard += bytes.toString("latin1");
      socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as net.AddressInfo).port, heard: () => heard, open: () => sockets.size };
}

async function linked(options: Partial<LinkOptions> = {}) {
  const server = await echo();
  const links = await Links.open([0, server.port], { ...FAST, ...options }, new Chance(1, "links"));
  closers.push(() => links.close());
  const port = Number(links.addressesOf(0)[0]?.split("/").at(-1));
  return { server, links, dial: () => dial(port) };
}

async function dial(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  closers.push(async () => void socket.destroy());
  let text = "";
  socket.on("data", (bytes: Buffer) => {
    text += bytes.toString("latin1");
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return { socket, text: () => text, closed };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const LETTERS = Array.from({ length: 200 }, (_, index) => String.fromCharCode(97 + (index % 26)));

describe("a link", () => {
  test("passes everything in order whatever the delay, jitter and loss", async () => {
    const { server, dial: connect } = await linked({ delayMs: 5, jitterMs: 20, loss: 0.02 });
    const client = await connect();
    for (const letter of LETTERS) {
      client.socket.write(letter);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => client.text().length === LETTERS.length);
    expect(client.text()).toBe(LETTERS.join(""));
    expect(server.heard()).toBe(LETTERS.join(""));
  });

  test("delays each way", async () => {
    const { dial: connect } = await linked({ delayMs: 60 });
    const client = await connect();
    const began = performance.now();
    client.socket.write("x");
    await until(() => client.text() === "x");
    expect(performance.now() - began).toBeGreaterThanOrEqual(119);
  });

  test("holds back what a blocked direction carries, and only that one, until it heals", async () => {
    const { server, links, dial: connect } = await linked();
    const client = await connect();
    client.socket.write("a");
    await until(() => client.text() === "a");
    links.block(1, 0);
    client.socket.write("b");
    await until(() => server.heard() === "ab");
    expect(client.text()).toBe("a");
    links.block(0, 1);
    client.socket.write("c");
    links.unblock(1, 0);
    await until(() => client.text() === "ab");
    expect(server.heard()).toBe("ab");
    links.heal();
    await until(() => client.text() === "abc");
  });

  test("lets a new connection wait while one direction is blocked", async () => {
    const { server, links, dial: connect } = await linked();
    links.block(1, 0);
    const client = await connect();
    client.socket.write("a");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([server.open(), server.heard()]).toEqual([0, ""]);
    links.heal();
    await until(() => client.text() === "a");
  });

  test("breaks connections, and takes new ones at once", async () => {
    const { links, dial: connect } = await linked();
    const client = await connect();
    client.socket.write("a");
    await until(() => client.text() === "a");
    expect(links.cut(0, 1)).toBe(1);
    await client.closed;
    const next = await connect();
    next.socket.write("b");
    await until(() => next.text() === "b");
  });

  test("ends a connection to a node that is down", async () => {
    const { server, links, dial: connect } = await linked();
    for (const close of closers.splice(0, 1)) await close();
    expect(server.open()).toBe(0);
    const client = await connect();
    await client.closed;
    expect(links.bytes).toBe(0);
  });

  test("reads no more from a sender than it may hold", async () => {
    const { links, dial: connect } = await linked();
    const client = await connect();
    client.socket.write("x");
    await until(() => client.text() === "x");
    links.block(0, 1);
    let sent = 0;
    const piece = Buffer.alloc(256 * 1024, "y");
    // Past what the kernel buffers on both sides of the proxy's socket.
    while (sent < 64 * 1024 * 1024 && client.socket.write(piece)) sent += piece.length;
    client.socket.write(Buffer.alloc(32 * 1024 * 1024, "y"));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(links.bytes).toBeLessThan(4 * 1024 * 1024);
  });
});
