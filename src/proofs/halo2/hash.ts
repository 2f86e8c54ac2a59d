/**
 * Poseidon as this circuit computes it: the same function as `../poseidon.ts`, in fewer cells.
 *
 * In a partial round only the first element goes through the power, so what the matrix does to the other four can be done
 * a round earlier. Taken as far back as it goes, that leaves one constant and a sparse matrix a round: 47 cells instead
 * of 107. Appendix B of the Poseidon paper (ePrint 2019/458).
 */
import { bn254 } from "@noble/curves/bn254.js";
import { POSEIDON } from "../../provers/poseidon.ts";

const { Fr } = bn254.fields;
type Vector = readonly bigint[];
type Matrix = readonly Vector[];

const ROUNDS_FULL_HALF = 4;

/** Takes all elements to the fifth power, multiplies by `matrix`, and adds what the next round begins with. */
export interface FullRound {
  readonly kind: "full";
  readonly matrix: Matrix;
  readonly add: Vector;
}

/** Takes the first element to the fifth power; `row` makes the new first element, `column` what it adds to each other. */
export interface PartialRound {
  readonly kind: "partial";
  readonly row: Vector;
  readonly column: Vector;
  readonly add: Vector;
}

export interface Schedule {
  /** Added before the first round. */
  readonly add: Vector;
  readonly rounds: readonly (FullRound | PartialRound)[];
}

const dot = (a: Vector, b: Vector): bigint => a.reduce((sum, each, i) => Fr.add(sum, Fr.mul(each, b[i] ?? 0n)), 0n);
const times = (matrix: Matrix, vector: Vector): Vector => matrix.map((row) => dot(row, vector));
const columns = (matrix: Matrix): Matrix => (matrix[0] ?? []).map((_, i) => matrix.map((row) => row[i] ?? 0n));
const product = (a: Matrix, b: Matrix): Matrix => {
  const right = columns(b);
  return a.map((row) => right.map((column) => dot(row, column)));
};

/** By Gauss and Jordan. The matrices here are minors of products of MDS matrices: none is singular. */
function inverse(matrix: Matrix): Matrix {
  const size = matrix.length;
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1n : 0n))]);
  for (let at = 0; at < size; at++) {
    const found = rows.findIndex((row, i) => i >= at && row[at] !== 0n);
    const [pivot, other] = [rows[found], rows[at]];
    if (pivot === undefined || other === undefined) throw new Error("singular");
    rows[found] = other;
    const scale = Fr.inv(pivot[at] ?? 0n);
    const scaled = pivot.map((each) => Fr.mul(each, scale));
    for (const [i, row] of rows.entries()) {
      const factor = row[at] ?? 0n;
      rows[i] = i === at ? scaled : row.map((each, j) => Fr.sub(each, Fr.mul(factor, scaled[j] ?? 0n)));
    }
  }
  return rows.map((row) => row.slice(size));
}

export function createSchedule(): Schedule {
  const { roundConstants, mds } = POSEIDON;
  const to = roundConstants.length - ROUNDS_FULL_HALF;
  const isPartial = (round: number): boolean => round >= ROUNDS_FULL_HALF && round < to;

  // What a partial round adds to the elements that keep their power moves into the round after it.
  const none = mds.map(() => 0n);
  let carried: Vector = none;
  const constants = roundConstants.map((own, round) => {
    const [head = 0n, ...rest] = own.map((each, i) => Fr.add(each, carried[i] ?? 0n));
    carried = isPartial(round) ? times(mds, [0n, ...rest]) : none;
    return isPartial(round) ? [head, ...rest.map(() => 0n)] : [head, ...rest];
  });

  // From the last round back: a partial one's matrix is a sparse one times a block of 1 and its minor, and that block
  // belongs to the matrix of the round before.
  const rounds: (FullRound | PartialRound)[] = [];
  let matrix: Matrix = mds;
  for (let round = roundConstants.length - 1; round >= 0; round--) {
    const add = constants[round + 1] ?? none;
    if (!isPartial(round)) {
      rounds.unshift({ kind: "full", matrix, add });
      matrix = mds;
      continue;
    }
    const [[corner = 0n, ...top] = [], ...below] = matrix;
    const minor = below.map((row) => row.slice(1));
    const row = [corner, ...times(columns(inverse(minor)), top)];
    rounds.unshift({ kind: "partial", row, column: below.map(([first = 0n]) => first), add });
    matrix = product([[1n, ...top.map(() => 0n)], ...minor.map((each) => [0n, ...each])], mds);
  }
  return { add: constants[0] ?? none, rounds };
}
