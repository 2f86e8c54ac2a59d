/**
 * Where each numbered rule of docs/protocol.md stands: in a comment of the code, in the name of a test, in a checker or
 * behaviour of the simulator, and in the `rule` of a mutant.
 *
 * `node scripts/rules.ts [root]` prints what each rule lacks and ends with 1. A table of docs/simulator.md names the rules
 * that the simulator cannot check, with the reason. Those need no checker and no mutant. `MISSING` is what rules are
 * known to lack. That list may only shrink: an entry that is no longer needed is a fault as well.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseSync } from "oxc-parser";
import { MUTANTS } from "../simnet/virtual/mutants.ts";

export const PLACES = ["code", "test", "checker", "mutant"] as const;
export type Place = (typeof PLACES)[number];
/** The rules that stand in each place. */
export type Found = Readonly<Record<Place, ReadonlySet<string>>>;

/** The rules that are known to stand nowhere in such a place. */
const MISSING: Readonly<Record<Place, string>> = {
  code: "",
  test: "",
  checker: "",
  mutant: "",
};

/** Rules of messages have a word and a number, invariants a letter and a number. */
const NAME = /\b(?:[A-Z]{3,}-\d+|[SLR]\d)\b/g;
/** A rule is defined by an item of a list or a row of a table that begins with it. */
const DEFINED = /^(?:- `|\| `?)([A-Z]{3,}-\d+|[SLR]\d)`? +(?:\||\S)/gm;
/** The heading of the table of rules that the simulator cannot check. */
const UNCHECKED = "## Rules that the simulator does not check";

export function rulesOf(protocol: string): readonly string[] {
  return [...new Set([...protocol.matchAll(DEFINED)].map(([, name = ""]) => name))];
}

/** The rules in the table of docs/simulator.md, and rows without a reason. */
export function uncheckedIn(simulator: string): ReadonlyMap<string, string> {
  const [, section = ""] = simulator.split(UNCHECKED);
  const [table = ""] = section.split(/\n## /);
  const rows = table.matchAll(/^\| (`[^|]*`) +\| *([^|]*?) *\|$/gm);
  return new Map([...rows].flatMap(([, names = "", reason = ""]) => namesIn(names).map((name) => [name, reason])));
}

function namesIn(text: string): readonly string[] {
  return text.match(NAME) ?? [];
}

/** What is wrong: rules that lack something, entries that are not needed, and names that no rule has. */
export function faultsOf(
  rules: readonly string[],
  found: Found,
  unchecked: ReadonlyMap<string, string>,
  missing: Readonly<Record<Place, string>>,
): readonly string[] {
  const lacks = (rule: string, place: Place) =>
    !found[place].has(rule) && !(unchecked.has(rule) && (place === "checker" || place === "mutant"));
  const faults = PLACES.flatMap((place) => {
    const listed = new Set(missing[place].split(" ").filter((word) => word !== ""));
    return [
      ...rules.filter((rule) => lacks(rule, place) && !listed.has(rule)).map((rule) => `${rule} is in ${WHERE[place]}`),
      ...[...listed]
        .filter((rule) => !rules.includes(rule) || !lacks(rule, place))
        .map((rule) => `${rule} does not lack a ${place} any more: take it out of the list in scripts/rules.ts`),
    ];
  });
  for (const [rule, reason] of unchecked) {
    if (!rules.includes(rule)) faults.push(`docs/simulator.md names ${rule}, which docs/protocol.md does not define`);
    else if (reason === "") faults.push(`docs/simulator.md gives no reason why ${rule} is not checked`);
    else if (found.checker.has(rule) && found.mutant.has(rule))
      faults.push(`${rule} has a checker and a mutant: take it out of the table in docs/simulator.md`);
  }
  return faults;
}

const WHERE: Readonly<Record<Place, string>> = {
  code: "no comment of src",
  test: "no name of a test",
  checker: "no checker or behaviour of simnet",
  mutant: "no `rule` of a mutant",
};

function filesIn(root: string, folder: string, fits: (file: string) => boolean): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`)
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts") && fits(file));
}

export function commentsOf(file: string, source: string): readonly string[] {
  return parseSync(file, source).comments.map(({ value }) => value);
}

/** The titles of all tests and of all groups of tests. */
export function titlesOf(file: string, source: string): readonly string[] {
  const titles: string[] = [];
  visit(parseSync(file, source).program, (node) => {
    if (node["type"] !== "CallExpression" || !isTestOf(node["callee"])) return;
    const [title] = Array.isArray(node["arguments"]) ? (node["arguments"] as readonly unknown[]) : [];
    if (isRecord(title) && (typeof title["value"] === "string" || title["type"] === "TemplateLiteral"))
      titles.push(source.slice(Number(title["start"]), Number(title["end"])));
  });
  return titles;
}

/** `it`, `it.each(...)`, `test.skipIf(...)`, and so on. */
function isTestOf(callee: unknown): boolean {
  if (!isRecord(callee)) return false;
  if (callee["type"] === "Identifier") return ["it", "test", "describe"].includes(String(callee["name"]));
  return isTestOf(callee["type"] === "MemberExpression" ? callee["object"] : callee["callee"]);
}

function visit(value: unknown, see: (node: Readonly<Record<string, unknown>>) => void): void {
  if (Array.isArray(value)) for (const element of value) visit(element, see);
  else if (isRecord(value)) {
    see(value);
    for (const child of Object.values(value)) if (typeof child === "object") visit(child, see);
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isMutantFile(file: string): boolean {
  return file.endsWith("mutants.ts");
}

function foundIn(root: string): Found {
  const read = (file: string) => readFileSync(join(root, file), "utf8");
  const code = filesIn(root, "src", () => true).flatMap((file) => commentsOf(file, read(file)).flatMap(namesIn));
  const tests = filesIn(root, "test", (file) => file.endsWith(".test.ts"));
  const test = tests.flatMap((file) => titlesOf(file, read(file)).flatMap(namesIn));
  // Also the texts of violations, which begin with the invariant.
  const checker = filesIn(root, "simnet", (file) => !isMutantFile(file)).flatMap((file) => namesIn(read(file)));
  const mutant = Object.values(MUTANTS).flatMap(({ rule }) => namesIn(rule));
  return { code: new Set(code), test: new Set(test), checker: new Set(checker), mutant: new Set(mutant) };
}

if (import.meta.main) {
  const root = resolve(process.argv[2] ?? ".");
  const rules = rulesOf(readFileSync(join(root, "docs/protocol.md"), "utf8"));
  const unchecked = uncheckedIn(readFileSync(join(root, "docs/simulator.md"), "utf8"));
  const faults = faultsOf(rules, foundIn(root), unchecked, MISSING);
  for (const place of PLACES) {
    const listed = MISSING[place].split(" ").filter((word) => word !== "");
    if (listed.length > 0) process.stdout.write(`${listed.length} rules lack a ${place}: ${listed.join(" ")}\n`);
  }
  for (const fault of faults) process.stderr.write(`${fault}\n`);
  process.stdout.write(
    faults.length === 0 ? `rules: ${rules.length}, all in their places\n` : `rules: ${faults.length} wrong\n`,
  );
  process.exitCode = faults.length === 0 ? 0 : 1;
}
