/** A chain of as many blocks as a test wants: the transactions of one real block, under headers of our own. */
import { RLP } from "@ethereumjs/rlp";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { rpcBlock } from "../provers/fixtures.ts";

/** As `eth_getBlockByNumber(n, true)` returns it. */
export type RpcBlock = Readonly<Record<string, unknown>> & { readonly hash: string; readonly number: string };

export const CHAIN = 31_337;

const TEMPLATE = rpcBlock("anvil-1");
const WORDS = ["parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"];
const NUMBERS = ["difficulty", "number", "gasLimit", "gasUsed", "timestamp"];
const FORKS = ["baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot"];
const QUANTITIES: ReadonlySet<string> = new Set([...NUMBERS, "baseFeePerGas", "blobGasUsed", "excessBlobGas"]);
const HEADER = [...WORDS, ...NUMBERS, "extraData", "mixHash", "nonce", ...FORKS, "requestsHash"];

function hashOf(block: Readonly<Record<string, unknown>>): string {
  const fields = HEADER.map((name) => {
    const text = String(block[name]);
    // RLP writes numbers without leading zeros, and zero as nothing.
    const digits = QUANTITIES.has(name) ? text.slice(2).replace(/^0+/, "") : text.slice(2);
    return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
  });
  return `0x${bytesToHex(keccak_256(RLP.encode(fields)))}`;
}

/** The block after `parent`; the chain's first where there is none. */
export function nextBlock(parent: RpcBlock | null): RpcBlock {
  const height = parent === null ? 1 : Number(parent.number) + 1;
  const parentHash = parent?.hash ?? `0x${"11".repeat(32)}`;
  const block = { ...TEMPLATE, parentHash, number: `0x${height.toString(16)}` };
  return { ...block, hash: hashOf(block) };
}

/** Hands a block to a node; resolves once the node has answered that the announcement is durable. */
export async function submit(http: string, block: RpcBlock, chain: number = CHAIN): Promise<void> {
  const url = `${http}/submit?chain=${chain}`;
  const response = await fetch(url, {
    method: "POST",
    body: JSON.stringify(block),
    signal: AbortSignal.timeout(5_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`);
}
