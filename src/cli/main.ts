#!/usr/bin/env node
/** The command line: one file a command. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { certificateCommand } from "./certificate.ts";
import { explain, EXIT } from "./exit.ts";
import { initCommand } from "./init.ts";
import { logCommand } from "./log.ts";
import { simnetCommand } from "./simnet.ts";
import { startCommand } from "./start.ts";
import { statusCommand } from "./status.ts";
import { submitCommand } from "./submit.ts";
import { verifyCommand } from "./verify.ts";

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
  .showHelpAfterError("(--help shows what is allowed)")
  .exitOverride();
for (const command of [
  startCommand(),
  initCommand(),
  statusCommand(),
  submitCommand(),
  logCommand(),
  certificateCommand(),
  verifyCommand(),
  simnetCommand(),
]) {
  program.addCommand(command.exitOverride());
}

// A reader that closes the pipe early (head, less) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.internal),
);

try {
  await program.parseAsync();
} catch (error) {
  // Commander has printed its own message, and help is no error.
  process.exitCode = error instanceof CommanderError ? (error.exitCode === 0 ? EXIT.ok : EXIT.usage) : explain(error);
}
