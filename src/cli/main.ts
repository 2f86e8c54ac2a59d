#!/usr/bin/env node
/** The command line: one file a command. */
import "./threads.ts";
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { artefactCommand } from "./artefact.ts";
import { certificateCommand } from "./certificate.ts";
import { doctorCommand } from "./doctor.ts";
import { evidenceCommand } from "./evidence.ts";
import { CommandError, explain, EXIT } from "./exit.ts";
import { initCommand } from "./init.ts";
import { logCommand } from "./log.ts";
import { proveCommand } from "./prove.ts";
import { registryCommand } from "./registry.ts";
import { simnetCommand } from "./simnet.ts";
import { startCommand } from "./start.ts";
import { statusCommand } from "./status.ts";
import { submitCommand } from "./submit.ts";
import { tasksCommand } from "./tasks.ts";
import { verifyCommand } from "./verify.ts";
import { workflowCommand } from "./workflow.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

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
for (const command of [
  startCommand(),
  initCommand(),
  statusCommand(),
  submitCommand(),
  logCommand(),
  certificateCommand(),
  evidenceCommand(),
  tasksCommand(),
  artefactCommand(),
  proveCommand(),
  doctorCommand(),
  verifyCommand(),
  workflowCommand(),
  registryCommand(),
  simnetCommand(),
]) {
  program.addCommand(command);
  inherit(command, program);
}

/** What is said of a wrong command line, and how it ends, is the same for the commands of commands. */
function inherit(command: Command, from: Command): void {
  command.copyInheritedSettings(from);
  for (const each of command.commands) inherit(each, command);
}

// A reader that closes the pipe early (head, less) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.internal),
);

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
