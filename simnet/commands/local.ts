/** `simnet local`: the flags of a run with real processes. */
import { Command } from "commander";
import { percent, positive, whole } from "../../src/cli/flags.ts";
import type { LocalOptions } from "../local/run.ts";
import { EXIT } from "../outcome.ts";

type Own =
  | "fragment"
  | "oneSystem"
  | "intervalMs"
  | "mockMs"
  | "delayMs"
  | "limitMs"
  | "chaos"
  | "keep"
  | "say"
  | "signal"
  | "seed";

interface LocalFlags extends Omit<LocalOptions, Own> {
  readonly interval?: number;
  readonly mock?: number;
  readonly workflow?: string;
  readonly delay: number;
  readonly seed?: number;
  readonly chaos?: boolean;
  readonly limit: number;
  readonly keep?: boolean;
  readonly oneSystem?: boolean;
  readonly json?: boolean;
}

export function localCommand(): Command {
  return new Command("local")
    .description(
      "Real nodes as processes on loopback, following a real chain (anvil), proving for real. Ends with 1 if a checker finds anything, 3 if something never comes, 4 if a node ends by itself.",
    )
    .option("--nodes <n>", "attesters that also prove", whole, 4)
    .option("--attesters <n>", "attesters that do not prove", whole, 0)
    .option("--provers <n>", "nodes that only prove", whole, 0)
    .option("--blocks <n>", "blocks to certify", whole, 10)
    .option("--shards <n>", "tasks of a block side by side", whole, 4)
    .option("--window <n>", "blocks in proof at once", whole, 4)
    .option("--interval <ms>", "time between blocks (default: 3000, with --mock 1000)", whole)
    .option("--transactions <n>", "transactions in a block", whole, 12)
    .option("--mock <ms>", "pretend to prove, each proof takes this long", whole)
    .option(
      "--workflow <file>",
      "prove by the workflows of this file; its mock systems take --mock each (default: 500)",
    )
    .option("--one-system", "of proof systems side by side each node has one, dealt in turn")
    .option("--kill <n>", "kill so many provers with -9 in the middle of a proof; they come back", whole, 0)
    .option("--kill-attester <n>", "the same for attesters", whole, 0)
    .option("--pause <n>", "stop so many provers (SIGSTOP) in the middle of a proof, for 12 s", whole, 0)
    .option("--partition <n>", "part so many groups of nodes from the others, one way or both; it heals", whole, 0)
    .option("--cut <n>", "break all connections of so many pairs of nodes", whole, 0)
    .option("--delay <ms>", "what every message takes, with a quarter of it as jitter", whole, 0)
    .option("--loss <percent>", "pieces that TCP has to send again", percent, 0)
    .option("--minutes <n>", "mine for so long instead of --blocks", positive)
    .option("--chaos", "faults of all kinds all along, drawn from the seed")
    .option("--seed <n>", "decides the faults (default: a fresh one, which is printed)", whole)
    .option("--limit <s>", "give up when nothing moves for so long", whole, 300)
    .option("--keep", "keep the nodes' directories")
    .option("--json", "progress to standard error, one JSON object at the end")
    .addHelpText(
      "after",
      "\nExamples:\n  $ npm run simnet -- local --nodes 4 --blocks 10 --shards 4 --kill 1 --json" +
        "\n  $ npm run simnet -- local --nodes 4 --blocks 6 --workflow config/workflows/zkvms.json --kill 2 --json" +
        "\n  $ npm run simnet -- local --nodes 4 --provers 2 --blocks 4 --workflow config/workflows/two-of-three.json --one-system --kill 2" +
        "\n  $ npm run simnet -- local --nodes 7 --minutes 5 --chaos --seed 1 --mock 300 --interval 3000 --json",
    )
    .action(run);
}

async function run(flags: LocalFlags): Promise<void> {
  const json = flags.json === true;
  const controller = new AbortController();
  // The second one leaves at once; whatever runs then dies with this process.
  const stop = (): void => (controller.signal.aborted ? process.exit(EXIT.interrupted) : controller.abort());
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  // Loaded when it is wanted: it brings the whole node, and a simulation in virtual time starts without.
  const { runLocal } = await import("../local/run.ts");
  const { readFragmentFile } = await import("../../src/node.ts");
  const fragment = flags.workflow === undefined ? null : readFragmentFile(flags.workflow);
  const report = await runLocal({
    ...flags,
    fragment,
    mockMs: flags.mock ?? null,
    intervalMs: flags.interval ?? (flags.mock === undefined ? 3000 : 1000),
    delayMs: flags.delay,
    chaos: flags.chaos === true,
    seed: flags.seed ?? Math.floor(Math.random() * 2 ** 31),
    limitMs: flags.limit * 1000,
    keep: flags.keep === true,
    oneSystem: flags.oneSystem === true,
    say: (line) => void (json ? process.stderr : process.stdout).write(`${line}\n`),
    signal: controller.signal,
  });
  process.stdout.write(`${json ? JSON.stringify(report) : JSON.stringify(report, null, 2)}\n`);
  for (const violation of report.violations) process.stderr.write(`simnet: ${violation}\n`);
  process.exitCode = EXIT[report.verdict];
}
