/** Proofs of the shard circuit: one of a shard, and the batch that stands for their aggregation. */
import { bn254 } from "@noble/curves/bn254.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { valuesFor } from "../../protocol/payee.ts";
import {
  BATCH_MAX,
  type Claim,
  holdsAll,
  PROOF_BYTES,
  type ProofCode,
  type Verdict,
  type VerifyingKey,
  verifyingKey,
} from "../bn254/equation.ts";
import type { G1, G2 } from "../bn254/points.ts";
import { decodeValues, VALUES_BYTES, VALUES_COUNT, type Values } from "../../provers/statement.ts";

/** A proof and the key of its maker. */
const MEMBER_BYTES = PROOF_BYTES + 32;

export interface Statement {
  readonly values: Uint8Array;
  readonly proof: Uint8Array;
}

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
  return verifyingKey(sha256(bytes), {
    alpha: keyG1(json["vk_alpha_1"]),
    beta: keyG2(json["vk_beta_2"]),
    gamma: keyG2(json["vk_gamma_2"]),
    delta: keyG2(json["vk_delta_2"]),
    inputs,
  });
}

function keyG1(value: unknown): G1 {
  const [x = "", y = ""] = value as string[];
  return bn254.G1.Point.fromAffine({ x: BigInt(x), y: BigInt(y) });
}

function keyG2(value: unknown): G2 {
  const [x, y] = value as [[string, string], [string, string]];
  const element = (pair: [string, string]) => bn254.fields.Fp2.fromBigTuple([BigInt(pair[0]), BigInt(pair[1])]);
  return bn254.G2.Point.fromAffine({ x: element(x), y: element(y) });
}

function claimOf({ values: bytes, proof }: Statement): Claim | ProofCode {
  if (bytes.length !== VALUES_BYTES) return "proof.length";
  const values: Values | null = decodeValues(bytes);
  if (values === null) return "proof.not-canonical";
  const { before, after, fees, count, context } = values;
  return { proof, inputs: [before, after, fees, count, context] };
}

export function verifyAll(key: VerifyingKey, statements: readonly Statement[]): Verdict {
  const claims: Claim[] = [];
  for (const statement of statements) {
    const claim = claimOf(statement);
    if (typeof claim === "string") return { valid: false, code: claim };
    claims.push(claim);
  }
  return holdsAll(key, claims);
}

export function verifyOne(key: VerifyingKey, values: Uint8Array, proof: Uint8Array): Verdict {
  return verifyAll(key, [{ values, proof }]);
}

/**
 * An aggregation: the shards' proofs one after the other, each with the key of its maker. It holds when the shards lead from the block's `before` to its
 * `after` without a gap, their fees and counts add up, and all their proofs hold.
 */
export function verifyBatch(
  key: VerifyingKey,
  values: Uint8Array,
  parts: readonly Uint8Array[],
  proof: Uint8Array,
): Verdict {
  if (parts.length === 0 || parts.length > BATCH_MAX || proof.length !== parts.length * MEMBER_BYTES) {
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
    parts.map((part, i) => {
      const one = proof.subarray(i * MEMBER_BYTES, (i + 1) * MEMBER_BYTES);
      const maker = bytesToHex(one.subarray(PROOF_BYTES));
      return { values: valuesFor("context", part, maker), proof: one.subarray(0, PROOF_BYTES) };
    }),
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
