/** The simulator's command line. */
import { Command, InvalidArgumentError } from "commander";
import { runLocal } from "./local/run.ts";
import { runVirtual } from "./virtual/run.ts";

interface LocalFlags {
  readonly nodes: number;
  readonly attesters: number;
  readonly provers: number;
  readonly blocks: number;
  readonly shards: number;
  readonly window: number;
  readonly interval?: number;
  readonly transactions: number;
  readonly mock?: number;
  readonly kill: number;
  readonly killAttester: number;
  readonly limit: number;
  readonly keep?: boolean;
  readonly json?: boolean;
}

const program = new Command("simnet").description("Simulate a proving network.").exitOverride();

program
  .command("local")
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

interface VirtualFlags {
  readonly seed: number;
  readonly nodes: number;
  readonly blocks: number;
  readonly shards: number;
  readonly loss: number;
  readonly delay: number;
  readonly crashEvery: number;
  readonly wrong: number;
  readonly failing: number;
  readonly json?: boolean;
}

program
  .command("virtual")
  .description(
    "The real core and runtime on virtual time: one seed, one trace. Ends with 1 if a checker finds anything.",
  )
  .option("--seed <n>", "decides everything that is left to chance", whole, 1)
  .option("--nodes <n>", "nodes that attest and prove", whole, 7)
  .option("--blocks <n>", "blocks, one a second", whole, 20)
  .option("--shards <n>", "tasks of a block side by side", whole, 4)
  .option("--loss <percent>", "gossip messages that never arrive", percent, 0)
  .option("--delay <ms>", "the longest a message takes", whole, 20)
  .option("--crash-every <ms>", "a node dies about this often; 0 for never", whole, 0)
  .option("--wrong <percent>", "proofs that do not verify", percent, 0)
  .option("--failing <percent>", "jobs whose machine fails", percent, 0)
  .option("--json", "one JSON object")
  .addHelpText("after", "\nExample:\n  $ npm run simnet -- virtual --seed 7 --loss 10 --crash-every 2000")
  .action((flags: VirtualFlags) => {
    const report = runVirtual({ ...flags, delayMs: flags.delay, crashEveryMs: flags.crashEvery });
    process.stdout.write(`${flags.json === true ? JSON.stringify(report) : JSON.stringify(report, null, 2)}\n`);
    if (!report.ok) throw new Error(`seed ${report.seed}: ${report.violations.join("; ")}`);
  });

function percent(text: string): number {
  if (!/^\d{1,3}$/.test(text) || Number(text) > 100)
    throw new InvalidArgumentError("allowed: a whole number from 0 to 100.");
  return Number(text) / 100;
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("allowed: a whole number.");
  return Number(text);
}

try {
  await program.parseAsync();
  process.exit(0);
} catch (error) {
  if (error instanceof Error && "exitCode" in error) process.exit(error.exitCode === 0 ? 0 : 2);
  process.stderr.write(`simnet: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
