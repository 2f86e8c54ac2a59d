/** `proofmesh log`: the node's replicated log, as signed. */
import { Command } from "commander";
import { ask, type Where } from "./client.ts";

export function logCommand(): Command {
  return new Command("log")
    .description("Export the node's log: one batch a line, with its author, number, entries and signed bytes.")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .addHelpText("after", "\nExample:\n  $ proofmesh log > log.ndjson")
    .action(async (flags: Where) => {
      const { body } = await ask(flags, "/log");
      if (body === null) return;
      for await (const chunk of body)
        if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once("drain", resolve));
    });
}
