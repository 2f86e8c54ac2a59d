/** Keys of the members that attack. The rig and the hostile program derive the same keys from the attack's name. */
import { createHash } from "node:crypto";
import { createKeyFrom } from "../keys.ts";

/** Who attacks. The bounds of memory and CPU are stated by class. */
export type Class = "strangers" | "prover" | "provers" | "attester" | "source";

export interface HostileKey {
  readonly key: string;
  readonly seed: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** Members of the class `provers`. */
const PROVERS = 6;

export function seedOf(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

/** The keys of an attack. Each attack has its own ones, because an earlier attack may have got its keys banned. */
export function keysOf(attack: string, by: Class): readonly HostileKey[] {
  if (by === "strangers") return [];
  const count = by === "provers" ? PROVERS : 1;
  return Array.from({ length: count }, (_, at) => {
    const seed = seedOf(`${by} ${attack} ${at}`);
    return { seed, ...createKeyFrom(seed) };
  });
}
