/**
 * The bytes of a block whose fields, as JSON, do not hash to it: a chain may have headers and transactions of shapes that this
 * version does not know. Nodes tell the bytes by `debug_getRawBlock`, or by `debug_getRawHeader` and
 * `eth_getRawTransactionByHash`. What they tell is checked like everything else (`protocol/ethereum.ts`).
 */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { itemAt, listAt, Malformed } from "../protocol/rlp.ts";
import { rawTransaction } from "../protocol/transaction.ts";
import { guarded } from "../protocol/payload-fault.ts";
import type { Rpc } from "./rpc.ts";

type Block = Readonly<Record<string, unknown>>;

/** Unknown transactions that are asked for one by one. Blocks of rollups have a few. */
const ONE_BY_ONE_MAX = 256;

/** The block with `rawHeader`, and with `raw` in each transaction that needs it; `null` where the node does not tell. */
export async function withRaw(rpc: Rpc, block: unknown, height: number): Promise<Block | null> {
  if (typeof block !== "object" || block === null || !("transactions" in block)) return null;
  const { transactions } = block;
  if (!Array.isArray(transactions)) return null;
  const tag = `0x${height.toString(16)}`;
  const whole = await bytesOf(rpc, "debug_getRawBlock", tag);
  const read = whole === null ? null : readBlock(whole);
  if (read !== null && read.transactions.length === transactions.length) {
    const raw = read.transactions.map(hex);
    return {
      ...block,
      rawHeader: hex(read.header),
      transactions: transactions.map((each, at) => ({ ...each, raw: raw[at] })),
    };
  }
  const header = await bytesOf(rpc, "debug_getRawHeader", tag);
  const known = await oneByOne(rpc, transactions);
  if (header === null && known === null) return null;
  return {
    ...block,
    ...(header === null ? {} : { rawHeader: hex(header) }),
    ...(known === null ? {} : { transactions: known }),
  };
}

/** `null` where the node does not have what is missing, or too much is. */
async function oneByOne(rpc: Rpc, transactions: readonly unknown[]): Promise<readonly unknown[] | null> {
  const unknown = transactions.flatMap((each, at) => (guarded(() => rawTransaction(each, at)).ok ? [] : [at]));
  if (unknown.length > ONE_BY_ONE_MAX) return null;
  const found = [...transactions];
  for (const at of unknown) {
    const entry = transactions[at] as Block | null;
    const raw = await bytesOf(rpc, "eth_getRawTransactionByHash", entry?.["hash"]);
    if (raw === null) return null;
    found[at] = { ...entry, raw: hex(raw) };
  }
  return found;
}

async function bytesOf(rpc: Rpc, method: string, about: unknown): Promise<Uint8Array | null> {
  const answer = await rpc.request(method, [about]);
  if (!answer.ok || typeof answer.value !== "string" || !/^0x([0-9a-f]{2})+$/i.test(answer.value)) return null;
  return hexToBytes(answer.value.slice(2));
}

/** A block as nodes pass it on: RLP([header, [transaction, ...], ...]), a typed transaction as a string of bytes. */
function readBlock(
  block: Uint8Array,
): { readonly header: Uint8Array; readonly transactions: readonly Uint8Array[] } | null {
  try {
    const { from } = listAt(block, 0);
    const headerEnd = listAt(block, from).end;
    const frame = listAt(block, headerEnd);
    const transactions: Uint8Array[] = [];
    for (let at = frame.from; at < frame.end; ) {
      const item = itemAt(block, at, frame.end);
      transactions.push(block.subarray(item.list ? at : item.from, item.end));
      at = item.end;
    }
    return { header: block.subarray(from, headerEnd), transactions };
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

function hex(bytes: Uint8Array): string {
  return `0x${bytesToHex(bytes)}`;
}
