import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkImports, ZONES } from "../../scripts/imports.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "proofmesh-imports-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function tree(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** "file:line what", cut to what a case is about. */
function found(): readonly string[] {
  return checkImports(root).map(({ file, line, message }) => `${file}:${line} ${message}`);
}

describe("the import rule", () => {
  test("lets the arrows be that the layout draws", () => {
    tree({
      "src/protocol/ids.ts": 'import { sha256 } from "@noble/hashes/sha2.js";\nimport { wire } from "./wire_pb.js";',
      "src/protocol/wire_pb.js": "",
      "src/log/log.ts": 'import "../protocol/ids.ts";',
      "src/core/step.ts": 'import "../log/log.ts"; export * from "../protocol/ids.ts";',
      "src/ports.ts": 'import type { Hash } from "./protocol/ids.ts";',
      "src/storage/memory.ts": 'import type { Store } from "../ports.ts"; import { open } from "node:fs";',
      "src/storage/level.ts": 'import "./memory.ts"; import "level";',
      "src/node.ts": 'import "./storage/level.ts"; import "./core/step.ts";',
      "src/cli/main.ts": 'import "../node.ts"; const late = await import("../ports.ts");',
      "simnet/virtual/run.ts": 'import "../../src/storage/memory.ts"; import "../../src/core/step.ts";',
      "simnet/main.ts": 'import "./virtual/run.ts";',
    });
    expect(found()).toEqual([]);
  });

  test("knows every way to import", () => {
    tree({
      "src/core/step.ts": "",
      "src/network/node.ts": [
        'import "../core/step.ts";',
        'import type { A } from "../core/step.ts";',
        'import { type B } from "../core/step.ts";',
        'export * from "../core/step.ts";',
        'export { c } from "../core/step.ts";',
        'export type { D } from "../core/step.ts";',
        'const e = await import("../core/step.ts");',
        'type F = import("../core/step.ts").F;',
        "const g = await import(`../core/step.ts`);",
        'const name: string = "../core/step.ts";',
        "const h = await import(name);",
      ].join("\n"),
    });
    const lines = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11];
    expect(
      checkImports(root)
        .map(({ line }) => line)
        .toSorted((a, b) => a - b),
    ).toEqual(lines);
    expect(found()[0]).toBe(
      "src/network/node.ts:1 imports src/core/step.ts; src/network may import src/peers, src/protocol, src/ports, src/address",
    );
  });

  test("is not taken in by comments, strings, templates and regular expressions", () => {
    tree({
      "src/core/step.ts": "",
      "src/network/node.ts": [
        '// import "../core/step.ts";',
        '/* export * from "../core/step.ts"; */',
        "const a = 'import \"../core/step.ts\"';",
        'const b = `\nimport "../core/step.ts";\n`;',
        'const c = /import "..\\/core\\/step.ts"/;',
      ].join("\n"),
    });
    expect(found()).toEqual([]);
  });

  test("keeps the pure folders pure", () => {
    tree({
      "src/protocol/a.ts": 'import { readFileSync } from "node:fs";',
      "src/log/a.ts": 'import "fs";',
      "src/core/a.ts": 'import { http } from "viem"; import "zod";',
      "src/ports.ts": 'import "zod";',
    });
    expect(found()).toEqual([
      expect.stringMatching(/^src\/core\/a\.ts:1 imports the package viem/),
      expect.stringMatching(/^src\/log\/a\.ts:1 imports Node's own fs/),
      expect.stringMatching(/^src\/ports\.ts:1 imports the package zod/),
      expect.stringMatching(/^src\/protocol\/a\.ts:1 imports Node's own node:fs/),
    ]);
  });

  const wrong: readonly (readonly [string, string])[] = [
    ["src/protocol/a", "src/ports"],
    ["src/log/a", "src/core/b"],
    ["src/core/a", "src/ports"],
    ["src/runtime/a", "src/storage/memory"],
    ["src/sources/a", "src/sinks/b"],
    ["src/api/a", "src/telemetry"],
    ["src/node", "src/cli/main"],
    ["src/cli/main", "src/network/node"],
    ["simnet/virtual/a", "src/storage/level"],
    ["simnet/virtual/a", "src/node"],
    ["src/telemetry", "src/config"],
  ];
  for (const [from, to] of wrong) {
    test(`${from} may not import ${to}`, () => {
      const up = "../".repeat(from.split("/").length - 1) || "./";
      tree({ [`${from}.ts`]: `import "${up}${to}.ts";`, [`${to}.ts`]: "" });
      expect(found()).toEqual([expect.stringContaining(`${from}.ts:1 imports ${to}.ts; `)]);
    });
  }

  test("reports circles, missing files, strange folders, what only a run can tell and what does not parse", () => {
    tree({
      "src/core/a.ts": 'import "./b.ts";',
      "src/core/b.ts": 'import type {} from "./c.ts";',
      "src/core/c.ts": 'import "./a.ts"; import "./gone.ts";',
      "src/helpers/a.ts": "",
      "src/sinks/a.ts": "await import(process.argv[2]);",
      "src/sinks/b.ts": "import from from;",
    });
    expect(found().toSorted()).toEqual([
      "src/core/a.ts:1 imports itself in a circle: src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts",
      "src/core/c.ts:1 imports ./gone.ts, which is not there",
      expect.stringMatching(/^src\/helpers\/a\.ts:1 belongs to no zone/),
      "src/sinks/a.ts:1 imports process.argv[2], which only a run can tell",
      expect.stringMatching(/^src\/sinks\/b\.ts:1 cannot be parsed/),
    ]);
  });

  test("names every folder of the layout", () => {
    expect(ZONES.map((zone) => zone.path)).toContain("src/core");
    for (const zone of ZONES) for (const path of zone.may) expect(path).toMatch(/^(src|simnet)\//);
  });

  test("ends with 1 when something is wrong, and with 0 when nothing is", () => {
    const script = new URL("../../scripts/imports.ts", import.meta.url).pathname;
    tree({ "src/core/a.ts": 'import "node:fs";' });
    const bad = spawnSync(process.execPath, [script, root], { encoding: "utf8" });
    expect([bad.status, bad.stderr]).toEqual([1, expect.stringContaining("src/core/a.ts:1 ")]);
    tree({ "src/core/a.ts": "" });
    expect(execFileSync(process.execPath, [script, root], { encoding: "utf8" })).toContain("as they should be");
  });
});
