import type { Hex } from "viem";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { callSink, type CallOptions, type Prove } from "../../src/sinks/call.ts";
import type { Sink } from "../../src/ports.ts";
import type { DevChain } from "../../src/sources/devchain.ts";
import { faultOf, valueOf } from "../compliance/completion.ts";
import { type RemotePlace, remoteSinkCompliance } from "../compliance/sink.ts";
import { flipped, sp1Vector } from "../proofs/sp1-vectors.ts";
import { chainOf, certified } from "./blocks.ts";
import { keyOf, openChain } from "./evm.ts";
import { Lossy } from "./lossy.ts";
import { deployNotes, deployRollup, finalizedOf, notesOf } from "./rollup.ts";

const VECTOR = sp1Vector(1);
const CALL = {
  function: "function finalize(uint64 height, bytes32 hash, bytes values, bytes proof)",
  args: ["{height}", "{hash}", "{values:shard}", "{proof:shard}"],
} as const;
const DONE = {
  function: "function finalized(uint64) view returns (bytes32)",
  args: ["{height}"],
  is: "{hash}",
} as const;
/** As a node has them whose workflow proves with SP1. */
const proven: Prove = async () => ({ ok: true, value: VECTOR });

let chain: DevChain;
beforeAll(async () => {
  chain = await openChain();
});
afterAll(() => chain.close());

function optionsOf(address: Hex, change: Partial<CallOptions> = {}): CallOptions {
  return {
    rpc: chain.url,
    evmChain: chain.chain,
    address,
    account: keyOf(1),
    confirmations: 1,
    stuckMs: 5_000,
    gasPriceWeiMax: 10n ** 12n,
    pollMs: 20,
    timeoutMs: 5_000,
    call: CALL,
    done: DONE,
    ...change,
  };
}

async function heightsOf(address: Hex): Promise<readonly number[]> {
  const found = await Promise.all(
    chainOf(1, 8).map(async ({ height, content }) =>
      (await finalizedOf(chain, address, height)) === content.hash ? height : null,
    ),
  );
  return found.filter((height) => height !== null);
}

remoteSinkCompliance("call", async (): Promise<RemotePlace> => {
  const address = await deployRollup(chain, VECTOR);
  const lossy = await Lossy.before(chain.url);
  return {
    open: (node) => callSink(optionsOf(address, { rpc: lossy.url, account: keyOf(node + 1) }), proven),
    heights: () => heightsOf(address),
    down: async (is) => void (lossy.down = is),
    loseAnswer: () => lossy.loseNext(({ body }) => body.includes("eth_sendRawTransaction")),
  };
});

test("a rollup's contract verifies a real SP1 proof that the sink hands on, and takes the block once", async () => {
  const address = await deployRollup(chain, VECTOR);
  const sink = callSink(optionsOf(address), proven);
  const block = certified(1);
  expect(await valueOf((done) => sink.look(block, done))).toEqual({ kind: "missing" });
  await valueOf<void>((done) => sink.deliver(block, done));
  expect(await finalizedOf(chain, address, 1)).toBe(block.content.hash);
  expect(await valueOf((done) => sink.look(block, done))).toEqual({ kind: "there" });
  await valueOf<void>((done) => sink.deliver(block, done));
  await sink.close();
});

test("contract.refused: nothing is sent of a proof that the contract does not take", async () => {
  const address = await deployRollup(chain, VECTOR);
  const wrong = { ...VECTOR, values: flipped(VECTOR.values, 3) };
  const sink = callSink(optionsOf(address), async () => ({ ok: true, value: wrong }));
  const before = await chain.call("eth_blockNumber", []);
  expect(await faultOf((done) => sink.deliver(certified(1), done))).toMatchObject({ code: "contract.refused" });
  expect(await chain.call("eth_blockNumber", [])).toBe(before);
  await sink.close();
});

test("contract.no-effect: a call that was mined is not paid for again, though the contract never says that it is done", async () => {
  const address = await deployNotes(chain);
  const call = {
    function: "function note(uint64 height, bytes values, bytes proof)",
    args: ["{height}", "0x01", "0x02"],
  };
  // The operator asks about another height.
  const done = { function: "function isNoted(uint64) view returns (bool)", args: ["77"], is: "true" };
  const sink = callSink(optionsOf(address, { call, done, stuckMs: 300 }), proven);
  for (let tries = 0; tries < 3; tries++)
    expect(await faultOf((settle) => sink.deliver(certified(1), settle))).toMatchObject({ code: "contract.no-effect" });
  expect((await notesOf(chain, address)).map(({ height }) => height)).toEqual([1]);
  await sink.close();
});

describe("the arguments of a call", () => {
  const faultAt = async (args: readonly string[]) => {
    const sink: Sink = callSink(optionsOf(`0x${"11".repeat(20)}`, { call: { ...CALL, args } }), proven);
    await sink.close();
  };
  it.each([
    [["{height}", "{hash}", "{values:shard}"], '3 arguments; "function finalize'],
    [["{hash}", "{hash}", "{values:shard}", "{proof:shard}"], "{hash} is no uint64"],
    [["{height}", "0x12", "{values:shard}", "{proof:shard}"], '"0x12" is no bytes32'],
    [["{height}", "{values:shard[0:31]}", "0x", "0x"], "{values:shard} is no bytes32"],
    [["{height}", "{hash}", "{values}", "0x"], '"{values}" is no argument; allowed: a constant, {chain}'],
    [["{height}", "{hash}", "{values:shard[4:2]}", "0x"], "ends before it begins"],
    [["twelve", "{hash}", "0x", "0x"], '"twelve" is no uint64'],
  ])("%j are refused before the node starts", async (args, message) => {
    await expect(faultAt(args)).rejects.toThrow(message);
  });

  it("may be slices, of a stage that the certificate names", async () => {
    const address = await deployRollup(chain, VECTOR);
    const sliced = (text: string) => callSink(optionsOf(address, { done: { ...DONE, is: text } }), proven);
    const code = async (text: string) => (await faultOf((done) => sliced(text).look(certified(1), done))).code;
    expect(await code("{values:nowhere[0:32]}")).toBe("contract.no-task");
    expect(await code("{values:shard/7[0:32]}")).toBe("contract.no-task");
    expect(await code("{values:shard[4096:4128]}")).toBe("contract.slice");
    // Its 12 bytes are no bytes32 of a block that is done.
    expect(await valueOf((done) => sliced("{proof:shard[4:36]}").look(certified(1), done))).toEqual({
      kind: "missing",
    });
  });

  it("done has to be a view of one result", () => {
    const options = optionsOf(`0x${"11".repeat(20)}`);
    expect(() => callSink({ ...options, done: { ...DONE, function: CALL.function, args: CALL.args } }, proven)).toThrow(
      "is no view function with one result",
    );
    expect(() => callSink({ ...options, done: { ...DONE, is: "{height}" } }, proven)).toThrow("{height} is no bytes32");
    expect(() => callSink({ ...options, done: { ...DONE, function: "finalized" } }, proven)).toThrow(
      '"finalized" is no function in human-readable ABI',
    );
  });
});
