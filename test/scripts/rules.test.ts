import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { commentsOf, faultsOf, type Found, rulesOf, titlesOf, uncheckedIn } from "../../scripts/rules.ts";

const ROOT = join(import.meta.dirname, "../..");
const NOTHING = { code: "", test: "", checker: "", mutant: "" };
const found = (code: string, named: string, checker: string, mutant: string): Found => {
  const set = (names: string) => new Set(names.split(" "));
  return { code: set(code), test: set(named), checker: set(checker), mutant: set(mutant) };
};

describe("the rules of the protocol", () => {
  test("stand in the code, in tests, in checkers and in mutants, but for what is listed", () => {
    const { status, stderr } = spawnSync(process.execPath, ["scripts/rules.ts"], { cwd: ROOT, encoding: "utf8" });
    expect([stderr, status]).toEqual(["", 0]);
  });

  test("are those that an item of a list or a row of a table defines", () => {
    const page = [
      "- `GRANT-1` Sign once. By `GRANT-2`, too.",
      "| `BATCH-1`  | too large | reject |",
      "| S1  | one assignment | holds |",
      "| -- | -- |",
      "Text about `CLAIM-1` and S2.",
    ].join("\n");
    expect(rulesOf(page)).toEqual(["GRANT-1", "BATCH-1", "S1"]);
  });

  test("are found in comments of the code and in the names of tests, and nowhere else", () => {
    expect(commentsOf("a.ts", 'const a = "GRANT-1"; // GRANT-2.\n/** GRANT-3 */')).toEqual([" GRANT-2.", "* GRANT-3 "]);
    const source = 'describe("A", () => { it.each([1])("B %i", () => f("C")); test.skipIf(x)(`D ${y}`, g); });';
    expect(titlesOf("a.test.ts", source)).toEqual(['"A"', '"B %i"', "`D ${y}`"]);
  });

  test("that lack something are named with the place", () => {
    const lacks = faultsOf(["GRANT-1", "S1"], found("GRANT-1 S1", "S1", "GRANT-1", "S1"), new Map(), NOTHING);
    expect(lacks).toEqual([
      "GRANT-1 is in no name of a test",
      "S1 is in no checker or behaviour of simnet",
      "GRANT-1 is in no `rule` of a mutant",
    ]);
  });

  test("may lack what is listed, and nothing may be listed that they do not lack", () => {
    const missing = { ...NOTHING, mutant: "GRANT-1", code: "GRANT-1 GONE-1" };
    const faults = faultsOf(["GRANT-1"], found("GRANT-1", "GRANT-1", "GRANT-1", ""), new Map(), missing);
    expect(faults).toEqual([
      "GRANT-1 does not lack a code any more: take it out of the list in scripts/rules.ts",
      "GONE-1 does not lack a code any more: take it out of the list in scripts/rules.ts",
    ]);
  });

  test("that the simulator cannot check need a reason, and only until it can", () => {
    const page =
      "## Rules that the simulator does not check\n\n| `A-1` |\n| `GRANT-1` `GRANT-2` | no run does |\n| `GRANT-3` | |\n\n## Next\n\n| `GRANT-4` | x |\n";
    const unchecked = uncheckedIn(page);
    expect([...unchecked]).toEqual([
      ["GRANT-1", "no run does"],
      ["GRANT-2", "no run does"],
      ["GRANT-3", ""],
    ]);
    const names = "GRANT-1 GRANT-3";
    expect(faultsOf(["GRANT-1", "GRANT-3"], found(names, names, "GRANT-1", "GRANT-1"), unchecked, NOTHING)).toEqual([
      "GRANT-1 has a checker and a mutant: take it out of the table in docs/simulator.md",
      "docs/simulator.md names GRANT-2, which docs/protocol.md does not define",
      "docs/simulator.md gives no reason why GRANT-3 is not checked",
    ]);
  });
});
