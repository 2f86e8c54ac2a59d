/**
 * A block of an Ethereum chain as bytes that prove themselves.
 *
 * The payload is RLP([header, [raw transaction, ...]]). The Keccak of the header is the block's hash and the header
 * names the root of the transactions' trie, so whoever knows the hash can check the payload that a stranger handed
 * over. Nothing in it is read before that check has passed.
 *
 * That is version 1. Version 2 is RLP([2, header, [raw transaction, ...], body, parent]), for workflows whose statements
 * need more of the block (`body.ts`). The workflow decides the version, so a block has one payload in a network.
 */
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { type Body, type BodyRoots, encodeExtras, type Extras, extrasOf, readExtras } from "./body.ts";
import type { Hash } from "./ids.ts";
import { bytesAt, fail, guarded, integer, type PayloadFault, type PayloadResult, safeHeight } from "./payload-fault.ts";
import { decode, encode, itemAt, listAt, listOf, orderedRoot, type Tree } from "./rlp.ts";
import { address, data, type Json, list, number, record, word } from "./rpc-json.ts";
import { type PayloadForm, PLAIN } from "./statement.ts";
import { type Item, itemOf, rawTransaction } from "./transaction.ts";

export type { PayloadFault, PayloadResult };

export interface PayloadBlock {
  readonly height: number;
  readonly parent: Hash;
  readonly items: readonly Item[];
  readonly bytes: BlockBytes;
}

/** What a payload carries, checked against the block's hash: all that statements are computed from. */
export interface BlockBytes {
  readonly hash: Hash;
  /** RLP, as it is hashed. */
  readonly header: Uint8Array;
  readonly transactions: readonly Uint8Array[];
  readonly body: Body | null;
  /** RLP; of the block before. */
  readonly parentHeader: Uint8Array | null;
}

export interface EncodedBlock {
  readonly height: number;
  readonly hash: Hash;
  readonly parent: Hash;
  readonly payload: Uint8Array;
  /** How many transactions it has. */
  readonly items: number;
}

/** How many items one shard's circuit folds at most: what fits 2^13 constraints, a proof a second or less. */
export const SHARD_ITEMS_MAX: number = 8;
/** An Ethereum block is at most 10 MiB (EIP-7934). */
export const PAYLOAD_BYTES_MAX: number = 10 * 1024 * 1024;
/** Twice what a block of 100 million gas can hold at 21,000 gas each; recovering so many senders takes seconds. */
export const TRANSACTIONS_MAX: number = 8192;
/** How many shards a block of so many items has. */
export function shardCount(items: number, shardsMin: number): number {
  return Math.max(shardsMin, Math.ceil(items / SHARD_ITEMS_MAX));
}

/** The items [from, to) of one shard: contiguous and even. With few items some shards are empty. */
export function shardRange(
  items: number,
  shards: number,
  index: number,
): { readonly from: number; readonly to: number } {
  return { from: Math.floor((index * items) / shards), to: Math.floor(((index + 1) * items) / shards) };
}

/**
 * Rebuilds the payload from what `eth_getBlockByNumber(..., true)` returned, and checks every hash in it. The block may carry
 * the bytes themselves: its header as `rawHeader`, and a transaction as the transaction's `raw`. Where the form asks for more, the block has it as `withdrawals`, `requests`, `blockAccessList` and `parent` (a header).
 */
export function payloadOf(block: unknown, form: PayloadForm = PLAIN): PayloadResult<EncodedBlock> {
  return guarded(() => {
    const source = record(block, "block");
    const header = source["rawHeader"] === undefined ? headerOf(source) : data(source, "rawHeader");
    const hash = bytesToHex(keccak_256(header));
    const named = bytesToHex(data(source, "hash", 32));
    if (hash !== named) failMismatch(source, hash, named);
    const fields = decode(header);
    const entries = list(source["transactions"], "transactions");
    if (entries.length > TRANSACTIONS_MAX) fail("payload.too-large", `${entries.length} transactions`);
    const transactions = entries.map(rawTransaction);
    const root = bytesToHex(orderedRoot(transactions));
    const rootNamed = bytesToHex(bytesAt(fields, 4, "transactions' root"));
    if (root !== rootNamed) {
      fail("payload.transaction-mismatch", `the transactions have the root ${root}, the header says ${rootNamed}`);
    }
    const parent = bytesToHex(bytesAt(fields, 0, "parent"));
    const extras = extrasOf(source, form, rootsIn(fields), parent, headerOf);
    // Headers go in as they were hashed: encoding a list of encodings by hand keeps their bytes.
    const payload = isPlain(form)
      ? listOf([header, encode(transactions)])
      : listOf([VERSION_2, header, encode(transactions), ...encodeExtras(extras)]);
    if (payload.length > PAYLOAD_BYTES_MAX) fail("payload.too-large", `${payload.length} bytes`);
    return {
      height: safeHeight(integer(bytesAt(fields, 8, "number"))),
      hash,
      parent,
      payload,
      items: transactions.length,
    };
  });
}

/** The version stands first. In version 1 there is none, and the header, a list, comes first. */
const VERSION_2 = Uint8Array.of(2);

function isPlain({ body, parent }: PayloadForm): boolean {
  return !body && !parent;
}

/** The header's hashes of the body: fields 16, 20 and 21. */
function rootsIn(header: Tree): BodyRoots {
  const at = (index: number) =>
    header instanceof Uint8Array || header[index] === undefined ? null : bytesToHex(bytesAt(header, index, "field"));
  return { withdrawalsRoot: at(16), requestsHash: at(20), accessListHash: at(21) };
}

/**
 * Checks a payload against the block's hash and reads what it says. Takes about a millisecond a transaction. With a form,
 * a payload of another form is refused.
 */
export function readPayload(
  payload: Uint8Array,
  expected: Hash,
  form: PayloadForm | null = null,
): PayloadResult<PayloadBlock> {
  return guarded(() => {
    if (payload.length > PAYLOAD_BYTES_MAX) fail("payload.too-large", `${payload.length} bytes`);
    const frame = listAt(payload, 0);
    if (frame.end !== payload.length) fail("payload.malformed", "bytes after the payload");
    const headerFrom = headerAfterVersion(payload, frame.from);
    const headerFrame = listAt(payload, headerFrom);
    const header = payload.subarray(headerFrom, headerFrame.end);
    const hash = bytesToHex(keccak_256(header));
    if (hash !== expected) fail("payload.header-mismatch", `the header hashes to ${hash}, expected ${expected}`);
    const { transactions, end } = transactionsAt(payload, headerFrame.end);
    const fields = decode(header);
    const [parent, root] = [bytesToHex(bytesAt(fields, 0, "parent")), bytesToHex(bytesAt(fields, 4, "root"))];
    if (bytesToHex(orderedRoot(transactions)) !== root) {
      fail("payload.transaction-mismatch", `the transactions do not have the root ${root}`);
    }
    const isFirstVersion = headerFrom === frame.from;
    if (isFirstVersion && end !== payload.length) fail("payload.malformed", "more than a header and transactions");
    const extras = isFirstVersion ? NO_EXTRAS : readExtras(payload, end, rootsIn(fields), parent);
    if (!isFirstVersion && extras.body === null && extras.parentHeader === null)
      fail("payload.version", "a payload of version 2 carries nothing that one of version 1 does not");
    checkForm(extras, form);
    return {
      height: safeHeight(integer(bytesAt(fields, 8, "number"))),
      parent,
      items: transactions.map(itemOf),
      bytes: { hash, header, transactions, ...extras },
    };
  });
}

const NO_EXTRAS: Extras = { body: null, parentHeader: null };

function headerAfterVersion(payload: Uint8Array, at: number): number {
  const first = itemAt(payload, at, payload.length);
  if (first.list) return at;
  const version = payload.subarray(first.from, first.end);
  if (version.length !== 1 || version[0] !== VERSION_2[0])
    fail("payload.version", `the payload is of version 0x${bytesToHex(version.subarray(0, 8))}; allowed: 2, or none`);
  return first.end;
}

function transactionsAt(
  payload: Uint8Array,
  from: number,
): { readonly transactions: readonly Uint8Array[]; readonly end: number } {
  const frame = listAt(payload, from);
  const transactions: Uint8Array[] = [];
  for (let at = frame.from; at < frame.end; ) {
    const item = itemAt(payload, at, payload.length);
    if (item.list) fail("payload.malformed", `transaction ${transactions.length} is not a string of bytes`);
    if (transactions.length >= TRANSACTIONS_MAX) fail("payload.too-large", `over ${TRANSACTIONS_MAX} transactions`);
    transactions.push(payload.subarray(item.from, item.end));
    at = item.end;
  }
  return { transactions, end: frame.end };
}

/** One block has one payload: version 2 only where it carries something, and exactly what the workflow's form says. */
function checkForm({ body, parentHeader }: Extras, form: PayloadForm | null): void {
  const found = { body: body !== null, parent: parentHeader !== null };
  if (form !== null && (found.body !== form.body || found.parent !== form.parent))
    fail("payload.version", `the payload carries ${carried(found)}; the workflow asks for ${carried(form)}`);
}

function carried({ body, parent }: PayloadForm): string {
  const more = [body ? "body" : "", parent ? "the header before" : ""].filter((each) => each !== "");
  return ["header, transactions", ...more].join(", ");
}

// --- JSON-RPC -----------------------------------------------------------------------------------------------------

/** Where nodes differ in the name, `alias` is the other one. */
type Field = readonly [name: string, read: (source: Json, name: string) => Uint8Array, alias?: string];

const HEADER: readonly Field[] = [
  ["parentHash", word],
  ["sha3Uncles", word],
  ["miner", address],
  ["stateRoot", word],
  ["transactionsRoot", word],
  ["receiptsRoot", word],
  ["logsBloom", data],
  ["difficulty", number],
  ["number", number],
  ["gasLimit", number],
  ["gasUsed", number],
  ["timestamp", number],
  ["extraData", data],
  ["mixHash", word],
  ["nonce", data],
];

/** What forks appended, in their order; a block has all of them up to its own fork. */
const HEADER_FORKS: readonly Field[] = [
  ["baseFeePerGas", number],
  ["withdrawalsRoot", word],
  ["blobGasUsed", number],
  ["excessBlobGas", number],
  ["parentBeaconBlockRoot", word],
  ["requestsHash", word],
  /** Amsterdam (EIP-7928, EIP-7843). Besu called the first one `balHash` for a while. */
  ["blockAccessListHash", word, "balHash"],
  ["slotNumber", number],
];

/** What nodes say of a block besides its header. */
const BESIDE_HEADER: ReadonlySet<string> = new Set(
  "hash size totalDifficulty transactions uncles withdrawals author sealFields".split(" "),
);
const NAMES_SHOWN_MAX = 8;

/** The fields that are hashed, each under the name that the node gives it. */
function fieldsOf(source: Json): readonly Field[] {
  const forks: Field[] = [];
  for (const [name, read, alias] of HEADER_FORKS) {
    const found = [name, ...(alias === undefined ? [] : [alias])].find((each) => (source[each] ?? null) !== null);
    if (found === undefined) break;
    forks.push([found, read]);
  }
  return [...HEADER, ...forks];
}

function headerOf(source: Json): Uint8Array {
  return encode(fieldsOf(source).map(([name, read]) => read(source, name)));
}

/** A new fork's header has fields that older programs leave out, and then hashes to something else. */
function failMismatch(source: Json, hash: Hash, named: Hash): never {
  const text = `the header's fields hash to ${hash}, the field "hash" says ${named}`;
  const known = new Set(fieldsOf(source).map(([name]) => name));
  const unknown = Object.keys(source).filter((name) => {
    return !known.has(name) && !BESIDE_HEADER.has(name) && (source[name] ?? null) !== null;
  });
  if (unknown.length === 0) fail("payload.header-mismatch", text);
  const names = unknown.slice(0, NAMES_SHOWN_MAX).map((name) => name.slice(0, 32));
  fail("payload.header-unknown", `the block has ${names.join(", ")}, which this version does not know: ${text}`);
}
