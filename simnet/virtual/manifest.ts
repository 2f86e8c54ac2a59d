/** The manifest of the simulated network. */
import type { Key } from "../../src/protocol/ids.ts";
import type { Fragment } from "../../src/protocol/fragment.ts";
import { type Manifest, type ManifestJson, readManifest } from "../../src/protocol/manifest.ts";
import { variantsOf } from "../../src/protocol/stages.ts";
import { describeShapeError } from "../../src/protocol/shape.ts";

export const CHAIN = 1;
/** No source follows this one: operators hand its blocks in. */
export const HANDED_CHAIN = 2;
/** Proof systems of families of their own; a network that needs only one uses the first. */
export const SYSTEMS = ["sim", "sim-two", "sim-three"] as const;

export interface NetworkShape {
  readonly nodes: number;
  readonly attesters: number;
  /** Whether attesters leave the proving to the other nodes. */
  readonly attestersOnlyAttest?: boolean;
  /** Provers that are on nobody's list and come later. */
  readonly joiners: number;
  readonly shards: number;
  /** Each shard is proven in three proof systems, of which two are enough; each node lacks one of them. */
  readonly families?: boolean;
  /** Aggregates have a statement of their own, which names no prover. */
  readonly stated?: boolean;
  readonly window: number;
  /** Runs of blocks may start at any height. */
  readonly anyStart?: boolean;
  readonly retentionBlocks: number;
  /** There is a second chain, whose blocks operators hand in. */
  readonly handed?: boolean;
  /** Blocks are proven by this instead. */
  readonly workflow?: Fragment;
}

/** Of each proof system that a workflow names: which key it is does not matter where all proofs are simulated. */
function keysOf(workflow: Fragment | undefined): ManifestJson["keys"] {
  const stages = Object.values(workflow?.workflows ?? {}).flatMap((each) => each.stages);
  const proven = stages.flatMap(variantsOf).filter(({ key }) => key !== "");
  return Object.fromEntries(proven.map(({ key, system }) => [key, { system, verifyingKey: "c2lt", files: {} }]));
}

/** What all simulated nodes agree on. The first `attesters` nodes attest and follow the chain; all prove, unless attesters only attest. */
export function manifestOf(options: NetworkShape, keys: readonly Key[]): Manifest {
  const verifyingKey = "c2lt";
  const attesters = keys.slice(0, options.attesters);
  const times = { leaseMs: 2000, limitMs: 20_000 };
  const stage = { system: SYSTEMS[0], key: SYSTEMS[0], ...times };
  const variants = SYSTEMS.map((system) => ({ system, key: system }));
  const proven = options.families ? { ...times, variants, collect: { any: 2, of: "families" as const } } : { ...stage };
  const stated = options.stated === true ? { statement: "block-hash" as const } : {};
  const handed = options.handed === true && options.workflow === undefined;
  const whole = { name: "whole", ...stage };
  const json: ManifestJson = {
    format: 1,
    name: "virtual",
    attesters: attesters.map((key) => ({ key, weight: 1 })),
    sources: attesters,
    provers: {
      admission: options.joiners > 0 ? "open" : "list",
      list: keys
        .slice(options.attestersOnlyAttest ? options.attesters : 0, options.nodes)
        .map((key) => ({ key, slots: 2, weight: 1 })),
    },
    chains: [
      { id: CHAIN, start: options.anyStart === true ? "any" : 1, confirmations: 0, workflow: "block" },
      ...(handed ? [{ id: HANDED_CHAIN, start: 1, confirmations: 0, workflow: "handed" }] : []),
    ],
    workflows: options.workflow?.workflows ?? {
      ...(handed
        ? { handed: { window: options.window, stages: [{ ...whole, tasks: { shards: 1, itemsMax: 8 } }] } }
        : {}),
      block: {
        window: options.window,
        stages: [
          { name: "shard", ...proven, tasks: { shards: options.shards, itemsMax: 8 } },
          { name: "aggregate", ...stage, ...stated, tasks: { takes: "shard" } },
        ],
      },
    },
    keys: {
      ...Object.fromEntries(SYSTEMS.map((system) => [system, { system, verifyingKey, files: {} }])),
      ...keysOf(options.workflow),
    },
    timing: { claimWindowMs: 500, claimWindowMsMax: 4000, heartbeatMs: 500, leaseMs: 2000, syncMs: 1000 },
    // A run lasts minutes, and hostile provers may have several turns before an honest one has its own.
    retry: { pauseMs: 2_000, pauseMsMax: 8_000 },
    limits: { proofBytesMax: 1 << 20, claimsPerSlotMax: 8, retentionBlocks: options.retentionBlocks },
    bootstrap: [],
  };
  const read = readManifest(json);
  if (!read.ok) throw new Error(read.errors.map((error) => describeShapeError(error, "manifest")).join("\n"));
  return read.value;
}
