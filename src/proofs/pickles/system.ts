import type { ProofSystem } from "../system.ts";
import { PICKLES_PACKAGES, resolveO1js } from "./o1js.ts";
import { createPicklesProvers } from "./prover.ts";
import { createPicklesVerifier, type PicklesKey, type PicklesVerifier, readPicklesKey } from "./verify.ts";

/** Of this thread; it also has the hash that the circuit's commitment is made of. */
export const PICKLES_VERIFIER: PicklesVerifier = createPicklesVerifier();

/** Shards, and what they are merged into, state the same of more or fewer items. */
const BOTH = {
  library: "o1js",
  family: "ipa",
  payee: "context",
  packages: PICKLES_PACKAGES,
  resolve: resolveO1js,
  binds: "the public inputs of the circuit",
  proofBytes: null,
  circuit: "pickles",
  readKey: readPicklesKey,
  verifier: {
    load: (key: PicklesKey) => PICKLES_VERIFIER.load(key),
    verify: (key: PicklesKey, { values, proof }: { readonly values: Uint8Array; readonly proof: Uint8Array }) =>
      PICKLES_VERIFIER.verify(key, values, proof),
  },
} as const;

export const PICKLES_SHARD: ProofSystem<PicklesKey> = {
  ...BOTH,
  name: "pickles-shard",
  proving: {
    kind: "pickles",
    key: "pickles",
    keyFile: "shard.pickles.json",
    files: ["shard.pickles.json"],
    aggregate: { system: "pickles-merge", key: "pickles-merge" },
    open: createPicklesProvers,
  },
};

export const PICKLES_MERGE: ProofSystem<PicklesKey> = { ...BOTH, name: "pickles-merge" };
