/** Consecutive blocks as a chain would have them, with the transactions of a real one here and there. */
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { type EncodedBlock, readPayload } from "../../src/protocol/ethereum.ts";
import { decode, encode, minimal, orderedRoot } from "../../src/protocol/rlp.ts";
import { SMALL } from "../provers/fixtures.ts";

const [, TRANSACTIONS] = decode(SMALL.payload) as readonly [unknown, readonly Uint8Array[]];

/** `count` blocks from a height on; `salt` makes another branch. Each third has four transactions. */
export function chainOf(from: number, count: number, parent = "11".repeat(32), salt = 0): EncodedBlock[] {
  const blocks: EncodedBlock[] = [];
  for (let height = from; height < from + count; height++) {
    const transactions = height % 3 === 0 ? TRANSACTIONS : [];
    const before = blocks.at(-1)?.hash ?? parent;
    const empty = new Uint8Array();
    const root = orderedRoot(transactions);
    const fields = [hexToBytes(before), empty, empty, empty, root, empty, empty, empty, minimal(BigInt(height))];
    const header = [...fields, minimal(BigInt(salt))];
    const payload = encode([header, transactions]);
    const hash = bytesToHex(keccak_256(encode(header)));
    const read = readPayload(payload, hash);
    if (!read.ok) throw new Error(read.fault.message);
    blocks.push({ height, hash, parent: before, payload, items: transactions.length });
  }
  return blocks;
}
