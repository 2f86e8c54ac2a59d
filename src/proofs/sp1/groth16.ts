/**
 * SP1 proofs wrapped in Groth16, of SP1 3 to 6.
 *
 * A key is the circuit's verifying key as SP1 publishes it (`groth16_vk.bin`: gnark's compressed points), then what
 * `statement.ts` says. A proof is what SP1's `proof.bytes()` returns. For SP1 3 to 5 that is the head of the circuit
 * key's SHA-256 and the points; gnark's raw form, with its empty commitments behind the points, is accepted as well. For
 * SP1 6 three numbers stand between the two (`statement.ts`).
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { equalBytes } from "../../protocol/messages.ts";
import { holdsAll, PROOF_BYTES, type Verdict, type VerifyingKey, verifyingKey } from "../bn254/equation.ts";
import { COMPRESSED_G1, readG1, readG2 } from "../bn254/gnark.ts";
import { bigEndian } from "../bytes.ts";
import { holdsForOne, inputsOf, PREFIX_BYTES, readHead, readStatement, type Sp1Statement } from "./statement.ts";

export interface Sp1Groth16Key {
  readonly circuit: VerifyingKey;
  readonly statement: Sp1Statement;
}

/** Where gnark puts alpha, beta, gamma and delta, and where the count of the input points is. */
const ALPHA_AT = 0;
const BETA_AT = 64;
const GAMMA_AT = 128;
const DELTA_AT = 224;
const COUNT_AT = 288;
const INPUTS_AT = 292;
/** Behind the input points gnark counts commitments twice. SP1's circuit has none. */
const TAIL_BYTES = 8;
/** The count of commitments, none, and the proof of knowledge of them, the point at infinity. */
const COMMITMENTS_BYTES = 68;

/** Input points of SP1 3 to 5 (program, digest), and of SP1 6 (the same, exit code, root, nonce). */
const POINTS_OF_5 = 3;
const POINTS_OF_6 = 6;

/** Throws for anything that is not such a key. */
export function readSp1Groth16Key(bytes: Uint8Array): Sp1Groth16Key {
  if (bytes.length < INPUTS_AT) throw new Error(`the key has ${bytes.length} bytes; an SP1 key has at least 428`);
  const count = Number(bigEndian(bytes.subarray(COUNT_AT, INPUTS_AT)));
  if (count !== POINTS_OF_5 && count !== POINTS_OF_6)
    throw new Error(`the key has ${count} input points; SP1 3 to 5 have ${POINTS_OF_5}, SP1 6 has ${POINTS_OF_6}`);
  const inputsEnd = INPUTS_AT + count * COMPRESSED_G1;
  const circuit = bytes.subarray(0, inputsEnd + TAIL_BYTES);
  const statement = readStatement(circuit, bytes.subarray(circuit.length), count === POINTS_OF_6);
  if (circuit.subarray(inputsEnd).some((byte) => byte !== 0)) throw new Error("the key has commitments");
  return {
    circuit: verifyingKey(sha256(circuit), {
      alpha: readG1(circuit, ALPHA_AT),
      beta: readG2(circuit, BETA_AT),
      gamma: readG2(circuit, GAMMA_AT),
      delta: readG2(circuit, DELTA_AT),
      inputs: Array.from({ length: count }, (_, i) => readG1(circuit, INPUTS_AT + i * COMPRESSED_G1)),
    }),
    statement,
  };
}

/** Whether the program ended with status 0 and committed to exactly these public values. */
export function verifySp1Groth16(
  { circuit, statement }: Sp1Groth16Key,
  values: Uint8Array,
  proof: Uint8Array,
): Verdict {
  if (statement.root === null) return verifyOldSp1(circuit, statement, values, proof);
  const head = readHead(statement, proof, PROOF_BYTES);
  if (typeof head === "string") return { valid: false, code: head };
  return holdsForOne(values, (digest) =>
    holdsAll(circuit, [{ proof: head.points, inputs: inputsOf(statement, digest, head) }]),
  );
}

function verifyOldSp1(circuit: VerifyingKey, statement: Sp1Statement, values: Uint8Array, proof: Uint8Array): Verdict {
  const points = proof.subarray(PREFIX_BYTES, PREFIX_BYTES + PROOF_BYTES);
  const behind = proof.subarray(PREFIX_BYTES + PROOF_BYTES);
  if (points.length !== PROOF_BYTES || (behind.length !== 0 && behind.length !== COMMITMENTS_BYTES))
    return { valid: false, code: "proof.length" };
  if (!equalBytes(proof.subarray(0, PREFIX_BYTES), statement.prefix)) return { valid: false, code: "proof.wrong-key" };
  if (behind.some((byte) => byte !== 0)) return { valid: false, code: "proof.not-canonical" };
  return holdsForOne(values, (digest) => holdsAll(circuit, [{ proof: points, inputs: [statement.program, digest] }]));
}
