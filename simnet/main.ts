/** The simulator's command line: one file a command. */
import { Command } from "commander";
import { localCommand } from "./commands/local.ts";
import { virtualCommand } from "./commands/virtual.ts";

const program = new Command("simnet").description("Simulate a proving network.").exitOverride();
for (const command of [localCommand(), virtualCommand()]) program.addCommand(command.copyInheritedSettings(program));

try {
  await program.parseAsync();
  process.exit();
} catch (error) {
  if (error instanceof Error && "exitCode" in error) process.exit(error.exitCode === 0 ? 0 : 2);
  process.stderr.write(`simnet: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
