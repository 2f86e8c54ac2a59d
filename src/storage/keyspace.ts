/**
 * Where things are in the key-value store, and how a value says that it is still what was written.
 *
 *     b author(32) number(8)            a batch
 *     c chain(8) height(8) block(32)    a certificate, in the order of chain and height
 *     i block(32)                       the chain and height of a block's certificate
 *     n chain(8) hash(32)               a certified block by the hash that its chain gives it, as JSON
 *     g author(32)                      what of its feed was let go of, as JSON
 *     s author(32)                      its latest start records, as JSON
 *     p                                 written to find out whether the disk takes writes again
 *
 * LevelDB returns a value with a flipped bit as if nothing had happened, so every value carries a checksum; it covers
 * the key as well, or a block read from the wrong place would pass.
 */
import type { Closed } from "../protocol/certificate.ts";
import { hash } from "node:crypto";
import type { StoreChange, StoredBatch, StoredCertificate, StoredGone, StoredStart } from "../ports.ts";
import type { Hash, Key } from "../protocol/ids.ts";

const VERSION = 1;
const HEAD_BYTES = 6;
const CHECKSUM_BYTES = 16;

const BATCH = 0x62;
const CERTIFICATE = 0x63;
const GONE = 0x67;
const INDEX = 0x69;
const CLOSED = 0x6e;
const START = 0x73;

export const PROBE_KEY: Buffer = Buffer.from("p");

/** Bounds of everything of one kind: at least the first, below the second. */
export const BATCHES: readonly [Buffer, Buffer] = [Buffer.from([BATCH]), Buffer.from([BATCH + 1])];
export const CERTIFICATES: readonly [Buffer, Buffer] = [Buffer.from([CERTIFICATE]), Buffer.from([CERTIFICATE + 1])];

export const GONES: readonly [Buffer, Buffer] = [Buffer.from([GONE]), Buffer.from([GONE + 1])];

export const STARTS: readonly [Buffer, Buffer] = [Buffer.from([START]), Buffer.from([START + 1])];

function batchKey(author: Key, number: number): Buffer {
  return Buffer.concat([Buffer.from([BATCH]), Buffer.from(author, "hex"), u64(number)]);
}

function certificateKey(chain: number, height: number, block: Hash): Buffer {
  return Buffer.concat([Buffer.from([CERTIFICATE]), u64(chain), u64(height), Buffer.from(block, "hex")]);
}

export function indexKey(block: Hash): Buffer {
  return Buffer.concat([Buffer.from([INDEX]), Buffer.from(block, "hex")]);
}

export function closedKey(chain: number, named: Hash): Buffer {
  return Buffer.concat([Buffer.from([CLOSED]), u64(chain), Buffer.from(named, "hex")]);
}

/** The value under a key of `closedKey`; it has been unwrapped, so it is what `operationsOf` has written. */
export function closedIn(bytes: Uint8Array): Closed {
  return JSON.parse(Buffer.from(bytes).toString()) as Closed;
}

/** Bounds of a chain's certificates from a height on. */
export function certificateRange(chain: number, fromHeight: number): readonly [Buffer, Buffer] {
  const prefix = Buffer.concat([Buffer.from([CERTIFICATE]), u64(chain)]);
  return [Buffer.concat([prefix, u64(fromHeight)]), Buffer.concat([prefix, Buffer.alloc(9, 0xff)])];
}

/** The batch at a key that is known to be one of `batchKey`; the value has been unwrapped. */
export function batchAt(key: Buffer, bytes: Uint8Array): StoredBatch {
  return { author: key.toString("hex", 1, 33), number: Number(key.readBigUInt64BE(33)), bytes };
}

export function certificateAt(key: Buffer, bytes: Uint8Array): StoredCertificate {
  const chain = Number(key.readBigUInt64BE(1));
  return { chain, height: Number(key.readBigUInt64BE(9)), block: key.toString("hex", 17, 49), bytes };
}

export function goneAt(key: Buffer, bytes: Uint8Array): StoredGone {
  const spans = JSON.parse(Buffer.from(bytes).toString()) as StoredGone["spans"];
  return { author: key.toString("hex", 1, 33), spans };
}

export function startsAt(key: Buffer, bytes: Uint8Array): StoredStart {
  const records = JSON.parse(Buffer.from(bytes).toString()) as string[];
  return { author: key.toString("hex", 1, 33), records: records.map((record) => Buffer.from(record, "hex")) };
}

export type Operation =
  | { readonly type: "put"; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: "del"; readonly key: Buffer };

/** A change as what it does to keys, in the order in which it has to be applied. */
export function operationsOf(change: StoreChange): Operation[] {
  const operations: Operation[] = [];
  const put = (key: Buffer, payload: Uint8Array): void => {
    operations.push({ type: "put", key, value: wrap(key, payload) });
  };
  for (const { author, number, bytes } of change.batches ?? []) put(batchKey(author, number), bytes);
  for (const { chain, height, block, bytes } of change.certificates ?? []) {
    const key = certificateKey(chain, height, block);
    put(key, bytes);
    put(indexKey(block), key);
  }
  for (const closed of change.closed ?? [])
    put(closedKey(closed.chain, closed.hash), Buffer.from(JSON.stringify(closed)));
  for (const { author, number } of change.forget ?? []) operations.push({ type: "del", key: batchKey(author, number) });
  for (const { author, spans } of change.gone ?? []) {
    const key = Buffer.concat([Buffer.from([GONE]), Buffer.from(author, "hex")]);
    // Otherwise each stranger whose feed made room for another would leave a row behind.
    if (spans.length === 0) operations.push({ type: "del", key });
    else put(key, Buffer.from(JSON.stringify(spans)));
  }
  for (const { author, records } of change.starts ?? []) {
    const key = Buffer.concat([Buffer.from([START]), Buffer.from(author, "hex")]);
    const value = JSON.stringify(records.map((record) => Buffer.from(record).toString("hex")));
    if (records.length > 0) put(key, Buffer.from(value));
    else operations.push({ type: "del", key });
  }
  return operations;
}

/** What a change weighs while it waits. */
export function bytesOf(change: StoreChange): number {
  let bytes = 0;
  for (const batch of change.batches ?? []) bytes += batch.bytes.length;
  for (const certificate of change.certificates ?? []) bytes += certificate.bytes.length;
  return bytes;
}

/** `version(1) type(1) length(4) checksum(16) payload`; the type is the first byte of the key. */
export function wrap(key: Buffer, payload: Uint8Array): Buffer {
  const value = Buffer.allocUnsafe(HEAD_BYTES + CHECKSUM_BYTES + payload.length);
  value.writeUInt8(VERSION, 0);
  value.writeUInt8(key[0] ?? 0, 1);
  value.writeUInt32BE(payload.length, 2);
  checksum(key, value, payload).copy(value, HEAD_BYTES, 0, CHECKSUM_BYTES);
  value.set(payload, HEAD_BYTES + CHECKSUM_BYTES);
  return value;
}

/** The payload, or `null` when this is not what was written under this key. */
export function unwrap(key: Buffer, value: Buffer): Uint8Array | null {
  if (value.length < HEAD_BYTES + CHECKSUM_BYTES) return null;
  const payload = value.subarray(HEAD_BYTES + CHECKSUM_BYTES);
  if (value[0] !== VERSION || value[1] !== key[0] || value.readUInt32BE(2) !== payload.length) return null;
  const expected = checksum(key, value, payload);
  return expected.compare(value, HEAD_BYTES, HEAD_BYTES + CHECKSUM_BYTES, 0, CHECKSUM_BYTES) === 0 ? payload : null;
}

function checksum(key: Buffer, value: Buffer, payload: Uint8Array): Buffer {
  return hash("sha256", Buffer.concat([key, value.subarray(0, HEAD_BYTES), payload]), "buffer");
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
