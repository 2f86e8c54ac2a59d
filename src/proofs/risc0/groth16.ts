/**
 * RISC Zero receipts wrapped in Groth16. The journal is the public values.
 *
 * A key has five parts: the circuit's verifying key (alpha, beta, gamma, delta and six input points: 832 bytes in the
 * form of EIP-197), the control root, the control id of the BN254 identity program as a big-endian number, and the image id of the
 * guest, 32 bytes each. Control root and control id belong to the version of RISC Zero. A verifier that took any root
 * would accept proofs under recursion programs that the prover made.
 *
 * A seal is a selector of 4 bytes and the proof's points. The selector is the head of a hash of the first four parts.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { equalBytes } from "../../protocol/messages.ts";
import { holdsAll, PROOF_BYTES, type Verdict, type VerifyingKey, verifyingKey } from "../bn254/equation.ts";
import { G1_BYTES, G2_BYTES, pointG1, pointG2 } from "../bn254/points.ts";
import { bigEndian } from "../bytes.ts";

export interface Risc0Key {
  readonly circuit: VerifyingKey;
  readonly selector: Uint8Array;
  readonly root: readonly [low: bigint, high: bigint];
  readonly controlId: bigint;
  readonly image: Uint8Array;
}

const INPUT_POINTS = 6;
const BETA_AT = G1_BYTES;
const GAMMA_AT: number = BETA_AT + G2_BYTES;
const DELTA_AT: number = GAMMA_AT + G2_BYTES;
const INPUTS_AT: number = DELTA_AT + G2_BYTES;
const CIRCUIT_BYTES: number = INPUTS_AT + INPUT_POINTS * G1_BYTES;
const DIGEST_BYTES = 32;
const KEY_BYTES: number = CIRCUIT_BYTES + 3 * DIGEST_BYTES;
const SELECTOR_BYTES = 4;
const ZERO = new Uint8Array(DIGEST_BYTES);

/** Throws for anything that is not such a key. */
export function readRisc0Key(bytes: Uint8Array): Risc0Key {
  if (bytes.length !== KEY_BYTES)
    throw new Error(`the key has ${bytes.length} bytes; a RISC Zero key has ${KEY_BYTES}`);
  const part = (at: number): Uint8Array =>
    bytes.slice(CIRCUIT_BYTES + at * DIGEST_BYTES, CIRCUIT_BYTES + (at + 1) * DIGEST_BYTES);
  const [root, id, image] = [part(0), part(1), part(2)];
  const controlId = bigEndian(id);
  if (controlId >= bn254.fields.Fr.ORDER) throw new Error("the control id is no element of the scalar field");
  const g1 = (at: number): Uint8Array => bytes.subarray(at, at + G1_BYTES);
  const g2 = (at: number): Uint8Array => bytes.subarray(at, at + G2_BYTES);
  const inputs = Array.from({ length: INPUT_POINTS }, (_, i) => g1(INPUTS_AT + i * G1_BYTES));
  const groups = [g1(0), g2(BETA_AT), g2(GAMMA_AT), g2(DELTA_AT)].map((point) => sha256(point));
  const list = inputs.map((point) => sha256(point));
  const digest = tagged("risc0_groth16.VerifyingKey", [...groups, listOf("risc0_groth16.VerifyingKey.IC", list)]);
  const parameters = [root, id.toReversed(), digest];
  return {
    circuit: verifyingKey(digest, {
      alpha: pointG1(g1(0)),
      beta: pointG2(g2(BETA_AT)),
      gamma: pointG2(g2(GAMMA_AT)),
      delta: pointG2(g2(DELTA_AT)),
      inputs: inputs.map(pointG1),
    }),
    selector: tagged("risc0.Groth16ReceiptVerifierParameters", parameters).slice(0, SELECTOR_BYTES),
    root: halves(root),
    controlId,
    image,
  };
}

/** Whether the guest halted with status 0, without assumptions, and wrote exactly these public values to its journal. */
export function verifyRisc0(key: Risc0Key, values: Uint8Array, seal: Uint8Array): Verdict {
  if (seal.length !== SELECTOR_BYTES + PROOF_BYTES) return { valid: false, code: "proof.length" };
  if (!equalBytes(seal.subarray(0, SELECTOR_BYTES), key.selector)) return { valid: false, code: "proof.wrong-key" };
  const inputs = [...key.root, ...halves(claimOf(key.image, values)), key.controlId];
  return holdsAll(key.circuit, [{ proof: seal.subarray(SELECTOR_BYTES), inputs }]);
}

/** The digest of the claim that the guest `image` ran to its end and wrote `journal`. */
export function claimOf(image: Uint8Array, journal: Uint8Array): Uint8Array {
  const after = tagged("risc0.SystemState", [ZERO], u32(0));
  const output = tagged("risc0.Output", [sha256(journal), ZERO]);
  // The input, which is unused, the states before and after, and the output; then the two parts of the exit code.
  return tagged("risc0.ReceiptClaim", [ZERO, image, after, output], concatBytes(u32(0), u32(0)));
}

/** RISC Zero's hash of a structure: its name, the digests in it, other data, and the count of digests (u16, little-endian). */
function tagged(name: string, digests: readonly Uint8Array[], data: Uint8Array = new Uint8Array()): Uint8Array {
  return sha256(concatBytes(sha256(utf8ToBytes(name)), ...digests, data, Uint8Array.of(digests.length, 0)));
}

/** A list is a chain of pairs from its end. */
function listOf(name: string, digests: readonly Uint8Array[]): Uint8Array {
  return digests.reduceRight<Uint8Array>((rest, digest) => tagged(name, [digest, rest]), ZERO);
}

/** The digest with its bytes reversed, as two numbers of 128 bits, the low one first. */
function halves(digest: Uint8Array): [low: bigint, high: bigint] {
  const reversed = digest.toReversed();
  return [bigEndian(reversed.subarray(16)), bigEndian(reversed.subarray(0, 16))];
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
