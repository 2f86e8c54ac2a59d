/** The flags of the faults, one a dial; and a run's options written as the command line that repeats it. */
import { type Command, InvalidArgumentError } from "commander";
import { percent, whole } from "../../src/cli/flags.ts";
import { DAMAGES } from "../virtual/disk.ts";
import { type Dials, NO_FAULTS, RUN_LIMITS, type RunLimits, type VirtualOptions } from "../virtual/options.ts";

type Value = Dials[keyof Dials];

interface Dial {
  readonly flag: string;
  readonly help: string;
  /** How the value is written on the command line. */
  readonly unit: Unit;
}

interface Unit {
  readonly name: string;
  readonly read: ((text: string) => Value) | null;
  readonly write: (value: Value) => string;
}

const WHOLE: Unit = { name: " <n>", read: whole, write: String };
const MS: Unit = { name: " <ms>", read: whole, write: String };
const PERCENT: Unit = { name: " <percent>", read: percent, write: (value) => String(Math.round(Number(value) * 100)) };
const PPM: Unit = { name: " <ppm>", read: (text) => whole(text) / 1e6, write: (value) => String(Number(value) * 1e6) };
const SWITCH: Unit = { name: "", read: null, write: () => "" };
const DAMAGE: Unit = { name: " <kind>", read: damage, write: String };

export const DIALS: Readonly<Record<keyof Dials, Dial>> = {
  loss: { flag: "--loss", unit: PERCENT, help: "gossip messages that never arrive" },
  duplicate: { flag: "--duplicate", unit: PERCENT, help: "gossip messages that arrive twice" },
  replay: { flag: "--replay", unit: PERCENT, help: "gossip messages that come again up to two minutes later" },
  delayMs: { flag: "--delay", unit: MS, help: "the longest a message takes beside the distance" },
  wan: { flag: "--wan", unit: SWITCH, help: "nodes in five regions of the world, up to 155 ms apart" },
  partitionEveryMs: {
    flag: "--partition-every",
    unit: MS,
    help: "some nodes are cut off: both ways or one, once or flapping",
  },
  deafEveryMs: { flag: "--deaf-every", unit: MS, help: "a link carries requests and no gossip" },
  crashEveryMs: { flag: "--crash-every", unit: MS, help: "a node dies" },
  crashSites: { flag: "--crash-sites", unit: PERCENT, help: "deaths at the boundary of an effect" },
  outageEveryMs: { flag: "--outage-every", unit: MS, help: "the power fails: all nodes die at once" },
  damage: { flag: "--damage", unit: DAMAGE, help: `a dead node's disk: ${DAMAGES.join(", ")} or any` },
  awayMs: { flag: "--away", unit: MS, help: "the longest a dead node is away; blocks are retained for 16 s" },
  fullDiskEveryMs: { flag: "--full-disk-every", unit: MS, help: "a disk is full for a while" },
  pauseEveryMs: { flag: "--pause-every", unit: MS, help: "a process stands still for up to a minute" },
  drift: { flag: "--drift", unit: PPM, help: "how far a node's clock may run off" },
  jumpEveryMs: { flag: "--jump-every", unit: MS, help: "the clock on some wall jumps by up to ten minutes" },
  slowEveryMs: { flag: "--slow-every", unit: MS, help: "a prover gets slow, or hangs" },
  gpus: { flag: "--gpus", unit: WHOLE, help: "GPUs of each machine, one for each job" },
  lingerMs: { flag: "--linger", unit: MS, help: "the longest that a machine works on a cancelled job" },
  unableEveryMs: { flag: "--unable-every", unit: MS, help: "a node's provers can begin no job for a while" },
  wrong: { flag: "--wrong", unit: PERCENT, help: "proofs that do not verify" },
  failing: { flag: "--failing", unit: PERCENT, help: "jobs whose machine fails" },
  wrongFirst: { flag: "--wrong-first", unit: WHOLE, help: "each prover's first proofs of a task that do not verify" },
  tooLarge: {
    flag: "--too-large",
    unit: PERCENT,
    help: "blocks that cannot be proven whole, where --workflow splits them",
  },
  reorgEveryMs: { flag: "--reorg-every", unit: MS, help: "the chain gives up its newest blocks" },
  reorgDepth: { flag: "--reorg-depth", unit: WHOLE, help: "at most so many of them" },
  stallEveryMs: { flag: "--stall-every", unit: MS, help: "the chain does not grow for a while" },
  sourceAwayEveryMs: {
    flag: "--source-away-every",
    unit: MS,
    help: "an attester's source does not answer for a while",
  },
  sourceLagEveryMs: { flag: "--source-lag-every", unit: MS, help: "an attester's source is up to 20 blocks behind" },
  sourcesAway: { flag: "--sources-away", unit: WHOLE, help: "attesters whose source does not answer from the start" },
  sourcesAwayMs: { flag: "--sources-away-for", unit: MS, help: "for how long" },
  sourceLag: { flag: "--source-lag", unit: WHOLE, help: "blocks by which the first attester's source is behind" },
  sinkEveryMs: {
    flag: "--sink-every",
    unit: MS,
    help: "a sink refuses, is slow, loses answers, hears all twice, or loses its newest blocks",
  },
  outsiders: { flag: "--outsiders", unit: WHOLE, help: "nodes of other partitions, which hear the certificates" },
  forgers: { flag: "--forgers", unit: WHOLE, help: "nodes that tell outsiders forged and old certificates" },
  handedIn: {
    flag: "--handed-in",
    unit: WHOLE,
    help: "blocks of a second chain that the attesters' operators hand in; not with --workflow",
  },
  anyStart: { flag: "--any-start", unit: SWITCH, help: "runs of the chain's blocks may start at any height" },
  absent: { flag: "--absent", unit: WHOLE, help: "nodes that are away from the beginning nearly to the end" },
  joiners: { flag: "--joiners", unit: WHOLE, help: "provers on nobody's list that come, and go" },
};

export function addDials(command: Command): void {
  for (const [name, { flag, unit, help }] of entries()) {
    const byDefault = NO_FAULTS[name];
    const said = byDefault === 0 || byDefault === false ? help : `${help} (default: ${unit.write(byDefault)})`;
    if (unit.read === null) command.option(flag, said);
    else command.option(flag + unit.name, said, unit.read);
  }
}

/** The dials that were given; commander names an option after its flag. */
export function dialsGiven(flags: Readonly<Record<string, unknown>>): Partial<Dials> {
  return Object.fromEntries(
    entries().flatMap(([name, { flag }]) => {
      const value = flags[flag.slice(2).replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase())];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** The command that repeats a run. */
export function commandOf(options: VirtualOptions): string {
  const { seed, nodes, attesters, blocks, shards, limits: limitsGiven, only, workflowFile } = options;
  const { twins, attestersOnlyAttest, byzantineAttesters, byzantineProvers, behaviours, proverBehaviours } = options;
  const parts = [`--seed ${seed} --nodes ${nodes}`, ...(attesters === undefined ? [] : [`--attesters ${attesters}`])];
  parts.push(`--blocks ${blocks} --shards ${shards}`);
  for (const [name, { flag, unit }] of entries()) {
    const value = options[name];
    if (value !== undefined && value !== NO_FAULTS[name]) parts.push(`${flag} ${unit.write(value)}`.trim());
  }
  if (workflowFile !== undefined) parts.push(`--workflow ${workflowFile}`);
  if (limitsGiven !== undefined) parts.push(`--limits ${entriesOf(limitsGiven)}`);
  if (twins !== undefined) parts.push(`--twins ${twins}`);
  if (byzantineAttesters !== undefined) parts.push(`--byzantine-attesters ${byzantineAttesters}`);
  if (byzantineProvers !== undefined) parts.push(`--byzantine-provers ${byzantineProvers}`);
  if (behaviours !== undefined) parts.push(`--behaviours ${behaviours.join(",")}`);
  if (proverBehaviours !== undefined) parts.push(`--prover-behaviours ${proverBehaviours.join(",")}`);
  if (attestersOnlyAttest === true) parts.push("--attesters-only-attest");
  if (options.stated === true) parts.push("--stated");
  if (only !== undefined) parts.push(`--only ${only.length === 0 ? "none" : only.join(",")}`);
  return `npm run simnet -- virtual ${parts.join(" ")}`;
}

function entries(): [keyof Dials, Dial][] {
  return Object.entries(DIALS) as [keyof Dials, Dial][];
}

function entriesOf(given: Partial<RunLimits>): string {
  return Object.entries(given)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}

/** Reads `name=n,name=n`. */
export function limitsOf(text: string): Partial<RunLimits> {
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const [name = "", value = "", more] = pair.split("=");
      if (!Object.hasOwn(RUN_LIMITS, name))
        throw new InvalidArgumentError(`"${name}" is none of the limits listed in --help.`);
      if (more !== undefined || whole(value) < 1)
        throw new InvalidArgumentError(`"${pair}" is no limit; allowed: a name and a number from 1, as in window=2.`);
      return [name, whole(value)];
    }),
  );
}

function damage(text: string): Dials["damage"] {
  const found = (["any", ...DAMAGES] as const).find((kind) => kind === text);
  if (found === undefined) throw new InvalidArgumentError(`allowed: any, ${DAMAGES.join(", ")}.`);
  return found;
}
