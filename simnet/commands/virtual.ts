/** `simnet virtual`: the flags of a run on virtual time. */
import { Command, InvalidArgumentError } from "commander";
import { percent, whole } from "../../src/cli/flags.ts";
import { BEHAVIOURS } from "../virtual/behaviours.ts";
import { runVirtual } from "../virtual/run.ts";

interface VirtualFlags {
  readonly seed: number;
  readonly nodes: number;
  readonly attesters?: number;
  readonly blocks: number;
  readonly shards: number;
  readonly loss: number;
  readonly delay: number;
  readonly crashEvery: number;
  readonly wrong: number;
  readonly failing: number;
  readonly byzantineAttesters: number;
  readonly byzantineProvers: number;
  readonly behaviours?: readonly string[];
  readonly json?: boolean;
}

export function virtualCommand(): Command {
  return new Command("virtual")
    .description(
      "The real core and runtime on virtual time: one seed, one trace. Ends with 1 if a checker finds anything.",
    )
    .option("--seed <n>", "decides everything that is left to chance", whole, 1)
    .option("--nodes <n>", "nodes that prove", whole, 7)
    .option("--attesters <n>", "how many of them attest and have a source (default: all, at most 7)", whole)
    .option("--blocks <n>", "blocks, one a second", whole, 20)
    .option("--shards <n>", "tasks of a block side by side", whole, 4)
    .option("--loss <percent>", "gossip messages that never arrive", percent, 0)
    .option("--delay <ms>", "the longest a message takes", whole, 20)
    .option("--crash-every <ms>", "a node dies about this often; 0 for never", whole, 0)
    .option("--wrong <percent>", "proofs that do not verify", percent, 0)
    .option("--failing <percent>", "jobs whose machine fails", percent, 0)
    .option("--byzantine-attesters <n>", "attesters that are hostile, each in ways drawn from the seed", whole, 0)
    .option("--byzantine-provers <n>", "the same for nodes that only prove", whole, 0)
    .option("--behaviours <a,b>", "what the hostile nodes do (see below)", behaviours)
    .option("--json", "one JSON object")
    .addHelpText("after", `\nBehaviours:\n${described().join("\n")}`)
    .addHelpText("after", "\nExample:\n  $ npm run simnet -- virtual --seed 7 --loss 10 --crash-every 2000")
    .action((flags: VirtualFlags) => {
      const report = runVirtual({ ...flags, delayMs: flags.delay, crashEveryMs: flags.crashEvery });
      process.stdout.write(`${flags.json === true ? JSON.stringify(report) : JSON.stringify(report, null, 2)}\n`);
      if (!report.ok) throw new Error(`seed ${report.seed}: ${report.violations.join("; ")}`);
    });
}

function described(): string[] {
  return Object.entries(BEHAVIOURS).map(([name, { who, says }]) => `  ${name.padEnd(18)} ${who.padEnd(9)} ${says}`);
}

function behaviours(text: string): string[] {
  const names = text.split(",");
  const unknown = names.find((name) => !Object.hasOwn(BEHAVIOURS, name));
  if (unknown !== undefined) throw new InvalidArgumentError(`"${unknown}" is none of the behaviours listed in --help.`);
  return names;
}
