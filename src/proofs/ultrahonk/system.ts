import { ONE_PARTY_SETUP } from "../groth16/prover.ts";
import type { ProofSystem } from "../system.ts";
import { VERIFIER_PACKAGES } from "./bb.ts";
import { createUltraHonkProver } from "./prover.ts";
import { createUltraHonkVerifier, PROOF_BYTES, readUltraHonkKey, type UltraHonkKey } from "./verify.ts";

const verifier = createUltraHonkVerifier();

export const ULTRAHONK_SHARD: ProofSystem<UltraHonkKey> = {
  name: "ultrahonk-shard",
  library: "Barretenberg (@aztec/bb.js)",
  family: "plonkish",
  payee: "context",
  packages: VERIFIER_PACKAGES,
  binds: "the public inputs of the circuit",
  proofBytes: PROOF_BYTES,
  circuit: "ultrahonk",
  readKey: readUltraHonkKey,
  verifier: {
    load: (key) => verifier.load(key),
    verify: (key, { values, proof }) => verifier.verify(key, values, proof),
  },
  proving: {
    kind: "ultrahonk",
    key: "ultrahonk",
    keyFile: "shard.honk.vkey",
    files: ["shard.noir.json", "shard.crs", "shard.honk.vkey"],
    open: (options) => [createUltraHonkProver(options)],
  },
  note: { code: "prover.setup", text: ONE_PARTY_SETUP, when: "package-keys" },
};
