/** Runs one task from its replay bundle: the configured prover, then the verifier, and no network. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { readConfig } from "../config.ts";
import { type Made, openWorkbench, outputOf, readManifestFile, type ReplayBundle, type Workbench } from "../node.ts";
import { chainIdOf, type Manifest } from "../protocol/manifest.ts";
import { NOBODY } from "../protocol/payee.ts";
import { partitionOfChain } from "../protocol/partition.ts";
import { groupOf, rowsOf, stagesOf, takenGroups } from "../protocol/workflow.ts";
import { CommandError } from "./exit.ts";

export interface Replayed {
  readonly system: string;
  readonly bytes: number;
  readonly provingMs: number;
}

export interface ReplayOptions {
  readonly network: string;
  readonly config: string | undefined;
  /** An artefact by its hash. */
  readonly read: (hash: string) => Uint8Array;
}

/** Throws what the prover failed with, under `replay.*`, or why its proof does not verify. */
export async function replay(bundle: ReplayBundle, { network, config, read }: ReplayOptions): Promise<Replayed> {
  const whole = readManifestFile(network);
  const manifest = partitionOfChain(whole, bundle.chain)?.manifest ?? whole;
  if (manifest.network !== bundle.network)
    throw new CommandError(
      "replay.other-network",
      `it is of network ${bundle.network}; the manifest is ${manifest.network}`,
    );
  const workbench = await openWorkbench(manifest, readConfig(config, process.env, {}));
  try {
    workbench.prover(bundle.executor);
    const { system, proof, provingMs } = await run(manifest, bundle, read, workbench);
    return { system, bytes: proof.length, provingMs };
  } finally {
    await workbench.close();
  }
}

async function run(
  manifest: Manifest,
  bundle: ReplayBundle,
  read: (hash: string) => Uint8Array,
  workbench: Workbench,
): Promise<Made> {
  const { chain, height, block, hash, parent, index, items } = bundle;
  const stages = stagesOf(manifest, bundle.workflow, items) ?? [];
  const stage = stages.find(({ name }) => name === bundle.stage);
  if (stage === undefined || index >= stage.count)
    throw new CommandError("replay.values", `the manifest has no task ${index} of stage ${bundle.stage}`);
  const payload = read(bundle.payload.artefact);
  const before = bundle.start || bundle.before === null ? null : hexToBytes(bundle.before);
  const range = manifest.json.workflows[bundle.workflow]?.range ?? 1;
  const chainId = chainIdOf(manifest, chain);
  const of = { chain, chainId, height, block, hash, parent, items, payload, range, before, stages: rowsOf(stages) };
  const prepared = await workbench.prepare(of);
  const inputs = bundle.inputs.map(({ artefact, item }) => outputOf(read(artefact), item));
  const counts = new Map(Object.entries(bundle.counts));
  const taken = takenGroups(stages, stage, groupOf(stage, index), counts);
  const needed = taken.reduce((sum, { stage: { need }, groups }) => sum + need * groups.length, 0);
  const isChosen = taken.some(({ stage: { custom } }) => custom !== null);
  if (isChosen ? inputs.length < needed : inputs.length !== needed)
    throw new CommandError("replay.inputs", `the bundle has ${inputs.length} inputs; the task takes ${needed}`);
  const attempt = (bundle.failures.at(-1)?.attempt ?? -1) + 1;
  const makers = bundle.inputs.map(({ maker }) => maker ?? NOBODY);
  return workbench.make(of, stages, { stage, index, attempt, makers }, { ...prepared, counts }, inputs);
}
