import { describe, expect, it } from "vitest";
import { isMadeBy, withTaken } from "../../src/node/workbench.ts";
import { readWorkflows } from "../../src/node.ts";
import { type Stage, stagesOf } from "../../src/protocol/workflow.ts";

/** The last stage of one of the package's workflows, and all of them. */
function workflow(name: string): { readonly stages: readonly Stage[]; readonly last: Stage } {
  const stages = stagesOf(readWorkflows(`config/workflows/${name}.json`), "block", 8) ?? [];
  const last = stages.at(-1);
  if (last === undefined) throw new Error(`${name} has no stages`);
  return { stages, last };
}

describe("a task with all that it takes", () => {
  it("is itself where it takes nothing", () => {
    const { stages, last } = workflow("two-of-three");
    expect([...withTaken(stages, last, 4)]).toEqual(["shard/4"]);
  });

  it("has every variant of what it takes", () => {
    const { stages, last } = workflow("joined");
    expect([...withTaken(stages, last, 0)]).toEqual(["join/0", "prove/0", "prove/1", "prove/2"]);
  });

  it("has each of them once, and as many as there may be where a result says how many", () => {
    const { stages, last } = workflow("steps");
    const steps = Array.from({ length: 10 }, (_, index) => `step/${index}`);
    expect([...withTaken(stages, last, 0)].sort()).toEqual(["aggregate/0", "partition/0", ...steps].sort());
  });
});

describe("what executors make out of nothing", () => {
  const { stages, last } = workflow("joined");
  const isMade = (...executors: readonly string[]) => isMadeBy(executors, stages, last, 0);

  it("is a task of which they make as much as it needs", () => {
    expect(isMade("mock", "mock-sp1", "mock-risc0", "mock-zisk")).toBe(true);
    expect(isMade("mock", "mock-sp1", "mock-zisk")).toBe(true);
    expect(isMade("mock", "mock-zisk")).toBe(false);
    expect(isMade("mock-sp1", "mock-risc0", "mock-zisk")).toBe(false);
  });
});
