/**
 * A start record: what a node signs once at each start, before anything else.
 *
 * Peers store the latest record of each key and show it to whoever asks with that key. A record is believed because the
 * key itself has signed it, so no peer can keep a node from signing by a lie. A restored backup is known by a counter
 * that is not above the ones shown, a copied disk by another nonce under the same counter.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Hash, Key } from "./ids.ts";
import { equalBytes } from "./messages.ts";
import { type Equation, startSigningBytes, verifyStrict } from "./signing.ts";
import { type StartRecord as StartMessage, StartBodySchema, StartRecordSchema } from "./wire_pb.js";

export interface StartRecord {
  readonly author: Key;
  readonly counter: number;
  /** 16 random bytes in hex. */
  readonly nonce: string;
  /** The next number of the author's feed, and the hash of the last head, as its disk says. */
  readonly number: number;
  readonly head: Hash;
  /** As sent. */
  readonly bytes: Uint8Array;
}

/** A record as sent is never longer. */
export const START_BYTES_MAX = 256;
/** Far above what one node can start, and far below what a number can hold. */
export const START_COUNTER_MAX: number = 2 ** 40;
const NONCE_BYTES = 16;
const NUMBER_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export function signStart(
  network: Hash,
  content: Omit<StartRecord, "bytes">,
  sign: (message: Uint8Array) => Uint8Array,
): StartRecord {
  const { author, counter, nonce, number, head } = content;
  const body = toBinary(
    StartBodySchema,
    create(StartBodySchema, {
      author: hexToBytes(author),
      counter: BigInt(counter),
      nonce: hexToBytes(nonce),
      number: BigInt(number),
      head: hexToBytes(head),
    }),
  );
  const signature = sign(startSigningBytes(network, body));
  return { ...content, bytes: toBinary(StartRecordSchema, create(StartRecordSchema, { body, signature })) };
}

/** Checks size, shape and signature; `null` where any of them is wrong. */
export function openStart(network: Hash, bytes: Uint8Array, equation: Equation): StartRecord | null {
  const read = readStart(bytes);
  if (read === null) return null;
  const { record, body, signature } = read;
  if (!verifyStrict(equation, signature, startSigningBytes(network, body), hexToBytes(record.author))) return null;
  return record;
}

function readStart(bytes: Uint8Array): { record: StartRecord; body: Uint8Array; signature: Uint8Array } | null {
  if (bytes.length > START_BYTES_MAX) return null;
  try {
    const { body, signature } = fromBinary(StartRecordSchema, bytes, { readUnknownFields: false });
    const parsed = fromBinary(StartBodySchema, body, { readUnknownFields: false });
    const { author, counter, nonce, number, head } = parsed;
    if (author.length !== 32 || nonce.length !== NONCE_BYTES || head.length !== 32 || signature.length !== 64)
      return null;
    if (counter < 1n || counter > BigInt(START_COUNTER_MAX) || number > NUMBER_MAX) return null;
    const isCanonical =
      equalBytes(toBinary(StartBodySchema, parsed), body) &&
      equalBytes(toBinary(StartRecordSchema, create(StartRecordSchema, { body, signature })), bytes);
    if (!isCanonical) return null;
    const ids = { author: bytesToHex(author), nonce: bytesToHex(nonce), head: bytesToHex(head) };
    return { record: { ...ids, counter: Number(counter), number: Number(number), bytes }, body, signature };
  } catch {
    return null;
  }
}

/** Records travel inside a frontier as messages of their own kind, and in one encoding. */
export function startMessage(bytes: Uint8Array): StartMessage {
  return fromBinary(StartRecordSchema, bytes, { readUnknownFields: false });
}

export function startBytes(message: StartMessage): Uint8Array {
  return toBinary(StartRecordSchema, message);
}
