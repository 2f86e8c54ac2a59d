/** A block's header as its fields, and as guests of SP1's `rsp` commit to it. */
import { bytesToHex, concatBytes } from "@noble/hashes/utils.js";
import { decode } from "../protocol/rlp.ts";
import { littleEndian } from "./ssz.ts";

/** In the order in which a header has them; a block has all of them up to its own fork. */
const NAMES = [
  "parentHash",
  "unclesHash",
  "beneficiary",
  "stateRoot",
  "transactionsRoot",
  "receiptsRoot",
  "logsBloom",
  "difficulty",
  "number",
  "gasLimit",
  "gasUsed",
  "timestamp",
  "extraData",
  "mixHash",
  "nonce",
  "baseFee",
  "withdrawalsRoot",
  "blobGasUsed",
  "excessBlobGas",
  "parentBeaconRoot",
  "requestsHash",
  "accessListHash",
  "slotNumber",
] as const;

export type HeaderName = (typeof NAMES)[number];

/** A field that the block lacks, or the header cannot be read. */
export class NoField extends Error {}

export class Header {
  readonly #fields: ReadonlyMap<HeaderName, Uint8Array>;

  /** Of RLP. Throws `NoField` for more fields than are known, because nobody can say what a new one means. */
  constructor(rlp: Uint8Array) {
    const tree = decode(rlp);
    if (tree instanceof Uint8Array || tree.length > NAMES.length)
      throw new NoField(`the header has ${tree.length} fields; known are ${NAMES.length}`);
    const fields = new Map<HeaderName, Uint8Array>();
    for (const [at, name] of NAMES.entries()) {
      const field = tree[at];
      if (field === undefined) break;
      if (!(field instanceof Uint8Array)) throw new NoField(`the header's ${name} is a list`);
      fields.set(name, field);
    }
    this.#fields = fields;
  }

  has(name: HeaderName): boolean {
    return this.#fields.has(name);
  }

  bytes(name: HeaderName, length: number): Uint8Array {
    const field = this.#field(name);
    if (field.length !== length) throw new NoField(`the header's ${name} has ${field.length} bytes, not ${length}`);
    return field;
  }

  /** Of any length. */
  data(name: HeaderName): Uint8Array {
    return this.#field(name);
  }

  number(name: HeaderName): bigint {
    const field = this.#field(name);
    if (field.length > 32) throw new NoField(`the header's ${name} has ${field.length} bytes`);
    return field.length === 0 ? 0n : BigInt(`0x${bytesToHex(field)}`);
  }

  #field(name: HeaderName): Uint8Array {
    const field = this.#fields.get(name);
    if (field === undefined) throw new NoField(`the header has no ${name}`);
    return field;
  }
}

const [NONE, SOME] = [Uint8Array.of(0), Uint8Array.of(1)];

/**
 * The `CommittedHeader` of rsp: bincode 1 of alloy's `serde_bincode_compat::Header`. Integers have eight bytes,
 * little-endian. Byte strings have their length in front, also those of a fixed length. An optional field begins with
 * 0 or 1. alloy 2 (rsp for SP1 6) has two fields of Amsterdam, alloy 1 has not.
 */
export function bincodeHeader(header: Header, alloy: 1 | 2): Uint8Array {
  const data = (bytes: Uint8Array) => concatBytes(littleEndian(BigInt(bytes.length), 8), bytes);
  const bytes = (name: HeaderName, length: number) => data(header.bytes(name, length));
  const number = (name: HeaderName) => littleEndian(header.number(name), 8);
  const optional = (name: HeaderName, encode: (name: HeaderName) => Uint8Array) =>
    header.has(name) ? concatBytes(SOME, encode(name)) : NONE;
  const hash = (name: HeaderName) => bytes(name, 32);
  const amsterdam = ["accessListHash", "slotNumber"] as const;
  if (alloy === 1 && amsterdam.some((name) => header.has(name)))
    throw new NoField("alloy 1 knows no header of Amsterdam; the statement has to say alloy 2");
  return concatBytes(
    hash("parentHash"),
    hash("unclesHash"),
    bytes("beneficiary", 20),
    hash("stateRoot"),
    hash("transactionsRoot"),
    hash("receiptsRoot"),
    optional("withdrawalsRoot", hash),
    bytes("logsBloom", 256),
    data(bigEndian(header.number("difficulty"), 32)),
    number("number"),
    number("gasLimit"),
    number("gasUsed"),
    number("timestamp"),
    hash("mixHash"),
    bytes("nonce", 8),
    optional("baseFee", number),
    optional("blobGasUsed", number),
    optional("excessBlobGas", number),
    optional("parentBeaconRoot", hash),
    optional("requestsHash", hash),
    ...(alloy === 1 ? [] : [optional("accessListHash", hash), optional("slotNumber", number)]),
    data(header.data("extraData")),
  );
}

/** Throws `NoField` for a number that needs more bytes. */
export function bigEndian(value: bigint, width: number): Uint8Array {
  return littleEndian(value, width).reverse();
}
