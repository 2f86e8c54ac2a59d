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
  checker:
    "BATCH-8 BATCH-9 BATCH-11 BATCH-15 BATCH-17 VERIFY-1 VERIFY-2 VERIFY-4 VERIFY-5 VERIFY-7 ENTRY-1 " +
    "ENTRY-5 ANNOUNCE-4 ANNOUNCE-6 ANNOUNCE-8 ANNOUNCE-9 RETRACT-1 RETRACT-5 " +
    "CANCEL-1 CANCEL-3 JOIN-1 JOIN-3 JOIN-6 ADMIT-3 ADMIT-7 " +
    "CLAIM-6 CLAIM-7 GRANT-6 FAIL-2 FAIL-3 RECEIPT-7 COMPLETE-2 COMPLETE-4 " +
    "TIMEOUT-4 TIMEOUT-5 REQUEUE-1 PACE-6 BARRIER-3 BARRIER-6 EVIDENCE-2 EVIDENCE-5 EVIDENCE-6 START-1 " +
    "START-2 START-3 START-5 FEED-2 SINK-5 SINK-7",
  mutant:
    "BATCH-9 BATCH-12 BATCH-13 BATCH-15 BATCH-17 VERIFY-1 VERIFY-2 VERIFY-4 VERIFY-5 VERIFY-7 " +
    "ENTRY-1 ENTRY-5 ANNOUNCE-4 ANNOUNCE-5 ANNOUNCE-8 ANNOUNCE-9 ANNOUNCE-11 ANNOUNCE-12 " +
    "ANNOUNCE-14 RETRACT-1 RETRACT-5 CANCEL-1 CANCEL-3 " +
    "JOIN-1 JOIN-3 JOIN-4 JOIN-6 ADMIT-1 ADMIT-3 ADMIT-7 BENCH-2 BENCH-3 CLAIM-2 " +
    "CLAIM-6 CLAIM-7 GRANT-6 GRANT-7 RELEASE-1 RELEASE-3 FAIL-2 FAIL-3 RECEIPT-3 RECEIPT-4 " +
    "RECEIPT-6 RECEIPT-7 ATTEST-5 COMPLETE-2 COMPLETE-4 COMPLETE-5 REJECT-2 REJECT-3 TIMEOUT-4 " +
    "TIMEOUT-5 REQUEUE-1 PACE-1 PACE-5 PACE-6 BARRIER-2 BARRIER-3 BARRIER-4 BARRIER-6 " +
    "EVIDENCE-1 EVIDENCE-2 EVIDENCE-4 EVIDENCE-5 EVIDENCE-6 CERT-1 START-2 START-3 START-4 " +
    "START-5 START-6 FEED-2 FEED-3 FEED-4 S9 L5",
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
