/** Points of BN254 in the form of EIP-196 and EIP-197: affine, big-endian, the imaginary part first. */
import { bn254 } from "@noble/curves/bn254.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { bigEndian } from "../bytes.ts";

export type G1 = ReturnType<typeof bn254.G1.Point.fromAffine>;
export type G2 = ReturnType<typeof bn254.G2.Point.fromAffine>;

export const COORDINATE_BYTES = 32;
export const G1_BYTES: number = 2 * COORDINATE_BYTES;
export const G2_BYTES: number = 4 * COORDINATE_BYTES;

const { Fp, Fp2 } = bn254.fields;

/** A coordinate that is not below the field's order, so that another encoding of the same point exists. */
class NotCanonical extends Error {}

/** The code for bytes that one of these functions has thrown for. */
export function pointCode(error: unknown): "proof.not-canonical" | "proof.not-on-curve" {
  return error instanceof NotCanonical ? "proof.not-canonical" : "proof.not-on-curve";
}

/** Throws for coordinates beyond the field, for a point off the curve, and for the point at infinity. */
export function pointG1(bytes: Uint8Array): G1 {
  const [x = 0n, y = 0n] = coordinates(bytes, 2);
  const point = bn254.G1.Point.fromAffine({ x, y });
  point.assertValidity();
  return point;
}

/** The same; a point outside of the subgroup of the right order is refused as well. */
export function pointG2(bytes: Uint8Array): G2 {
  const [x1 = 0n, x0 = 0n, y1 = 0n, y0 = 0n] = coordinates(bytes, 4);
  const point = bn254.G2.Point.fromAffine({ x: Fp2.fromBigTuple([x0, x1]), y: Fp2.fromBigTuple([y0, y1]) });
  point.assertValidity();
  return point;
}

/** Zeros for the point at infinity. */
export function bytesOfG1(point: G1): Uint8Array {
  const { x, y } = point.toAffine();
  return hexToBytes([x, y].map((each) => each.toString(16).padStart(2 * COORDINATE_BYTES, "0")).join(""));
}

function coordinates(bytes: Uint8Array, count: number): readonly bigint[] {
  if (bytes.length !== count * COORDINATE_BYTES) throw new Error(`a point has ${bytes.length} bytes`);
  if (bytes.every((byte) => byte === 0)) throw new Error("a point is the point at infinity");
  return Array.from({ length: count }, (_, i) => {
    const part = bytes.subarray(i * COORDINATE_BYTES, (i + 1) * COORDINATE_BYTES);
    const value = bigEndian(part);
    if (value >= Fp.ORDER) throw new NotCanonical(`the coordinate ${bytesToHex(part)} is no field element`);
    return value;
  });
}
