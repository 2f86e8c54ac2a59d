/**
 * The payee of a proof: the key of its maker, which the proof's own public values name.
 *
 * A proof that names its maker is worth nothing to anybody else: a copy of it does not verify under the values that the
 * copier's receipt implies. The values of a task are derived once, for nobody. Those for one prover follow from them and
 * its key alone, so that a receipt, an offline check and an aggregate need no second look at the block.
 */
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";
import { domainDigest, type Key, ZERO_HASH } from "./ids.ts";
import type { Payee } from "./systems.ts";

/** Stands for no prover: in a proof that nobody is paid for, and in a vote about a proof that names nobody. */
export const NOBODY: Key = ZERO_HASH;

/** The order of BN254's scalar field, which public values of the shard circuits are elements of. */
export const FIELD_ORDER: bigint = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001n;

/** Public values of a shard circuit end with the context, a field element of 32 bytes, big-endian. */
const CONTEXT_BYTES = 32;

/**
 * Shows that a prover holds the whole proof, and shows it for no other prover: 32 bytes, and none where the proof itself
 * names its maker, or where a stage takes results without a proof.
 *
 * A proof that does not name its maker is as good in one prover's receipt as in another's. Its artefact hash is public
 * with the first receipt, so a receipt has to show more than that hash.
 */
export function possessionOf(payee: Payee, proof: Uint8Array, maker: Key | null): Uint8Array {
  if (maker === null || payee !== "none") return new Uint8Array();
  return domainDigest("possession", hexToBytes(maker), proof);
}

/** The public values of a task for one prover, from those for nobody. */
export function valuesFor(payee: Payee, values: Uint8Array, prover: Key): Uint8Array {
  if (prover === NOBODY) return values;
  switch (payee) {
    case "context": {
      const at = Math.max(values.length - CONTEXT_BYTES, 0);
      return concatBytes(values.subarray(0, at), contextFor(values.subarray(at), prover));
    }
    case "digest":
      return domainDigest("payee", values, hexToBytes(prover));
    case "none":
      return values;
  }
}

/** The context of a task for one prover, from the one for nobody. */
export function contextFor(context: Uint8Array, prover: Key): Uint8Array {
  return prover === NOBODY ? context : reduced(domainDigest("payee", context, hexToBytes(prover)));
}

/** A digest as a field element. */
export function reduced(digest: Uint8Array): Uint8Array {
  const element = BigInt(`0x${bytesToHex(digest)}`) % FIELD_ORDER;
  return hexToBytes(element.toString(16).padStart(2 * CONTEXT_BYTES, "0"));
}
