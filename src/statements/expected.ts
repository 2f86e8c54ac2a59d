/**
 * The public values that proofs of a block must have, computed from the block's own bytes. All nodes compute them by this
 * function and by no other: provers before they begin, attesters before they verify, and `proofmesh verify` offline.
 */
import { keccak_256 } from "@noble/hashes/sha3.js";
import { concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import type { BlockBytes, PayloadResult } from "../protocol/ethereum.ts";
import { VALUES_BYTES_MAX } from "../protocol/limits.ts";
import { Malformed } from "../protocol/rlp.ts";
import { type BlockField, fieldBytes, type Layout, type LayoutField, type Statement } from "../protocol/statement.ts";
import { bigEndian, bincodeHeader, Header, NoField } from "./header.ts";
import { requestRoot } from "./request.ts";
import { littleEndian, TooWide } from "./ssz.ts";

/** A block, or a range of blocks. */
export interface Subject {
  /** What the chain's own nodes answer to `eth_chainId`. */
  readonly chainId: number;
  readonly first: BlockBytes;
  readonly last: BlockBytes;
  /** Whether the workflow proves several blocks as one. */
  readonly isRange: boolean;
}

/**
 * What the statement says about the block. `fold` computes the values of the circuits of this repository, which differ
 * from task to task. Other statements are the same for all tasks of a stage.
 */
export function expectedValues(
  statement: Statement,
  subject: Subject,
  fold: () => Uint8Array,
): PayloadResult<Uint8Array> {
  if (statement === "shard-fold") return { ok: true, value: fold() };
  try {
    const value = valuesOf(statement, subject);
    if (value.length <= VALUES_BYTES_MAX) return { ok: true, value };
    const message = `the public values have ${value.length} bytes; allowed: ${VALUES_BYTES_MAX}`;
    return { ok: false, fault: { code: "payload.statement", message } };
  } catch (error) {
    if (!(error instanceof NoField || error instanceof TooWide || error instanceof Malformed)) throw error;
    return { ok: false, fault: { code: "payload.statement", message: error.message } };
  }
}

function valuesOf(statement: Exclude<Statement, "shard-fold">, subject: Subject): Uint8Array {
  if (typeof statement === "object" && statement.kind === "layout") return layoutValues(statement, subject);
  const { first, last, isRange } = subject;
  const of = (block: BlockBytes): Uint8Array => {
    if (statement === "block-hash") return hexToBytes(block.hash);
    const header = new Header(block.header);
    if (typeof statement === "string") return bincodeHeader(header, 2);
    if (statement.kind === "header") return bincodeHeader(header, statement.alloy);
    const schema = schemaOf(statement.schema, header.number("timestamp"));
    const root = requestRoot(header, block, statement.ssz ?? "progressive");
    const chainId = littleEndian(BigInt(subject.chainId), 8);
    return concatBytes(root, Uint8Array.of(1), chainId, littleEndian(BigInt(schema), 2));
  };
  return isRange ? concatBytes(of(first), of(last)) : of(last);
}

/** The schema of the guest's input names the fork, so it changes with forks: the last that begins by the block's time. */
function schemaOf(
  schema: number | readonly { readonly from: number; readonly schema: number }[],
  time: bigint,
): number {
  if (typeof schema === "number") return schema;
  const found = schema.findLast(({ from }) => BigInt(from) <= time);
  if (found === undefined) throw new NoField(`the statement has no schema for the time ${time}`);
  return found.schema;
}

function layoutValues({ bytes, fields }: Layout, subject: Subject): Uint8Array {
  const values = new Uint8Array(bytes);
  for (const field of fields) values.set(fieldValue(field, subject), field.at);
  return values;
}

/** What the statement leaves open is zeros here (`claim.ts`). */
function fieldValue(field: LayoutField, subject: Subject): Uint8Array {
  if ("constant" in field) return hexToBytes(field.constant);
  if ("anything" in field) return new Uint8Array(field.anything);
  const { first, last, chainId } = subject;
  if (field.is === "chain-id") return number(BigInt(chainId), field);
  const of = field.of ?? "last";
  if (of !== "before") return blockField(field, of === "first" ? first : last);
  // The block's own header names the hash and implies the number of the one before.
  if (field.is === "block-hash") return new Header(first.header).bytes("parentHash", 32);
  if (field.is === "number") return number(new Header(first.header).number("number") - 1n, field);
  if (first.parentHeader === null) throw new NoField("the payload carries no header of the block before");
  const hash = new Header(first.header).bytes("parentHash", 32);
  return headerField(field, new Header(first.parentHeader), hash);
}

function blockField(field: BlockField, { header, hash }: BlockBytes): Uint8Array {
  return headerField(field, new Header(header), hexToBytes(hash));
}

function headerField(field: BlockField, header: Header, hash: Uint8Array): Uint8Array {
  switch (field.is) {
    case "block-hash":
      return hash;
    case "parent-hash":
      return header.bytes("parentHash", 32);
    case "state-root":
      return header.bytes("stateRoot", 32);
    case "transactions-root":
      return header.bytes("transactionsRoot", 32);
    case "receipts-root":
      return header.bytes("receiptsRoot", 32);
    case "output-root":
      // The OP Stack's output root, version 0. From Isthmus on, the header has the bridge's storage root.
      return keccak_256(
        concatBytes(new Uint8Array(32), header.bytes("stateRoot", 32), header.bytes("withdrawalsRoot", 32), hash),
      );
    case "number":
    case "timestamp":
      return number(header.number(field.is), field);
    case "chain-id":
      throw new NoField("a header has no chain id");
  }
}

function number(value: bigint, field: BlockField): Uint8Array {
  const width = fieldBytes(field);
  return "endian" in field && field.endian === "little" ? littleEndian(value, width) : bigEndian(value, width);
}
