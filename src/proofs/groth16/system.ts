import { PROOF_BYTES, type VerifyingKey } from "../bn254/equation.ts";
import type { ProofSystem } from "../system.ts";
import { createBatchProver } from "./batch.ts";
import { createGroth16Prover, ONE_PARTY_SETUP } from "./prover.ts";
import { readVerifyingKey, verifyBatch, verifyOne } from "./verify.ts";

const LIBRARY = "code of our own over @noble/curves";

/** Shards of a block. */
export const GROTH16_SHARD: ProofSystem<VerifyingKey> = {
  name: "groth16-shard",
  library: LIBRARY,
  family: "groth16",
  payee: "context",
  packages: [],
  binds: "the public inputs of the circuit",
  proofBytes: PROOF_BYTES,
  circuit: "groth16",
  readKey: readVerifyingKey,
  verifier: { verify: (key, { values, proof }) => verifyOne(key, values, proof) },
  proving: {
    kind: "groth16",
    key: "shard",
    keyFile: "shard.vkey.json",
    files: ["shard.wasm", "shard.zkey"],
    aggregate: { system: "groth16-batch", key: "batch" },
    open: (options) => [createGroth16Prover(options), createBatchProver(options)],
  },
  note: { code: "prover.setup", text: ONE_PARTY_SETUP, when: "package-keys" },
};

/** All shards of a block, checked under their own key with one pairing product. */
export const GROTH16_BATCH: ProofSystem<VerifyingKey> = {
  name: "groth16-batch",
  library: LIBRARY,
  family: "groth16",
  // A list of proofs, each with its maker. Anybody can put them together.
  payee: "none",
  packages: [],
  binds: "the public inputs of each proof, and sums over them",
  proofBytes: null,
  circuit: "groth16",
  readKey: readVerifyingKey,
  verifier: { verify: (key, { values, parts, proof }) => verifyBatch(key, values, parts, proof) },
};
