import { createHmac } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import type { NodeStatus } from "../../src/node.ts";
import { mockProof } from "../../src/provers/mock.ts";
import { keyOf, openChain } from "../sinks/evm.ts";
import { deployNotes, notesOf } from "../sinks/rollup.ts";
import { nextBlock, type RpcBlock, submit } from "./blocks.ts";
import { flagsOf, makeMembers } from "./members.ts";
import { endAll, eventually, runCli, startCli } from "./processes.ts";

vi.setConfig({ testTimeout: 60_000 });
afterEach(endAll);

const SECRET = "between the node and its receiver";

/** What a receiver that checks signatures was handed, by the key that names the block. */
async function receiver(): Promise<{ readonly url: string; readonly taken: string[] }> {
  const taken: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const key = String(request.headers["idempotency-key"]);
      const signed = Buffer.concat([Buffer.from(`proofmesh/webhook/1\0${key}\n`), ...parts]);
      const good = `hmac-sha256=${createHmac("sha256", SECRET).update(signed).digest("hex")}`;
      const status = request.headers["proofmesh-signature"] === good ? 200 : 403;
      if (status === 200) taken.push(key);
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, taken };
}

test("a node hands certified blocks on in order, and after kill -9 goes on where it was", async () => {
  const members = makeMembers(1);
  const [member] = members.list;
  if (member === undefined) throw new Error("no member");
  const { url, taken } = await receiver();
  const [config, secret] = [path.join(members.dir, "config.json"), path.join(members.dir, "secret")];
  writeFileSync(secret, `${SECRET}\n`);
  const sinks = [
    { kind: "webhook", name: "receiver", url, secret: { file: secret } },
    { kind: "webhook", name: "nobody", url: "http://127.0.0.1:9/a-key-in-the-path", secret: { file: secret } },
  ];
  writeFileSync(config, JSON.stringify({ sinks }));
  const start = () => startCli([...flagsOf(members, member, 1), "--config", config]);
  const heights = (): string => taken.map((key) => key.split("/").slice(0, 3).join("/")).join(" ");
  const expected = (count: number): string =>
    Array.from({ length: count }, (_, index) => `${members.network}/31337/${index + 1}`).join(" ");

  const first = await start();
  let last: RpcBlock | null = null;
  for (let height = 1; height <= 3; height++) await submit(first.http, (last = nextBlock(last)));
  await eventually("three blocks are handed on", () => (heights() === expected(3) ? true : null));
  first.signal("SIGKILL");
  await first.ended;

  const second = await start();
  for (let height = 4; height <= 5; height++) await submit(second.http, (last = nextBlock(last)));
  await eventually("all five are handed on", () => (new Set(taken).size === 5 ? true : null));
  expect([...new Set(taken)].map((key) => key.split("/")[2])).toEqual(["1", "2", "3", "4", "5"]);
  // What the kill came too soon for to be written down is handed on once more, under its key; nothing after it is.
  expect(taken.slice(-2).map((key) => key.split("/")[2])).toEqual(["4", "5"]);

  const status = await eventually("both have handed on all five and wait for the next", async () => {
    const now = (await (await fetch(`${second.http}/status`)).json()) as NodeStatus;
    return now.sinks.filter(({ why }) => why === "waits for the certificate of 6").length === 2 ? now : null;
  });
  const of = (name: string) => status.sinks.find(({ sink }) => sink === name);
  expect(of("receiver")).toMatchObject({ chain: 31_337, delivered: 5 });
  expect(of("certificates")).toMatchObject({ chain: 31_337, delivered: 5 });
  expect(of("nobody")).toMatchObject({ delivered: null, state: "failing", height: 1 });
  const log = [...first.log, ...second.log].map((line) => JSON.stringify(line)).join("\n");
  expect(log).not.toMatch(/between the node|a-key-in-the-path/);
  const file = path.join(member.data, "sinks", "receiver.json");
  await eventually("it is written down", () => (readFileSync(file, "utf8").includes('"height":5') ? true : null));
});

test("a node hands the proofs of its blocks to a contract that the configuration describes", async () => {
  const chain = await openChain();
  onTestFinished(() => chain.close());
  const address = await deployNotes(chain);
  const members = makeMembers(1);
  const [member] = members.list;
  if (member === undefined) throw new Error("no member");
  const [config, account] = [path.join(members.dir, "config.json"), path.join(members.dir, "account")];
  writeFileSync(account, keyOf(1));
  const sink = {
    kind: "call",
    rpc: chain.url,
    evmChain: chain.chain,
    address,
    account: { file: account },
    call: {
      function: "function note(uint64 height, bytes values, bytes proof)",
      args: ["{height}", "{values:shard}", "{proof:shard}"],
    },
    done: { function: "function isNoted(uint64) view returns (bool)", args: ["{height}"], is: "true" },
  };
  const wrong = { ...sink, call: { ...sink.call, args: ["{height}", "{values}", "{proof:shard}"] } };
  writeFileSync(config, JSON.stringify({ sinks: [wrong] }));
  const flags = [...flagsOf(members, member, 1), "--config", config];
  const refused = await runCli(["start", ...flags]);
  expect([refused.status, refused.stderr]).toEqual([
    EXIT.usage,
    expect.stringContaining('sink call: "{values}" is no'),
  ]);

  writeFileSync(config, JSON.stringify({ sinks: [sink] }));
  const node = await startCli(flags);
  let last: RpcBlock | null = null;
  for (let height = 1; height <= 3; height++) await submit(node.http, (last = nextBlock(last)));
  const notes = await eventually("three blocks are noted", async () => {
    const found = await notesOf(chain, address);
    return found.length === 3 ? found : null;
  });
  expect(notes.map(({ height }) => height)).toEqual([1, 2, 3]);
  for (const { values, proof } of notes) expect(proof).toEqual(mockProof(values));
});
