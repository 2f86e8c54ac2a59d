import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { SinkFault } from "../../src/ports.ts";
import type { DevChain } from "../../src/sources/devchain.ts";
import { registrySource } from "../../scripts/registry.ts";
import { REGISTRY_SOURCE } from "../../src/sinks/registry.ts";
import { faultOf, resultOf, valueOf } from "../compliance/completion.ts";
import { type RemotePlace, remoteSinkCompliance } from "../compliance/sink.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { certified } from "./blocks.ts";
import { addressOf, openChain, Registry } from "./evm.ts";
import { Lossy } from "./lossy.ts";

let chain: DevChain;

beforeAll(async () => {
  chain = await openChain();
});
// A test that fails leaves the chain to the next one as it should be.
beforeEach(() => chain.setAutomine(true));
afterAll(() => chain.close());

/** Where other work has the processor. */
const PATIENT = { timeout: 15_000 };

test("the contract that the node ships was made from the source that lies beside it", () => {
  expect(REGISTRY_SOURCE).toBe(registrySource());
});

remoteSinkCompliance("contract", async (): Promise<RemotePlace> => {
  const registry = await Registry.deploy(chain);
  const lossy = await Lossy.before(chain.url);
  return {
    open: (node) => registry.sink(node, { rpc: lossy.url }),
    heights: () => registry.heights(),
    down: async (is) => void (lossy.down = is),
    loseAnswer: () => lossy.loseNext(({ body }) => body.includes("eth_sendRawTransaction")),
  };
});

test("the block's hash and the hash of its certificate's content are recorded", async () => {
  const registry = await Registry.deploy(chain);
  const block = certified(7, "", 1, 7);
  await valueOf<void>((done) => registry.sink(0).deliver(block, done));
  const recorder = addressOf(1);
  const { hash } = block.content;
  expect(await registry.recorded()).toEqual([{ height: 7, hash, content: block.contentHash, recorder }]);
});

test("a place that is behind says where it goes on", async () => {
  const registry = await Registry.deploy(chain);
  const sink = registry.sink(0);
  await valueOf<void>((done) => sink.deliver(certified(1), done));
  expect(await valueOf((done) => sink.look(certified(5), done))).toEqual({ kind: "behind", from: 2 });
  expect(await faultOf((done) => sink.deliver(certified(5), done))).toMatchObject({ code: "contract.behind" });
});

test("contract.conflict: a block of another branch is not recorded on top, nor taken for the one that is there", async () => {
  const registry = await Registry.deploy(chain);
  const sink = registry.sink(0);
  await valueOf<void>((done) => sink.deliver(certified(1), done));
  await valueOf<void>((done) => sink.deliver(certified(2), done));
  expect(await faultOf((done) => sink.look(certified(2, "b", 2), done))).toMatchObject({ code: "contract.conflict" });
  expect(await faultOf((done) => sink.deliver(certified(3, "b", 2), done))).toMatchObject({
    code: "contract.conflict",
  });
  expect(await registry.heights()).toEqual([1, 2]);
});

test("two nodes that submit at the same time record the block once, and both know it", async () => {
  const registry = await Registry.deploy(chain);
  const sinks = [0, 1, 2].map((node) => registry.sink(node));
  await chain.setAutomine(false);
  const all = sinks.map((sink) => valueOf<void>((done) => sink.deliver(certified(1), done)));
  const pending = async (): Promise<unknown> => {
    const block = (await chain.call("eth_getBlockByNumber", ["pending", false])) as { transactions: unknown[] };
    return block.transactions.length;
  };
  await expect.poll(pending, PATIENT).toBe(3);
  await chain.mine(1);
  await Promise.all(all);
  expect(await registry.heights()).toEqual([1]);
  await chain.setAutomine(true);
});

test("a transaction that nobody mines is replaced by one that pays more, under the same nonce", async () => {
  const registry = await Registry.deploy(chain);
  await chain.setAutomine(false);
  const lossy = await Lossy.before(chain.url);
  const sink = registry.sink(0, { stuckMs: 100, rpc: lossy.url });
  const delivered = valueOf<void>((done) => sink.deliver(certified(1), done));
  const sent = (): number => lossy.requests.filter(({ body }) => body.includes("eth_sendRawTransaction")).length;
  await expect.poll(sent, PATIENT).toBeGreaterThan(2);
  await chain.setAutomine(true);
  await chain.mine(1);
  await delivered;
  expect(await registry.heights()).toEqual([1]);
  const nonce = await chain.call("eth_getTransactionCount", [addressOf(1), "pending"]);
  await valueOf<void>((done) => registry.sink(0).deliver(certified(2), done));
  expect(Number(await chain.call("eth_getTransactionCount", [addressOf(1), "pending"]))).toBe(Number(nonce) + 1);
});

test("contract.stuck: replacements have a limit, and the next try begins with what is in the pool", async () => {
  const registry = await Registry.deploy(chain);
  await chain.setAutomine(false);
  const lossy = await Lossy.before(chain.url);
  const sink = registry.sink(1, { stuckMs: 30, rpc: lossy.url });
  expect(await faultOf((done) => sink.deliver(certified(1), done))).toMatchObject({ code: "contract.stuck" });
  expect(lossy.requests.filter(({ body }) => body.includes("eth_sendRawTransaction"))).toHaveLength(8);
  // After a crash nothing of this is known but what the pool has.
  const restarted = registry.sink(1);
  const delivered = valueOf<void>((done) => restarted.deliver(certified(1), done));
  await chain.mine(1);
  await delivered;
  expect(await registry.heights()).toEqual([1]);
  await chain.setAutomine(true);
});

test("contract.fees: nothing is sent that pays more than allowed", async () => {
  const registry = await Registry.deploy(chain);
  const sink = registry.sink(0, { gasPriceWeiMax: 1n });
  expect(await faultOf((done) => sink.deliver(certified(1), done))).toMatchObject({ code: "contract.fees" });
  expect(await registry.heights()).toEqual([]);
});

test("a record counts once it is as deep as the operator wants it", async () => {
  const registry = await Registry.deploy(chain);
  const sink = registry.sink(0, { confirmations: 3 });
  const delivered = resultOf<void>((done) => sink.deliver(certified(1), done));
  await expect.poll(() => registry.heights(), PATIENT).toEqual([1]);
  expect(await valueOf((done) => sink.look(certified(1), done))).toEqual({ kind: "missing" });
  await chain.mine(2);
  expect((await delivered).ok).toBe(true);
  expect(await valueOf((done) => sink.look(certified(1), done))).toEqual({ kind: "there" });
});

async function lookFault(change: Parameters<Registry["sink"]>[1], node = 0): Promise<SinkFault> {
  const registry = await Registry.deploy(chain);
  return (await faultOf((done) => registry.sink(node, change).look(certified(1), done))) as SinkFault;
}

test("contract.wrong-chain, .missing, .other-network, .not-recorder and .unreachable", async () => {
  expect(await lookFault({ evmChain: 1 })).toMatchObject({ code: "contract.wrong-chain" });
  expect(await lookFault({ address: addressOf(9) })).toMatchObject({ code: "contract.missing" });
  expect(await lookFault({ network: hashOf("other") })).toMatchObject({ code: "contract.other-network" });
  expect(await lookFault({}, 7)).toMatchObject({ code: "contract.not-recorder" });
  const unreachable = await lookFault({ rpc: "http://127.0.0.1:9/v3/my-api-key" });
  expect(unreachable.code).toBe("contract.unreachable");
  expect(unreachable.message).not.toContain("my-api-key");
});

test("contract.rate-limited says how long to wait", async () => {
  const busy = await Lossy.open(() => ({ status: 429, headers: { "retry-after": "3" }, text: "slow down" }));
  expect(await lookFault({ rpc: busy.url })).toMatchObject({ code: "contract.rate-limited", retryAfterMs: 3000 });
});

test("contract.funds: an account without money is told apart", async () => {
  const registry = await Registry.deploy(chain);
  const balance = await chain.call("eth_getBalance", [addressOf(3), "latest"]);
  await chain.call("anvil_setBalance", [addressOf(3), "0x1"]);
  expect(await faultOf((done) => registry.sink(2).deliver(certified(1), done))).toMatchObject({
    code: "contract.funds",
  });
  await chain.call("anvil_setBalance", [addressOf(3), balance]);
});

test("what the owner makes the contract forget begins anew", async () => {
  const registry = await Registry.deploy(chain);
  const sink = registry.sink(0);
  await valueOf<void>((done) => sink.deliver(certified(1), done));
  await valueOf<void>((done) => sink.deliver(certified(2), done));
  await registry.forget();
  await valueOf<void>((done) => sink.deliver(certified(2, "b", 2), done));
  expect(await registry.heights()).toEqual([1, 2, 2]);
});
