/** Verifying keys, read by the proof system that they are of. */
import { createRequire } from "node:module";
import type { VerifyingKey } from "../proofs/bn254/equation.ts";
import { readRisc0Key, type Risc0Key } from "../proofs/risc0/groth16.ts";
import { HYPERCUBE_PACKAGE, HYPERCUBE_VERSION, readHypercubeKey } from "../proofs/sp1/hypercube.ts";
import { readWasmKey, type WasmKey } from "../proofs/wasm/settings.ts";
import { readSp1Groth16Key, type Sp1Groth16Key } from "../proofs/sp1/groth16.ts";
import { readSp1PlonkKey, type Sp1PlonkKey } from "../proofs/sp1/plonk.ts";
import { readVerifyingKey } from "../proofs/groth16/verify.ts";
import { type Halo2Key, readHalo2Key } from "../proofs/halo2/verify.ts";
import { HALO2_PACKAGES, resolveHalo2 } from "../proofs/halo2/wasm.ts";
import { PICKLES_PACKAGES, resolveO1js } from "../proofs/pickles/o1js.ts";
import { type PicklesKey, readPicklesKey } from "../proofs/pickles/verify.ts";
import { STARK_PACKAGES } from "../proofs/stark/genstark.ts";
import { readStarkKey, type StarkKey } from "../proofs/stark/verify.ts";
import { VERIFIER_PACKAGES } from "../proofs/ultrahonk/bb.ts";
import { readUltraHonkKey, type UltraHonkKey } from "../proofs/ultrahonk/verify.ts";

/** A key's own bytes, and the system of the stages that name it. */
export interface KeyBytes {
  readonly system: string;
  readonly bytes: Uint8Array;
}

export type StageKey =
  | { readonly family: "shard"; readonly key: VerifyingKey }
  | { readonly family: "sp1"; readonly key: Sp1Groth16Key }
  | { readonly family: "sp1-plonk"; readonly key: Sp1PlonkKey }
  | { readonly family: "risc0"; readonly key: Risc0Key }
  | { readonly family: "module"; readonly key: WasmKey }
  | { readonly family: "ultrahonk"; readonly key: UltraHonkKey }
  | { readonly family: "stark"; readonly key: StarkKey }
  | { readonly family: "halo2"; readonly key: Halo2Key }
  | { readonly family: "pickles"; readonly key: PicklesKey };

const KEYED: ReadonlySet<string> = new Set([
  "groth16-shard",
  "groth16-batch",
  "sp1-groth16",
  "sp1-plonk",
  "risc0-groth16",
  "sp1-hypercube",
  "wasm",
  "ultrahonk-shard",
  "stark-shard",
  "halo2-shard",
  "pickles-shard",
  "pickles-merge",
]);

/** Whether proofs of the system are verified by a key; `mock` proves nothing and needs none. */
export function hasKey(system: string): boolean {
  return KEYED.has(system);
}

/** Throws for a key that is unsound or of another system: the configuration is wrong. */
export function readKey({ system, bytes }: KeyBytes): StageKey {
  switch (system) {
    case "sp1-groth16":
      return { family: "sp1", key: readSp1Groth16Key(bytes) };
    case "sp1-plonk":
      return { family: "sp1-plonk", key: readSp1PlonkKey(bytes) };
    case "risc0-groth16":
      return { family: "risc0", key: readRisc0Key(bytes) };
    case "sp1-hypercube":
      return { family: "module", key: readHypercubeKey(bytes) };
    case "wasm":
      return { family: "module", key: readWasmKey(bytes) };
    case "ultrahonk-shard":
      return { family: "ultrahonk", key: readUltraHonkKey(bytes) };
    case "stark-shard":
      return { family: "stark", key: readStarkKey(bytes) };
    case "halo2-shard":
      return { family: "halo2", key: readHalo2Key(bytes) };
    case "pickles-shard":
    case "pickles-merge":
      return { family: "pickles", key: readPicklesKey(bytes) };
    default:
      return { family: "shard", key: readVerifyingKey(bytes) };
  }
}

/** Optional packages that a system's verifier is made of, as npm takes them; the verifiers of Groth16 are our own. */
function verifierPackages(system: string): readonly string[] {
  switch (system) {
    case "ultrahonk-shard":
      return VERIFIER_PACKAGES;
    case "stark-shard":
      return STARK_PACKAGES;
    case "sp1-hypercube":
      return [`${HYPERCUBE_PACKAGE}@${HYPERCUBE_VERSION}`];
    case "halo2-shard":
      return HALO2_PACKAGES;
    case "pickles-shard":
    case "pickles-merge":
      return PICKLES_PACKAGES;
    default:
      return [];
  }
}

/** Packages without which no proof of the system can be verified here, of those that are not installed. */
export function missingPackages(
  system: string,
  resolve: (name: string) => unknown = resolvePackage,
): readonly string[] {
  return verifierPackages(system).filter((spec) => {
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
  if (name === "o1js") return resolveO1js();
  if (HALO2_PACKAGES[0]?.startsWith(`${name}@`) === true) return resolveHalo2();
  return createRequire(import.meta.url).resolve(name);
}
