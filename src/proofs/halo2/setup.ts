/**
 * The reference string as Halo2 reads it: the power, the secret's powers in the first group, the same as values of
 * Lagrange's polynomials, and the generator and the secret's point in the second.
 *
 * Coordinates are in Montgomery form and little-endian; everywhere else in this project they are plain and big-endian.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { bigEndian } from "../bytes.ts";
import { CIRCUIT_POWER } from "./circuit.ts";

const { Fp } = bn254.fields;

export const COORDINATE_BYTES = 32;
export const G1_BYTES: number = 2 * COORDINATE_BYTES;
export const G2_BYTES: number = 4 * COORDINATE_BYTES;
/** Of the circuit's rows. */
export const POINTS: number = 2 ** CIRCUIT_POWER;

const MONTGOMERY_BITS = 256n;
const UNDO: bigint = Fp.inv(Fp.create(1n << MONTGOMERY_BITS));
const POWER_BYTES = 4;

export function encodeCoordinate(value: bigint): Uint8Array {
  const hex = Fp.create(value << MONTGOMERY_BITS).toString(16);
  return new Uint8Array(Buffer.from(hex.padStart(2 * COORDINATE_BYTES, "0"), "hex").reverse());
}

/** `null` for a number that is not below the field's order. */
export function decodeCoordinate(bytes: Uint8Array): bigint | null {
  const value = bigEndian(bytes.toReversed());
  return value < Fp.ORDER ? Fp.mul(value, UNDO) : null;
}

/** All of a file's coordinates, in the other form. */
function recode(bytes: Uint8Array): Uint8Array {
  const recoded = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += COORDINATE_BYTES)
    recoded.set(encodeCoordinate(bigEndian(bytes.subarray(at, at + COORDINATE_BYTES))), at);
  return recoded;
}

function parametersOf(powers: Uint8Array, lagrange: Uint8Array, secretPoint: Uint8Array): Uint8Array {
  const power = Buffer.alloc(POWER_BYTES);
  power.writeUInt32LE(CIRCUIT_POWER);
  const { x, y } = bn254.G2.Point.BASE.toAffine();
  const generator = [x.c0, x.c1, y.c0, y.c1].map(encodeCoordinate);
  return new Uint8Array(Buffer.concat([power, powers, lagrange, ...generator, recode(secretPoint)]));
}

/** For a prover. `powers` may be more than the circuit has rows; throws where they are fewer. */
export function provingParameters(powers: Uint8Array, lagrange: Uint8Array, secretPoint: Uint8Array): Uint8Array {
  const length = POINTS * G1_BYTES;
  if (powers.length < length || lagrange.length !== length)
    throw new Error(`a reference string of ${powers.length} and ${lagrange.length} bytes; the circuit takes ${length}`);
  return parametersOf(recode(powers.subarray(0, length)), recode(lagrange), secretPoint);
}

/** For a verifier, who uses the first power, the generator, and no more. */
export function verifyingParameters(secretPoint: Uint8Array): Uint8Array {
  const generators = new Uint8Array(POINTS * G1_BYTES);
  const { x, y } = bn254.G1.Point.BASE.toAffine();
  const generator = new Uint8Array([...encodeCoordinate(x), ...encodeCoordinate(y)]);
  for (let at = 0; at < generators.length; at += G1_BYTES) generators.set(generator, at);
  return parametersOf(generators, generators, secretPoint);
}
