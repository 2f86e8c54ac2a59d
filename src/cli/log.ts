/** `proofmesh log`: the node's replicated log, as signed. */
import { Command } from "commander";
import type { Where } from "./client.ts";
import { openExports } from "./exports.ts";

export function logCommand(): Command {
  return new Command("log")
    .description(
      "Export the node's log: one batch a line, with its author, number, entries and signed bytes. Of a node that has stopped, from its data directory.",
    )
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--http <host:port>", "the node's HTTP endpoint")
    .addHelpText("after", "\nExample:\n  $ proofmesh log > log.ndjson")
    .action(async (flags: Where) => {
      const exports = await openExports(flags);
      try {
        for await (const piece of exports.log())
          if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once("drain", resolve));
      } finally {
        await exports.close();
      }
    });
}
