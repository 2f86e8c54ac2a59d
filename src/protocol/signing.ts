/**
 * The one rule by which a signature is valid, used everywhere.
 *
 * Ed25519 verifiers disagree on crafted signatures, Node's own even between its versions; a mixed fleet could be split
 * by one message. So: exact lengths, S < L, A and R canonical and not of small order, then the equation, which the
 * native verifier computes (86 us against 1,170 us). The equation is the one without the cofactor (RFC 8032 §5.1.7): what
 * the checks let through has one answer in every such verifier, and a verifier that multiplies by the cofactor would
 * accept more (cases 4 and 5 of "Taming the many EdDSAs", eprint 2020/1244), so none may stand in for it.
 */
import { concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Hash } from "./ids.ts";

/** The group's order L, little-endian (RFC 8032 §5.1). */
const ORDER = hexToBytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
/** The field's prime p = 2^255 - 19, little-endian. */
const PRIME = hexToBytes("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");

/** y of the eight points of small order, canonical, sign bit cleared: 1, -1, 0 and the two of order eight. */
const SMALL_ORDER_Y: readonly string[] = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];
const SMALL_ORDER = SMALL_ORDER_Y.map((hex) => hexToBytes(hex));

export type Equation = (signature: Uint8Array, message: Uint8Array, key: Uint8Array) => boolean;

/** Whether the signature is valid by the protocol's rule; `equation` is asked only for what passes the strict checks. */
export function verifyStrict(equation: Equation, signature: Uint8Array, message: Uint8Array, key: Uint8Array): boolean {
  if (signature.length !== 64 || !isStrictKey(key)) return false;
  const s = signature.subarray(32);
  if (!isStrictKey(signature.subarray(0, 32))) return false;
  // mutant: lax-signatures
  if (!lessThan(s, ORDER)) return false;
  return equation(signature, message, key);
}

/**
 * Whether 32 bytes may be a key (or the R of a signature) at all: y < p and none of the points of small order. The
 * encodings with x = 0 and a set sign bit are among the small ones, so the sign bit needs no check of its own.
 */
export function isStrictKey(bytes: Uint8Array): boolean {
  if (bytes.length !== 32) return false;
  const y = Uint8Array.from(bytes);
  y[31] = (y[31] ?? 0) & 0x7f;
  return lessThan(y, PRIME) && !SMALL_ORDER.some((small) => y.every((byte, i) => byte === small[i]));
}

/** Compares two little-endian numbers of 32 bytes. Nothing here is secret, so time may depend on the bytes. */
function lessThan(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 31; i >= 0; i--) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    if (x !== y) return x < y;
  }
  return false;
}

/** The bytes that a batch's author signs: bound to kind, version and network, so valid nowhere else. */
export function batchSigningBytes(network: Hash, head: Uint8Array): Uint8Array {
  return concatBytes(BATCH_DOMAIN, hexToBytes(network), head);
}

/** The bytes of a start record that its author signs. */
export function startSigningBytes(network: Hash, body: Uint8Array): Uint8Array {
  return concatBytes(START_DOMAIN, hexToBytes(network), body);
}

const START_DOMAIN = utf8ToBytes("proofmesh/start/1\0");
const BATCH_DOMAIN = utf8ToBytes("proofmesh/batch/1\0");
