/**
 * Which proof systems fail together. `any k of n` counts families and not names: what shares its mathematics, its library
 * or its setup shares its mistakes.
 */
export type Family = "groth16" | "plonkish" | "stark" | "ipa";

const FAMILIES: Readonly<Record<string, Family>> = {
  "groth16-shard": "groth16",
  "groth16-batch": "groth16",
  // A STARK inside, but what is checked is the Groth16 proof around it.
  "sp1-groth16": "groth16",
  "ultrahonk-shard": "plonkish",
  // Other libraries, but the same commitments under the same setup.
  "halo2-shard": "plonkish",
  "stark-shard": "stark",
  "pickles-shard": "ipa",
  "pickles-merge": "ipa",
};

/** The family of a proof system; one that is not listed is a family of its own, under its own name. */
export function familyOf(system: string): string {
  return Object.hasOwn(FAMILIES, system) ? (FAMILIES[system] ?? system) : system;
}
