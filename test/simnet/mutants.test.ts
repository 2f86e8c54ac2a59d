import { fileURLToPath } from "node:url";
import { parseSync } from "oxc-parser";
import { describe, expect, it } from "vitest";
import { changeSources, checkMarkers, findMarkers, readSources } from "../../simnet/virtual/markers.ts";
import type { Edit, Mutant } from "../../simnet/virtual/mutant.ts";
import { MUTANTS } from "../../simnet/virtual/mutants.ts";

const SOURCES = readSources(fileURLToPath(new URL("../../", import.meta.url)));
const MARKERS = findMarkers(SOURCES);

describe("the node's mutants", () => {
  it("each marker has one row, and each row one marker", () => {
    expect(checkMarkers(MARKERS, MUTANTS)).toEqual([]);
  });

  it("each changed file differs from the source and still parses", () => {
    const broken = Object.entries(MUTANTS).flatMap(([name, { edits }]) => {
      const changed = [...changeSources(SOURCES, MARKERS, edits)];
      expect(changed, name).not.toEqual([]);
      return changed.flatMap(([file, source]) => {
        const isSame = source === SOURCES.get(file);
        const errors = parseSync(file, source).errors.map(({ message }) => message);
        return isSame || errors.length > 0 ? [`${name}: ${file} ${isSame ? "is unchanged" : errors.join("; ")}`] : [];
      });
    });
    expect(broken).toEqual([]);
  });
});

/** Checks one file, `src/a.ts`, against mutants with these edits. */
function faultsOf(source: string, mutants: Readonly<Record<string, readonly Edit[]>>): readonly string[] {
  const rows = Object.entries(mutants).map(([name, edits]): [string, Mutant] => [
    name,
    { rule: "a rule", edits, runs: [], expected: /./ },
  ]);
  return checkMarkers(findMarkers(new Map([["src/a.ts", source]])), Object.fromEntries(rows));
}

function changedBy(source: string, edit: Edit): string | undefined {
  const sources = new Map([["src/a.ts", source]]);
  return changeSources(sources, findMarkers(sources), [edit]).get("src/a.ts");
}

describe("a marker", () => {
  it("without a row is a fault that names it", () => {
    expect(faultsOf("let x;\n// mutant: lone\nx = 1;\n", {})).toEqual([
      'marker "lone" at src/a.ts:2 is named by no mutant',
    ]);
  });

  it("that a row names and that is nowhere is a fault that names it", () => {
    expect(faultsOf("let x;\n", { gone: [{ at: "gone", remove: true }] })).toEqual([
      'mutant "gone" names marker "gone", which is nowhere in src',
    ]);
  });

  it("that is there twice is a fault that names both places", () => {
    const source = "// mutant: two\nf();\n// mutant: two\ng();\n";
    expect(faultsOf(source, { two: [{ at: "two", remove: true }] })).toEqual([
      'marker "two" is at src/a.ts:1 and at src/a.ts:3',
    ]);
  });

  it("that two rows name, or a row of another mutant, is a fault", () => {
    const edit: Edit = { at: "one", remove: true };
    expect(faultsOf("// mutant: one\nf();\n", { one: [edit, edit] })).toEqual([
      'mutant "one" names marker "one" twice',
    ]);
    expect(faultsOf("// mutant: one\nf();\n", { other: [edit] })).toEqual([
      'mutant "other" names marker "one"; allowed are "other" and "other/PLACE"',
    ]);
  });

  it.each(["f(); // mutant: end\n", "{\n  f();\n  // mutant: end\n}\n", "f()\n  // mutant: end\n  .g();\n"])(
    "that stands before no code is a fault: %j",
    (source) => {
      expect(faultsOf(source, { end: [{ at: "end", remove: true }] })).toEqual([
        expect.stringMatching(/^marker "end" at src\/a\.ts:\d stands before no code/),
      ]);
    },
  );

  it("before a property allows no removal", () => {
    expect(faultsOf("f({\n  // mutant: part\n  a: 1,\n});\n", { part: [{ at: "part", remove: true }] })).toEqual([
      'mutant "part" removes what is neither a statement nor an operand, at src/a.ts:2',
    ]);
  });

  it("may name several mutants, with further comments before the code", () => {
    const source = "// mutant: one, two/b\n// Why.\nf();\ng();\n";
    expect(faultsOf(source, { one: [{ at: "one", remove: true }], two: [{ at: "two/b", replace: "h();" }] })).toEqual(
      [],
    );
    expect(changedBy(source, { at: "two/b", replace: "h();" })).toBe("// mutant: one, two/b\n// Why.\nh();\ng();\n");
  });
});

describe("an edit", () => {
  it.each([
    ["a statement", "if (a) {\n  // mutant: m\n  if (b) f();\n}", "if (a) {\n  // mutant: m\n  ;\n}"],
    ["the first operand of `&&`", "x =\n  // mutant: m\n  a > 1 && b;", "x =\n  // mutant: m\n  true && b;"],
    ["the last operand of `&&`", "x =\n  a &&\n  // mutant: m\n  f(b);", "x =\n  a &&\n  // mutant: m\n  true;"],
    [
      "an operand of `||`",
      "x =\n  a ||\n  // mutant: m\n  !b ||\n  c;",
      "x =\n  a ||\n  // mutant: m\n  false ||\n  c;",
    ],
    ["operands in brackets", "x =\n  a &&\n  // mutant: m\n  (b || c);", "x =\n  a &&\n  // mutant: m\n  true;"],
  ])("removes %s", (_, source, changed) => {
    expect(changedBy(source, { at: "m", remove: true })).toBe(changed);
  });

  it("replaces an element, a property and a condition", () => {
    const edit: Edit = { at: "m", replace: "z" };
    expect(changedBy("f([\n  a,\n  // mutant: m\n  b + 1,\n]);", edit)).toBe("f([\n  a,\n  // mutant: m\n  z,\n]);");
    expect(changedBy("f({\n  // mutant: m\n  a: 1,\n});", edit)).toBe("f({\n  // mutant: m\n  z,\n});");
  });

  it("inside the code that another edit of the mutant changes is refused", () => {
    const sources = new Map([["src/a.ts", "// mutant: m\nif (a) {\n  // mutant: m/inner\n  f();\n}\n"]]);
    const edits: readonly Edit[] = [
      { at: "m", remove: true },
      { at: "m/inner", remove: true },
    ];
    expect(() => changeSources(sources, findMarkers(sources), edits)).toThrow(/"m" in src\/a\.ts contains other code/);
  });

  it("adds code after a statement, whatever characters come before", () => {
    const source = 'const x = "ä𝔘";\n// mutant: m\nf(x);\n';
    expect(changedBy(source, { at: "m", after: "g();" })).toBe('const x = "ä𝔘";\n// mutant: m\nf(x); g();\n');
  });
});
