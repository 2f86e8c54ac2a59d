/** A node that follows a chain, and proves its blocks once more by another workflow. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { readConfig } from "../../src/config.ts";
import { openNode } from "../../src/node.ts";
import { CHAIN, nextBlock, type RpcBlock } from "./blocks.ts";
import { makeMembers } from "./members.ts";
import { eventually } from "./processes.ts";

vi.setConfig({ testTimeout: 60_000 });

const AGAIN = 1_031_337;

/** What a chain's node answers; its first block is at height 1. */
async function serve(blocks: readonly RpcBlock[]): Promise<string> {
  const answer = (method: string, [first]: readonly unknown[]): unknown => {
    if (method === "eth_chainId") return `0x${CHAIN.toString(16)}`;
    if (method === "eth_getBlockByNumber")
      return (first === "latest" ? blocks.at(-1) : blocks[Number(first) - 1]) ?? null;
    return method === "eth_getBlockByHash" ? (blocks.find(({ hash }) => hash === first) ?? null) : null;
  };
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { id, method, params } = JSON.parse(Buffer.concat(parts).toString()) as {
        readonly id: number;
        readonly method: string;
        readonly params: readonly unknown[];
      };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result: answer(method, params) }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("one source tells both versions, each from its own height, and both are certified", async () => {
  const blocks: RpcBlock[] = [];
  for (let height = 1; height <= 4; height++) blocks.push(nextBlock(blocks.at(-1) ?? null));
  const members = makeMembers(1, {}, (json) => {
    const [block] = Object.values(json.workflows);
    if (block === undefined) throw new Error("no workflow");
    const again = { id: AGAIN, start: 3, confirmations: 0, workflow: "second", reproves: CHAIN };
    return { ...json, chains: [...json.chains, again], workflows: { ...json.workflows, second: block } };
  });
  const sources = [{ kind: "rpc" as const, chain: CHAIN, url: await serve(blocks) }];
  const config = readConfig(
    undefined,
    {},
    {
      data: members.list[0]?.data,
      manifest: members.manifest,
      listen: ["/ip4/127.0.0.1/tcp/0"],
      http: "off",
      provers: [{ kind: "mock", provingMs: 10 }],
      profile: "local",
      log: "json",
      sources,
    },
  );
  const told: string[] = [];
  const node = await openNode(config, (line) => {
    const { event, chain, height } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (event === "block.certified") told.push(`${String(chain)}/${String(height)}`);
  });
  onTestFinished(() => node.close());
  await eventually("both chains are certified", () => (told.length >= 6 ? true : null));
  const expected = [1, 2, 3, 4].map((height) => `${CHAIN}/${height}`);
  expect(told.toSorted()).toEqual([`${AGAIN}/3`, `${AGAIN}/4`, ...expected].toSorted());
  expect(node.status().chains).toEqual([
    { id: CHAIN, reproves: null, certified: 4, source: null },
    { id: AGAIN, reproves: CHAIN, certified: 4, source: null },
  ]);
});
