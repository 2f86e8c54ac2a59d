/**
 * The Groth16 verifier, single and batched, over @noble/curves.
 *
 * A proof is A, B, C as the precompiles of EIP-196 and EIP-197 take them: affine, uncompressed, big-endian, 256 bytes,
 * of an extension field's element the imaginary part first. It holds when
 *
 *     e(A, B) = e(alpha, beta) e(L, gamma) e(C, delta),   L = IC_0 + sum of value_i IC_i
 *
 * Many proofs under one key are checked together: every equation is raised to a coefficient of 128 bits and all are
 * multiplied, which leaves one Miller loop a proof, three more, and one final exponentiation. The coefficients are
 * a hash of everything that is checked, so whoever makes the proofs cannot know them before.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { domainDigest, u64 } from "../../protocol/ids.ts";
import { bigEndian, decodeValues, VALUES_BYTES, VALUES_COUNT, type Values } from "../statement.ts";

type G1 = ReturnType<typeof bn254.G1.Point.fromAffine>;
type G2 = ReturnType<typeof bn254.G2.Point.fromAffine>;
type Lines = ReturnType<typeof bn254.utils.calcPairingPrecomputes>;

export type ProofCode =
  | "proof.length"
  | "proof.not-canonical"
  | "proof.not-on-curve"
  | "proof.equation"
  | "proof.chain";

export type Verdict = { readonly valid: true } | { readonly valid: false; readonly code: ProofCode };

export interface VerifyingKey {
  readonly digest: Uint8Array;
  readonly alpha: G1;
  readonly beta: Lines;
  readonly gamma: Lines;
  readonly delta: Lines;
  readonly inputs: readonly G1[];
}

export interface Statement {
  readonly values: Uint8Array;
  readonly proof: Uint8Array;
}

export const PROOF_BYTES = 256;
/** As many shards as one aggregation may take; a block of 4,096 items. */
export const BATCH_MAX = 512;

const { Fp, Fp2, Fp12 } = bn254.fields;
const COORDINATE_BYTES = 32;

/**
 * Reads the JSON that snarkjs writes. Throws for anything that is not a sound key of the shard circuit: keys come from
 * the configuration, never from a peer.
 */
export function readVerifyingKey(bytes: Uint8Array): VerifyingKey {
  const json = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
  if (json["protocol"] !== "groth16" || json["curve"] !== "bn128" || json["nPublic"] !== VALUES_COUNT) {
    throw new Error(`not a Groth16 key over BN254 with ${VALUES_COUNT} public values`);
  }
  const inputs = (json["IC"] as unknown[]).map(keyG1);
  if (inputs.length !== VALUES_COUNT + 1) throw new Error(`the key has ${inputs.length} input points`);
  const [beta, gamma, delta] = ["vk_beta_2", "vk_gamma_2", "vk_delta_2"].map((name) =>
    bn254.utils.calcPairingPrecomputes(keyG2(json[name])),
  );
  if (beta === undefined || gamma === undefined || delta === undefined) throw new Error("three points of G2");
  return { digest: sha256(bytes), alpha: keyG1(json["vk_alpha_1"]), beta, gamma, delta, inputs };
}

function keyG1(value: unknown): G1 {
  const [x = "", y = ""] = value as string[];
  const point = bn254.G1.Point.fromAffine({ x: BigInt(x), y: BigInt(y) });
  point.assertValidity();
  return point;
}

function keyG2(value: unknown): G2 {
  const [x, y] = value as [[string, string], [string, string]];
  const element = (pair: [string, string]) => Fp2.fromBigTuple([BigInt(pair[0]), BigInt(pair[1])]);
  const point = bn254.G2.Point.fromAffine({ x: element(x), y: element(y) });
  point.assertValidity();
  return point;
}

interface Parsed {
  readonly a: G1;
  readonly b: G2;
  readonly c: G1;
  readonly values: Values;
}

function parse(statement: Statement): Parsed | ProofCode {
  const { proof, values: bytes } = statement;
  if (proof.length !== PROOF_BYTES || bytes.length !== VALUES_BYTES) return "proof.length";
  const values = decodeValues(bytes);
  if (values === null) return "proof.not-canonical";
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
    return { a, b, c, values };
  } catch {
    return "proof.not-on-curve";
  }
}

/** The coefficient of the first equation is 1: only the ratios of the others to it matter. */
function coefficients(key: VerifyingKey, statements: readonly Statement[]): bigint[] {
  const seed = domainDigest("groth16-batch", key.digest, ...statements.flatMap(({ values, proof }) => [values, proof]));
  return statements.map((_, i) => (i === 0 ? 1n : bigEndian(sha256(concatBytes(seed, u64(i))).subarray(0, 16)) | 1n));
}

export function verifyAll(key: VerifyingKey, statements: readonly Statement[]): Verdict {
  if (statements.length === 0 || statements.length > BATCH_MAX) return { valid: false, code: "proof.length" };
  const parsed: Parsed[] = [];
  for (const statement of statements) {
    const result = parse(statement);
    if (typeof result === "string") return { valid: false, code: result };
    parsed.push(result);
  }
  const weights = coefficients(key, statements);
  const { Fr } = bn254.fields;
  const scalars = key.inputs.map(() => 0n);
  const pairs: [Lines, bigint, bigint][] = [];
  let total = 0n;
  let c = bn254.G1.Point.ZERO;
  parsed.forEach((proof, i) => {
    const weight = weights[i] ?? 0n;
    total += weight;
    const { before, after, fees, count, context } = proof.values;
    [1n, before, after, fees, count, context].forEach((value, j) => {
      scalars[j] = Fr.add(scalars[j] ?? 0n, Fr.mul(weight, value));
    });
    c = c.add(proof.c.multiplyUnsafe(weight));
    pairs.push([bn254.utils.calcPairingPrecomputes(proof.b), ...affine(proof.a.multiplyUnsafe(weight))]);
  });
  const inputs = key.inputs.reduce(
    (sum, point, i) => sum.add(point.multiplyUnsafe(scalars[i] ?? 0n)),
    bn254.G1.Point.ZERO,
  );
  const fixed: [Lines, G1][] = [
    [key.beta, key.alpha.multiplyUnsafe(Fr.create(total))],
    [key.gamma, inputs],
    [key.delta, c],
  ];
  // A pairing with the point at infinity is one, and the Miller loop cannot take it.
  for (const [lines, point] of fixed) if (!point.is0()) pairs.push([lines, ...affine(point.negate())]);
  const product = Fp12.finalExponentiate(bn254.millerLoopBatch(pairs));
  return Fp12.eql(product, Fp12.ONE) ? { valid: true } : { valid: false, code: "proof.equation" };
}

function affine(point: G1): [x: bigint, y: bigint] {
  const { x, y } = point.toAffine();
  return [x, y];
}

export function verifyOne(key: VerifyingKey, values: Uint8Array, proof: Uint8Array): Verdict {
  return verifyAll(key, [{ values, proof }]);
}

/**
 * An aggregation: the shards' proofs one after the other. It holds when the shards lead from the block's `before` to its
 * `after` without a gap, their fees and counts add up, and all their proofs hold.
 */
export function verifyBatch(
  key: VerifyingKey,
  values: Uint8Array,
  parts: readonly Uint8Array[],
  proof: Uint8Array,
): Verdict {
  if (parts.length === 0 || parts.length > BATCH_MAX || proof.length !== parts.length * PROOF_BYTES) {
    return { valid: false, code: "proof.length" };
  }
  const whole = decodeValues(values);
  const shards = parts.map(decodeValues);
  if (whole === null) return { valid: false, code: "proof.not-canonical" };
  let [at, fees, count] = [whole.before, 0n, 0n];
  for (const shard of shards) {
    if (shard === null) return { valid: false, code: "proof.not-canonical" };
    if (shard.before !== at) return { valid: false, code: "proof.chain" };
    at = shard.after;
    fees += shard.fees;
    count += shard.count;
  }
  if (at !== whole.after || fees !== whole.fees || count !== whole.count) return { valid: false, code: "proof.chain" };
  return verifyAll(
    key,
    parts.map((part, i) => ({ values: part, proof: proof.subarray(i * PROOF_BYTES, (i + 1) * PROOF_BYTES) })),
  );
}

/** Coordinates as snarkjs prints them, as proof bytes. */
export function encodeProof(proof: {
  readonly pi_a: readonly string[];
  readonly pi_b: readonly (readonly string[])[];
  readonly pi_c: readonly string[];
}): Uint8Array {
  const [[x0, x1] = [], [y0, y1] = []] = proof.pi_b;
  const coordinates = [proof.pi_a[0], proof.pi_a[1], x1, x0, y1, y0, proof.pi_c[0], proof.pi_c[1]];
  const hex = coordinates.map((text) =>
    BigInt(text ?? -1)
      .toString(16)
      .padStart(64, "0"),
  );
  return Uint8Array.from((hex.join("").match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)));
}
