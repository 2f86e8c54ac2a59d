/**
 * SP1 proofs wrapped in Groth16, of SP1 4 and 5, checked without anything of SP1's.
 *
 * The key of a stage is the circuit's verifying key as SP1 ships it (`groth16_vk.bin`: gnark's compressed points)
 * followed by the hash of the program's key, 32 bytes: which zkVM, and which program on it. A proof is what
 * `proof.bytes()` gives: the first 4 bytes of the SHA-256 of the circuit's key, then the proof's points; gnark's raw
 * form with its empty commitments behind is taken as well. The circuit has two public inputs: the program's key, and
 * the SHA-256 of the public values without its three highest bits.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { equalBytes } from "../../protocol/messages.ts";
import {
  type G1,
  type G2,
  holdsAll,
  PROOF_BYTES,
  type Verdict,
  type VerifyingKey,
  verifyingKey,
} from "../groth16/equation.ts";
import { bigEndian } from "../statement.ts";

export interface Sp1Key {
  readonly circuit: VerifyingKey;
  /** The head of every proof under this circuit's key. */
  readonly prefix: Uint8Array;
  readonly program: bigint;
}

const POINT_BYTES = 32;
const PROGRAM_BYTES = 32;
const PREFIX_BYTES = 4;
const INPUTS = 2;
/** Where gnark puts alpha, beta, gamma and delta, and where the count of the input points is. */
const ALPHA_AT = 0;
const BETA_AT = 64;
const GAMMA_AT = 128;
const DELTA_AT = 224;
const COUNT_AT = 288;
/** The count of commitments, none, and the proof of knowledge of them, the point at infinity. */
const COMMITMENTS_BYTES = 68;
const DIGEST_MASK: bigint = (1n << 253n) - 1n;

/** The flags of a compressed point: which of the two roots y is. */
const FLAGS = 0xc0;
const SMALLER_Y = 0x80;
const LARGER_Y = 0xc0;

const { Fp, Fp2, Fr } = bn254.fields;

/** Throws for anything that is not such a key: keys come from the configuration, never from a peer. */
export function readSp1Key(bytes: Uint8Array): Sp1Key {
  const circuit = bytes.subarray(0, bytes.length - PROGRAM_BYTES);
  const program = bigEndian(bytes.subarray(bytes.length - PROGRAM_BYTES));
  const inputsEnd = COUNT_AT + 4 + (INPUTS + 1) * POINT_BYTES;
  if (circuit.length < inputsEnd) throw new Error(`an SP1 key has at least ${inputsEnd + PROGRAM_BYTES} bytes`);
  const count = Number(bigEndian(circuit.subarray(COUNT_AT, COUNT_AT + 4)));
  if (count !== INPUTS + 1) throw new Error(`the key has ${count} input points; SP1 4 and 5 have ${INPUTS + 1}`);
  // What follows counts commitments, which SP1's circuit has none of.
  if (circuit.subarray(inputsEnd).some((byte) => byte !== 0)) throw new Error("the key has commitments");
  if (program >= Fr.ORDER) throw new Error("the program's key is no element of the scalar field");
  const g1 = (at: number): G1 => pointG1(circuit.subarray(at, at + POINT_BYTES));
  const g2 = (at: number): G2 => pointG2(circuit.subarray(at, at + 2 * POINT_BYTES));
  const digest = sha256(circuit);
  return {
    circuit: verifyingKey(digest, {
      alpha: g1(ALPHA_AT),
      beta: g2(BETA_AT),
      gamma: g2(GAMMA_AT),
      delta: g2(DELTA_AT),
      inputs: Array.from({ length: count }, (_, i) => g1(COUNT_AT + 4 + i * POINT_BYTES)),
    }),
    prefix: digest.slice(0, PREFIX_BYTES),
    program,
  };
}

/** Whether the program ran to its end and committed to exactly these public values. */
export function verifySp1(key: Sp1Key, values: Uint8Array, proof: Uint8Array): Verdict {
  const points = proof.subarray(PREFIX_BYTES, PREFIX_BYTES + PROOF_BYTES);
  const behind = proof.subarray(PREFIX_BYTES + PROOF_BYTES);
  if (points.length !== PROOF_BYTES || (behind.length !== 0 && behind.length !== COMMITMENTS_BYTES))
    return { valid: false, code: "proof.length" };
  if (!equalBytes(proof.subarray(0, PREFIX_BYTES), key.prefix)) return { valid: false, code: "proof.wrong-key" };
  if (behind.some((byte) => byte !== 0)) return { valid: false, code: "proof.not-canonical" };
  const inputs = [key.program, bigEndian(sha256(values)) & DIGEST_MASK];
  return holdsAll(key.circuit, [{ proof: points, inputs }]);
}

/** x with two flags in its highest bits; y is the smaller or the larger root. */
function split(bytes: Uint8Array): { readonly flags: number; readonly bytes: Uint8Array } {
  const flags = (bytes[0] ?? 0) & FLAGS;
  if (flags !== SMALLER_Y && flags !== LARGER_Y) throw new Error("a point of the key is not compressed");
  const plain = bytes.slice();
  plain[0] = (plain[0] ?? 0) & ~FLAGS;
  return { flags, bytes: plain };
}

function pointG1(compressed: Uint8Array): G1 {
  const { flags, bytes } = split(compressed);
  const x = element(bytes);
  const y = Fp.sqrt(Fp.add(Fp.mul(Fp.sqr(x), x), bn254.G1.Point.CURVE().b));
  return bn254.G1.Point.fromAffine({ x, y: isLarger(y) === (flags === LARGER_Y) ? y : Fp.neg(y) });
}

function pointG2(compressed: Uint8Array): G2 {
  const { flags, bytes } = split(compressed);
  const x = Fp2.fromBigTuple([element(bytes.subarray(POINT_BYTES)), element(bytes.subarray(0, POINT_BYTES))]);
  const y = Fp2.sqrt(Fp2.add(Fp2.mul(Fp2.sqr(x), x), bn254.G2.Point.CURVE().b));
  // Compared by the imaginary part, and by the real one where that is zero.
  const larger = y.c1 === 0n ? isLarger(y.c0) : isLarger(y.c1);
  return bn254.G2.Point.fromAffine({ x, y: larger === (flags === LARGER_Y) ? y : Fp2.neg(y) });
}

function element(bytes: Uint8Array): bigint {
  const value = bigEndian(bytes);
  if (value >= Fp.ORDER) throw new Error("a coordinate of the key is no field element");
  return value;
}

function isLarger(y: bigint): boolean {
  return y > (Fp.ORDER - 1n) / 2n;
}
