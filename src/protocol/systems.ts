import type { Statement } from "./statement.ts";

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
  "sp1-plonk": "plonkish",
  "sp1-hypercube": "stark",
  "risc0-groth16": "groth16",
  "ultrahonk-shard": "plonkish",
  // Other libraries, but the same commitments under the same setup.
  "halo2-shard": "plonkish",
  "stark-shard": "stark",
  "pickles-shard": "ipa",
  "pickles-merge": "ipa",
};

/**
 * Where the proofs of a system name their maker. `context`: the last public value of the shard circuits is a hash that
 * the circuit does not compute, so any prover's key fits in. `digest`: the values are one hash. `none`: the values say
 * nothing of the maker, so a copy of a proof is as good as the proof.
 */
export type Payee = "context" | "digest" | "none";

const PAYEES: Readonly<Record<string, Payee>> = {
  "groth16-shard": "context",
  "ultrahonk-shard": "context",
  "halo2-shard": "context",
  "stark-shard": "context",
  "pickles-shard": "context",
  // The merged proof has a context of its own; the circuit ignores those of the proofs in it.
  "pickles-merge": "context",
  // A list of proofs, each with its maker; anybody can put them together.
  "groth16-batch": "none",
  // The program's public values are fixed by whoever wrote it.
  "sp1-groth16": "none",
  "sp1-plonk": "none",
  "sp1-hypercube": "none",
  wasm: "none",
  "risc0-groth16": "none",
  // Stand-ins for such programs.
  "mock-anonymous": "none",
  "sim-anonymous": "none",
};

/** Systems that prove nothing, for development and for the simulator: any number of each, told apart by what follows. */
const SIMULATED = /^(mock|sim)(-|$)/;

/** Only the values of `shard-fold` have room for a prover: any other statement says the same for everybody. */
export function payeeOf(system: string, statement: Statement = "shard-fold"): Payee {
  if (statement !== "shard-fold") return "none";
  if (Object.hasOwn(PAYEES, system)) return PAYEES[system] ?? "none";
  return SIMULATED.test(system) ? "digest" : "none";
}

/** Whether a system is a circuit of this repository, which proves `shard-fold` and nothing else. */
export function isOwnCircuit(system: string): boolean {
  return system === "groth16-batch" || (Object.hasOwn(PAYEES, system) && PAYEES[system] === "context");
}

/** The family of a proof system; one that is not listed is a family of its own, under its own name. */
export function familyOf(system: string): string {
  return Object.hasOwn(FAMILIES, system) ? (FAMILIES[system] ?? system) : system;
}
