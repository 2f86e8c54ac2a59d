/** `proofmesh workflow`: checks workflows before a network rests on them, and draws them. */
import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { checkVerifiers, findIn, readWorkflows, type WorkflowFile } from "../node.ts";
import { stagesOf, type Stage } from "../protocol/workflow.ts";
import { drawStatements, drawSvg, drawText } from "./drawing.ts";
import { CommandError } from "./exit.ts";
import { whole } from "./flags.ts";

const FILES = "a manifest, or a file of workflows as in config/workflows";

export function workflowCommand(): Command {
  const command = new Command("workflow").description("Check a workflow, or show it as a graph.");
  command
    .command("check")
    .description("Check workflows as a node does at its start: every mistake at once, each with its place.")
    .argument("<file>", FILES)
    .option("--files <dir>", "verifier modules and their canaries, named by their SHA-256: every canary is asked")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ proofmesh workflow check config/workflows/zkvms.json\n\nExit status: 0 it can be used, 2 it cannot.",
    )
    .action((file: string, flags: CheckFlags) => check(file, flags));
  command
    .command("show")
    .description("Draw workflows: what each stage takes, how many tasks it makes and who proves them.")
    .argument("<file>", FILES)
    .option("--workflow <name>", "only this one")
    .option("--items <n>", "for a block with so many transactions", whole, 0)
    .option("--svg <out>", "write the picture to this file")
    .option("--json", "print the stages as JSON")
    .addHelpText("after", "\nExample:\n  $ proofmesh workflow show config/workflows/zkvms.json --svg zkvms.svg")
    .action((file: string, flags: ShowFlags) => show(file, flags));
  return command;
}

interface ShowFlags {
  readonly workflow?: string;
  readonly items: number;
  readonly svg?: string;
  readonly json?: boolean;
}

interface CheckFlags {
  readonly files?: string;
  readonly json?: boolean;
}

async function check(file: string, { files, json }: CheckFlags): Promise<void> {
  const read = readWorkflows(file);
  const keys = await checkVerifiers(read.json.keys ?? {}, files === undefined ? null : findIn(files), "all");
  for (const { name, fault } of keys)
    if (fault !== null)
      throw new CommandError("keys.unsound", `${file}: keys.${name}: ${fault.message} (${fault.code})`);
  const summary = names(read).map((name) => {
    const stages = stagesFor(read, name, 0);
    const tasks = stages.reduce((sum, { count }) => sum + count, 0);
    const { range = 1 } = read.json.workflows[name] ?? {};
    return { workflow: name, range, stages: stages.length, tasks, chains: chainsBy(read, name) };
  });
  if (json === true) return void process.stdout.write(`${JSON.stringify({ file, workflows: summary, keys })}\n`);
  for (const { name, system, library, isModule } of keys) {
    const asked = !isModule
      ? ""
      : files === undefined
        ? ", not asked its canaries (--files)"
        : ", answers its canaries";
    process.stdout.write(`good  key ${name}  ${system}, verified by ${library}${asked}\n`);
  }
  for (const { workflow, range, stages, tasks, chains } of summary) {
    const proves = chains.map((chain) => `  ${chain}`).join("");
    process.stdout.write(
      `good  ${workflow}  ${stages} stages, ${tasks} tasks for ${range === 1 ? "a block" : `a range of ${range} blocks`} without transactions${proves}\n`,
    );
  }
}

/** The chains of a manifest whose blocks the workflow proves; none of a file of workflows alone. */
function chainsBy({ json: { chains = [] } }: WorkflowFile, name: string): readonly string[] {
  return chains
    .filter(({ workflow }) => workflow === name)
    .map(({ id, start, reproves }) =>
      reproves === undefined ? `chain ${id}` : `chain ${id}: those of chain ${reproves} again from height ${start}`,
    );
}

function show(file: string, { workflow, items, svg, json }: ShowFlags): void {
  const read = readWorkflows(file);
  const shown = workflow === undefined ? names(read) : names(read).filter((name) => name === workflow);
  if (shown.length === 0)
    throw new CommandError(
      "workflow.unknown",
      `${file} has no workflow ${workflow}; allowed: ${names(read).join(", ")}`,
    );
  if (svg !== undefined && shown.length > 1)
    throw new CommandError(
      "usage.workflow",
      `one picture is of one workflow; --workflow is one of ${shown.join(", ")}`,
    );
  for (const name of shown) {
    const of = [name, ...rangeText(read, name), ...chainsBy(read, name)].join("  ");
    const stages = stagesFor(read, name, items);
    if (svg !== undefined) writeFileSync(svg, drawSvg(name, stages));
    if (json === true) process.stdout.write(`${JSON.stringify({ workflow: name, items, stages })}\n`);
    else {
      const lines = [...drawText(stages), ...drawStatements(stages)].map((line) => `  ${line}`);
      process.stdout.write(`${[of, ...lines].join("\n")}\n`);
    }
  }
}

function rangeText({ json }: WorkflowFile, name: string): readonly string[] {
  const { range } = json.workflows[name] ?? {};
  return range === undefined ? [] : [`ranges of ${range} blocks`];
}

function names({ json }: WorkflowFile): readonly string[] {
  return Object.keys(json.workflows);
}

function stagesFor(read: WorkflowFile, name: string, items: number): readonly Stage[] {
  const stages = stagesOf(read, name, items);
  if (stages === null)
    throw new CommandError(
      "workflow.too-large",
      `a block with ${items} transactions has more tasks than a block may have`,
    );
  return stages;
}
