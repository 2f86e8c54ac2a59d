/** A second live process of one key; the long suite has the other plots. */
import { describe, expect, it } from "vitest";
import { runVirtual } from "../../simnet/virtual/run.ts";
import { describeScenario, runTwinScenario, twinScenarios } from "../../simnet/virtual/twin-scenarios.ts";
import { NODES, plots, TWINS, wellFor } from "./plots.ts";

describe("a copy of a node that is started", () => {
  it("beside it ends, before it has said anything that could be held against the key", () => {
    const options = { ...TWINS, seed: 3, twins: 1 };
    expect(plots(options)).toEqual(["beside, new disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(report.retired).toEqual(["node-2-twin"]);
    expect(report.guilty).toEqual({});
  });

  it("from an older disk, where each peer hears but one of the two, is known by its counter, and both stop (START-4)", () => {
    const options = { ...TWINS, seed: 9, twins: 1 };
    expect(plots(options)).toEqual(["strung, old disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(report.guilty).toEqual({});
  });
});

it("more twins than attesters are a mistake in the command line", () => {
  expect(() => runVirtual({ ...TWINS, seed: 1, twins: 5 })).toThrow("5 twins; allowed: at most 4");
});

describe("the enumeration of partitions", () => {
  it("has every scenario once, up to the names of the three attesters that are not doubled", () => {
    const described = twinScenarios(2).map(describeScenario);
    // 3 disks, 4 first phases, and 3 places for each of three attesters in the second.
    expect(new Set(described).size).toBe(3 * 4 * 3 ** 3);
    expect(described).toContain("old disk, coo c-o");
  });

  it("lets a copy of an old disk contradict the original, which convicts the key and breaks nothing", () => {
    const scenario = twinScenarios(2).find((each) => describeScenario(each) === "old disk, cco cco");
    if (scenario === undefined) throw new Error("no such scenario");
    const { violations, certificates, guilty } = runTwinScenario(scenario, 1);
    expect(violations).toEqual([]);
    expect(certificates).toBe(3 * 18);
    expect(Object.values(guilty).flat()).toContain("attest-and-timeout");
  });
});
