/** Every workflow that comes with the package, on the virtual network, with nodes that die and machines that fail. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { runVirtual } from "../../simnet/virtual/run.ts";
import { openSelects, readFragmentFile, readWorkflows } from "../../src/node.ts";

const DIRECTORY = join(import.meta.dirname, "../../config/workflows");
const collectors = { "first-three": join(import.meta.dirname, "../../config/collectors/first-three.js") };
const base = { nodes: 5, blocks: 6, shards: 1, loss: 0.1, delayMs: 100, failing: 0.1, crashEveryMs: 2000 } as const;

describe("a network that dies and loses messages certifies every block, and breaks no rule on the way, by", () => {
  for (const [at, file] of readdirSync(DIRECTORY).sort().entries()) {
    it(file, () => {
      const workflow = readFragmentFile(join(DIRECTORY, file));
      const { json } = readWorkflows(join(DIRECTORY, file));
      const emit = vi.fn();
      const options = {
        ...base,
        seed: 20 + at,
        workflow,
        selects: openSelects({ json }, { collectors }, { emit }),
      };
      const report = runVirtual(options);
      expect(report.violations).toEqual([]);
      expect(report.certificates).toBe(base.nodes * base.blocks);
      expect(report.crashes).toBeGreaterThan(0);
      expect(emit).not.toHaveBeenCalled();
    });
  }
});
