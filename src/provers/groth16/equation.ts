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
import { bigEndian } from "../statement.ts";

export type G1 = ReturnType<typeof bn254.G1.Point.fromAffine>;
export type G2 = ReturnType<typeof bn254.G2.Point.fromAffine>;
export type Lines = ReturnType<typeof bn254.utils.calcPairingPrecomputes>;

export type ProofCode =
  | "proof.length"
  | "proof.not-canonical"
  | "proof.not-on-curve"
  | "proof.equation"
  | "proof.chain"
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

const { Fp, Fp2, Fp12, Fr } = bn254.fields;
const COORDINATE_BYTES = 32;

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
  const pairs: [Lines, bigint, bigint][] = [];
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
    pairs.push([bn254.utils.calcPairingPrecomputes(point.b), ...affine(point.a.multiplyUnsafe(weight))]);
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
  // A pairing with the point at infinity is one, and the Miller loop cannot take it.
  for (const [lines, point] of fixed) if (!point.is0()) pairs.push([lines, ...affine(point.negate())]);
  const product = Fp12.finalExponentiate(bn254.millerLoopBatch(pairs));
  return Fp12.eql(product, Fp12.ONE) ? { valid: true } : { valid: false, code: "proof.equation" };
}

function readPoints(proof: Uint8Array): Points | ProofCode {
  if (proof.length !== PROOF_BYTES) return "proof.length";
  const coordinates = Array.from({ length: PROOF_BYTES / COORDINATE_BYTES }, (_, i) =>
    bigEndian(proof.subarray(i * COORDINATE_BYTES, (i + 1) * COORDINATE_BYTES)),
  );
  if (coordinates.some((coordinate) => coordinate >= Fp.ORDER)) return "proof.not-canonical";
  const [ax = 0n, ay = 0n, bx1 = 0n, bx0 = 0n, by1 = 0n, by0 = 0n, cx = 0n, cy = 0n] = coordinates;
  try {
    const a = bn254.G1.Point.fromAffine({ x: ax, y: ay });
    const c = bn254.G1.Point.fromAffine({ x: cx, y: cy });
    const b = bn254.G2.Point.fromAffine({ x: Fp2.fromBigTuple([bx0, bx1]), y: Fp2.fromBigTuple([by0, by1]) });
    // The library takes (0, 0) for the point at infinity, which no honest proof holds.
    if (a.is0() || b.is0() || c.is0()) return "proof.not-on-curve";
    a.assertValidity();
    c.assertValidity();
    // On the curve and in the subgroup of the right order: the twist has points of other orders.
    b.assertValidity();
    return { a, b, c };
  } catch {
    return "proof.not-on-curve";
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
