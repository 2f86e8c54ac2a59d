/** `proofmesh prove`: runs a block's tasks on this machine, with the provers and verifiers that a node would use. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bytesToHex } from "@noble/hashes/utils.js";
import { Command } from "commander";
import { readConfig } from "../config.ts";
import {
  listIn,
  type Made,
  nameOf,
  openWorkbench,
  type Prepared,
  type ProvenBlock,
  readManifestFile,
  startId,
  withTaken,
} from "../node.ts";
import { canonicalJson } from "../protocol/shape.ts";
import { artefactHash } from "../protocol/ids.ts";
import { chainIdOf, type Manifest } from "../protocol/manifest.ts";
import { partitionOfChain } from "../protocol/partition.ts";
import { payloadForm, rowsOf, type Stage, stagesOf, variantOf } from "../protocol/workflow.ts";
import { readBlockFile } from "./block.ts";
import { CommandError } from "./exit.ts";
import { whole } from "./flags.ts";

interface Flags {
  readonly network: string;
  readonly config?: string;
  readonly chain?: number;
  readonly task?: string;
  readonly out?: string;
  readonly json?: boolean;
}

const TASK = /^([a-z0-9][a-z0-9._-]{0,31})\/(\d{1,9})$/;

export function proveCommand(): Command {
  return new Command("prove")
    .description(
      "Prove a block's tasks on this machine and verify each proof, without a network: with the provers of --config, as a node with it would. The block is proven as if a run of blocks began with it.",
    )
    .argument(
      "<block>",
      "a JSON file with a block, as eth_getBlockByNumber(n, true) returns it; or with all blocks of a range, one after the other",
    )
    .requiredOption("--network <manifest>", "the network's manifest")
    .option("--config <file>", "a node's configuration, for its provers and verifiers")
    .option("--chain <id>", "the chain (default: the manifest's first)", whole)
    .option("--task <stage/index>", "only this task, and those that it takes")
    .option(
      "--out <dir>",
      "write the block and the proofs, named by their SHA-256, and proofs.json for proofmesh verify",
    )
    .option("--json", "a line of JSON a task")
    .addHelpText(
      "after",
      "\nExamples:\n  $ proofmesh prove block.json --network manifest.json\n  $ proofmesh prove block.json --network manifest.json --config sp1.json --task shard/0 --out proofs\n  $ proofmesh verify proofs/proofs.json --network manifest.json --proofs proofs",
    )
    .action((file: string, flags: Flags) => run(file, flags));
}

interface Run {
  readonly manifest: Manifest;
  readonly workflow: string;
  readonly stages: readonly Stage[];
  readonly wanted: ReadonlySet<string>;
}

async function run(file: string, flags: Flags): Promise<void> {
  const network = readManifestFile(flags.network);
  const config = readConfig(flags.config, process.env, {});
  const { chain, workflow } = chainOf(network, flags.chain);
  const manifest = partitionOfChain(network, chain)?.manifest ?? network;
  const { range = 1 } = manifest.json.workflows[workflow] ?? {};
  const read = await readBlockFile(file, range, payloadForm(manifest, workflow));
  const stages = stagesOf(manifest, workflow, read.items);
  if (stages === null)
    throw new CommandError(
      "usage.file",
      `${file}: a block of ${read.items} items has more tasks than a block may have`,
    );
  const of: Run = { manifest, workflow, stages, wanted: wantedOf(stages, flags.task) };
  const workbench = await openWorkbench(manifest, config);
  try {
    const chainId = chainIdOf(manifest, chain);
    const block = { ...read, chain, chainId, block: startId(read, manifest.network, chain, workflow), before: null };
    const prepared = await workbench.prepare({ ...block, range, stages: rowsOf(stages) });
    const made = await workbench.makeAll(stages, of.wanted, block, prepared, {
      made: (name, task) => say(name, task, flags.json === true),
      split: (pieces, why) => process.stderr.write(`${why}; in ${pieces} pieces now\n`),
    });
    if (flags.out !== undefined) write(flags.out, of, block, prepared, made);
  } finally {
    await workbench.close();
  }
}

function chainOf(manifest: Manifest, id: number | undefined): { readonly chain: number; readonly workflow: string } {
  const { chains } = manifest.json;
  const found = id === undefined ? chains[0] : chains.find((chain) => chain.id === id);
  if (found !== undefined) return { chain: found.id, workflow: found.workflow };
  const allowed = chains.map((chain) => chain.id).join(", ");
  throw new CommandError("usage.chain", `--chain is ${id}; the manifest allows ${allowed}`);
}

/** The task that was asked for and all that it takes; without one, all. */
function wantedOf(stages: readonly Stage[], task: string | undefined): ReadonlySet<string> {
  if (task === undefined)
    return new Set(stages.flatMap((stage) => Array.from({ length: stage.count }, (_, index) => nameOf(stage, index))));
  const [, name = "", index = ""] = TASK.exec(task) ?? [];
  const stage = stages.find((each) => each.name === name);
  if (stage === undefined || Number(index) >= stage.count) {
    const allowed = stages.map((each) => `${each.name}/0..${each.count - 1}`).join(", ");
    throw new CommandError("usage.task", `--task is "${task}"; the block has ${allowed}`);
  }
  return withTaken(stages, stage, Number(index));
}

function say(task: string, { system, proof, provingMs, verifyingMs }: Made, json: boolean): void {
  const artefact = artefactHash(proof);
  const round = (ms: number): number => Math.round(ms * 10) / 10;
  process.stdout.write(
    json
      ? `${JSON.stringify({ task, system, bytes: proof.length, artefact, provingMs: round(provingMs), verifyingMs: round(verifyingMs) })}\n`
      : `verified  ${task.padEnd(16)}  ${system.padEnd(16)}  ${String(proof.length).padStart(8)} bytes  proven in ${(provingMs / 1000).toFixed(2)} s, verified in ${Math.round(verifyingMs)} ms\n`,
  );
}

/** What `proofmesh verify` checks: like a certificate's content, and signed by nobody. */
function write(
  dir: string,
  { manifest, workflow, stages }: Run,
  block: ProvenBlock & { readonly parent: string; readonly items: number },
  prepared: Prepared,
  made: ReadonlyMap<string, Made>,
): void {
  mkdirSync(dir, { recursive: true });
  const payload = artefactHash(block.payload);
  writeFileSync(join(dir, payload), block.payload);
  const tasks = stages.flatMap((stage) =>
    Array.from({ length: stage.count }, (_, index) => index).flatMap((index) => {
      const task = made.get(nameOf(stage, index));
      if (task === undefined) return [];
      const { system, key } = variantOf(stage, index);
      const artefact = artefactHash(task.proof);
      writeFileSync(join(dir, artefact), task.proof);
      const named = { stage: stage.name, index, system, key, artefact, bytes: task.proof.length };
      return [stage.itemsMax === 0 ? named : { ...named, items: listIn(task.proof, stage.itemsMax).length }];
    }),
  );
  const { chain, height, hash, parent, items } = block;
  const [before, after] = [prepared.before, prepared.after].map((each) => bytesToHex(each));
  const content = {
    network: manifest.network,
    chain,
    height,
    hash,
    parent,
    start: true,
    workflow,
    items,
    payload,
    before,
    after,
    tasks,
  };
  // Last: a directory with it is whole.
  writeFileSync(join(dir, "proofs.json"), `${canonicalJson({ kind: "proofs", version: 1, content })}\n`);
}
