import type { ProofSystem } from "../system.ts";
import { readRisc0Key, type Risc0Key, verifyRisc0 } from "./groth16.ts";

export const RISC0_GROTH16: ProofSystem<Risc0Key> = {
  name: "risc0-groth16",
  library: "code of our own over @noble/curves",
  // A STARK inside, but what is verified is the Groth16 proof around it.
  family: "groth16",
  payee: "none",
  packages: [],
  binds: "SHA-256 of the journal, in the claim's digest",
  proofBytes: 260,
  circuit: "risc0",
  readKey: readRisc0Key,
  verifier: { verify: (key, { values, proof }) => verifyRisc0(key, values, proof) },
};
