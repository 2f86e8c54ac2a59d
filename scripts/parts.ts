/**
 * The long suite in five parts, of which each run of `.ci/run` takes the next: the number of commits says which.
 *
 * `node scripts/parts.ts` runs the part of this commit, `node scripts/parts.ts 3` runs part 3. `--check` prints the files of
 * test/long that are in no part or in two, and ends with 1. Files of many cases take a slice of them in each turn
 * (`test/long/turns.ts`); `npm run test:long` runs all cases of all files.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** Seconds that each file takes on an idle machine of two cores, with the slice of its cases that a turn has. */
export type Part = Readonly<Record<string, number>>;

/** A part may take so many seconds in all. */
export const PART_SECONDS_MAX = 480;

export const PARTS: readonly Part[] = [
  // Kills, damage and a long absence.
  {
    "kill-loop": 90,
    "few-kills": 15,
    recorders: 120,
    catchup: 90,
    namespaces: 40,
    artefact: 25,
    archive: 10,
    "level-damage": 5,
    "full-disk": 8,
    quarantine: 8,
    machine: 15,
    shell: 12,
  },
  // Hostile peers and bytes, and networks of real nodes under faults.
  {
    local: 170,
    hostile: 120,
    fuzz: 60,
    bombs: 60,
    attack: 8,
    liars: 15,
    "twin-plots": 8,
    "twin-scenarios": 30,
    sources: 9,
  },
  // Recursive proofs, and what the package promises.
  {
    pickles: 300,
    topologies: 60,
    griefing: 35,
    leaving: 10,
    lifecycle: 20,
    sinks: 15,
    "registry-owner": 10,
    registry: 2,
  },
  // Simulated networks and mutants.
  { byzantine: 200, mutants: 110, age: 70, twin: 50, virtual: 15, workflows: 11, "lost-disks": 8 },
  // Real provers, partitions, and a long run.
  { "opt-in": 120, families: 120, heap: 80, partitions: 60, ranges: 35, halo2: 20, ultrahonk: 14, circuit: 7 },
];

/** Which files are in no part, in two, or nowhere, and which parts are too long. */
export function faultsOf(parts: readonly Part[], files: readonly string[]): readonly string[] {
  const named = parts.flatMap((part, at) => Object.keys(part).map((file) => ({ file, number: at + 1 })));
  const numbers = (name: string) => named.filter(({ file }) => file === name).map(({ number }) => number);
  const all = [...new Set([...files, ...named.map(({ file }) => file)])].toSorted();
  const faults = all.flatMap((file) => {
    const found = numbers(file);
    if (!files.includes(file)) return [`${file} is in part ${found.join()}, and test/long has no such file`];
    if (found.length === 1) return [];
    const where = found.length === 0 ? "in no part" : `in parts ${found.join(" and ")}`;
    return [`test/long/${file}.test.ts is ${where}; each file belongs to one part`];
  });
  for (const [at, part] of parts.entries()) {
    const seconds = Object.values(part).reduce((sum, each) => sum + each, 0);
    if (seconds > PART_SECONDS_MAX)
      faults.push(`part ${at + 1} takes ${seconds} s; allowed: ${PART_SECONDS_MAX} s, so move or cut a file`);
  }
  return faults;
}

export interface Turn {
  /** From 1. */
  readonly number: number;
  /** How often the parts have come round. */
  readonly turn: number;
}

/** Part 1 where nobody knows how many commits there are. */
export function turnOf(commits: number | null, parts: number): Turn {
  if (commits === null) return { number: 1, turn: 0 };
  return { number: (commits % parts) + 1, turn: Math.floor(commits / parts) };
}

/** How many commits lead to this one; `null` without git, without a repository, and in a shallow clone. */
export function commitsOf(root: string): number | null {
  const git = (...args: readonly string[]) =>
    execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    if (git("rev-parse", "--is-shallow-repository") !== "false") return null;
    return Number(git("rev-list", "--count", "HEAD"));
  } catch {
    return null;
  }
}

function filesOf(root: string): readonly string[] {
  const names = readdirSync(join(root, "test/long"));
  return names.filter((name) => name.endsWith(".test.ts")).map((name) => name.slice(0, -".test.ts".length));
}

function runPart(root: string, { number, turn }: Turn): number {
  const files = Object.keys(PARTS[number - 1] ?? {}).map((name) => `test/long/${name}.test.ts`);
  if (files.length === 0) throw new RangeError(`part ${number}; allowed: 1 to ${PARTS.length}`);
  process.stdout.write(`part ${number} of ${PARTS.length}, turn ${turn}: ${files.join(" ")}\n`);
  const env = { FUZZ_CASES: "20000", ...process.env, LONG_SUITE_TURN: String(turn) };
  const args = ["run", "--config", ".vitest.long.ts", ...files];
  return spawnSync("vitest", args, { cwd: root, env, stdio: "inherit" }).status ?? 1;
}

if (import.meta.main) {
  const root = resolve(import.meta.dirname, "..");
  const [word] = process.argv.slice(2);
  const faults = faultsOf(PARTS, filesOf(root));
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  if (faults.length > 0) process.exitCode = 1;
  else if (word === "--check") process.stdout.write("parts: each file is in one\n");
  else {
    const turn = turnOf(commitsOf(root), PARTS.length);
    process.exitCode = runPart(root, word === undefined ? turn : { ...turn, number: Number(word) });
  }
}
