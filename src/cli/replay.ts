/** Runs one task from its replay bundle: the configured prover, then the verifier, and no network. */
import { hexToBytes } from "@noble/hashes/utils.js";
import { readConfig } from "../config.ts";
import { openProver, openVerifier, readManifestFile, type ReplayBundle } from "../node.ts";
import type { Done, Preparation, ProveEvent, ProveJob, Prover, Verifier } from "../ports.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { groupOf, partsOf, rowsOf, stagesOf, takenGroups } from "../protocol/workflow.ts";
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

type Verdict = { readonly valid: true } | { readonly valid: false; readonly code: string };

/** Throws what the prover failed with, under `replay.*`, or why its proof does not verify. */
export async function replay(bundle: ReplayBundle, { network, config, read }: ReplayOptions): Promise<Replayed> {
  const manifest = readManifestFile(network);
  if (manifest.network !== bundle.network)
    throw new CommandError(
      "replay.other-network",
      `it is of network ${bundle.network}; the manifest is ${manifest.network}`,
    );
  const { provers: configs } = readConfig(config, process.env, {});
  const provers = configs.flatMap((each) => openProver(each, 1, manifest));
  const prover = provers.find(({ system }) => system === bundle.executor);
  const verifier = openVerifier(manifest, 1);
  try {
    if (prover === undefined) {
      const allowed = provers.map(({ system }) => system).join(", ");
      throw new CommandError(
        "config.provers",
        `the task is made by ${bundle.executor}; the configured provers make ${allowed === "" ? "none" : allowed}`,
      );
    }
    return await run(manifest, bundle, read, prover, verifier);
  } finally {
    await Promise.all([verifier.close(), ...provers.map((each) => each.close())]);
  }
}

async function run(
  manifest: Manifest,
  bundle: ReplayBundle,
  read: (hash: string) => Uint8Array,
  prover: Prover,
  verifier: Verifier,
): Promise<Replayed> {
  const { chain, height, block, hash, parent, index, items, system, key } = bundle;
  const stages = stagesOf(manifest, bundle.workflow, items) ?? [];
  const stage = stages.find(({ name }) => name === bundle.stage);
  if (stage === undefined || index >= stage.count)
    throw new CommandError("replay.values", `the manifest has no task ${index} of stage ${bundle.stage}`);
  const payload = read(bundle.payload.artefact);
  const before = bundle.start || bundle.before === null ? null : hexToBytes(bundle.before);
  const prepared = await settled<Preparation & { readonly before: Uint8Array }>((done) =>
    verifier.prepare({ chain, height, block, hash, parent, items, payload, before, stages: rowsOf(stages) }, done),
  );
  const values = prepared.values[stage.name]?.[index];
  if (values === undefined)
    throw new CommandError("replay.values", `the block implies nothing for task ${index} of stage ${stage.name}`);
  const inputs = bundle.inputs.map(({ artefact }) => read(artefact));
  const parts = partsOf(stages, stage, index, prepared.values);
  const taken = takenGroups(stages, stage, groupOf(stage, index));
  const needed = taken.reduce((sum, { stage: { need }, groups }) => sum + need * groups.length, 0);
  if (inputs.length !== needed)
    throw new CommandError("replay.inputs", `the bundle has ${inputs.length} inputs; the task takes ${needed}`);
  const attempt = (bundle.failures.at(-1)?.attempt ?? -1) + 1;
  const id = { chain, height, block, hash, stage: stage.name, index };
  const place = { group: groupOf(stage, index), shards: stage.shards };
  const job = { id, attempt, system, key, payload, before: prepared.before, values, ...place, inputs };
  const { proof, provingMs } = await proven(prover, job);
  const verdict = await settled<Verdict>((done) => verifier.verify({ system, key, values, parts, proof }, done));
  if (!verdict.valid) throw new CommandError("replay.invalid", `the proof does not verify: ${verdict.code}`);
  return { system, bytes: proof.length, provingMs };
}

function proven(prover: Prover, job: ProveJob): Promise<Extract<ProveEvent, { kind: "proved" }>> {
  return new Promise((resolve, reject) => {
    prover.prove(job, (event) => {
      if (event.kind === "proved") resolve(event);
      if (event.kind !== "failed") return;
      const { code, message } = event.fault;
      const where = event.logical ? "the input" : "this machine";
      reject(new CommandError("replay.failed", `${where} fails with ${code}: ${message}`));
    });
  });
}

function settled<T>(ask: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((result) =>
      result.ok ? resolve(result.value) : reject(new CommandError(result.fault.code, result.fault.message)),
    );
  });
}
