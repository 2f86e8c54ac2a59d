/** Verifying keys, read by the proof system that they are of. */
import { readVerifyingKey } from "./groth16/verify.ts";
import type { VerifyingKey } from "./groth16/equation.ts";
import { readSp1Key, type Sp1Key } from "./sp1/verify.ts";

/** A key's own bytes, and the system of the stages that name it. */
export interface KeyBytes {
  readonly system: string;
  readonly bytes: Uint8Array;
}

export type StageKey =
  | { readonly family: "shard"; readonly key: VerifyingKey }
  | { readonly family: "sp1"; readonly key: Sp1Key };

/** Whether proofs of the system are verified by a key; `mock` proves nothing and needs none. */
export function hasKey(system: string): boolean {
  return system.startsWith("groth16-") || system === "sp1-groth16";
}

/** Throws for a key that is unsound or of another system: the configuration is wrong. */
export function readKey({ system, bytes }: KeyBytes): StageKey {
  if (system === "sp1-groth16") return { family: "sp1", key: readSp1Key(bytes) };
  return { family: "shard", key: readVerifyingKey(bytes) };
}
