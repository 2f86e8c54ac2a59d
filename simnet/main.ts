/** The simulator's command line: one file a command. */
import { Command } from "commander";
import { ageCommand } from "./commands/age.ts";
import { localCommand } from "./commands/local.ts";
import { mutantsCommand } from "./commands/mutants.ts";
import { twinsCommand } from "./commands/twins.ts";
import { virtualCommand } from "./commands/virtual.ts";

const program = new Command("simnet").description("Simulate a proving network.").exitOverride();
for (const command of [localCommand(), virtualCommand(), ageCommand(), twinsCommand(), mutantsCommand()])
  program.addCommand(command.copyInheritedSettings(program));

try {
  // The spelling of the same.
  await program.parseAsync(process.argv.map((word) => (word === "--mutants" ? "mutants" : word)));
  process.exit();
} catch (error) {
  if (error instanceof Error && "exitCode" in error) process.exit(error.exitCode === 0 ? 0 : 2);
  process.stderr.write(`simnet: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
