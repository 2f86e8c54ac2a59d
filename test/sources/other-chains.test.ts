/** Blocks of chains that come from Ethereum, as their nodes tell them. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { RLP } from "@ethereumjs/rlp";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { Source } from "../../src/ports.ts";
import { readPayload } from "../../src/protocol/ethereum.ts";
import { orderedRoot } from "../../src/protocol/rlp.ts";
import { chainSource } from "../../src/sources/chain.ts";
import { rpcBlock } from "../provers/fixtures.ts";
import { Watch } from "./watch.ts";

const open: Source[] = [];
afterEach(() => Promise.all(open.splice(0).map((source) => source.close())));

const hex = (bytes: Uint8Array): string => `0x${bytesToHex(bytes)}`;

interface Block extends Readonly<Record<string, unknown>> {
  readonly number: string;
}

/** A node of one block, which knows the methods that it is given besides. */
async function nodeOf(
  block: Block,
  raw: Readonly<Record<string, (about: unknown) => unknown>>,
): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const answerOf = (method: string, [about]: readonly unknown[]): unknown => {
    if (method === "eth_chainId") return "0x2105";
    if (method === "eth_getBlockByNumber") return about === "latest" || about === block.number ? block : null;
    return raw[method]?.(about);
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
      asked.push(method);
      const result = answerOf(method, params);
      const error = { code: -32_601, message: "the method does not exist" };
      const answer = { jsonrpc: "2.0", id, ...(result === undefined ? { error } : { result }) };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function watch(url: string, { number }: Block): Watch {
  const source = chainSource({ chain: 0x2105, url, start: Number(number), pollMs: 25, timeoutMs: 2_000 });
  open.push(source);
  return new Watch(source);
}

function itemsOf({ path: [block] }: Watch) {
  if (block === undefined) throw new Error("no block");
  const read = readPayload(block.payload, block.hash);
  if (!read.ok) throw new Error(read.fault.message);
  expect(read.value.items.length).toBe(block.items);
  return read.value.items;
}

/** A block with a transaction of a type, and a header field, that no version knows, as its node tells it. */
function unknownBlock() {
  const transaction = concatBytes(Uint8Array.of(0x6a), RLP.encode([7, "a message of this chain alone"]));
  const word = (byte: string) => hexToBytes(byte.repeat(32));
  const root = orderedRoot([transaction]);
  const fixed = [
    word("01"),
    word("02"),
    hexToBytes("03".repeat(20)),
    word("04"),
    root,
    word("05"),
    new Uint8Array(256),
  ];
  const rawHeader = RLP.encode([
    ...fixed,
    1,
    9,
    30_000_000,
    21_000,
    1_700_000_000,
    "x",
    word("06"),
    new Uint8Array(8),
    5,
    "new",
  ]);
  const block = {
    number: "0x9",
    hash: hex(keccak_256(rawHeader)),
    parentHash: hex(word("01")),
    sha3Uncles: hex(word("02")),
    miner: hex(hexToBytes("03".repeat(20))),
    stateRoot: hex(word("04")),
    transactionsRoot: hex(root),
    receiptsRoot: hex(word("05")),
    logsBloom: hex(new Uint8Array(256)),
    difficulty: "0x1",
    gasLimit: "0x1c9c380",
    gasUsed: "0x5208",
    timestamp: "0x6553f100",
    extraData: hex(Buffer.from("x")),
    mixHash: hex(word("06")),
    nonce: "0x0000000000000000",
    baseFeePerGas: "0x5",
    newField: hex(Buffer.from("new")),
    transactions: [
      { type: "0x6a", hash: hex(keccak_256(transaction)), from: hex(word("07").subarray(12)), nonce: "0x7" },
    ],
  };
  const opaque = {
    sender: "00".repeat(20),
    recipient: bytesToHex(keccak_256(transaction).subarray(12)),
    value: 0n,
    feeLimit: 0n,
  };
  return { block, rawHeader, transaction, opaque };
}

describe("a chain source", () => {
  test("tells a block of an OP-Stack chain, whose first transaction is a deposit", async () => {
    const block = rpcBlock("unichain-sepolia-35535698") as unknown as Block;
    const node = await nodeOf(block, {});
    const told = watch(node.url, block);
    await told.until("the block", () => told.path.length === 1);
    const [deposit] = itemsOf(told);
    const to = "4200000000000000000000000000000000000015";
    expect(deposit).toEqual({
      sender: "deaddeaddeaddeaddeaddeaddeaddeaddead0001",
      recipient: to,
      value: 0n,
      feeLimit: 0n,
    });
  });

  test("tells what it cannot read by its bytes, from a node that has the whole block", async () => {
    const { block, rawHeader, transaction, opaque } = unknownBlock();
    const raw = RLP.encode([RLP.decode(rawHeader), [transaction], []]);
    const node = await nodeOf(block, { debug_getRawBlock: () => hex(raw) });
    const told = watch(node.url, block);
    await told.until("the block", () => told.path.length === 1);
    expect(itemsOf(told)).toEqual([opaque]);
  });

  test("tells it from a node that has header and transactions one by one", async () => {
    const { block, rawHeader, transaction, opaque } = unknownBlock();
    const node = await nodeOf(block, {
      debug_getRawHeader: () => hex(rawHeader),
      eth_getRawTransactionByHash: (hash) => (hash === hex(keccak_256(transaction)) ? hex(transaction) : null),
    });
    const told = watch(node.url, block);
    await told.until("the block", () => told.path.length === 1);
    expect(itemsOf(told)).toEqual([opaque]);
  });

  test("payload.header-unknown: says which methods it lacks, and does not ask again and again", async () => {
    const { block } = unknownBlock();
    const node = await nodeOf(block, {});
    const told = watch(node.url, block);
    await told.until("trouble", () => told.troubles.length > 0);
    const [trouble] = told.events.flatMap((event) => (event.kind === "trouble" ? [event.fault] : []));
    expect(trouble?.code).toBe("payload.header-unknown");
    expect(trouble?.message).toContain("newField");
    expect(trouble?.message).toContain("a node that serves debug_getRawBlock, or debug_getRawHeader and");
    const asked = node.asked.length;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(node.asked.length).toBe(asked);
  });

  test("payload.header-unknown: believes no bytes that do not hash to the block", async () => {
    const { block, rawHeader, transaction } = unknownBlock();
    const node = await nodeOf(block, {
      debug_getRawHeader: () => hex(rawHeader.with(40, 1)),
      eth_getRawTransactionByHash: () => hex(transaction),
    });
    const told = watch(node.url, block);
    await told.until("trouble", () => told.troubles.length > 0);
    expect([told.troubles[0], told.path]).toEqual(["payload.header-unknown", []]);
  });
});
