import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { MUTANTS } from "../../simnet/virtual/mutants.ts";

const MAIN = fileURLToPath(new URL("../../simnet/main.ts", import.meta.url));

it("every mutant of a vote rule is caught, and no whole node is found fault with", () => {
  const child = spawnSync(process.execPath, [MAIN, "--mutants", "--json"], { encoding: "utf8", maxBuffer: 1 << 24 });
  expect(child.status, child.stderr).toBe(0);
  const { mutants } = JSON.parse(child.stdout) as { mutants: readonly unknown[] };
  expect(mutants).toHaveLength(Object.keys(MUTANTS).length);
});
