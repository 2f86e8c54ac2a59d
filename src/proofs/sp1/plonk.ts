/**
 * SP1 6 proofs wrapped in PLONK. A key is the circuit's verifying key as SP1 publishes it (`plonk_vk.bin`), the root of
 * the recursion keys and the program's key (`statement.ts`). A proof is the head of `statement.ts` and gnark's proof.
 */
import type { Verdict } from "../bn254/equation.ts";
import { holdsPlonk, type PlonkKey, PLONK_KEY_BYTES, PLONK_PROOF_BYTES, readPlonkKey } from "../bn254/plonk.ts";
import { holdsForOne, inputsOf, readHead, readStatement, type Sp1Statement } from "./statement.ts";

export interface Sp1PlonkKey {
  readonly circuit: PlonkKey;
  readonly statement: Sp1Statement;
}

const INPUTS = 5;

/** Throws for anything that is not such a key. */
export function readSp1PlonkKey(bytes: Uint8Array): Sp1PlonkKey {
  if (bytes.length < PLONK_KEY_BYTES)
    throw new Error(`the key has ${bytes.length} bytes; SP1's PLONK key alone has ${PLONK_KEY_BYTES}`);
  const circuit = bytes.subarray(0, PLONK_KEY_BYTES);
  const key = readPlonkKey(circuit);
  if (key.inputs !== INPUTS) throw new Error(`the key has ${key.inputs} public inputs; SP1 6 has ${INPUTS}`);
  return { circuit: key, statement: readStatement(circuit, bytes.subarray(PLONK_KEY_BYTES), true) };
}

/** Whether the program ended with status 0 and committed to exactly these public values. */
export function verifySp1Plonk({ circuit, statement }: Sp1PlonkKey, values: Uint8Array, proof: Uint8Array): Verdict {
  const head = readHead(statement, proof, PLONK_PROOF_BYTES);
  if (typeof head === "string") return { valid: false, code: head };
  return holdsForOne(values, (digest) => holdsPlonk(circuit, inputsOf(statement, digest, head), head.points));
}
