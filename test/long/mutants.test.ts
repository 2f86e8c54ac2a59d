import { expect, it } from "vitest";
import { MUTANTS } from "../../simnet/virtual/mutants.ts";
import { simnet } from "../simnet/command.ts";

it("every mutant of a vote rule is caught, and no whole node is found fault with", () => {
  const child = simnet("--mutants", "--json");
  expect(child.status, child.stderr).toBe(0);
  const { mutants } = JSON.parse(child.stdout) as { mutants: readonly unknown[] };
  expect(mutants).toHaveLength(Object.keys(MUTANTS).length);
});
