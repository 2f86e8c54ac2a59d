import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { expect, onTestFinished, test } from "vitest";
import { requestsHash } from "../../src/protocol/body.ts";
import { readPayload } from "../../src/protocol/ethereum.ts";
import { decode, encode } from "../../src/protocol/rlp.ts";
import { beaconRequests } from "../../src/sources/beacon.ts";
import { chainSource } from "../../src/sources/chain.ts";
import { nextBlock } from "../node/blocks.ts";
import { Watch } from "./watch.ts";

const PARENT = `0x${"ab".repeat(32)}`;
const [KEY, OTHER] = ["11".repeat(48), "22".repeat(48)];
const ADDRESS = "33".repeat(20);
const REQUESTS = {
  deposits: [
    {
      pubkey: `0x${KEY}`,
      withdrawal_credentials: `0x${"44".repeat(32)}`,
      amount: "32000000000",
      signature: `0x${"55".repeat(96)}`,
      index: "258",
    },
  ],
  withdrawals: [{ source_address: `0x${ADDRESS}`, validator_pubkey: `0x${KEY}`, amount: "0" }],
  consolidations: [{ source_address: `0x${ADDRESS}`, source_pubkey: `0x${KEY}`, target_pubkey: `0x${OTHER}` }],
};
const ENCODED = [
  `0x00${KEY}${"44".repeat(32)}0040597307000000${"55".repeat(96)}0201000000000000`,
  `0x01${ADDRESS}${KEY}0000000000000000`,
  `0x02${ADDRESS}${KEY}${OTHER}`,
];

/** Answers by path; what is not there is 404. JSON-RPC where it is posted to. */
async function serve(answers: Readonly<Record<string, unknown>>): Promise<string> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      response.setHeader("content-type", "application/json");
      if (request.method === "GET") {
        const answer = answers[request.url ?? ""];
        if (answer === undefined) response.statusCode = 404;
        return void response.end(JSON.stringify({ data: answer }));
      }
      const { id, method } = JSON.parse(Buffer.concat(parts).toString()) as { id: number; method: string };
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result: answers[method] ?? null }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A beacon chain with a branch: two children of the parent, of which the second has the block. */
function beaconOf(hash: string, requests: unknown = REQUESTS): Readonly<Record<string, unknown>> {
  const [first, second] = [1, 2].map((each) => `0x${String(each).repeat(64)}`);
  const block = (blockHash: string) => ({
    message: { body: { execution_payload: { block_hash: blockHash }, execution_requests: requests } },
  });
  return {
    [`/eth/v1/beacon/headers?parent_root=${PARENT}`]: [{ root: first }, { root: second }],
    [`/eth/v2/beacon/blocks/${first}`]: block("0xother"),
    [`/eth/v2/beacon/blocks/${second}`]: block(hash),
  };
}

test("execution requests are those of the child with the block, each type in front of its bytes", async () => {
  const hash = `0x${"cd".repeat(32)}`;
  const of = { hash, parentBeaconBlockRoot: PARENT };
  const url = await serve(beaconOf(hash));
  expect(await beaconRequests({ url, timeoutMs: 5_000 }, of)).toEqual({ ok: true, value: ENCODED });
  const empty = await serve(beaconOf(hash, { ...REQUESTS, deposits: [], consolidations: [] }));
  expect(await beaconRequests({ url: empty, timeoutMs: 5_000 }, of)).toEqual({ ok: true, value: [ENCODED[1]] });
});

test("source.beacon: what a consensus node does not have or does not answer is said by name", async () => {
  const hash = `0x${"cd".repeat(32)}`;
  const faultOf = async (answers: Readonly<Record<string, unknown>>) => {
    const url = await serve(answers);
    const found = await beaconRequests({ url, timeoutMs: 5_000 }, { hash, parentBeaconBlockRoot: PARENT });
    return found.ok ? null : found.fault;
  };
  expect(await faultOf({})).toMatchObject({ code: "source.beacon", message: expect.stringMatching(/HTTP status 404/) });
  expect((await faultOf(beaconOf("0xanother")))?.message).toMatch(/no block with the execution block 0xcd/);
  expect((await faultOf(beaconOf(hash, {})))?.message).toMatch(/no execution_requests.deposits/);
  const broken = { ...REQUESTS, withdrawals: [{ source_address: "0x", validator_pubkey: KEY, amount: "1" }] };
  expect((await faultOf(beaconOf(hash, broken)))?.message).toMatch(/has no source_address/);
});

test("a chain source takes the requests from its beacon node, and believes none that the header does not name", async () => {
  const template = nextBlock(null);
  const named = `0x${requestsHash(ENCODED.map((each) => hexToBytes(each.slice(2))))}`;
  const fields = { ...template, parentBeaconBlockRoot: PARENT, requestsHash: named };
  const block = { ...fields, hash: hashOf(fields) };
  const rpc = { eth_chainId: "0x7a69", eth_getBlockByNumber: block, eth_getBlockByHash: null };
  const form = { body: true, parent: false };
  const follow = async (beacon: Readonly<Record<string, unknown>> | null) => {
    const url = await serve(rpc);
    const more = beacon === null ? {} : { beacon: await serve(beacon) };
    const source = chainSource({ chain: 31_337, url, start: 1, pollMs: 25, timeoutMs: 5_000, form, ...more });
    onTestFinished(() => source.close());
    return new Watch(source);
  };
  const good = await follow(beaconOf(block.hash));
  await good.until("the block", () => good.newest === 1);
  const [told] = good.path;
  const read = readPayload(told?.payload ?? new Uint8Array(), block.hash.slice(2), form);
  expect(read.ok && read.value.bytes.body?.requests?.map((each) => `0x${bytesToHex(each)}`)).toEqual(ENCODED);
  for (const [beacon, code] of [
    [null, "payload.requests-missing"],
    [beaconOf(block.hash, { ...REQUESTS, deposits: [] }), "payload.requests-mismatch"],
    [{}, "source.beacon"],
  ] as const) {
    const watch = await follow(beacon);
    const trouble = () => watch.events.find(({ kind }) => kind === "trouble");
    await watch.until(code, () => trouble() !== undefined);
    expect(trouble()).toMatchObject({ fault: { code } });
  }
});

/** The hash of a header with these fields, by the encoding of the template's. */
function hashOf(fields: Readonly<Record<string, unknown>>): string {
  const hex = (name: string) => hexToBytes(String(fields[name]).slice(2));
  const numbers = new Set(
    "difficulty number gasLimit gasUsed timestamp baseFeePerGas blobGasUsed excessBlobGas".split(" "),
  );
  const names =
    "parentHash sha3Uncles miner stateRoot transactionsRoot receiptsRoot logsBloom difficulty number gasLimit gasUsed timestamp extraData mixHash nonce baseFeePerGas withdrawalsRoot blobGasUsed excessBlobGas parentBeaconBlockRoot requestsHash";
  const header = names.split(" ").map((name) => {
    if (!numbers.has(name)) return hex(name);
    const digits = String(fields[name]).slice(2).replace(/^0+/, "");
    return hexToBytes(digits.length % 2 === 0 ? digits : `0${digits}`);
  });
  const bytes = encode(header);
  expect(decode(bytes)).toHaveLength(21);
  return `0x${bytesToHex(keccak_256(bytes))}`;
}
