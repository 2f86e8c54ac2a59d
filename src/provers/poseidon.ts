/**
 * The Poseidon hash of the shard circuit: BN254's scalar field, t = 5, x^5, 8 full and 60 partial rounds, constants
 * from the Grain LFSR. It equals the `Poseidon(4)` that the circom world uses.
 */
import { grainGenConstants } from "@noble/curves/abstract/poseidon.js";
import { bn254 } from "@noble/curves/bn254.js";
import { FIELD_ORDER } from "../protocol/payee.ts";

const WIDTH = 5;
const ROUNDS_FULL = 8;
const ROUNDS_PARTIAL = 60;

/** Rows of WIDTH constants, one a round, and the WIDTH x WIDTH matrix that mixes. */
export const POSEIDON: { readonly roundConstants: bigint[][]; readonly mds: bigint[][] } = grainGenConstants({
  Fp: bn254.fields.Fr,
  t: WIDTH,
  roundsFull: ROUNDS_FULL,
  roundsPartial: ROUNDS_PARTIAL,
  sboxPower: 5,
});

function fifth(x: bigint): bigint {
  const square = (x * x) % FIELD_ORDER;
  return (((square * square) % FIELD_ORDER) * x) % FIELD_ORDER;
}

/** Hash of four field elements. */
export function poseidon(a: bigint, b: bigint, c: bigint, d: bigint): bigint {
  let state: bigint[] = [0n, a, b, c, d];
  POSEIDON.roundConstants.forEach((constants, round) => {
    const full = round < ROUNDS_FULL / 2 || round >= ROUNDS_FULL / 2 + ROUNDS_PARTIAL;
    const boxed = state.map((x, i) => {
      const sum = x + (constants[i] ?? 0n);
      return full || i === 0 ? fifth(sum) : sum;
    });
    // Five products stay far below what a BigInt slows down at: one reduction a row is enough.
    state = POSEIDON.mds.map((row) => row.reduce((sum, m, i) => sum + m * (boxed[i] ?? 0n), 0n) % FIELD_ORDER);
  });
  return state[0] ?? 0n;
}
