/** `simnet virtual`: the flags of a run on virtual time. */
import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { whole } from "../../src/cli/flags.ts";
import { readFragmentFile } from "../../src/node.ts";
import { EXIT } from "../outcome.ts";
import { BEHAVIOURS } from "../virtual/behaviours.ts";
import { INVARIANTS } from "../virtual/invariants.ts";
import { minimise } from "../virtual/minimise.ts";
import {
  type Dials,
  RUN_LIMITS,
  type RunLimits,
  type VirtualOptions,
  type VirtualReport,
  type Verdict,
} from "../virtual/options.ts";
import { runVirtual } from "../virtual/run.ts";
import { proversNeeded, swarmDials, swarmHostile, swarmLimits, swarmSize } from "../virtual/swarm.ts";
import { Campaign } from "./campaign.ts";
import { addDials, commandOf, dialsGiven, limitsOf } from "./dials.ts";
import { failure, told, toldShort } from "./tell.ts";

interface VirtualFlags {
  readonly seed: number;
  readonly seeds?: readonly [number, number];
  readonly swarm?: boolean;
  readonly byzantine?: boolean;
  readonly soak?: number;
  readonly fresh?: number;
  readonly cpu?: number;
  readonly jobs?: number;
  readonly repeat?: boolean;
  readonly minimise?: boolean;
  readonly only?: readonly number[];
  readonly nodes?: number;
  readonly attesters?: number;
  readonly blocks?: number;
  readonly shards?: number;
  readonly workflow?: string;
  readonly limits?: Partial<RunLimits>;
  readonly twins?: number;
  readonly byzantineAttesters?: number;
  readonly byzantineProvers?: number;
  readonly behaviours?: readonly string[];
  readonly proverBehaviours?: readonly string[];
  readonly attestersOnlyAttest?: boolean;
  readonly stated?: boolean;
  readonly json?: boolean;
}

/** What a script can tell from the exit status; the worst of several runs. */
const EXITS: Readonly<Record<Verdict, number>> = { green: 0, unrecoverable: 0, safety: 1, liveness: 3, crash: 4 };

const HELP = `
Ends with 0 if all is well, 1 if a checker found a broken rule, 2 for a wrong command line, 3 if something did not
happen in time after the faults had ended, 4 if a node or the simulator crashed, 130 if it was interrupted. Of several
runs the worst counts. A network in which so many attesters lost their disks that nothing can be certified any more, and
which says so, has not failed.

Examples:
  $ npm run simnet -- virtual --seed 1 --nodes 50 --blocks 200 --json
  $ npm run simnet -- virtual --seed 7 --loss 10 --crash-every 2000 --damage any
  $ npm run simnet -- virtual --swarm --seeds 1..100
  $ npm run simnet -- virtual --swarm --byzantine --seeds 1..1000
  $ npm run simnet -- virtual --swarm --seed 42 --minimise
  $ npm run simnet -- virtual --swarm --seeds 1..20 --fresh 10 --cpu 90
  $ npm run simnet -- virtual --swarm --seed 7 --repeat
  $ npm run simnet -- virtual --soak 600`;

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
/** No run says more often how far it is. */
const PROGRESS_MS = 5_000;

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
    .option("--fresh <n>", "and so many seeds that nobody has tried, on all cores; they are printed", whole)
    .option("--cpu <s>", "begins no fresh seed once so much processor time is used", whole)
    .option("--jobs <n>", "processes at once, for --seeds, --fresh and --soak", whole)
    .option("--soak <s>", "fresh seeds in swarm mode on all cores for so long; Ctrl-C ends it with what it has", whole)
    .option("--repeat", "runs each seed again, here and in another process: the traces must be equal")
    .option("--minimise", "if the run fails: looks for the fewest faults with which it does")
    .option("--only <numbers>", "of the faults that are drawn only these, by number; or none", numbers)
    .option("--nodes <n>", "nodes that prove (default: 7)", whole)
    .option("--attesters <n>", "how many of them attest and have a source (default: all, at most 7)", whole)
    .option("--blocks <n>", "blocks, one a second (default: 20)", whole)
    .option("--shards <n>", "tasks of a block side by side (default: 4)", whole)
    .option("--workflow <file>", "blocks are proven by its workflow `block`, as in config/workflows")
    .option("--limits <name=n,...>", "limits to make smaller or larger (see below)", limitsOf)
    .option("--twins <n>", "attesters whose key a second process has, a copy of the node", whole)
    .option("--byzantine-attesters <n>", "attesters that are hostile, each in ways drawn from the seed", whole)
    .option("--byzantine-provers <n>", "the same for nodes that only prove", whole)
    .option("--behaviours <a,b>", "what the hostile nodes do (see below)", behaviours)
    .option("--prover-behaviours <a,b>", "what hostile nodes do that only prove; default: as --behaviours", behaviours)
    .option("--attesters-only-attest", "attesters do not prove, so all provers but one can be hostile")
    .option("--stated", "proofs of aggregates say which block they are about, and not who made them")
    .option("--json", "one JSON object for each run");
  addDials(command);
  const lists = [
    ["Behaviours:", ...described()],
    ["Checked, and by whom:", ...promises()],
    ["Limits, with what they are unless given:", ...limitsByDefault()],
  ];
  command.addHelpText("after", lists.map((lines) => `\n${lines.join("\n")}`).join("\n"));
  return command.addHelpText("after", HELP).action(async (flags: VirtualFlags) => {
    const isCampaign = [flags.soak, flags.fresh, flags.jobs].some((flag) => flag !== undefined);
    process.exitCode = isCampaign ? await campaign(flags) : runAll(flags, dialsGiven({ ...flags }));
  });
}

function runAll(flags: VirtualFlags, dials: Partial<Dials>): number {
  const [from, to] = flags.seeds ?? [flags.seed, flags.seed];
  let exit: number = EXIT.green;
  for (let seed = from; seed <= to; seed++) {
    const options = optionsOf({ ...flags, seed }, dials);
    const report = runVirtual({ ...options, progress: progressOf(flags, options) });
    exit = Math.max(exit, EXITS[report.verdict]);
    tell(flags, options, report);
    if (flags.repeat === true && !isRepeated(options, report)) exit = EXIT.crash;
    if (flags.minimise === true && !report.ok) tellFewest(options, report);
  }
  return exit;
}

/** A run that takes long says how far it is; one of many whose lines a script reads says nothing. */
function progressOf(flags: VirtualFlags, { seed, blocks }: VirtualOptions): NonNullable<VirtualOptions["progress"]> {
  let saidMs = performance.now();
  return (simulatedMs, mined, certified) => {
    if ((flags.json === true && flags.seeds !== undefined) || performance.now() - saidMs < PROGRESS_MS) return;
    saidMs = performance.now();
    const where = `${mined} of ${blocks} blocks mined, ${certified} certified on every node that is up`;
    note(`seed ${seed}: ${(simulatedMs / 1000).toFixed(0)} s simulated, ${where}`);
  };
}

function tellFewest(options: VirtualOptions, report: VirtualReport): void {
  const before = report.faults;
  note(`minimise: looking for the fewest of ${before} faults with which seed ${options.seed} fails in this way`);
  const fewest = minimise(options, report, note);
  const left = fewest.options.only?.length ?? before;
  say(`seed ${options.seed} fails in this way with ${left} of its ${before} faults:`);
  say(`  ${commandOf(fewest.options)}`);
  for (const line of failure(fewest.report)) say(line);
}

/** The same seed is the same run, in this process and in any other. */
function isRepeated(options: VirtualOptions, { seed, traceHash }: VirtualReport): boolean {
  const here = runVirtual(options).traceHash;
  const args = [...commandOf(options).split(" ").slice(4), "--json"];
  const child = spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", maxBuffer: 1 << 26 });
  const [, there = `none: ${child.stderr}`] = /"traceHash":"([0-9a-f]+)"/.exec(child.stdout) ?? [];
  const isSame = here === traceHash && there === traceHash;
  if (isSame) note(`seed ${seed}: the same trace twice in this process and once in another`);
  else say(`crash: seed ${seed} has the trace ${traceHash}, then ${here} in this process and ${there} in another`);
  return isSame;
}

async function campaign(flags: VirtualFlags): Promise<number> {
  const [from, to] = flags.seeds ?? [1, 0];
  const isSwarm = flags.swarm === true || flags.soak !== undefined;
  const runs = new Campaign({
    flags: flagsOf(process.argv, isSwarm),
    fixed: Array.from({ length: to - from + 1 }, (_, at) => from + at),
    fresh: flags.fresh ?? (flags.soak === undefined ? 0 : Number.POSITIVE_INFINITY),
    forMs: flags.soak === undefined ? Number.POSITIVE_INFINITY : flags.soak * 1000,
    cpuMs: flags.cpu === undefined ? Number.POSITIVE_INFINITY : flags.cpu * 1000,
    jobs: Math.max(flags.jobs ?? availableParallelism(), 1),
    say: flags.json === true ? note : say,
    report: flags.json === true ? say : () => {},
    progress: note,
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => runs.stop());
  return await runs.run();
}

/** What was given besides the choice of seeds. */
function flagsOf(argv: readonly string[], isSwarm: boolean): string[] {
  const own = new Set(["--seed", "--seeds", "--fresh", "--cpu", "--jobs", "--soak"]);
  const given = argv.slice(argv.indexOf("virtual") + 1).filter((word, at, words) => {
    const [name = ""] = word.split("=");
    return !own.has(name) && !own.has(words[at - 1] ?? "") && word !== "--json";
  });
  return isSwarm && !given.includes("--swarm") ? ["--swarm", ...given] : given;
}

function optionsOf(flags: VirtualFlags, dials: Partial<Dials>): VirtualOptions {
  const {
    seed,
    nodes,
    attesters,
    blocks,
    shards,
    limits: limitsGiven,
    only,
    twins,
    byzantineAttesters,
    byzantineProvers,
    behaviours: kinds,
    proverBehaviours,
    attestersOnlyAttest,
    stated,
  } = flags;
  const hostile = { twins, byzantineAttesters, byzantineProvers, behaviours: kinds, proverBehaviours };
  const workflowFile = flags.workflow;
  const workflow = workflowFile === undefined ? undefined : readFragmentFile(workflowFile);
  const given = Object.fromEntries(
    Object.entries({
      nodes,
      attesters,
      blocks,
      shards,
      limits: limitsGiven,
      only,
      workflow,
      workflowFile,
      attestersOnlyAttest,
      stated,
      ...hostile,
    }).filter(([, value]) => value !== undefined),
  );
  if (flags.swarm !== true) return { seed, nodes: 7, blocks: 20, shards: 4, ...dials, ...given };
  const needed = proversNeeded(workflow);
  const size = { ...swarmSize(seed, flags.byzantine === true, needed), ...given };
  const faults = { ...swarmDials(seed), ...dials };
  const limits = { ...swarmLimits(seed, faults), ...limitsGiven };
  return {
    seed,
    ...size,
    ...faults,
    ...swarmHostile(seed, size, flags.byzantine === true, needed),
    ...given,
    ...(Object.keys(limits).length === 0 ? {} : { limits }),
  };
}

function tell(flags: VirtualFlags, options: VirtualOptions, report: VirtualReport): void {
  if (flags.json === true) return say(JSON.stringify({ ...report, command: commandOf(options) }));
  for (const line of flags.seeds === undefined ? told(options, report) : toldShort(options, report)) say(line);
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

function described(): string[] {
  return Object.entries(BEHAVIOURS).map(([name, { who, says }]) => `  ${name.padEnd(18)} ${who.padEnd(9)} ${says}`);
}

function promises(): string[] {
  return Object.entries(INVARIANTS).map(([name, [says, by]]) => `  ${name} ${says} (${by})`);
}

function limitsByDefault(): string[] {
  return Object.entries(RUN_LIMITS).map(([name, value]) => `  ${name.padEnd(18)} ${value}`);
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
