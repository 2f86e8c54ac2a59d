import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { drawStatements, drawSvg, drawText } from "../../src/cli/drawing.ts";
import { genesis, readFragmentFile, readWorkflows } from "../../src/node.ts";
import { readManifest } from "../../src/protocol/manifest.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { stagesOf } from "../../src/protocol/workflow.ts";
import { manifestOf, signerNamed } from "../protocol/fixtures.ts";

const { key } = signerNamed("a");
const DIRECTORY = join(import.meta.dirname, "../../config/workflows");

function stages(...list: (readonly [name: string, tasks: StageJson["tasks"], change?: Partial<StageJson>])[]) {
  const json = list.map(([name, tasks, change]) => {
    return { name, system: "mock", key: "mock", tasks, limitMs: 20_000, ...change };
  });
  return stagesOf(manifestOf([key], { workflows: { block: { window: 2, stages: json } } }), "block", 0) ?? [];
}

const GRAPH = stages(
  ["shard", { shards: 4, itemsMax: 8 }],
  ["extra", { count: 2 }],
  ["third", {}],
  ["wrap", { each: "shard", takes: "third" }],
  ["join", { takes: ["wrap", "extra"] }],
  ["end", { takes: ["join", "third"] }, { collect: "sequential" }],
);

describe("a workflow in the terminal", () => {
  it("is a line a stage, with a lane for each that others still take", () => {
    expect(drawText(GRAPH)).toEqual([
      "●      shard  4 tasks  mock",
      "│ ●    extra  2 tasks  mock",
      "│ │ ●  third  1 task  mock",
      "├─┼─┤",
      "● │ │  wrap   4 tasks  mock  takes each shard + third",
      "├─╯ │",
      "●   │  join   1 task  mock  takes wrap + extra",
      "├───╯",
      "●      end    1 task  mock  takes join + third  in order",
    ]);
  });

  it("gives a lane that has ended to the next stage that needs one", () => {
    const lines = drawText(stages(["one", {}], ["two", {}], ["three", { takes: "one" }], ["four", { takes: "two" }]));
    expect(lines.map((line) => line.slice(0, 3))).toEqual(["●  ", "│ ●", "● │", "  ●"]);
  });
});

describe("a stage's statement", () => {
  it("is shown, and each field of a layout with what it does not bind", () => {
    const statement = {
      kind: "layout" as const,
      bytes: 60,
      fields: [
        { at: 0, is: "output-root" as const },
        { at: 32, is: "number" as const, of: "first" as const, bytes: 8, endian: "big" as const },
        { at: 40, anything: 16 },
        { at: 56, constant: "c0ffee00" },
      ],
    };
    const some = stages(["one", {}, { statement: "block-hash" }], ["two", {}, { statement }]);
    expect(drawText(some)).toEqual([
      "●  one  1 task  mock  proves block-hash",
      "●  two  1 task  mock  proves layout of 60 bytes",
    ]);
    expect(drawStatements(some)).toEqual([
      "two by mock: layout of 60 bytes",
      "  0 to 31  output-root",
      "  32 to 39  number of the first block, big-endian",
      "  40 to 55  anything: not bound",
      "  56 to 59  constant c0ffee00",
    ]);
  });
});

describe("a workflow as SVG", () => {
  it("has a box for each stage, an edge for each that is taken, and every stage below those it takes", () => {
    const svg = drawSvg("a <block>", GRAPH);
    expect(svg).toContain("a &lt;block&gt;");
    expect(svg.match(/<g>/g)).toHaveLength(6);
    expect(svg.match(/<path /g)).toHaveLength(6);
    const edges = [...svg.matchAll(/<path d="M\S+ (\S+) C.* (\S+)" fill/g)].map(
      ([, from, to]) => Number(to) - Number(from),
    );
    expect(edges.every((down) => down > 0)).toBe(true);
  });
});

describe("the workflows that come with the package", () => {
  const files = readdirSync(DIRECTORY);

  it("are there", () => expect(files.length).toBeGreaterThan(0));

  for (const file of files) {
    it(`${file} can be used in a manifest as it is`, () => {
      const path = join(DIRECTORY, file);
      const fragment = readFragmentFile(path);
      const [workflow = ""] = Object.keys(fragment.workflows);
      const who = {
        attesters: [key],
        sources: [key],
        provers: [{ key, slots: 1, weight: 1 }],
        admission: "open" as const,
      };
      const chains = [{ id: 1, start: 0, confirmations: 0, workflow }];
      const json = genesis({
        name: "test",
        ...who,
        chains,
        shards: 2,
        window: 2,
        system: "mock",
        fragment,
        bootstrap: [],
      });
      const read = readManifest(json);
      expect(read.ok ? [] : read.errors).toEqual([]);
      expect(drawText(stagesOf(readWorkflows(path), workflow, 100) ?? []).length).toBeGreaterThan(0);
    });
  }
});
