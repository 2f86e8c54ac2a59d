/**
 * The equation of Groth16 over BN254, single and batched, over @noble/curves; what its inputs mean is the caller's.
 *
 * A proof is A, B, C as the precompiles of EIP-196 and EIP-197 take them: affine, uncompressed, big-endian, 256 bytes,
 * of an extension field's element the imaginary part first. It holds when
 *
 *     e(A, B) = e(alpha, beta) e(L, gamma) e(C, delta),   L = IC_0 + sum of input_i IC_i
 *
 * Many proofs under one key are checked together: every equation is raised to a coefficient of 128 bits and all are
 * multiplied, which leaves one Miller loop a proof, three more, and one final exponentiation. The coefficients are
 * a hash of everything that is checked, so whoever makes the proofs cannot know them before.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { domainDigest, u64 } from "../../protocol/ids.ts";
import { bigEndian } from "../bytes.ts";
import { G1_BYTES, G2_BYTES, type G1, type G2, pointCode, pointG1, pointG2 } from "./points.ts";

export type Lines = ReturnType<typeof bn254.utils.calcPairingPrecomputes>;

export type ProofCode =
  | "proof.length"
  | "proof.not-canonical"
  | "proof.not-on-curve"
  | "proof.equation"
  | "proof.chain"
  | "proof.exit-code"
  | "proof.wrong-key";

export type Verdict = { readonly valid: true } | { readonly valid: false; readonly code: ProofCode };

export interface VerifyingKey {
  readonly digest: Uint8Array;
  readonly alpha: G1;
  readonly beta: Lines;
  readonly gamma: Lines;
  readonly delta: Lines;
  readonly inputs: readonly G1[];
}

/** The points of a key; throws where they are not on the curve or not in the group. */
export function verifyingKey(
  digest: Uint8Array,
  {
    alpha,
    beta,
    gamma,
    delta,
    inputs,
  }: {
    readonly alpha: G1;
    readonly beta: G2;
    readonly gamma: G2;
    readonly delta: G2;
    readonly inputs: readonly G1[];
  },
): VerifyingKey {
  for (const point of [alpha, ...inputs]) point.assertValidity();
  for (const point of [beta, gamma, delta]) point.assertValidity();
  const lines = (point: G2): Lines => bn254.utils.calcPairingPrecomputes(point);
  return { digest, alpha, beta: lines(beta), gamma: lines(gamma), delta: lines(delta), inputs };
}

/** What one proof claims: its bytes, and the public inputs as field elements below the group's order. */
export interface Claim {
  readonly proof: Uint8Array;
  readonly inputs: readonly bigint[];
}

interface Points {
  readonly a: G1;
  readonly b: G2;
  readonly c: G1;
}

export const PROOF_BYTES = 256;
/** As many proofs as are checked together: the shards of a block of 4,096 items. */
export const BATCH_MAX = 512;

/** What the Miller loop takes: the lines of the one point, and the coordinates of the other. */
type LoopInput = [Lines, x: bigint, y: bigint];

const { Fp12, Fr } = bn254.fields;

/** Whether all hold; of several that do not, the code is the first's. */
export function holdsAll(key: VerifyingKey, claims: readonly Claim[]): Verdict {
  if (claims.length === 0 || claims.length > BATCH_MAX) return { valid: false, code: "proof.length" };
  const points: Points[] = [];
  for (const { proof, inputs } of claims) {
    if (inputs.length !== key.inputs.length - 1) return { valid: false, code: "proof.length" };
    if (inputs.some((input) => input < 0n || input >= Fr.ORDER)) return { valid: false, code: "proof.not-canonical" };
    const read = readPoints(proof);
    if (typeof read === "string") return { valid: false, code: read };
    points.push(read);
  }
  const weights = coefficients(key, claims);
  const scalars = key.inputs.map(() => 0n);
  const pairs: [Lines, G1][] = [];
  let total = 0n;
  let c = bn254.G1.Point.ZERO;
  claims.forEach(({ inputs }, i) => {
    const weight = weights[i] ?? 0n;
    const point = points[i];
    if (point === undefined) return;
    total += weight;
    [1n, ...inputs].forEach((input, j) => {
      scalars[j] = Fr.add(scalars[j] ?? 0n, Fr.mul(weight, input));
    });
    c = c.add(point.c.multiplyUnsafe(weight));
    pairs.push([bn254.utils.calcPairingPrecomputes(point.b), point.a.multiplyUnsafe(weight)]);
  });
  const folded = key.inputs.reduce(
    (sum, point, i) => sum.add(point.multiplyUnsafe(scalars[i] ?? 0n)),
    bn254.G1.Point.ZERO,
  );
  const fixed: [Lines, G1][] = [
    [key.beta, key.alpha.multiplyUnsafe(Fr.create(total))],
    [key.gamma, folded],
    [key.delta, c],
  ];
  for (const [lines, point] of fixed) pairs.push([lines, point.negate()]);
  return pairsToOne(pairs) ? { valid: true } : { valid: false, code: "proof.equation" };
}

/** Whether the product of the pairings is one. */
export function pairsToOne(pairs: readonly (readonly [Lines, G1])[]): boolean {
  // A pairing with the point at infinity is one, and the Miller loop cannot take it.
  const loops = pairs.flatMap(([lines, point]) => (point.is0() ? [] : [[lines, ...affine(point)] as LoopInput]));
  return Fp12.eql(Fp12.finalExponentiate(bn254.millerLoopBatch(loops)), Fp12.ONE);
}

function readPoints(proof: Uint8Array): Points | ProofCode {
  if (proof.length !== PROOF_BYTES) return "proof.length";
  const bAt = G1_BYTES;
  const cAt = bAt + G2_BYTES;
  try {
    return {
      a: pointG1(proof.subarray(0, bAt)),
      b: pointG2(proof.subarray(bAt, cAt)),
      c: pointG1(proof.subarray(cAt)),
    };
  } catch (error) {
    return pointCode(error);
  }
}

/** The coefficient of the first equation is 1: only the ratios of the others to it matter. */
function coefficients(key: VerifyingKey, claims: readonly Claim[]): bigint[] {
  if (claims.length === 1) return [1n];
  const said = claims.flatMap(({ inputs, proof }) => [...inputs.map(elementBytes), proof]);
  const seed = domainDigest("groth16-batch", key.digest, ...said);
  return claims.map((_, i) => (i === 0 ? 1n : bigEndian(sha256(concatBytes(seed, u64(i))).subarray(0, 16)) | 1n));
}

function elementBytes(element: bigint): Uint8Array {
  return Fr.toBytes(element);
}

function affine(point: G1): [x: bigint, y: bigint] {
  const { x, y } = point.toAffine();
  return [x, y];
}
