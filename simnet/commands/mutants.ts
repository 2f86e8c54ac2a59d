/** `simnet mutants`: shows that the checkers notice a node that breaks a rule, whichever rule it is. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { EXIT } from "../outcome.ts";
import { MODELS } from "../virtual/models/models.ts";
import type { Mutant } from "../virtual/mutant.ts";
import { MUTANTS, RUNS } from "../virtual/mutants.ts";

const CHILD = fileURLToPath(new URL("../virtual/mutant-child.ts", import.meta.url));
const MUTATION = new URL("../virtual/mutation.ts", import.meta.url).href;
/** Two cores are what the smallest of our machines has. */
const AT_ONCE = 2;
/** Seeds that are tried where a run's own does not catch a mutant. */
const OTHER_SEEDS = 12;

interface Flags {
  readonly only?: readonly string[];
  readonly json?: boolean;
}

interface Outcome {
  readonly mutant: string;
  readonly rule: string;
  readonly caught: boolean;
  /** The run that noticed, its seed, and the violation. */
  readonly run: string | null;
  readonly seed: number | null;
  readonly violation: string | null;
}

export function mutantsCommand(): Command {
  return new Command("mutants")
    .description(
      "Breaks one rule of the node at a time and runs the checkers over it. Ends with 1 if they let one mutant pass, or find fault with a node that is whole.",
    )
    .option("--only <a,b>", `some of: ${Object.keys(MUTANTS).join(", ")}`, mutants)
    .option("--json", "one JSON object")
    .addHelpText("after", "\nExample:\n  $ npm run simnet -- mutants --only grant-again,barrier-before-parent")
    .action(async (flags: Flags) => {
      const say = (line: string) => void (flags.json === true ? process.stderr : process.stdout).write(`${line}\n`);
      const chosen = Object.entries(MUTANTS).filter(([name]) => flags.only?.includes(name) ?? true);
      const whole = await wholeNodes(chosen, say);
      const outcomes = await inTurns(chosen, async ([name, mutant]) => {
        const outcome = await hunt(name, mutant);
        say(described(outcome));
        return outcome;
      });
      const survivors = outcomes.filter(({ caught }) => !caught).map(({ mutant }) => mutant);
      if (flags.json === true) process.stdout.write(`${JSON.stringify({ mutants: outcomes, survivors, whole })}\n`);
      else say(`${outcomes.length - survivors.length} of ${outcomes.length} mutants caught`);
      if (survivors.length > 0 || whole.length > 0) process.exitCode = EXIT.safety;
    });
}

/** What the checkers find where nothing is broken: then they would "catch" anything. */
async function wholeNodes(
  chosen: readonly (readonly [string, Mutant])[],
  say: (line: string) => void,
): Promise<string[]> {
  const runs = [...new Set(chosen.flatMap(([, mutant]) => mutant.runs))];
  const found = await inTurns(runs, async (run) =>
    (await violationsOf(run)).map((violation) => `${run}: ${violation}`),
  );
  for (const line of found.flat()) say(`a whole node fails ${line}`);
  return found.flat();
}

/**
 * Tries the runs under their own seeds, then under others, because any change of the node moves what a seed does. What
 * another seed catches counts only if the whole node has no fault under that seed.
 */
async function hunt(name: string, mutant: Mutant): Promise<Outcome> {
  const { rule, runs, expected } = mutant;
  for (const seed of [undefined, ...Array.from({ length: OTHER_SEEDS }, (_, at) => at + 1)]) {
    for (const run of runs) {
      const violation = (await violationsOf(run, name, seed)).find((each) => expected.test(each));
      if (violation === undefined) continue;
      if (seed !== undefined && (await violationsOf(run, undefined, seed)).length > 0) continue;
      return { mutant: name, rule, caught: true, run, seed: seed ?? seedOf(run), violation };
    }
  }
  return { mutant: name, rule, caught: false, run: null, seed: null, violation: null };
}

function seedOf(run: string): number | null {
  return (RUNS[run] ?? MODELS[run])?.seed ?? null;
}

function described({ mutant, rule, run, seed, violation }: Outcome): string {
  if (violation === null) return `SURVIVED ${mutant}: no checker saw that it breaks "${rule}"`;
  return `caught   ${mutant} (${rule}) by run ${run}, seed ${seed}: ${violation}`;
}

function violationsOf(run: string, mutant?: string, seed?: number): Promise<readonly string[]> {
  const flags = mutant === undefined ? [] : ["--import", MUTATION];
  const env = { ...process.env, ...(mutant === undefined ? {} : { SIMNET_MUTANT: mutant }) };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, CHILD, run, String(seed ?? "")], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [out, err] = ["", ""];
    child.stdout.on("data", (part: Buffer) => (out += part.toString()));
    child.stderr.on("data", (part: Buffer) => (err += part.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(out) as string[]);
      else reject(new Error(`${mutant ?? "a whole node"}, run ${run}, ended with ${code}: ${err.trim()}`));
    });
  });
}

async function inTurns<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const left = [...items.entries()];
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) results[next[0]] = await run(next[1]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return results;
}

function mutants(text: string): string[] {
  const names = text.split(",");
  const unknown = names.find((name) => !Object.hasOwn(MUTANTS, name));
  if (unknown !== undefined) throw new InvalidArgumentError(`"${unknown}" is no mutant; see --help.`);
  return names;
}
