import type { ProofSystem } from "../system.ts";
import { STARK_PACKAGES } from "./genstark.ts";
import { createStarkProver, EXPERIMENTAL } from "./prover.ts";
import { createStarkVerifier, readStarkKey, type StarkKey } from "./verify.ts";

const verifier = createStarkVerifier();

export const STARK_SHARD: ProofSystem<StarkKey> = {
  name: "stark-shard",
  library: "genSTARK, experimental",
  family: "stark",
  payee: "context",
  packages: STARK_PACKAGES,
  binds: "assertions about the trace",
  proofBytes: null,
  circuit: "stark",
  readKey: readStarkKey,
  verifier: {
    load: (key) => verifier.load(key),
    verify: (key, { values, proof }) => verifier.verify(key, values, proof),
  },
  proving: {
    kind: "stark",
    key: "stark",
    keyFile: "shard.stark.json",
    files: ["shard.stark.json"],
    open: (options) => [createStarkProver(options)],
  },
  note: { code: "prover.experimental", text: EXPERIMENTAL, when: "verified" },
};
