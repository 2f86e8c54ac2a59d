import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { temporaryDirectory } from "../storage/directories.ts";
import { nextBlock, submit } from "./blocks.ts";
import { endAll, eventually, runCli, startCli } from "./processes.ts";
import { certificateBytes, STOP_MS_MAX, stopped } from "./stopping.ts";

vi.setConfig({ testTimeout: 150_000 });

afterEach(endAll);

/** What an operator who waits at the terminal puts up with. */
const WAIT_MS = 60_000;
const NETWORK = ["--listen", "/ip4/127.0.0.1/tcp/0", "--http", "127.0.0.1:0", "--profile", "local"];

interface Certificate {
  readonly content: {
    readonly height: number;
    readonly payload: string;
    readonly tasks: readonly { readonly prover: string; readonly artefact: string }[];
  };
}

test("a second node joins, is admitted and proves its share", async () => {
  const dir = temporaryDirectory();
  const mock = ["--mock", "100", ...NETWORK];
  const first = await startCli(["--data", path.join(dir, "a"), "--block-time", "0.2", "--transactions", "2", ...mock]);
  const target = `${first.network}@${first.address}`;
  const second = await startCli(["--data", path.join(dir, "b"), "--join", target, ...mock]);
  expect(second.network).toBe(first.network);
  expect(readFileSync(path.join(dir, "b", "manifest.json"), "utf8")).not.toBe("");
  const admitted = ({ event, prover }: { readonly event: string; readonly prover?: unknown }) =>
    event === "prover.admitted" && prover === second.key;
  await first.line("the newcomer is admitted", admitted, WAIT_MS);
  const proved = ({ event, provers }: { readonly event: string; readonly provers?: unknown }) =>
    event === "block.certified" && Array.isArray(provers) && provers.includes(second.key);
  const { height } = await first.line("the newcomer has proven a part of a block", proved, WAIT_MS);
  // It holds the certificate that names it as well.
  const { content } = await eventually("the newcomer has the certificate", async () => {
    const found = await certificateBytes(second, Number(height)).catch(() => null);
    return found === null ? null : (JSON.parse(found) as Certificate);
  });
  expect(content.tasks.map(({ prover }) => prover)).toContain(second.key);
  await Promise.all([stopped(first), stopped(second)]);
});

test("a network that was made for a chain of its own waits for its blocks, and follows no dev chain", async () => {
  const data = path.join(temporaryDirectory(), "own");
  const made = await runCli(["init", "--data", data, "--network", "own", "--chain", "7:1", "--shards", "1", "--mock"]);
  expect(made).toMatchObject({ status: EXIT.ok, stderr: "" });
  const node = await startCli(["--data", data, "--mock", "50", ...NETWORK]);
  const status = async (): Promise<string> =>
    (await runCli(["status", "--http", node.http.slice("http://".length)])).stdout;
  expect(await status()).toMatch(/^WAITS +for a first block: proofmesh submit /m);
  await submit(node.http, nextBlock(null), 7);
  await node.line("the block is certified", ({ event }) => event === "block.certified", WAIT_MS);
  expect(await status()).toMatch(/^chain +7 +certified up to 1$/m);
  await stopped(node);
});

test("a node that waits for a peer to answer is stopped before it is up", async () => {
  const held = new Set<net.Socket>();
  const silent = net.createServer((socket) => void held.add(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as net.AddressInfo;
  const peer = `/ip4/127.0.0.1/tcp/${port}/p2p/12D3KooWRafG5aSuYR9qURm4oFnxh8uFSaLBHAAnZRogXitDEh4y`;
  const data = path.join(temporaryDirectory(), "joiner");
  const connected = once(silent, "connection");
  const beganMs = connected.then(() => performance.now());
  const joining = runCli(["start", "--data", data, "--join", `${"a".repeat(64)}@${peer}`, ...NETWORK], {
    interrupt: connected,
  });
  expect(await joining).toMatchObject({ status: EXIT.ok, signal: null, stderr: "" });
  expect(performance.now() - (await beganMs)).toBeLessThan(STOP_MS_MAX);
  for (const socket of held) socket.destroy();
  silent.close();
});
