/** `proofmesh simnet`: the network simulator of the repository. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { CommandError, EXIT } from "./exit.ts";

export function simnetCommand(): Command {
  return new Command("simnet")
    .description("Simulate a network: local (real processes and a real chain) or virtual (seeded, on virtual time).")
    .argument("[arguments...]", "passed on; simnet --help lists them")
    .helpOption(false)
    .allowUnknownOption()
    .addHelpText("after", "\nExample:\n  $ proofmesh simnet local --nodes 4 --blocks 10 --shards 4")
    .action((rest: string[]) => run(rest));
}

/** A program of its own, because it is no part of the package that operators install. */
async function run(rest: readonly string[]): Promise<void> {
  const file = fileURLToPath(new URL("../../simnet/main.ts", import.meta.url));
  if (!existsSync(file))
    throw new CommandError(
      "usage.simnet",
      "the simulator is part of the repository, not of the installed package: clone it and run npm run simnet",
    );
  const child = spawn(process.execPath, [file, ...rest], { stdio: "inherit" });
  // The terminal signals the child as well; it decides when it is done.
  process.on("SIGINT", () => {});
  process.exitCode = await new Promise<number>((resolve) =>
    child.once("exit", (code) => resolve(code ?? EXIT.internal)),
  );
}
