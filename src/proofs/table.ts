/** All proof systems that the node verifies by itself. Everything that depends on the system reads this table. */
import { createRequire } from "node:module";
import { GROTH16_BATCH, GROTH16_SHARD } from "./groth16/system.ts";
import { HALO2_SHARD } from "./halo2/system.ts";
import { PICKLES_MERGE, PICKLES_SHARD } from "./pickles/system.ts";
import { RISC0_GROTH16 } from "./risc0/system.ts";
import { SP1_GROTH16, SP1_HYPERCUBE, SP1_PLONK } from "./sp1/system.ts";
import { STARK_SHARD } from "./stark/system.ts";
import type { ProofSystem, Proving } from "./system.ts";
import { ULTRAHONK_SHARD } from "./ultrahonk/system.ts";
import { WASM } from "./wasm/system.ts";

/** A new network proves with the first of these that its configuration names. */
export const SYSTEMS: readonly ProofSystem[] = [
  GROTH16_SHARD,
  GROTH16_BATCH,
  ULTRAHONK_SHARD,
  STARK_SHARD,
  HALO2_SHARD,
  PICKLES_SHARD,
  PICKLES_MERGE,
  SP1_GROTH16,
  SP1_PLONK,
  SP1_HYPERCUBE,
  RISC0_GROTH16,
  WASM,
];

const BY_NAME: ReadonlyMap<string, ProofSystem> = new Map(SYSTEMS.map((system) => [system.name, system]));

/** `undefined` for `mock`, which proves nothing, and for what only an outside program knows. */
export function systemOf(name: string): ProofSystem | undefined {
  return BY_NAME.get(name);
}

export type ProvingSystem = ProofSystem & { readonly proving: Proving };

/** Systems that this package proves. */
export const PROVING_SYSTEMS: readonly ProvingSystem[] = SYSTEMS.flatMap((system) =>
  system.proving === undefined ? [] : [{ ...system, proving: system.proving }],
);

/** Packages without which no proof of the system can be verified here, of those that are not installed. */
export function missingPackages(name: string, resolve: (name: string) => unknown = resolvePackage): readonly string[] {
  return (systemOf(name)?.packages ?? []).filter((spec) => {
    try {
      resolve(spec.slice(0, spec.lastIndexOf("@")));
      return false;
    } catch {
      return true;
    }
  });
}

/** Opt-in packages may be installed apart from the others. */
function resolvePackage(name: string): string {
  const apart = SYSTEMS.find(({ packages, resolve }) => resolve !== undefined && packages[0]?.startsWith(`${name}@`));
  return apart?.resolve?.() ?? createRequire(import.meta.url).resolve(name);
}
