/** `simnet age`: a network that grows old, and what of it grows with it. */
import { Command } from "commander";
import { whole } from "../../src/cli/flags.ts";
import { EXIT } from "../outcome.ts";
import { Age, type AgeOptions, type AgeReport, WRAPS, WRAPS_MIN } from "../virtual/age.ts";

interface Flags {
  readonly wraps?: boolean;
  readonly seed: number;
  readonly blocks: number;
  readonly blockEvery: number;
  readonly restartBlocks: number;
  readonly json?: boolean;
}

const HELP = `
Ends with 0 if all is well, 1 if something grew or a bound was passed too seldom, 3 if a node lacks certificates.

Examples:
  $ npm run simnet -- age --wraps
  $ npm run simnet -- age --blocks 20000 --block-every 1000 --restart-blocks 1000   # 25 minutes of CPU time`;

const PROGRESS_MS = 5_000;
const MIB = 2 ** 20;

export function ageCommand(): Command {
  return new Command("age")
    .description("Four attesters on virtual time, restarts and newcomers: what grows with the age of the network.")
    .option("--wraps", `small limits, each of which has to be passed ${WRAPS_MIN} times; the other flags do not count`)
    .option("--seed <n>", "decides everything that is left to chance", whole, 1)
    .option("--blocks <n>", "blocks of one shard", whole, 1000)
    .option("--block-every <ms>", "a block", whole, 1000)
    .option("--restart-blocks <n>", "one node after the other restarts after so many blocks", whole, 100)
    .option("--json", "one JSON object")
    .addHelpText("after", HELP)
    .action((flags: Flags) => {
      const { seed, blocks, blockEvery: blockMs, restartBlocks } = flags;
      const plain = { blocks, blockMs, restartBlocks, strangers: false, newcomers: 1, limits: {} };
      const options = flags.wraps === true ? WRAPS : plain;
      const report = new Age({ seed, ...options, progress: progressOf(options) }).run();
      const found = [...report.violations, ...(flags.wraps === true ? report.seldom : [])];
      if (flags.json === true) process.stdout.write(`${JSON.stringify({ ...report, violations: found })}\n`);
      else for (const line of told(report, found)) process.stdout.write(`${line}\n`);
      if (found.length > 0)
        process.exitCode = found.some((line) => line.startsWith("R1")) ? EXIT.safety : EXIT.liveness;
    });
}

function progressOf({ blocks }: Pick<AgeOptions, "blocks">): NonNullable<AgeOptions["progress"]> {
  let saidMs = performance.now();
  return (block) => {
    if (performance.now() - saidMs < PROGRESS_MS) return;
    saidMs = performance.now();
    process.stderr.write(`${block} of ${blocks} blocks\n`);
  };
}

function told(report: AgeReport, found: readonly string[]): string[] {
  const { blocks, restarts, newcomers, strangers, cpuMs, steps, wraps, quarters, newcomerMs } = report;
  return [
    `${blocks} blocks, ${restarts} restarts, ${newcomers} newcomers, ${strangers} strangers; ${(cpuMs / 1000).toFixed(0)} s of CPU time, ${steps} steps`,
    ...quarters.map(
      (quarter) =>
        `  up to block ${quarter.blocks}: heap ${(quarter.heapBytes / MIB).toFixed(2)} MiB and disk ${(quarter.diskBytes / MIB).toFixed(2)} MiB a node; catching up took ${quarter.catchUpMs} ms`,
    ),
    `  the last newcomer had everything after ${newcomerMs} ms`,
    ...Object.entries(wraps).map(([name, times]) => `  ${name.padEnd(22)} passed ${times} times`),
    ...found,
  ];
}
