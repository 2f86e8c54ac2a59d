/**
 * The hash of the STARK's own field: a sponge with seven elements, two of which nothing is written into.
 *
 * A round adds constants, cubes every element and mixes them all. Every round is a full one and there are 128 of them to
 * an item, a row of the trace each, so the degree is far beyond the field's order; a commitment is the two elements that
 * nothing is written into, 256 bits. The constants are hashes of their own names, the matrix is Cauchy's.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { bigEndian } from "../bytes.ts";

/** 2^128 - 9 * 2^32 + 1. It has roots of unity of order 2^32, and cubing permutes it. */
export const STARK_ORDER: bigint = 2n ** 128n - 9n * 2n ** 32n + 1n;

export const WIDTH = 7;
/** Rounds of an item, and rows that it has in the trace. */
export const ROUNDS = 128;

export const ROUND_CONSTANTS: readonly (readonly bigint[])[] = Array.from({ length: ROUNDS }, (_, round) =>
  Array.from(
    { length: WIDTH },
    (__, at) => bigEndian(sha256(utf8ToBytes(`proofmesh stark ${round} ${at}`))) % STARK_ORDER,
  ),
);

export const MIX: readonly (readonly bigint[])[] = Array.from({ length: WIDTH }, (_, i) =>
  Array.from({ length: WIDTH }, (__, j) => inverse(BigInt(WIDTH + i + j))),
);

/** By Euclid's algorithm. */
function inverse(of: bigint): bigint {
  let [a, b, x, y] = [of, STARK_ORDER, 1n, 0n];
  while (b !== 0n) {
    const quotient = a / b;
    [a, b, x, y] = [b, a - quotient * b, y, x - quotient * y];
  }
  return ((x % STARK_ORDER) + STARK_ORDER) % STARK_ORDER;
}

export function hashRound(state: readonly bigint[], round: number): bigint[] {
  const constants = ROUND_CONSTANTS[round] ?? [];
  const cubed = state.map((element, i) => {
    const sum = element + (constants[i] ?? 0n);
    return (((sum * sum) % STARK_ORDER) * sum) % STARK_ORDER;
  });
  return MIX.map((row) => row.reduce((sum, factor, i) => sum + factor * (cubed[i] ?? 0n), 0n) % STARK_ORDER);
}
