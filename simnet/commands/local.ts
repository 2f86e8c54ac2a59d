/** `simnet local`: the flags of a run with real processes. */
import { Command } from "commander";
import { whole } from "../../src/cli/flags.ts";
import type { LocalOptions } from "../local/run.ts";

interface LocalFlags extends Omit<LocalOptions, "intervalMs" | "mockMs" | "limitMs" | "keep" | "say"> {
  readonly interval?: number;
  readonly mock?: number;
  readonly limit: number;
  readonly keep?: boolean;
  readonly json?: boolean;
}

export function localCommand(): Command {
  return new Command("local")
    .description("Real nodes as processes on loopback, following a real chain (anvil), proving for real.")
    .option("--nodes <n>", "attesters that also prove", whole, 4)
    .option("--attesters <n>", "attesters that do not prove", whole, 0)
    .option("--provers <n>", "nodes that only prove", whole, 0)
    .option("--blocks <n>", "blocks to certify", whole, 10)
    .option("--shards <n>", "tasks of a block side by side", whole, 4)
    .option("--window <n>", "blocks in proof at once", whole, 4)
    .option("--interval <ms>", "time between blocks (default: 3000, with --mock 1000)", whole)
    .option("--transactions <n>", "transactions in a block", whole, 12)
    .option("--mock <ms>", "pretend to prove, each proof takes this long", whole)
    .option("--kill <n>", "kill so many provers with -9 in the middle of a proof; they come back", whole, 0)
    .option("--kill-attester <n>", "the same for attesters", whole, 0)
    .option("--limit <s>", "give up when nothing moves for so long", whole, 300)
    .option("--keep", "keep the nodes' directories")
    .option("--json", "progress to standard error, one JSON object at the end")
    .addHelpText("after", "\nExample:\n  $ npm run simnet -- local --nodes 4 --blocks 10 --shards 4 --kill 1 --json")
    .action(async (flags: LocalFlags) => {
      // Loaded when it is wanted: it brings the whole node, and a simulation in virtual time starts without.
      const { runLocal } = await import("../local/run.ts");
      const say = (line: string) => void (flags.json === true ? process.stderr : process.stdout).write(`${line}\n`);
      const report = await runLocal({
        ...flags,
        mockMs: flags.mock ?? null,
        intervalMs: flags.interval ?? (flags.mock === undefined ? 3000 : 1000),
        limitMs: flags.limit * 1000,
        keep: flags.keep === true,
        say,
      });
      process.stdout.write(`${flags.json === true ? JSON.stringify(report) : JSON.stringify(report, null, 2)}\n`);
    });
}
