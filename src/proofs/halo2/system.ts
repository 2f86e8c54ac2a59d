import type { ProofSystem } from "../system.ts";
import { createHalo2Prover } from "./prover.ts";
import { createHalo2Verifier, type Halo2Key, PROOF_BYTES, readHalo2Key } from "./verify.ts";
import { HALO2_PACKAGES, resolveHalo2 } from "./wasm.ts";

const verifier = createHalo2Verifier();

export const HALO2_SHARD: ProofSystem<Halo2Key> = {
  name: "halo2-shard",
  library: "Axiom's Halo2",
  // Another library than UltraHonk's, but the same commitments under the same setup.
  family: "plonkish",
  payee: "context",
  packages: HALO2_PACKAGES,
  resolve: resolveHalo2,
  binds: "the public inputs of the circuit",
  proofBytes: PROOF_BYTES,
  circuit: "halo2",
  readKey: readHalo2Key,
  verifier: {
    load: (key) => verifier.load(key),
    verify: (key, { values, proof }) => verifier.verify(key, values, proof),
  },
  proving: {
    kind: "halo2",
    key: "halo2",
    keyFile: "shard.halo2.vkey",
    files: ["shard.crs", "shard.lagrange", "shard.halo2.vkey"],
    open: (options) => [createHalo2Prover(options)],
  },
};
