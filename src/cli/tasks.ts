/** `proofmesh tasks`: what is not proven yet, and what to do about a task that cannot be. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { OpenTask, ReplayBundle, Requeued } from "../node.ts";
import { artefactHash } from "../protocol/ids.ts";
import { ask, type Where } from "./client.ts";
import { CommandError } from "./exit.ts";
import { type Replayed, replay } from "./replay.ts";

interface Flags extends Where {
  readonly json?: boolean;
}

interface ReplayFlags {
  readonly network: string;
  readonly config?: string;
  readonly json?: boolean;
}

const BUNDLE = "bundle.json";
const NAME = /^(\d{1,15})\/(\d{1,15})\/([a-z0-9][a-z0-9._-]{0,31})\/(\d{1,9})$/;

export function tasksCommand(): Command {
  const tasks = new Command("tasks")
    .description("List the tasks that are not proven yet, those in quarantine first.")
    .addHelpText(
      "after",
      "\nExamples:\n  $ proofmesh tasks --json | jq 'map(select(.state == \"quarantined\"))'\n  $ proofmesh tasks export 1/21000000/shard/3 --out bundle\n  $ proofmesh tasks replay bundle --network manifest.json\n  $ proofmesh tasks requeue 1/21000000/shard/3",
    );
  withNode(tasks).action((flags: Flags) => list(flags));
  withNode(
    tasks
      .command("export")
      .description("Write what it takes to run a task again: the statement, the block, the inputs, and how it failed.")
      .argument("<task>", "CHAIN/HEIGHT/STAGE/INDEX")
      .requiredOption("--out <dir>", `where to write ${BUNDLE}, and the block and inputs named by their SHA-256`),
  ).action((name: string, _flags: Flags, command: Command) =>
    exportBundle(name, command.optsWithGlobals<Flags & { readonly out: string }>()),
  );
  tasks
    .command("replay")
    .description("Run an exported task again on this machine, without a network, and verify the proof.")
    .argument("<dir>", "what tasks export has written")
    .requiredOption("--network <manifest>", "the network's manifest")
    .option("--config <file>", "a node's configuration with its provers (default: the embedded ones)")
    .option("--json", "print JSON")
    .action((dir: string, _flags: ReplayFlags, command: Command) =>
      replayBundle(dir, command.optsWithGlobals<ReplayFlags>()),
    );
  withNode(
    tasks
      .command("requeue")
      .description(
        "Vote to end the pause of a task in quarantine; its attempt opens once operators of f+1 attesters asked.",
      )
      .argument("<task>", "CHAIN/HEIGHT/STAGE/INDEX"),
  ).action((name: string, _flags: Flags, command: Command) => requeue(name, command.optsWithGlobals<Flags>()));
  return tasks;
}

function withNode(command: Command): Command {
  return command
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .option("--json", "print JSON");
}

async function list(flags: Flags): Promise<void> {
  const open = (await (await ask(flags, "/tasks")).json()) as OpenTask[];
  const urgent = ({ state }: OpenTask) => (state === "quarantined" ? 0 : 1);
  const tasks = open.sort((a, b) => urgent(a) - urgent(b));
  if (flags.json === true) return void process.stdout.write(`${JSON.stringify(tasks)}\n`);
  const lines = tasks.map(({ chain, height, stage, index, state, attempt, failures, why }) => {
    const counts = Object.entries(failures).flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : []));
    const name = `${chain}/${height}/${stage}/${index}`.padEnd(24);
    return `${name}  ${state.padEnd(11)}  attempt ${attempt + 1}${counts.length > 0 ? ` (${counts.join(", ")})` : ""}  ${why}\n`;
  });
  process.stdout.write(lines.length === 0 ? "every announced task is proven\n" : lines.join(""));
}

function pathOf(name: string): string {
  if (!NAME.test(name))
    throw new CommandError(
      "usage.task",
      `the task is "${name}"; allowed: CHAIN/HEIGHT/STAGE/INDEX, as in 1/12/shard/0`,
    );
  return `/tasks/${name}`;
}

async function exportBundle(name: string, flags: Flags & { readonly out: string }): Promise<void> {
  const bundle = (await (await ask(flags, pathOf(name))).json()) as ReplayBundle;
  mkdirSync(flags.out, { recursive: true });
  const hashes = new Set([bundle.payload.artefact, ...bundle.inputs.map(({ artefact }) => artefact)]);
  for (const hash of hashes) {
    const artefact = await ask(flags, `/artefacts/${hash}`);
    writeFileSync(join(flags.out, hash), Buffer.from(await artefact.arrayBuffer()));
  }
  // Last: a directory with a bundle in it is whole.
  const file = join(flags.out, BUNDLE);
  writeFileSync(file, `${JSON.stringify(bundle, null, 2)}\n`);
  const { failures, inputs } = bundle;
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ file, failures: failures.length, inputs: inputs.length })}\n`
      : `${file}  task ${name}  ${failures.length} failures, ${inputs.length} inputs\n`,
  );
}

async function replayBundle(dir: string, flags: ReplayFlags): Promise<void> {
  const file = join(dir, BUNDLE);
  if (!existsSync(file))
    throw new CommandError("usage.file", `${file}: is not there; proofmesh tasks export writes it`);
  const bundle = readBundle(file);
  const read = (hash: string) => {
    const path = join(dir, hash);
    const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
    const found = artefactHash(bytes);
    if (found !== hash) throw new CommandError("proof.other-bytes", `${path} has SHA-256 ${found}`);
    return bytes;
  };
  const result: Replayed = await replay(bundle, { network: flags.network, config: flags.config, read });
  process.stdout.write(
    flags.json === true
      ? `${JSON.stringify(result)}\n`
      : `proven and verified  ${result.system}  ${result.bytes} bytes in ${(result.provingMs / 1000).toFixed(1)} s\n`,
  );
}

function readBundle(file: string): ReplayBundle {
  try {
    const bundle = JSON.parse(readFileSync(file, "utf8")) as Partial<ReplayBundle>;
    if (bundle.kind === "replay" && bundle.version === 1) return bundle as ReplayBundle;
  } catch (error) {
    throw new CommandError("usage.file", `${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw new CommandError("usage.file", `${file}: is no replay bundle; proofmesh tasks export writes one`);
}

async function requeue(name: string, flags: Flags): Promise<void> {
  const response = await ask(flags, `${pathOf(name)}/requeue`, { method: "POST" });
  const result = (await response.json()) as Requeued;
  const { state, weight, oneHonest, attempt } = result;
  const line =
    state === "requeued"
      ? `requeued  ${name}  attempt ${attempt + 1} is open, and the pauses begin anew`
      : `voted  ${name}  operators of attesters of weight ${oneHonest - weight} more have to ask as well`;
  process.stdout.write(flags.json === true ? `${JSON.stringify(result)}\n` : `${line}\n`);
}
