/**
 * Transactions of Ethereum, and of the chains that come from it: their bytes, and what they move.
 *
 * A chain may have transactions that nobody signed, such as deposits from another chain, and types that this version does
 * not know. The block's hash binds their bytes like all others, so no block is refused for them. What cannot be read is
 * an *opaque* item: it moves nothing, from the zero address to the last 20 bytes of the transaction's hash. All nodes read
 * it alike, and the shard circuits fold it like any other item.
 */
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { bytesAt, fail, guarded, integer } from "./payload-fault.ts";
import { decode, encode, minimal, type Tree } from "./rlp.ts";
import { address, data, type Json, list, number, quantity, record, word } from "./rpc-json.ts";

/** What a block's transaction moves at most; what the shards of the block prove. */
export interface Item {
  /** 40 hex digits. */
  readonly sender: string;
  /** 40 hex digits; `null` creates a contract. */
  readonly recipient: string | null;
  /** Wei, below 2^128. */
  readonly value: bigint;
  /** Gas limit times the highest price of a unit of gas, in wei, below 2^124. */
  readonly feeLimit: bigint;
}

/** The amounts of one item are packed into one field element of 253 bits. */
export const VALUE_BITS = 128;
export const FEE_LIMIT_BITS = 124;
const NOBODY = "00".repeat(20);

/** Where a transaction's type keeps what we read; the signature is always the last three fields. */
interface Layout {
  readonly fields: number;
  readonly price: number;
  readonly gas: number;
  readonly to: number;
  readonly value: number;
}

const LEGACY: Layout = { fields: 9, price: 1, gas: 2, to: 3, value: 4 };
const TYPED: Readonly<Record<number, Layout>> = {
  /** EIP-2930 */ 1: { fields: 11, price: 2, gas: 3, to: 4, value: 5 },
  /** EIP-1559 */ 2: { fields: 12, price: 3, gas: 4, to: 5, value: 6 },
  /** EIP-4844 */ 3: { fields: 14, price: 3, gas: 4, to: 5, value: 6 },
  /** EIP-7702 */ 4: { fields: 13, price: 3, gas: 4, to: 5, value: 6 },
};

/** Messages from the chain below, which name their sender, pay no fee, and have no signature. */
interface MessageLayout {
  readonly sender: number;
  readonly to: number;
  readonly value: number;
}

/** Deposits of the OP Stack and L1 messages of Scroll have one type. The number of fields tells them apart. */
const MESSAGE_TYPE = 0x7e;
const MESSAGES: Readonly<Record<number, MessageLayout>> = {
  8: { sender: 1, to: 2, value: 4 },
  6: { sender: 5, to: 2, value: 3 },
};

/** What the transaction moves; an opaque item where its bytes do not say. */
export function itemOf(raw: Uint8Array): Item {
  const read = guarded(() => readItem(raw));
  if (read.ok) return read.value;
  return { sender: NOBODY, recipient: bytesToHex(keccak_256(raw).subarray(12)), value: 0n, feeLimit: 0n };
}

function readItem(raw: Uint8Array): Item {
  const first = raw[0] ?? 0;
  if (first === MESSAGE_TYPE) return readMessage(decode(raw.subarray(1)));
  const legacy = first >= 0xc0;
  const layout = legacy ? LEGACY : TYPED[first];
  if (layout === undefined) fail("payload.malformed", `the type ${first} is unknown`);
  const tree = decode(legacy ? raw : raw.subarray(1));
  if (tree instanceof Uint8Array || tree.length !== layout.fields)
    fail("payload.malformed", `it does not have ${layout.fields} fields`);
  const feeLimit = integer(bytesAt(tree, layout.gas, "gas")) * integer(bytesAt(tree, layout.price, "price"));
  return moved(senderOf(tree, legacy ? null : first), tree, layout, feeLimit);
}

function readMessage(tree: Tree): Item {
  const layout = tree instanceof Uint8Array ? undefined : MESSAGES[tree.length];
  if (layout === undefined) fail("payload.malformed", "it has another number of fields");
  const sender = bytesAt(tree, layout.sender, "sender");
  if (sender.length !== 20) fail("payload.malformed", `its sender has ${sender.length} bytes`);
  return moved(bytesToHex(sender), tree, layout, 0n);
}

function moved(sender: string, tree: Tree, layout: Pick<Layout, "to" | "value">, feeLimit: bigint): Item {
  const to = bytesAt(tree, layout.to, "recipient");
  if (to.length !== 0 && to.length !== 20) fail("payload.malformed", `its recipient has ${to.length} bytes`);
  const value = integer(bytesAt(tree, layout.value, "value"));
  if (value >> BigInt(VALUE_BITS) !== 0n || feeLimit >> BigInt(FEE_LIMIT_BITS) !== 0n)
    fail("payload.malformed", `it moves ${value} wei at a fee of up to ${feeLimit}: out of range`);
  return { sender, recipient: to.length === 0 ? null : bytesToHex(to), value, feeLimit };
}

function senderOf(tree: readonly Tree[], type: number | null): string {
  const [v, r, s] = [3, 2, 1].map((last) => integer(bytesAt(tree, tree.length - last, "signature")));
  if (v === undefined || r === undefined || s === undefined) fail("payload.malformed", "no signature");
  let unsigned: readonly Tree[] = tree.slice(0, -3);
  let parity = v;
  if (type === null) {
    parity = v >= 35n ? (v - 35n) % 2n : v - 27n;
    // EIP-155: the signed text names the chain, which v carries.
    if (v >= 35n) unsigned = [...unsigned, minimal((v - 35n) / 2n), new Uint8Array(0), new Uint8Array(0)];
  }
  const text = encode(unsigned);
  const digest = keccak_256(type === null ? text : concatBytes(Uint8Array.of(type), text));
  if (parity !== 0n && parity !== 1n) fail("payload.malformed", `its recovery value is ${v}`);
  let key: Uint8Array;
  try {
    key = new secp256k1.Signature(r, s, Number(parity)).recoverPublicKey(digest).toBytes(false);
  } catch {
    // The library throws for numbers out of range and for points that do not exist; both are the bytes' fault.
    fail("payload.malformed", "nobody can have made its signature");
  }
  return bytesToHex(keccak_256(key.subarray(1)).subarray(12));
}

// --- JSON-RPC -----------------------------------------------------------------------------------------------------

/** The bytes of a transaction as a node tells it, checked against its hash; its own `raw` where it has that. */
export function rawTransaction(entry: unknown, index: number): Uint8Array {
  const source = record(entry, `transaction ${index}`);
  const raw = source["raw"] === undefined ? encoded(source, index) : data(source, "raw");
  const hash = bytesToHex(keccak_256(raw));
  const named = bytesToHex(word(source, "hash"));
  if (hash !== named) {
    fail("payload.transaction-mismatch", `transaction ${index} hashes to ${hash}, its field "hash" says ${named}`);
  }
  return raw;
}

function encoded(source: Json, index: number): Uint8Array {
  // Nodes from before EIP-2718 name no type.
  const type = source["type"] === undefined ? 0 : Number(quantity(source, "type"));
  const to = source["to"] === null || source["to"] === undefined ? new Uint8Array(0) : address(source, "to");
  if (type === MESSAGE_TYPE) return concatBytes(Uint8Array.of(type), encode(messageFields(source, to)));
  const call = [to, number(source, "value"), data(source, "input")];
  const [nonce, gas] = [number(source, "nonce"), number(source, "gas")];
  const signature = [number(source, "r"), number(source, "s")];
  if (type === 0) {
    return encode([nonce, number(source, "gasPrice"), gas, ...call, number(source, "v"), ...signature]);
  }
  if (TYPED[type] === undefined) {
    fail("payload.transaction-type", `transaction ${index} has the unknown type ${String(source["type"])}`);
  }
  const prices = type === 1 ? ["gasPrice"] : ["maxPriorityFeePerGas", "maxFeePerGas"];
  const head = [number(source, "chainId"), nonce, ...prices.map((name) => number(source, name)), gas];
  const extra: Tree[] = [accessList(source)];
  if (type === 3) extra.push(number(source, "maxFeePerBlobGas"), words(source["blobVersionedHashes"]));
  if (type === 4) extra.push(authorizations(source));
  const parity = number(source, source["yParity"] === undefined ? "v" : "yParity");
  return concatBytes(Uint8Array.of(type), encode([...head, ...call, ...extra, parity, ...signature]));
}

function messageFields(source: Json, to: Uint8Array): Tree {
  const [value, gas, input] = [number(source, "value"), number(source, "gas"), data(source, "input")];
  // Scroll.
  if (source["queueIndex"] !== undefined)
    return [
      number(source, "queueIndex"),
      gas,
      to,
      value,
      input,
      address(source, source["sender"] === undefined ? "from" : "sender"),
    ];
  // The OP Stack. What does not mint has no `mint`, and after Regolith nothing is a system transaction.
  const mint = (source["mint"] ?? null) === null ? new Uint8Array(0) : number(source, "mint");
  const isSystem = source["isSystemTx"] === true ? Uint8Array.of(1) : new Uint8Array(0);
  return [word(source, "sourceHash"), address(source, "from"), to, mint, value, gas, isSystem, input];
}

function words(value: unknown): Tree {
  return list(value, "hashes").map((text) => word({ text }, "text"));
}

function accessList(source: Json): Tree {
  return list(source["accessList"], "accessList").map((value) => {
    const entry = record(value, "access list entry");
    return [address(entry, "address"), words(entry["storageKeys"])];
  });
}

/** EIP-7702. */
function authorizations(source: Json): Tree {
  return list(source["authorizationList"], "authorizationList").map((value) => {
    const entry = record(value, "authorization");
    const parity = number(entry, entry["yParity"] === undefined ? "v" : "yParity");
    const [chain, delegate, nonce] = [number(entry, "chainId"), address(entry, "address"), number(entry, "nonce")];
    return [chain, delegate, nonce, parity, number(entry, "r"), number(entry, "s")];
  });
}
