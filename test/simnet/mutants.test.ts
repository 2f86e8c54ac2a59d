import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { MUTANTS } from "../../simnet/virtual/mutants.ts";

it("every mutant finds what it changes, once; whoever moves the source moves the mutant", () => {
  const astray = Object.entries(MUTANTS).flatMap(([name, { edits }]) =>
    edits.flatMap(({ file, from }) => {
      const source = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
      const found = source.split(from).length - 1;
      return found === 1 ? [] : [`${name}: ${found} times in ${file}`];
    }),
  );
  expect(astray).toEqual([]);
});
