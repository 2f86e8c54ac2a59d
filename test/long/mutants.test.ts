import { expect, it } from "vitest";
import { MUTANTS } from "../../simnet/virtual/mutants.ts";
import { simnet } from "../simnet/command.ts";
import { inTurn } from "./turns.ts";

const NAMES = inTurn(Object.keys(MUTANTS), 2);

it("every mutant of a vote rule is caught, and no whole node is found fault with", () => {
  const child = simnet("mutants", "--only", NAMES.join(), "--json");
  expect(child.status, child.stderr).toBe(0);
  const { mutants } = JSON.parse(child.stdout) as { mutants: readonly unknown[] };
  expect(mutants).toHaveLength(NAMES.length);
});
