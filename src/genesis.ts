/** Makes the manifest of a new network. What it decides for its user is here and nowhere else. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SHARD_ITEMS_MAX } from "./protocol/ethereum.ts";
import { artefactHash, type Key } from "./protocol/ids.ts";
import type { Fragment } from "./protocol/fragment.ts";
import type { ManifestJson } from "./protocol/manifest.ts";
import { variantsOf } from "./protocol/stages.ts";

export type SystemName = "groth16" | "ultrahonk" | "stark" | "halo2" | "pickles" | "mock";

export interface GenesisOptions {
  readonly name: string;
  readonly attesters: readonly Key[];
  readonly sources: readonly Key[];
  readonly provers: readonly { readonly key: Key; readonly slots: number; readonly weight: number }[];
  readonly admission: "open" | "list";
  readonly chains: ManifestJson["chains"];
  /** Left out, all chains and attesters are one. */
  readonly partitions?: ManifestJson["partitions"];
  /** Tasks of a block that run side by side, at least. */
  readonly shards: number;
  readonly window: number;
  /** The largest proof that the network takes; `PROOF_BYTES` if left out. */
  readonly proofBytesMax?: number;
  /** All but `mock` prove for real with what comes with the package; `mock` proves nothing and is for experiments. */
  readonly system: SystemName;
  /** Workflows and keys in place of the usual ones; keys that it names and does not have are the package's. */
  readonly fragment?: Fragment;
  readonly bootstrap: readonly string[];
}

/** Where the keys that come with the package are. */
export const PACKAGE_KEYS: string = fileURLToPath(new URL("../config/keys", import.meta.url));

/** Of each proof system that comes with the package: the file of its verifying key, and what a prover needs. */
export const SYSTEM_FILES: Readonly<Record<string, { readonly key: string; readonly proving: readonly string[] }>> = {
  "groth16-shard": { key: "shard.vkey.json", proving: ["shard.wasm", "shard.zkey"] },
  "ultrahonk-shard": { key: "shard.honk.vkey", proving: ["shard.noir.json", "shard.crs", "shard.honk.vkey"] },
  "stark-shard": { key: "shard.stark.json", proving: ["shard.stark.json"] },
  "halo2-shard": { key: "shard.halo2.vkey", proving: ["shard.crs", "shard.lagrange", "shard.halo2.vkey"] },
  "pickles-shard": { key: "shard.pickles.json", proving: ["shard.pickles.json"] },
};

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
/** The largest proofs that zkVMs make are compressed STARKs of one to two megabytes. */
export const PROOF_BYTES: number = 4 * 1024 * 1024;

export function genesis(options: GenesisOptions, keysDir: string = PACKAGE_KEYS): ManifestJson {
  const own = options.fragment ?? {
    workflows: {
      block: {
        window: options.window,
        stages: stages(options),
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
    ...(options.partitions === undefined ? {} : { partitions: options.partitions }),
    workflows: own.workflows,
    keys: usedKeys(own, keysDir),
    timing: TIMING,
    limits: {
      proofBytesMax: options.proofBytesMax ?? PROOF_BYTES,
      claimsPerSlotMax: CLAIMS_PER_SLOT,
      retentionBlocks: RETENTION_BLOCKS,
    },
    bootstrap: [...options.bootstrap],
  };
}

/** Shards side by side. Where their system can check many proofs as one, a task that takes them all follows. */
function stages({ system, shards }: GenesisOptions): ManifestJson["workflows"][string]["stages"] {
  const { shard: shardKey, aggregate } = STAGE_KEYS[system];
  const stage = (name: string, { system: by, key }: StageKey, tasks: Tasks) => {
    return { name, system: by, key, tasks, limitMs: LIMIT_MS };
  };
  const first = stage("shard", shardKey, { shards, itemsMax: SHARD_ITEMS_MAX });
  return aggregate === undefined ? [first] : [first, stage("aggregate", aggregate, { takes: "shard" })];
}

type Tasks = ManifestJson["workflows"][string]["stages"][number]["tasks"];

interface StageKey {
  readonly system: string;
  /** Its name among `packageKeys`. */
  readonly key: string;
}

const MOCK: StageKey = { system: "mock", key: "mock" };

const STAGE_KEYS: Readonly<Record<SystemName, { readonly shard: StageKey; readonly aggregate?: StageKey }>> = {
  groth16: { shard: { system: "groth16-shard", key: "shard" }, aggregate: { system: "groth16-batch", key: "batch" } },
  ultrahonk: { shard: { system: "ultrahonk-shard", key: "ultrahonk" } },
  stark: { shard: { system: "stark-shard", key: "stark" } },
  halo2: { shard: { system: "halo2-shard", key: "halo2" } },
  pickles: {
    shard: { system: "pickles-shard", key: "pickles" },
    aggregate: { system: "pickles-merge", key: "pickles-merge" },
  },
  mock: { shard: MOCK, aggregate: MOCK },
};

/** The keys that workflows name: their own, or those that come with the package. */
function usedKeys({ workflows, keys }: Fragment, keysDir: string): ManifestJson["keys"] {
  const known = { ...packageKeys(keysDir), ...keys };
  const used = new Set(
    Object.values(workflows)
      .flatMap(({ stages: each }) => each.flatMap(variantsOf))
      .map(({ key }) => key),
  );
  return Object.fromEntries(Object.entries(known).filter(([name]) => used.has(name)));
}

/** What a file of workflows may name without having it. */
export function packageKeys(keysDir: string = PACKAGE_KEYS): ManifestJson["keys"] {
  const shards = Object.values(STAGE_KEYS).flatMap(({ shard: { system, key } }) => {
    const known = SYSTEM_FILES[system];
    if (known === undefined || !existsSync(join(keysDir, known.key))) return [];
    const verifyingKey = readFileSync(join(keysDir, known.key)).toString("base64");
    return [[key, { system, verifyingKey, files: provingFiles(keysDir, known.proving) }] as const];
  });
  const found: ManifestJson["keys"] = Object.fromEntries(shards);
  const { shard, pickles } = found;
  return {
    mock: { system: "mock", verifyingKey: "bW9jaw==", files: {} },
    ...found,
    // The aggregation is checked under the shards' own key: it is their proofs, verified in one batch.
    // Shards and merged proofs have one circuit with two rules, and so one key.
    ...(pickles === undefined ? {} : { "pickles-merge": { ...pickles, system: "pickles-merge", files: {} } }),
    ...(shard === undefined ? {} : { batch: { ...shard, system: "groth16-batch", files: {} } }),
  };
}

function provingFiles(keysDir: string, names: readonly string[]): ManifestJson["keys"][string]["files"] {
  return Object.fromEntries(
    names.map((name) => {
      const bytes = readFileSync(join(keysDir, name));
      return [name, { hash: artefactHash(bytes), bytes: bytes.length }];
    }),
  );
}
