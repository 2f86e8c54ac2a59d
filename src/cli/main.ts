#!/usr/bin/env node
/** The command line: one file a command. */
import "./threads.ts";
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { CommandError, explain, EXIT } from "./exit.ts";
import { liveBelowReaper } from "./reaper.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

/**
 * Only what is called is loaded: the node itself takes longest by far, and most commands only talk to one that runs.
 */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ["start", async () => (await import("./start.ts")).startCommand()],
  ["init", async () => (await import("./init.ts")).initCommand()],
  ["status", async () => (await import("./status.ts")).statusCommand()],
  ["submit", async () => (await import("./submit.ts")).submitCommand()],
  ["log", async () => (await import("./log.ts")).logCommand()],
  ["certificate", async () => (await import("./certificate.ts")).certificateCommand()],
  ["evidence", async () => (await import("./evidence.ts")).evidenceCommand()],
  ["tasks", async () => (await import("./tasks.ts")).tasksCommand()],
  ["artefact", async () => (await import("./artefact.ts")).artefactCommand()],
  ["prove", async () => (await import("./prove.ts")).proveCommand()],
  ["doctor", async () => (await import("./doctor.ts")).doctorCommand()],
  ["verify", async () => (await import("./verify.ts")).verifyCommand()],
  ["workflow", async () => (await import("./workflow.ts")).workflowCommand()],
  ["registry", async () => (await import("./registry.ts")).registryCommand()],
  ["simnet", async () => (await import("./simnet.ts")).simnetCommand()],
]);

const [, , called = ""] = process.argv;
// Before anything is opened: this process is replaced where it is the first of a container.
if (called === "start") liveBelowReaper();

const program = new Command("proofmesh")
  .description("A decentralized multi-prover network node: no bus, no leader, no trusted node.")
  .version(version)
  .addHelpText(
    "after",
    "\nExamples:\n  $ proofmesh start                      a node with a dev chain of its own\n  $ proofmesh status                     what it does, and why it waits\n  $ proofmesh verify 12.json --network manifest.json --proofs DIR",
  )
  // Said below, in the words of every other mistake.
  .configureOutput({ outputError: () => {} })
  .exitOverride();
const load = COMMANDS.get(called);
for (const each of load === undefined ? COMMANDS.values() : [load]) {
  const command = await each();
  program.addCommand(command);
  inherit(command, program);
}

/** What is said of a wrong command line, and how it ends, is the same for the commands of commands. */
function inherit(command: Command, from: Command): void {
  command.copyInheritedSettings(from);
  for (const each of command.commands) inherit(each, command);
}

// A reader that closes the pipe early (head, less) is no error. A node goes on without its log (`start.ts`).
if (called !== "start")
  process.stdout.on("error", (error: NodeJS.ErrnoException) =>
    process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.internal),
  );
// The exit status still says how a command ended.
process.stderr.on("error", () => {});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = error instanceof CommanderError ? explainUsage(error) : explain(error);
}

/** Help that was asked for is no error; that of a command without arguments says itself what is missing. */
function explainUsage(error: CommanderError): number {
  if (error.exitCode === 0) return EXIT.ok;
  if (error.code === "commander.help") return EXIT.usage;
  const message = error.message
    .replace(/^error: /, "")
    .replace(/\.$/, "")
    .replaceAll("\n", " ");
  return explain(new CommandError(error.code, `${message}; --help shows what is allowed`));
}
