/** Makes the manifest of a new network. What it decides for its user is here and nowhere else. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SHARD_ITEMS_MAX } from "./protocol/ethereum.ts";
import { artefactHash, type Key } from "./protocol/ids.ts";
import type { Fragment } from "./protocol/fragment.ts";
import type { ManifestJson } from "./protocol/manifest.ts";
import { variantsOf } from "./protocol/stages.ts";
import type { Proving } from "./proofs/system.ts";
import { PROVING_SYSTEMS } from "./proofs/table.ts";

export type SystemName = Proving["kind"] | "mock";

/** What `init --system` takes. */
export const SYSTEM_NAMES: readonly Proving["kind"][] = PROVING_SYSTEMS.map(({ proving }) => proving.kind);

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
  const { shard: shardKey, aggregate } = stageKeys(system);
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

function stageKeys(kind: SystemName): { readonly shard: StageKey; readonly aggregate?: StageKey } {
  const known = PROVING_SYSTEMS.find(({ proving }) => proving.kind === kind);
  if (known === undefined) return { shard: MOCK, aggregate: MOCK };
  const { key, aggregate } = known.proving;
  return { shard: { system: known.name, key }, ...(aggregate === undefined ? {} : { aggregate }) };
}

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
  const found = PROVING_SYSTEMS.flatMap(({ name: system, proving: { key, keyFile, files, aggregate } }) => {
    if (!existsSync(join(keysDir, keyFile))) return [];
    const verifyingKey = readFileSync(join(keysDir, keyFile)).toString("base64");
    const own = [key, { system, verifyingKey, files: provingFiles(keysDir, files) }] as const;
    // What puts shards together is verified under their own key.
    return aggregate === undefined
      ? [own]
      : [own, [aggregate.key, { system: aggregate.system, verifyingKey, files: {} }] as const];
  });
  return { mock: { system: "mock", verifyingKey: "bW9jaw==", files: {} }, ...Object.fromEntries(found) };
}

function provingFiles(keysDir: string, names: readonly string[]): ManifestJson["keys"][string]["files"] {
  return Object.fromEntries(
    names.map((name) => {
      const bytes = readFileSync(join(keysDir, name));
      return [name, { hash: artefactHash(bytes), bytes: bytes.length }];
    }),
  );
}
