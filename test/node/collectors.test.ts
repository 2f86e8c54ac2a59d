import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { readConfig } from "../../src/config.ts";
import { genesis, type NodeFault, openNode, openSelects } from "../../src/node.ts";
import { canonicalJson } from "../../src/protocol/shape.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { hashOf, signerNamed } from "../protocol/fixtures.ts";
import { temporaryDirectory } from "../storage/directories.ts";

const MODULE = "module.exports = (tasks) => (tasks.every(({ output }) => output !== null) ? [0] : null);\n";

/** The hash of a module that is written to a file. */
function written(file: string, text: string): string {
  writeFileSync(file, text);
  return createHash("sha256").update(text).digest("hex");
}

function stageOf(sha256: string): StageJson {
  const collect = { custom: "first", sha256 };
  return { name: "sample", system: "mock", key: "mock", tasks: { count: 2 }, collect, limitMs: 20_000 };
}

function jsonOf(sha256: string) {
  return { json: { workflows: { block: { window: 1, stages: [stageOf(sha256)] } } } };
}

test("a module is loaded where its hash is the manifest's, and what it does wrong is told once", () => {
  const dir = temporaryDirectory();
  const first = join(dir, "first.js");
  const emit = vi.fn();
  const task = { index: 0, group: 0, system: "mock", output: hashOf("result") };
  const sha256 = written(first, MODULE);
  const selects = openSelects(jsonOf(sha256), { collectors: { first } }, { emit });
  expect(selects.get(sha256)?.([task])).toEqual([0]);
  expect(selects.get(sha256)?.([{ ...task, output: null }])).toBe(null);
  expect(emit).not.toHaveBeenCalled();
  const broken = written(first, "module.exports = () => { throw new Error('no idea'); };\n");
  const select = openSelects(jsonOf(broken), { collectors: { first } }, { emit }).get(broken);
  expect([select?.([task]), select?.([task])]).toEqual([null, null]);
  expect(emit.mock.calls).toEqual([["collector.failed", { name: "first", sha256: broken, why: "it threw no idea" }]]);
});

test("a module knows nothing but the tasks, and one that never ends is stopped", () => {
  const dir = temporaryDirectory();
  const first = join(dir, "first.js");
  const task = { index: 0, group: 0, system: "mock", output: hashOf("result") };
  const failing = (body: string) => {
    const emit = vi.fn<(event: string, fields?: Readonly<Record<string, unknown>>) => void>();
    const sha256 = written(first, `module.exports = (tasks) => { ${body} };\n`);
    expect(openSelects(jsonOf(sha256), { collectors: { first } }, { emit }).get(sha256)?.([task])).toBe(null);
    return emit.mock.calls[0]?.[1]?.["why"];
  };
  expect(failing("return [Date.now()]")).toBe("it threw Date is not defined");
  expect(failing("return [Math.random()]")).toBe("it threw Math.random is not a function");
  expect(failing("return [process.pid]")).toBe("it threw process is not defined");
  expect(failing('return tasks.constructor.constructor("return process")()')).toMatch(
    /^it threw Code generation from strings/,
  );
  expect(failing("for (;;);")).toMatch(/^it threw Script execution timed out/);
  const sha256 = written(first, "module.exports = () => { for (;;); };\n");
  const select = openSelects(jsonOf(sha256), { collectors: { first } }, { emit: () => {} }).get(sha256);
  select?.([task]);
  const beganMs = performance.now();
  for (let again = 0; again < 100; again++) select?.([task]);
  expect(performance.now() - beganMs).toBeLessThan(1000);
});

test("what is missing, another module, and one without a function are refused, each with a code", () => {
  const dir = temporaryDirectory();
  const first = join(dir, "first.js");
  const codeOf = (sha256: string, collectors?: Record<string, string>) => {
    try {
      openSelects(jsonOf(sha256), { collectors }, { emit: () => {} });
      return "";
    } catch (error) {
      const { code, message } = error as NodeFault;
      return `${code}: ${message}`;
    }
  };
  const sha256 = written(first, MODULE);
  expect(codeOf(sha256)).toMatch(/^config\.collector-missing: configuration: collectors has no "first"/);
  expect(codeOf(sha256, { first: join(dir, "nowhere.js") })).toMatch(/^config\.collector-missing: .*nowhere\.js/);
  expect(codeOf(hashOf("other"), { first })).toContain(`has the SHA-256 ${sha256}; allowed: ${hashOf("other")}`);
  expect(codeOf(hashOf("other"), { first })).toMatch(/^config\.collector-hash: /);
  for (const text of [
    "var run = 1;\n",
    "module.exports = 1;\n",
    "module.exports = {",
    'require("./other.js");\n',
    "for (;;);\n",
  ])
    expect(codeOf(written(first, text), { first })).toMatch(/^config\.collector-module: /);
});

test("a node does not start without the module that its manifest names", async () => {
  const dir = temporaryDirectory();
  const { key } = signerNamed("a");
  const [data, first, manifest, config] = ["data", "first.js", "manifest.json", "config.json"].map((name) =>
    join(dir, name),
  );
  const sha256 = written(first ?? "", MODULE);
  const json = genesis({
    name: "test",
    attesters: [key],
    sources: [key],
    provers: [{ key, slots: 1, weight: 1 }],
    admission: "open",
    chains: [{ id: 1, start: 0, confirmations: 0, workflow: "block" }],
    shards: 1,
    window: 1,
    system: "mock",
    fragment: { workflows: { block: { window: 1, stages: [stageOf(sha256)] } } },
    bootstrap: [],
  });
  writeFileSync(manifest ?? "", canonicalJson(json));
  const open = async (collectors: Record<string, string>) => {
    const quiet = {
      listen: ["/ip4/127.0.0.1/tcp/0"],
      http: "off",
      log: "json",
      provers: [{ kind: "mock", provingMs: 50 }],
    };
    writeFileSync(config ?? "", JSON.stringify({ data, manifest, ...quiet, collectors }));
    return await openNode(readConfig(config, {}, {}), () => {});
  };
  await expect(open({})).rejects.toMatchObject({ code: "config.collector-missing" });
  writeFileSync(first ?? "", `${MODULE}\n`);
  await expect(open({ first: first ?? "" })).rejects.toMatchObject({ code: "config.collector-hash" });
  writeFileSync(first ?? "", MODULE);
  const node = await open({ first: first ?? "" });
  await node.close();
});
