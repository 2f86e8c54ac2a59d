/** Makes the manifest of a new network. What it decides for its user is here and nowhere else. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SHARD_ITEMS_MAX } from "./protocol/ethereum.ts";
import { artefactHash, type Key } from "./protocol/ids.ts";
import type { Fragment } from "./protocol/fragment.ts";
import type { ManifestJson } from "./protocol/manifest.ts";
import { variantsOf } from "./protocol/stages.ts";

export interface GenesisOptions {
  readonly name: string;
  readonly attesters: readonly Key[];
  readonly sources: readonly Key[];
  readonly provers: readonly { readonly key: Key; readonly slots: number; readonly weight: number }[];
  readonly admission: "open" | "list";
  readonly chains: ManifestJson["chains"];
  /** Tasks of a block that run side by side, at least. */
  readonly shards: number;
  readonly window: number;
  /** `groth16` proves for real with the keys that come with the package; `mock` proves nothing and is for experiments. */
  readonly system: "groth16" | "mock";
  /** Workflows and keys in place of the usual ones; keys that it names and does not have are the package's. */
  readonly fragment?: Fragment;
  readonly bootstrap: readonly string[];
}

/** Where the keys that come with the package are. */
export const PACKAGE_KEYS: string = fileURLToPath(new URL("../config/keys", import.meta.url));

/** The files of one circuit that a prover needs; the verifying key is in the manifest itself. */
export const PROVING_FILES: readonly string[] = ["shard.wasm", "shard.zkey"];

/** Heartbeats and leases for blocks every few seconds, after the real-time profile of 12 s slots. */
export const TIMING: ManifestJson["timing"] = {
  claimWindowMs: 500,
  claimWindowMsMax: 4000,
  heartbeatMs: 500,
  leaseMs: 4000,
  syncMs: 2000,
};

/** Proofs of a shard take seconds on one busy core, and a claim may wait behind three others. */
const LIMIT_MS = 120_000;
const CLAIMS_PER_SLOT = 4;
const RETENTION_BLOCKS = 64;

export function genesis(options: GenesisOptions, keysDir: string = PACKAGE_KEYS): ManifestJson {
  const real = options.system === "groth16";
  const stage = (
    name: string,
    system: string,
    key: string,
    tasks: ManifestJson["workflows"][string]["stages"][number]["tasks"],
  ) => ({
    name,
    system: real ? system : "mock",
    key: real ? key : "mock",
    tasks,
    limitMs: LIMIT_MS,
  });
  const own = options.fragment ?? {
    workflows: {
      block: {
        window: options.window,
        stages: [
          stage("shard", "groth16-shard", "shard", { shards: options.shards, itemsMax: SHARD_ITEMS_MAX }),
          stage("aggregate", "groth16-batch", "batch", { takes: "shard" }),
        ],
      },
    },
  };
  return {
    format: 1,
    name: options.name,
    attesters: options.attesters.map((key) => ({ key, weight: 1 })),
    sources: [...options.sources],
    provers: { admission: options.admission, list: [...options.provers] },
    chains: [...options.chains],
    workflows: own.workflows,
    keys: usedKeys(own, keysDir),
    timing: TIMING,
    limits: { proofBytesMax: 1 << 20, claimsPerSlotMax: CLAIMS_PER_SLOT, retentionBlocks: RETENTION_BLOCKS },
    bootstrap: [...options.bootstrap],
  };
}

/** The keys that workflows name: their own, or those that come with the package. */
function usedKeys({ workflows, keys }: Fragment, keysDir: string): ManifestJson["keys"] {
  const known = { ...packageKeys(keysDir), ...keys };
  const used = new Set(
    Object.values(workflows)
      .flatMap(({ stages }) => stages.flatMap(variantsOf))
      .map(({ key }) => key),
  );
  return Object.fromEntries(Object.entries(known).filter(([name]) => used.has(name)));
}

/** What a file of workflows may name without having it. */
export function packageKeys(keysDir: string = PACKAGE_KEYS): ManifestJson["keys"] {
  return { mock: { system: "mock", verifyingKey: "bW9jaw==", files: {} }, ...groth16Keys(keysDir) };
}

/** The aggregation is checked under the shards' own key: it is their proofs, verified in one batch. */
function groth16Keys(keysDir: string): ManifestJson["keys"] {
  const verifyingKey = readFileSync(join(keysDir, "shard.vkey.json")).toString("base64");
  const files = Object.fromEntries(
    PROVING_FILES.map((name) => {
      const bytes = readFileSync(join(keysDir, name));
      return [name, { hash: artefactHash(bytes), bytes: bytes.length }];
    }),
  );
  return {
    shard: { system: "groth16-shard", verifyingKey, files },
    batch: { system: "groth16-batch", verifyingKey, files: {} },
  };
}
