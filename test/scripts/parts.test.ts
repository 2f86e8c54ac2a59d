import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { commitsOf, faultsOf, PART_SECONDS_MAX, PARTS, turnOf } from "../../scripts/parts.ts";
import { temporaryDirectory } from "../storage/directories.ts";

const SCRIPT = join(import.meta.dirname, "../../scripts/parts.ts");

describe("the parts of the long suite", () => {
  test("have each file of test/long once", () => {
    const { status, stderr } = spawnSync(process.execPath, [SCRIPT, "--check"], { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
  });

  test("may neither leave a file out, nor name one twice, nor one that is not there, nor take too long", () => {
    expect(faultsOf([{ a: 1 }, { b: PART_SECONDS_MAX }], ["a", "b"])).toEqual([]);
    expect(faultsOf([{ a: 1 }, { a: 2, b: PART_SECONDS_MAX, gone: 3 }], ["a", "b", "new"])).toEqual([
      "test/long/a.test.ts is in parts 1 and 2; each file belongs to one part",
      "gone is in part 2, and test/long has no such file",
      "test/long/new.test.ts is in no part; each file belongs to one part",
      `part 2 takes ${PART_SECONDS_MAX + 5} s; allowed: ${PART_SECONDS_MAX} s, so move or cut a file`,
    ]);
  });

  test("come in turn with each commit, and part 1 where nobody can count them", () => {
    expect([10, 11, 14, 15].map((commits) => turnOf(commits, 5))).toEqual([
      { number: 1, turn: 2 },
      { number: 2, turn: 2 },
      { number: 5, turn: 2 },
      { number: 1, turn: 3 },
    ]);
    expect(turnOf(null, PARTS.length)).toEqual({ number: 1, turn: 0 });
  });

  test("are counted by the commits of a whole clone, and of no shallow one", () => {
    const [empty, whole, shallow] = [temporaryDirectory(), temporaryDirectory(), temporaryDirectory()];
    const git = (...args: readonly string[]) => execFileSync("git", args, { cwd: whole, stdio: "ignore" });
    git("init");
    const author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    for (const message of ["one", "two", "three"]) git(...author, "commit", "--allow-empty", "-m", message);
    git("clone", "--depth", "1", `file://${whole}`, shallow);
    expect([empty, whole, shallow].map(commitsOf)).toEqual([null, 3, null]);
  });
});
