/**
 * Openings: what a prover fixes before anybody sees its result, in a stage on whose results provers have to agree.
 *
 * The opening names prover, nonce, result and length. Its SHA-256 is the commitment, so an opening is an ordinary
 * artefact under the name that the commitment gives it. The prover stores the opening durably before it signs the
 * commitment, so it can reveal the result after a crash. The prover's key is part of it, so a copied commitment opens
 * for nobody else. The nonce is random, so a result of few possible values cannot be guessed from its commitment.
 */
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { artefactHash, type Hash, type Key, u64 } from "./ids.ts";
import { NONCE_BYTES } from "./limits.ts";

export interface Opening {
  readonly prover: Key;
  readonly nonce: Uint8Array;
  /** SHA-256 of the result. */
  readonly artefact: Hash;
  /** Length of the result. */
  readonly bytes: number;
}

const PREFIX = utf8ToBytes("proofmesh/opening/1\0");
const ID_BYTES = 32;

/** Every opening has this length, so a node that serves files recognises one without knowing its commitment. */
export const OPENING_BYTES: number = PREFIX.length + ID_BYTES + NONCE_BYTES + ID_BYTES + 8;

export function encodeOpening({ prover, nonce, artefact, bytes }: Opening): Uint8Array {
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce of ${nonce.length} bytes; allowed: ${NONCE_BYTES}`);
  return concatBytes(PREFIX, hexToBytes(prover), nonce, hexToBytes(artefact), u64(bytes));
}

/** `null` for bytes that are no opening. */
export function decodeOpening(file: Uint8Array): Opening | null {
  if (!isOpening(file)) return null;
  let at = PREFIX.length;
  const take = (length: number) => file.slice(at, (at += length));
  const [prover, nonce, artefact] = [take(ID_BYTES), take(NONCE_BYTES), take(ID_BYTES)];
  const bytes = new DataView(take(8).buffer).getBigUint64(0);
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) return null;
  return { prover: bytesToHex(prover), nonce, artefact: bytesToHex(artefact), bytes: Number(bytes) };
}

/** Whether the file is an opening, which a node shows to attesters alone and only once it is due. */
export function isOpening(file: Uint8Array): boolean {
  return file.length === OPENING_BYTES && PREFIX.every((byte, at) => file[at] === byte);
}

/** What the prover's `commit` names; `null` where the nonce has another length. */
export function commitmentOf(opening: Opening): Hash | null {
  return opening.nonce.length === NONCE_BYTES ? artefactHash(encodeOpening(opening)) : null;
}
