/**
 * UltraHonk proofs of the shard circuit, verified by Barretenberg.
 *
 * A key is the secret's point of the reference string, 128 bytes, and the circuit's verifying key: a proof holds for one
 * setup and one circuit. A proof is 440 words of 32 bytes, without the public values.
 *
 * Version 0.84 takes words beyond the field's order for what they leave when divided by it, public values among them, and
 * reads no further than it needs to. So everything about the form is checked here, before it sees a byte.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { noVerdict } from "../../provers/no-verdict.ts";
import { FIELD_ORDER } from "../../protocol/payee.ts";
import { bigEndian } from "../bytes.ts";
import { type Check, decodeValues, VALUES_BYTES, VALUES_COUNT } from "../../provers/statement.ts";
import { type Barretenberg, G2_BYTES, openBarretenberg, rawBuffer } from "./bb.ts";

export interface UltraHonkKey {
  /** The secret's point, which tells setups apart. */
  readonly g2: Uint8Array;
  readonly circuit: Uint8Array;
}

const WORD_BYTES = 32;
const WORDS = 440;
export const PROOF_BYTES: number = WORDS * WORD_BYTES;

/** Of a circuit's key: size, its logarithm, public values, their place; then what is the library's own. */
const CIRCUIT_KEY_BYTES = 1825;
const CIRCUIT_POWER_MAX = 20;

/** Where the proof's points begin: eight of the wires, 27 of the folding, two of the opening; each has four words. */
const POINTS: readonly number[] = [
  ...Array.from({ length: 8 }, (_, i) => 4 * i),
  ...Array.from({ length: 27 }, (_, i) => 296 + 4 * i),
  432,
  436,
];
/** A coordinate is two words, the lower 136 bits first. */
const LIMB_BITS = 136n;

const { Fp, Fp2 } = bn254.fields;

/** Throws for anything that is no key of a circuit with the public values of a shard. */
export function readUltraHonkKey(bytes: Uint8Array): UltraHonkKey {
  if (bytes.length !== G2_BYTES + CIRCUIT_KEY_BYTES) {
    throw new Error(`an UltraHonk key has ${G2_BYTES + CIRCUIT_KEY_BYTES} bytes, not ${bytes.length}`);
  }
  const [g2, circuit] = [bytes.slice(0, G2_BYTES), bytes.slice(G2_BYTES)];
  const [x0 = 0n, x1 = 0n, y0 = 0n, y1 = 0n] = [0, 1, 2, 3].map((i) => word(g2, i));
  const point = bn254.G2.Point.fromAffine({ x: Fp2.fromBigTuple([x0, x1]), y: Fp2.fromBigTuple([y0, y1]) });
  point.assertValidity();
  const view = new DataView(circuit.buffer, circuit.byteOffset);
  const [size, power, publicValues] = [0, 8, 16].map((at) => view.getBigUint64(at));
  if (power === undefined || power > CIRCUIT_POWER_MAX || size !== 1n << power)
    throw new Error(`the circuit of the key has ${size} rows; allowed: a power of 2 up to 2^${CIRCUIT_POWER_MAX}`);
  if (publicValues !== BigInt(VALUES_COUNT))
    throw new Error(`the circuit of the key has ${publicValues} public values, not ${VALUES_COUNT}`);
  return { g2, circuit };
}

function word(bytes: Uint8Array, index: number): bigint {
  return bigEndian(bytes.subarray(index * WORD_BYTES, (index + 1) * WORD_BYTES));
}

/** What is wrong with the form of the values or of the proof; `null` if nothing is. */
export function faultOfForm(values: Uint8Array, proof: Uint8Array): string | null {
  if (values.length !== VALUES_BYTES || proof.length !== PROOF_BYTES) return "proof.length";
  if (decodeValues(values) === null) return "proof.not-canonical";
  const words = Array.from({ length: WORDS }, (_, i) => word(proof, i));
  if (words.some((each) => each >= FIELD_ORDER)) return "proof.not-canonical";
  for (const at of POINTS) {
    const [x0 = 0n, x1 = 0n, y0 = 0n, y1 = 0n] = words.slice(at, at + 4);
    const [x, y] = [x0 + (x1 << LIMB_BITS), y0 + (y1 << LIMB_BITS)];
    if ([x0, y0].some((limb) => limb >> LIMB_BITS !== 0n) || x >= Fp.ORDER || y >= Fp.ORDER)
      return "proof.not-canonical";
    // Of the curve's prime order every point is a multiple. What stands for infinity is on no curve, and in no honest proof.
    if (!Fp.eql(Fp.sqr(y), Fp.add(Fp.mul(Fp.sqr(x), x), 3n))) return "proof.not-on-curve";
  }
  return null;
}

/** One instance for all keys of a setup. Not to be used for two proofs at once. */
export interface UltraHonkVerifier {
  /** Makes the instance. Rejects where the library is not installed. */
  load(key: UltraHonkKey): Promise<void>;
  verify(key: UltraHonkKey, values: Uint8Array, proof: Uint8Array): Promise<Check>;
}

/** The library answers no to a proof that does not hold. An exception is no answer, so a new instance is asked once more. */
const ATTEMPTS = 2;
/** The first power of the reference string is the group's generator; a verifier needs no other. */
const GENERATOR: Uint8Array = concatBytes(Fp.toBytes(1n), Fp.toBytes(2n));

export function createUltraHonkVerifier(): UltraHonkVerifier {
  let warm: { readonly g2: Uint8Array; readonly instance: Barretenberg } | null = null;
  const open = async (g2: Uint8Array): Promise<Barretenberg> => {
    if (warm === null || Buffer.compare(warm.g2, g2) !== 0)
      warm = { g2, instance: await openBarretenberg(GENERATOR, g2) };
    return warm.instance;
  };
  return {
    async load({ g2 }) {
      await open(g2);
    },
    async verify(key, values, proof) {
      const fault = faultOfForm(values, proof);
      if (fault !== null) return { valid: false, code: fault };
      const statement = concatBytes(values, proof);
      const circuit = await rawBuffer(key.circuit);
      let failure: unknown = null;
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        try {
          const instance = await open(key.g2);
          const valid = instance.acirVerifyUltraHonk(statement, circuit);
          return valid ? { valid } : { valid, code: "proof.equation" };
        } catch (error) {
          // Whatever it was, the instance is not to be trusted any more.
          warm = null;
          failure = error;
        }
      }
      throw noVerdict(failure);
    },
  };
}
