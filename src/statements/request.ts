/**
 * The root of a block's NewPayloadRequest (engine API), which guests of eth-act commit to. The header decides the fork,
 * and the fork decides the shape.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import type { BlockBytes } from "../protocol/ethereum.ts";
import { decode, type Tree } from "../protocol/rlp.ts";
import { type Header, NoField } from "./header.ts";
import { activeContainer, byteList, container, fixed, type Form, listOf, type Node, uint256, uint64 } from "./ssz.ts";

const EXTRA_DATA_BYTES_MAX = 32;
const TRANSACTIONS_MAX = 1 << 20;
const TRANSACTION_BYTES_MAX = 2 ** 30;
const WITHDRAWALS_MAX = 16;
const VERSIONED_HASHES_MAX = 4096;
const ACCESS_LIST_BYTES_MAX = 1 << 24;
const BLOB_TRANSACTION = 3;

/** The fields of a request of each type, by their length in bytes, and how many a block has at most (EIP-7685). */
const REQUESTS: readonly { readonly fields: readonly number[]; readonly most: number }[] = [
  /** Deposit: key, credentials, amount, signature, index. */ { fields: [48, 32, 8, 96, 8], most: 8192 },
  /** Withdrawal: address, key, amount. */ { fields: [20, 48, 8], most: 16 },
  /** Consolidation: address, two keys. */ { fields: [20, 48, 48], most: 2 },
  /** Builder deposit (EIP-8282): key, credentials, amount, signature. */ { fields: [48, 32, 8, 96], most: 8192 },
  /** Builder exit: address, key. */ { fields: [20, 48], most: 16 },
];
/** The first three are Electra's. */
const ELECTRA_TYPES = 3;

/** Throws `NoField` for a block that has no such request: from before the merge, or of a shape that is unknown. */
export function requestRoot(header: Header, block: BlockBytes, form: Form): Node {
  if (header.number("difficulty") !== 0n || !header.has("baseFee"))
    throw new NoField("the block is from before the merge, and has no NewPayloadRequest");
  const payload = payloadRoot(header, block, form);
  if (!header.has("parentBeaconRoot")) return container([payload]);
  const roots = [payload, listOf(form, versionedHashes(block), VERSIONED_HASHES_MAX)];
  roots.push(header.bytes("parentBeaconRoot", 32));
  if (header.has("requestsHash")) roots.push(requestsRoot(block, form, header.has("accessListHash")));
  return container(roots);
}

export function payloadRoot(header: Header, { hash, transactions, body }: BlockBytes, form: Form): Node {
  const roots = [
    header.bytes("parentHash", 32),
    fixed(header.bytes("beneficiary", 20)),
    header.bytes("stateRoot", 32),
    header.bytes("receiptsRoot", 32),
    fixed(header.bytes("logsBloom", 256)),
    header.bytes("mixHash", 32),
    uint64(header.number("number")),
    uint64(header.number("gasLimit")),
    uint64(header.number("gasUsed")),
    uint64(header.number("timestamp")),
    byteList("bounded", extraData(header), EXTRA_DATA_BYTES_MAX),
    uint256(header.number("baseFee")),
    hexToBytes(hash),
    listOf(
      form,
      transactions.map((raw) => byteList(form, raw, TRANSACTION_BYTES_MAX)),
      TRANSACTIONS_MAX,
    ),
  ];
  if (header.has("withdrawalsRoot"))
    roots.push(listOf(form, needed(body?.withdrawals, "withdrawals").map(withdrawalRoot), WITHDRAWALS_MAX));
  if (header.has("blobGasUsed"))
    roots.push(uint64(header.number("blobGasUsed")), uint64(header.number("excessBlobGas")));
  if (header.has("accessListHash")) {
    const accessList = needed(body?.accessList, "block access list");
    roots.push(byteList(form, accessList, ACCESS_LIST_BYTES_MAX), uint64(header.number("slotNumber")));
  }
  return activeContainer(form, roots);
}

function extraData(header: Header): Uint8Array {
  const bytes = header.data("extraData");
  if (bytes.length > EXTRA_DATA_BYTES_MAX) throw new NoField(`the header's extraData has ${bytes.length} bytes`);
  return bytes;
}

function needed<T>(value: T | null | undefined, name: string): T {
  if (value === null || value === undefined) throw new NoField(`the payload carries no ${name}`);
  return value;
}

function withdrawalRoot(rlp: Uint8Array): Node {
  const tree = decode(rlp);
  const [index, validator, address, amount] = [0, 1, 2, 3].map((at) => fieldOf(tree, at));
  const [a, b, c] = [index, validator, amount].map((bytes) => uint64(integer(bytes)));
  if (a === undefined || b === undefined || c === undefined || address?.length !== 20)
    throw new NoField("a withdrawal is malformed");
  return container([a, b, fixed(address), c]);
}

function fieldOf(tree: Tree, at: number): Uint8Array {
  const field = tree instanceof Uint8Array ? undefined : tree[at];
  if (!(field instanceof Uint8Array)) throw new NoField("a withdrawal is malformed");
  return field;
}

function integer(bytes: Uint8Array = new Uint8Array(0)): bigint {
  if (bytes.length > 8) throw new NoField(`a number of a withdrawal has ${bytes.length} bytes`);
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Of the blobs of all transactions of type 3: the last field before the signature. */
function versionedHashes({ transactions }: BlockBytes): readonly Node[] {
  return transactions.flatMap((raw) => {
    if (raw[0] !== BLOB_TRANSACTION) return [];
    const tree = decode(raw.subarray(1));
    const hashes = tree instanceof Uint8Array ? undefined : tree[10];
    if (hashes === undefined || hashes instanceof Uint8Array) throw new NoField("a blob transaction names no blobs");
    return hashes.map((hash) => {
      if (!(hash instanceof Uint8Array) || hash.length !== 32) throw new NoField("a blob has no hash of 32 bytes");
      return hash;
    });
  });
}

export function requestsRoot({ body }: Pick<BlockBytes, "body">, form: Form, isGloas: boolean): Node {
  const byType = new Map(needed(body?.requests, "execution requests").map((each) => [each[0] ?? 0, each.subarray(1)]));
  const types = isGloas ? REQUESTS : REQUESTS.slice(0, ELECTRA_TYPES);
  const unknown = [...byType.keys()].find((type) => types[type] === undefined);
  if (unknown !== undefined) throw new NoField(`execution requests of type ${unknown} are unknown`);
  const lists = types.map(({ fields, most }, type) => {
    const bytes = byType.get(type) ?? new Uint8Array(0);
    const size = fields.reduce((sum, each) => sum + each, 0);
    if (bytes.length % size !== 0) throw new NoField(`execution requests of type ${type} have ${bytes.length} bytes`);
    const each = Array.from({ length: bytes.length / size }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
    return listOf(
      form,
      each.map((request) => requestRootOf(request, fields)),
      most,
    );
  });
  return activeContainer(form, lists);
}

function requestRootOf(request: Uint8Array, fields: readonly number[]): Node {
  let at = 0;
  return container(
    fields.map((length) => {
      at += length;
      return fixed(request.subarray(at - length, at));
    }),
  );
}
