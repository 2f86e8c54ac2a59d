/** The operator's endpoint before whatever may reach it: it answers with a code, or it hangs up, and it goes on. */
import { createHash, randomBytes } from "node:crypto";
import net from "node:net";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiServer, openApi } from "../../src/api/http.ts";
import type { Batch } from "../../src/protocol/batch.ts";
import { encodeOpening } from "../../src/protocol/opening.ts";
import { memoryArtefacts } from "../../src/storage/memory.ts";
import { mutants } from "../fuzz/mutants.ts";
import { hashOf } from "../protocol/fixtures.ts";

const LARGE = 8;
let server: ApiServer;
const files = memoryArtefacts({ defer: queueMicrotask });
const asked: string[] = [];
/** A batch whose line is longer than what a socket takes at once. */
const LONG = {
  head: { author: hashOf("a"), number: 1 },
  entries: [],
  bytes: new Uint8Array(1 << 18),
} as unknown as Batch;

beforeAll(async () => {
  server = await openApi(
    { host: "127.0.0.1", port: 0 },
    {
      manifest: Buffer.from("{}"),
      status: () => ({ fine: true }),
      health: () => null,
      formOf: () => ({ body: false, parent: false }),
      batches: () => [{ partition: null, batches: Array.from({ length: 64 }, () => LONG) }],
      certificate: () => Promise.resolve([]),
      certificates: (chain, from, countMax) => {
        asked.push(`${chain} ${from}`);
        const bytes = new Uint8Array(1 << 20).fill(0x20);
        return Promise.resolve(
          Array.from({ length: countMax }, (_, at) => ({ chain, height: at, block: hashOf("b"), bytes })),
        );
      },
      files: {
        size: (hash, done) => {
          asked.push(hash);
          if (hash === hashOf("large")) done({ ok: true, value: 1 << 24 });
          else files.size(hash, done);
        },
        readPart: (hash, offset, bytesMax, done) => {
          if (hash === hashOf("large")) done({ ok: true, value: new Uint8Array(bytesMax) });
          else files.readPart(hash, offset, bytesMax, done);
        },
        receive: (hash, length, done) => files.receive(hash, length, done),
      },
      fetch: () => Promise.reject(Object.assign(new Error("nobody has it"), { code: "artefact.unavailable" })),
      voteCertificate: (name, kind, attempt) =>
        name.height === 7 ? Buffer.from(`${Object.values(name).join("/")} ${kind} ${attempt}\n`) : null,
      evidence: (key) => (key === hashOf("liar") ? Buffer.from("{}\n") : null),
      tasks: () => [],
      task: () => null,
      requeue: () => {
        asked.push("requeue");
        return Promise.resolve(null);
      },
      submit: () => Promise.reject(new Error("nothing here is a block")),
    },
  );
});

afterAll(() => server.close());

const hashOfBytes = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const port = (): number => Number(new URL(server.address).port);

/** Writes bytes as they are and gives back what came until the other side hung up or the time was over. */
function raw(bytes: Uint8Array | string, forMs = 1_000): Promise<{ readonly text: string; readonly closed: boolean }> {
  return new Promise((resolve) => {
    let text = "";
    const socket = net.connect(port(), "127.0.0.1", () => socket.write(bytes));
    const end = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, closed });
    };
    const timer = setTimeout(() => end(false), forMs);
    socket.setEncoding("latin1").on("data", (more: string) => {
      text += more;
      // All there is to an answer without a body of its own comes at once.
      if (text.includes("\r\n\r\n") && text.endsWith("}\n")) end(false);
    });
    socket.on("error", () => end(true));
    socket.on("close", () => end(true));
  });
}

async function lives(): Promise<void> {
  expect(await (await fetch(`${server.address}/health`)).json()).toEqual({ ok: true, mute: null });
}

function get(path: string, headers = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;
}

async function codeOf(path: string): Promise<string> {
  const { text } = await raw(get(path));
  return /"code":"([^"]+)"/.exec(text)?.[1] ?? text.slice(0, 40);
}

describe("the HTTP endpoint", () => {
  it("serves what votes certify about a task, of the attempt that is asked for, and what is known against a key", async () => {
    const text = async (path: string) => (await fetch(`${server.address}${path}`)).text();
    expect(await text("/tasks/1/7/shard/3/credit")).toBe("1/7/shard/3 credit null\n");
    expect(await text("/tasks/1/7/shard/3/timeout?attempt=2")).toBe("1/7/shard/3 timeout 2\n");
    expect(await text(`/evidence/${hashOf("liar")}`)).toBe("{}\n");
    const refused = [
      "/tasks/1/8/shard/3/credit",
      "/tasks/1/7/shard/3/wages",
      "/tasks/1/7/shard/x/credit",
      "/tasks/1/7/shard/3/credit?attempt=-1",
      `/evidence/${hashOf("honest")}`,
      "/evidence/liar",
    ];
    expect(await Promise.all(refused.map(codeOf))).toEqual([
      "certificate.missing",
      "http.kind",
      "http.number",
      "http.number",
      "evidence.missing",
      "http.hash",
    ]);
  });

  it("refuses paths that are tricks, with a code and never with somebody's file", async () => {
    const before = asked.length;
    const codes = await Promise.all(
      [
        "//",
        "//health",
        "/..",
        "/../../etc/passwd",
        "/artefacts/../../key.json",
        "/artefacts/%2e%2e%2fkey.json",
        "/artefacts/",
        "/artefacts/AB",
        `/artefacts/${"A".repeat(64)}`,
        "/%",
        "/%00",
        "/certificates/1e9",
        "/certificates/-1/2",
        "/certificates/1/2/3",
        "/certificates/9999999999999999",
        "http://[::1",
        "*",
        "/constructor",
        "/__proto__",
        "/health/..",
      ].map(codeOf),
    );
    for (const code of codes)
      expect(code).toMatch(/^(http\.(path|hash|number)|certificate\.missing)$|^HTTP\/1\.1 (200|400)/);
    expect(asked.slice(before)).toEqual([]);
    await lives();
  });

  it("http.origin: a page in the operator's browser may not tell the node what to do", async () => {
    const before = asked.length;
    const post = (headers: string): string =>
      `POST /tasks/1/2/shard/0/requeue HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}\r\n`;
    expect((await raw(post("Origin: https://example.org\r\nContent-Length: 0\r\n"))).text).toContain("http.origin");
    expect((await raw(get("/status").replace("Host: localhost", "Host: rebound.example.org:4680"))).text).toContain(
      "http.origin",
    );
    expect(asked.slice(before)).toEqual([]);
    expect((await raw(post("Content-Length: 0\r\n"))).text).toMatch(/^HTTP\/1\.1 200/);
    expect(asked.slice(before)).toEqual(["requeue"]);
  });

  it("refuses what is not HTTP, headers without end and bodies that lie, and lives", async () => {
    const huge = await raw(get("/health", `X: ${"a".repeat(100_000)}\r\n`));
    expect(huge.text).toMatch(/^HTTP\/1\.1 431/);
    const many = await raw(get("/health", Array.from({ length: 5_000 }, (_, at) => `X-${at}: 1\r\n`).join("")));
    expect(many.text).toMatch(/^HTTP\/1\.1 (431|200)/);
    for (const bytes of [
      randomBytes(2_000),
      "\0\0\0\0",
      "GET / HTTP/9.9\r\n\r\n",
      "GET  HTTP/1.1\r\n\r\n",
      "\x16\x03\x01\x02\x00",
    ])
      expect((await raw(bytes)).text).toMatch(/^(HTTP\/1\.1 400|$)/);
    const post = (headers: string, body: string): string =>
      `POST /submit?chain=1 HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n${body}`;
    expect((await raw(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"))).text).toMatch(
      /^HTTP\/1\.1 400/,
    );
    expect((await raw(post("Content-Length: -1\r\n", ""))).text).toMatch(/^HTTP\/1\.1 400/);
    expect((await raw(post("Content-Length: 2\r\n", "{}"))).text).toContain("payload.malformed");
    expect((await raw(post("Content-Length: 4\r\n", "[[[["))).text).toContain("http.json");
    await lives();
  });

  it("answers or hangs up whatever is sent instead of a request", async () => {
    const legal = [
      get("/status"),
      get(`/artefacts/${hashOf("x")}`),
      get("/certificates/1?from=5"),
      `POST /submit?chain=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`,
    ];
    const corpus = legal.map((text) => Uint8Array.from(Buffer.from(text, "latin1")));
    await fc.assert(
      fc.asyncProperty(mutants(corpus), async (bytes) => {
        const { text } = await raw(bytes, 30);
        expect(text).toMatch(/^(HTTP\/1\.1 [2345]\d\d |$)/);
      }),
      { numRuns: 60, seed: 20_261_122 },
    );
    await lives();
  });

  it("hangs up on a client that writes its headers a byte a second", async () => {
    const socket = net.connect(port(), "127.0.0.1");
    const closed = new Promise<boolean>((resolve) => socket.on("close", () => resolve(true)));
    socket.on("error", () => undefined);
    const dripping = setInterval(() => socket.write("G"), 1_000);
    expect(await closed).toBe(true);
    clearInterval(dripping);
    await lives();
  }, 15_000);

  it("keeps a few connections at once, and is there again when they are gone", async () => {
    const sockets = Array.from({ length: 200 }, () => net.connect(port(), "127.0.0.1"));
    const refused = await Promise.all(
      sockets.map((socket) => {
        socket.on("error", () => undefined);
        return new Promise<boolean>((resolve) => {
          socket.once("close", () => resolve(true));
          setTimeout(() => resolve(false), 1_000);
        });
      }),
    );
    expect(refused.filter((each) => each).length).toBeGreaterThanOrEqual(200 - 64);
    for (const socket of sockets) socket.destroy();
    for (let tries = 0; ; tries++) {
      const up = await fetch(`${server.address}/health`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (up) break;
      expect(tries).toBeLessThan(50);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it("http.busy: reads a few large files at once for clients that do not take them", async () => {
    const path = `/artefacts/${hashOf("large")}`;
    const slow = Array.from({ length: LARGE }, () => net.connect(port(), "127.0.0.1"));
    for (const socket of slow) {
      socket.on("error", () => undefined);
      socket.pause();
      socket.write(get(path));
    }
    let code = "";
    for (let tries = 0; code !== "http.busy" && tries < 100; tries++) {
      const response = await fetch(`${server.address}${path}`);
      code = response.ok ? "" : String(((await response.json()) as { code: unknown }).code);
      if (response.ok) await response.body?.cancel();
    }
    expect(code).toBe("http.busy");
    await lives();
    for (const socket of slow) socket.destroy();
    for (let tries = 0; code === "http.busy" && tries < 100; tries++) {
      const response = await fetch(`${server.address}${path}`);
      code = response.ok ? "" : "http.busy";
      await response.body?.cancel();
    }
    expect(code).toBe("");
  });

  it("gives as many certificates as fit an answer", async () => {
    const found = (await (await fetch(`${server.address}/certificates/1`)).json()) as unknown[];
    expect(found).toHaveLength(8);
  });

  it("takes a file in by pieces, says where to go on, and gives it back", async () => {
    const bytes = randomBytes(3_000_000);
    const hash = hashOfBytes(bytes);
    const put = async (from: number, to: number, length = bytes.length) => {
      const url = `${server.address}/artefacts/${hash}?length=${length}&from=${from}`;
      const response = await fetch(url, { method: "PUT", body: bytes.subarray(from, to) });
      return { status: response.status, ...((await response.json()) as Record<string, unknown>) };
    };
    expect(await put(0, 1_000_000)).toMatchObject({ status: 200, bytes: 1_000_000 });
    expect(await put(0, 1_000_000)).toMatchObject({ status: 409, code: "artefact.offset" });
    expect((await fetch(`${server.address}/artefacts/${hash}`)).status).toBe(404);
    expect(await put(1_000_000, bytes.length)).toMatchObject({ status: 200, bytes: bytes.length });
    const got = await (await fetch(`${server.address}/artefacts/${hash}`)).arrayBuffer();
    expect(Buffer.from(got).equals(bytes)).toBe(true);
  });

  it("artefact.secret: does not give away the opening of a commitment", async () => {
    const id = hashOf("opening");
    const bytes = encodeOpening({ prover: id, nonce: new Uint8Array(32), artefact: id, bytes: 1 });
    const url = `${server.address}/artefacts/${hashOfBytes(Buffer.from(bytes))}`;
    expect((await fetch(`${url}?length=${bytes.length}&from=0`, { method: "PUT", body: bytes })).status).toBe(200);
    const response = await fetch(url);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: "artefact.secret" });
  });

  it("artefact.wrong-bytes and artefact.too-large: keeps nothing that is not what it is said to be", async () => {
    const hash = hashOf("something else");
    const put = async (length: number): Promise<unknown> => {
      const url = `${server.address}/artefacts/${hash}?length=${length}&from=0`;
      return ((await (await fetch(url, { method: "PUT", body: "four" })).json()) as { code?: unknown }).code;
    };
    expect(await put(4)).toBe("artefact.wrong-bytes");
    expect(await put(2)).toBe("artefact.too-large");
    expect(await put(2 ** 31)).toBe("artefact.too-large");
    expect((await fetch(`${server.address}/artefacts/${hash}`)).status).toBe(404);
  });

  it("sends its log to a slow reader, and waits for it by one listener and not by one for each line", async () => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error) => void warnings.push(name);
    process.on("warning", onWarning);
    const { body } = await fetch(`${server.address}/log`);
    let bytes = 0;
    for await (const piece of body ?? []) bytes += piece.length;
    process.off("warning", onWarning);
    expect(bytes).toBeGreaterThan(64 * (1 << 18));
    expect(warnings).toEqual([]);
    await lives();
  });

  it("artefact.unavailable: says that no peer has a file", async () => {
    const response = await fetch(`${server.address}/artefacts/${hashOf("x")}/fetch`, { method: "POST" });
    expect([response.status, await response.json()]).toMatchObject([404, { code: "artefact.unavailable" }]);
  });
});
