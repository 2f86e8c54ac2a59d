/** The manifest of the simulated network. */
import type { Key } from "../../src/protocol/ids.ts";
import { type Manifest, type ManifestJson, readManifest } from "../../src/protocol/manifest.ts";
import { describeShapeError } from "../../src/protocol/shape.ts";

export const CHAIN = 1;
export const SYSTEM = "sim";

export interface NetworkShape {
  readonly nodes: number;
  readonly attesters: number;
  /** Provers that are on nobody's list and come later. */
  readonly joiners: number;
  readonly shards: number;
  readonly window: number;
}

/** What all simulated nodes agree on. The first `attesters` nodes attest and follow the chain; all prove. */
export function manifestOf(options: NetworkShape, keys: readonly Key[]): Manifest {
  const verifyingKey = "c2lt";
  const attesters = keys.slice(0, options.attesters);
  const stage = { system: SYSTEM, key: "sim", leaseMs: 2000, limitMs: 20_000 };
  const json: ManifestJson = {
    format: 1,
    name: "virtual",
    attesters: attesters.map((key) => ({ key, weight: 1 })),
    sources: attesters,
    provers: {
      admission: options.joiners > 0 ? "open" : "list",
      list: keys.slice(0, options.nodes).map((key) => ({ key, slots: 2, weight: 1 })),
    },
    chains: [{ id: CHAIN, start: 1, confirmations: 0, workflow: "block" }],
    workflows: {
      block: {
        window: options.window,
        stages: [
          { name: "shard", ...stage, tasks: { shards: options.shards, itemsMax: 8 } },
          { name: "aggregate", ...stage, tasks: { takes: "shard" } },
        ],
      },
    },
    keys: { sim: { system: SYSTEM, verifyingKey, files: {} } },
    timing: { claimWindowMs: 500, claimWindowMsMax: 4000, heartbeatMs: 500, leaseMs: 2000, syncMs: 1000 },
    limits: { proofBytesMax: 1 << 20, claimsPerSlotMax: 8, retentionBlocks: 16 },
    bootstrap: [],
  };
  const read = readManifest(json);
  if (!read.ok) throw new Error(read.errors.map((error) => describeShapeError(error, "manifest")).join("\n"));
  return read.value;
}
