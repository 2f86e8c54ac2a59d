/** `simnet virtual`: the flags of a run on virtual time. */
import { Command, InvalidArgumentError } from "commander";
import { whole } from "../../src/cli/flags.ts";
import { BEHAVIOURS } from "../virtual/behaviours.ts";
import { minimise } from "../virtual/minimise.ts";
import type { Dials, VirtualOptions, VirtualReport, Verdict } from "../virtual/options.ts";
import { runVirtual } from "../virtual/run.ts";
import { soak } from "../virtual/soak.ts";
import { swarmDials, swarmHostile, swarmSize } from "../virtual/swarm.ts";
import { addDials, commandOf, dialsGiven } from "./dials.ts";

interface VirtualFlags {
  readonly seed: number;
  readonly seeds?: readonly [number, number];
  readonly swarm?: boolean;
  readonly byzantine?: boolean;
  readonly soak?: number;
  readonly minimise?: boolean;
  readonly only?: readonly number[];
  readonly nodes?: number;
  readonly attesters?: number;
  readonly blocks?: number;
  readonly shards?: number;
  readonly byzantineAttesters?: number;
  readonly byzantineProvers?: number;
  readonly behaviours?: readonly string[];
  readonly json?: boolean;
}

/** What a script can tell from the exit status; the worst of several runs. */
const EXITS: Readonly<Record<Verdict, number>> = { green: 0, unrecoverable: 0, safety: 1, liveness: 3, crash: 4 };

const HELP = `
Ends with 0 if all is well, 1 if a checker found a broken rule, 2 for a wrong command line, 3 if something did not
happen in time after the faults had ended, 4 if a node or the simulator crashed.

Examples:
  $ npm run simnet -- virtual --seed 1 --nodes 50 --blocks 200 --json
  $ npm run simnet -- virtual --seed 7 --loss 10 --crash-every 2000 --damage any
  $ npm run simnet -- virtual --swarm --seeds 1..100
  $ npm run simnet -- virtual --swarm --byzantine --seeds 1..1000
  $ npm run simnet -- virtual --swarm --seed 42 --minimise
  $ npm run simnet -- virtual --soak 600`;

export function virtualCommand(): Command {
  const command = new Command("virtual")
    .description("The real core and runtime on virtual time: one seed, one trace.")
    .option("--seed <n>", "decides everything that is left to chance", whole, 1)
    .option("--seeds <from..to>", "runs them all, one after the other", range)
    .option(
      "--swarm",
      "draws all faults, hostile nodes and the network's size from the seed; flags that are given stay",
    )
    .option("--byzantine", "with --swarm: hostile nodes in each seed, and not in half of them")
    .option("--soak <s>", "fresh seeds in swarm mode on all cores for so long", whole)
    .option("--minimise", "if the run fails: looks for the fewest faults with which it does")
    .option("--only <numbers>", "of the faults that are drawn only these, by number; or none", numbers)
    .option("--nodes <n>", "nodes that prove (default: 7)", whole)
    .option("--attesters <n>", "how many of them attest and have a source (default: all, at most 7)", whole)
    .option("--blocks <n>", "blocks, one a second (default: 20)", whole)
    .option("--shards <n>", "tasks of a block side by side (default: 4)", whole)
    .option("--byzantine-attesters <n>", "attesters that are hostile, each in ways drawn from the seed", whole)
    .option("--byzantine-provers <n>", "the same for nodes that only prove", whole)
    .option("--behaviours <a,b>", "what the hostile nodes do (see below)", behaviours)
    .option("--json", "one JSON object for each run");
  addDials(command);
  command.addHelpText("after", `\nBehaviours:\n${described().join("\n")}`);
  return command.addHelpText("after", HELP).action(async (flags: VirtualFlags) => {
    const dials = dialsGiven({ ...flags });
    process.exitCode = flags.soak === undefined ? runAll(flags, dials) : await soak(flags.soak, say);
  });
}

function runAll(flags: VirtualFlags, dials: Partial<Dials>): number {
  const [from, to] = flags.seeds ?? [flags.seed, flags.seed];
  let exit = 0;
  for (let seed = from; seed <= to; seed++) {
    const options = optionsOf({ ...flags, seed }, dials);
    const report = runVirtual(options);
    exit = Math.max(exit, EXITS[report.verdict]);
    tell(flags, options, report);
    if (flags.minimise === true && !report.ok) {
      const fewest = minimise(options, report, (line) => void process.stderr.write(`${line}\n`));
      say(`${fewest.options.only?.length ?? 0} faults are enough: ${commandOf(fewest.options)}`);
      for (const line of [...fewest.report.violations, ...fewest.report.story]) say(`  ${line}`);
    }
  }
  return exit;
}

function optionsOf(flags: VirtualFlags, dials: Partial<Dials>): VirtualOptions {
  const {
    seed,
    nodes,
    attesters,
    blocks,
    shards,
    only,
    byzantineAttesters,
    byzantineProvers,
    behaviours: kinds,
  } = flags;
  const hostile = { byzantineAttesters, byzantineProvers, behaviours: kinds };
  const given = Object.fromEntries(
    Object.entries({ nodes, attesters, blocks, shards, only, ...hostile }).filter(([, value]) => value !== undefined),
  );
  if (flags.swarm !== true) return { seed, nodes: 7, blocks: 20, shards: 4, ...dials, ...given };
  const size = { ...swarmSize(seed, flags.byzantine === true), ...given };
  return {
    seed,
    ...size,
    ...swarmDials(seed),
    ...swarmHostile(seed, size, flags.byzantine === true),
    ...dials,
    ...given,
  };
}

function tell(flags: VirtualFlags, options: VirtualOptions, report: VirtualReport): void {
  const command = commandOf(options);
  if (flags.json === true) return say(JSON.stringify({ ...report, command }));
  if (flags.seeds === undefined) return say(JSON.stringify({ ...report, command }, null, 2));
  const { seed, verdict, simulatedMs, steps, faults, crashes, reclaims, violations, story } = report;
  say(
    `${seed} ${verdict}: ${simulatedMs / 1000} s, ${steps} steps, ${faults} faults, ${crashes} deaths, ${reclaims} reclaims`,
  );
  if (report.ok) return;
  say(`  ${command}`);
  for (const line of [...violations, ...story]) say(`  ${line}`);
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

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function range(text: string): readonly [number, number] {
  const [, from, to] = /^(\d{1,9})\.\.(\d{1,9})$/.exec(text) ?? [];
  if (from === undefined || to === undefined || Number(from) > Number(to))
    throw new InvalidArgumentError("allowed: two whole numbers, as in 1..100.");
  return [Number(from), Number(to)];
}

function numbers(text: string): readonly number[] {
  if (text === "none") return [];
  if (!/^\d{1,9}(,\d{1,9})*$/.test(text)) throw new InvalidArgumentError("allowed: whole numbers, as in 3,17,20.");
  return text.split(",").map(Number);
}
