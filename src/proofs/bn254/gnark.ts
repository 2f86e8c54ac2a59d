/**
 * Points of BN254 as gnark writes them into a verifying key: x in big-endian bytes, of an element of the extension field
 * the imaginary part first, and two flags in the highest bits of x that choose y.
 *
 * Everything here throws for malformed bytes, because keys come from the manifest and never from a peer.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { bigEndian } from "../bytes.ts";
import type { G1, G2 } from "./points.ts";

export const COMPRESSED_G1 = 32;
const COMPRESSED_G2 = 64;

const FLAGS = 0xc0;
const SMALLER_Y = 0x80;
const LARGER_Y = 0xc0;

const { Fp, Fp2 } = bn254.fields;

/** The point at `at`. */
export function readG1(key: Uint8Array, at: number): G1 {
  const { flags, bytes } = split(key.subarray(at, at + COMPRESSED_G1));
  const x = element(bytes);
  const y = Fp.sqrt(Fp.add(Fp.mul(Fp.sqr(x), x), bn254.G1.Point.CURVE().b));
  return bn254.G1.Point.fromAffine({ x, y: isLarger(y) === (flags === LARGER_Y) ? y : Fp.neg(y) });
}

/** The point at `at`. */
export function readG2(key: Uint8Array, at: number): G2 {
  const { flags, bytes } = split(key.subarray(at, at + COMPRESSED_G2));
  const x = Fp2.fromBigTuple([element(bytes.subarray(COMPRESSED_G1)), element(bytes.subarray(0, COMPRESSED_G1))]);
  const y = Fp2.sqrt(Fp2.add(Fp2.mul(Fp2.sqr(x), x), bn254.G2.Point.CURVE().b));
  // The imaginary parts are compared, and the real parts where the imaginary part is zero.
  const larger = y.c1 === 0n ? isLarger(y.c0) : isLarger(y.c1);
  return bn254.G2.Point.fromAffine({ x, y: larger === (flags === LARGER_Y) ? y : Fp2.neg(y) });
}

function split(bytes: Uint8Array): { readonly flags: number; readonly bytes: Uint8Array } {
  const flags = (bytes[0] ?? 0) & FLAGS;
  if (flags !== SMALLER_Y && flags !== LARGER_Y) throw new Error("a point of the key is not compressed");
  const plain = bytes.slice();
  plain[0] = (plain[0] ?? 0) & ~FLAGS;
  return { flags, bytes: plain };
}

function element(bytes: Uint8Array): bigint {
  const value = bigEndian(bytes);
  if (value >= Fp.ORDER) throw new Error("a coordinate of the key is no field element");
  return value;
}

function isLarger(y: bigint): boolean {
  return y > (Fp.ORDER - 1n) / 2n;
}
