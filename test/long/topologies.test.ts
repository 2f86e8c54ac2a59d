/** The pipelines of push0's public demo on four real nodes with kills, by configuration alone. */
import { expect, test } from "vitest";
import { runLocal } from "../../simnet/local/run.ts";
import { readFragmentFile } from "../../src/node.ts";
import { inTurn } from "./turns.ts";

const TOPOLOGIES = ["zkvms", "split", "mock", "steps", "joined"];
const BLOCKS = 4;

for (const name of inTurn(TOPOLOGIES, 2))
  test(`${name}: every block is certified although nodes are killed, and proofs verify offline`, async () => {
    const said: string[] = [];
    const report = await runLocal({
      fragment: readFragmentFile(`config/workflows/${name}.json`),
      oneSystem: false,
      nodes: 4,
      attesters: 0,
      provers: 0,
      blocks: BLOCKS,
      chaos: false,
      seed: TOPOLOGIES.indexOf(name) + 1,
      shards: 1,
      window: 4,
      intervalMs: 1_500,
      transactions: 4,
      mockMs: 300,
      kill: 2,
      killAttester: 0,
      pause: 0,
      partition: 0,
      cut: 0,
      delayMs: 0,
      loss: 0,
      limitMs: 120_000,
      keep: false,
      say: (line) => said.push(line),
      signal: new AbortController().signal,
    });
    expect(report.violations, said.slice(-10).join("\n")).toEqual([]);
    expect(report).toMatchObject({ verdict: "green", barriers: BLOCKS, faults: { kill: 2 } });
    expect(report.tampered).toBeGreaterThan(0);
  });
