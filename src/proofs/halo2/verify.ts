/**
 * Halo2 proofs of the shard circuit, verified by Axiom's Halo2.
 *
 * A key is the secret's point of the reference string, 128 bytes, and the circuit's verifying key: a proof holds for one
 * setup and one circuit. A proof is 72 words of 32 bytes: 17 points, 53 numbers, 2 points, all little-endian.
 *
 * The library refuses a proof by a panic, and panics about anything else as well; where memory is short it stops without a
 * word. Only the panic that names the library's own verdict is one. It reads no further than it needs to, so everything
 * about the form is checked here, before it sees a byte.
 */
import { bn254 } from "@noble/curves/bn254.js";
import { FIELD_ORDER } from "../../protocol/payee.ts";
import { bigEndian } from "../bytes.ts";
import { type Check, decodeValues, VALUES_BYTES } from "../../provers/statement.ts";
import { CIRCUIT_CONFIG, CIRCUIT_POWER, layOutValues } from "./circuit.ts";
import { COORDINATE_BYTES, decodeCoordinate, G1_BYTES, G2_BYTES, verifyingParameters } from "./setup.ts";
import { noVerdict } from "../../provers/no-verdict.ts";
import { type Halo2Circuit, type Halo2Module, loadHalo2 } from "./wasm.ts";

export interface Halo2Key {
  /** The secret's point, which tells setups apart. */
  readonly g2: Uint8Array;
  readonly circuit: Uint8Array;
}

const WORD_BYTES = 32;
/** Commitments to the wires, the lookup, the permutation, the blinding and the quotient; then two for the opening. */
const [POINTS_FIRST, NUMBERS, POINTS_LAST] = [17, 53, 2];
const WORDS = POINTS_FIRST + NUMBERS + POINTS_LAST;
export const PROOF_BYTES: number = WORDS * WORD_BYTES;

/** Which of a point's two ordinates: the second bit from the top. The top bit is for infinity, which is in no proof. */
const SIGN = 1n << 254n;

/** Of a circuit's key: version, power, no compressed selectors, how many fixed columns; then so many commitments. */
const HEADER_BYTES = 10;
const FIXED_COLUMNS = 7;
const PERMUTED_COLUMNS = 8;
const CIRCUIT_KEY_BYTES: number = HEADER_BYTES + (FIXED_COLUMNS + PERMUTED_COLUMNS) * G1_BYTES;
const VERSION = 2;

const { Fp, Fp2 } = bn254.fields;

/** Throws for anything that is no key of the shard circuit. */
export function readHalo2Key(bytes: Uint8Array): Halo2Key {
  if (bytes.length !== G2_BYTES + CIRCUIT_KEY_BYTES)
    throw new Error(`a Halo2 key has ${G2_BYTES + CIRCUIT_KEY_BYTES} bytes, not ${bytes.length}`);
  const [g2, circuit] = [bytes.slice(0, G2_BYTES), bytes.slice(G2_BYTES)];
  const [x0 = 0n, x1 = 0n, y0 = 0n, y1 = 0n] = [0, 1, 2, 3].map((i) =>
    bigEndian(g2.subarray(i * COORDINATE_BYTES, (i + 1) * COORDINATE_BYTES)),
  );
  bn254.G2.Point.fromAffine({ x: Fp2.fromBigTuple([x0, x1]), y: Fp2.fromBigTuple([y0, y1]) }).assertValidity();
  const view = new DataView(circuit.buffer, circuit.byteOffset);
  const header = [view.getUint8(0), view.getUint32(1, true), view.getUint8(5), view.getUint32(6, true)];
  const wanted = [VERSION, CIRCUIT_POWER, 0, FIXED_COLUMNS];
  if (header.join() !== wanted.join())
    throw new Error(`the circuit of the key has the header ${header.join()}; allowed: ${wanted.join()}`);
  // The library takes these points as they are.
  for (let at = HEADER_BYTES; at < circuit.length; at += G1_BYTES) {
    const [x, y] = [at, at + COORDINATE_BYTES].map((from) =>
      decodeCoordinate(circuit.subarray(from, from + COORDINATE_BYTES)),
    );
    if (x == null || y == null || !isOnCurve(x, y))
      throw new Error(`the circuit of the key has no point at byte ${at}`);
  }
  return { g2, circuit };
}

/** Of the curve's prime order every point is a multiple. */
function isOnCurve(x: bigint, y: bigint): boolean {
  return Fp.eql(Fp.sqr(y), Fp.add(Fp.mul(Fp.sqr(x), x), 3n));
}

/** What is wrong with the words of a proof; `null` if nothing is. */
function faultOfForm(proof: Uint8Array): string | null {
  let fault: string | null = null;
  for (let i = 0; i < WORDS; i++) {
    const word = bigEndian(proof.slice(i * WORD_BYTES, (i + 1) * WORD_BYTES).reverse());
    const isNumber = i >= POINTS_FIRST && i < POINTS_FIRST + NUMBERS;
    const x = isNumber ? word : word & ~SIGN;
    if (x >= (isNumber ? FIELD_ORDER : Fp.ORDER)) return "proof.not-canonical";
    if (!isNumber && !isAbscissa(x)) fault = "proof.not-on-curve";
  }
  return fault;
}

function isAbscissa(x: bigint): boolean {
  const square = Fp.add(Fp.mul(Fp.sqr(x), x), 3n);
  return Fp.eql(Fp.pow(square, (Fp.ORDER - 1n) / 2n), 1n);
}

interface Warm {
  readonly key: Halo2Key;
  readonly module: Halo2Module;
  readonly circuit: Halo2Circuit;
}

/** Not to be used for two proofs at once. */
export interface Halo2Verifier {
  /** Throws where the library is not installed. */
  load(key: Halo2Key): void;
  verify(key: Halo2Key, values: Uint8Array, proof: Uint8Array): Check;
}

/** An instance may have been left in a bad state, or the machine may have been short of memory: a second one is tried. */
const ATTEMPTS = 2;

/**
 * The errors of Halo2 by which it refuses a proof, as its panic names them: the equation of the circuit or that of the
 * openings does not hold, or a point or number cannot be read.
 */
const REFUSED = /`Result::unwrap\(\)` on an `Err` value: (ConstraintSystemFailure|Opening|Transcript\()/;

/** Makes instances of the library; tests put others in its place. */
export type LoadHalo2 = () => Halo2Module;

export function createHalo2Verifier(load: LoadHalo2 = loadHalo2): Halo2Verifier {
  let warm: Warm | null = null;
  const open = (key: Halo2Key): Warm => {
    if (warm?.key === key) return warm;
    const module = load();
    const circuit = new module.Halo2Wasm();
    circuit.config(CIRCUIT_CONFIG);
    circuit.loadParams(verifyingParameters(key.g2));
    circuit.loadVk(key.circuit);
    warm = { key, module, circuit };
    return warm;
  };
  return {
    load(key) {
      open(key);
    },
    verify(key, valueBytes, proof) {
      if (valueBytes.length !== VALUES_BYTES || proof.length !== PROOF_BYTES)
        return { valid: false, code: "proof.length" };
      const values = decodeValues(valueBytes);
      if (values === null) return { valid: false, code: "proof.not-canonical" };
      const fault = faultOfForm(proof);
      if (fault !== null) return { valid: false, code: fault };
      let failure: unknown = null;
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const said: string[] = [];
        try {
          const { module, circuit } = open(key);
          layOutValues(module, circuit, values);
          listening(said, () => circuit.verify(proof));
          return { valid: true };
        } catch (error) {
          // After a panic nothing of the instance is to be trusted.
          warm = null;
          if (said.some((text) => REFUSED.test(text))) return { valid: false, code: "proof.equation" };
          failure = said[0] === undefined ? error : new Error(said[0].split("\n\nStack", 1)[0]);
        }
      }
      throw noVerdict(failure);
    },
  };
}

/** The library's panics come as lines for the console. The call does not wait, so nobody else writes meanwhile. */
function listening(said: string[], run: () => void): void {
  const { error } = console;
  console.error = (text: unknown) => void said.push(String(text));
  try {
    run();
  } finally {
    console.error = error;
  }
}
