/** Two live processes of one key, each honest by itself. */
import { describe, expect, it } from "vitest";
import { runVirtual } from "../../simnet/virtual/run.ts";
import type { VirtualReport } from "../../simnet/virtual/options.ts";
import { scheduleOf } from "../../simnet/virtual/schedule.ts";

const NODES = 4;
const BLOCKS = 20;
const base = { nodes: NODES, attesters: NODES, blocks: BLOCKS, shards: 2 } as const;

/** What befalls the twins of a run, so that a test says which plot its seed has. */
function plots(options: Parameters<typeof runVirtual>[0]): string[] {
  const faults = scheduleOf(options, 100 + BLOCKS * 1000);
  return faults.flatMap((fault) => (fault.kind === "twin" ? [`${fault.way}, ${fault.copy} disk`] : []));
}

function wellFor(honest: number, { violations, certificates }: VirtualReport): void {
  expect(violations).toEqual([]);
  expect(certificates).toBe(honest * BLOCKS);
}

describe("a copy of a node that is started", () => {
  it("beside it ends, before it has said anything that could be held against the key", () => {
    const options = { ...base, seed: 3, twins: 1 };
    expect(plots(options)).toEqual(["beside, new disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(report.retired).toEqual(["node-2-twin"]);
    expect(report.guilty).toEqual({});
  });

  it("in its place, with an empty disk, goes on, and the original ends when it is back", () => {
    const options = { ...base, seed: 4, twins: 1 };
    expect(plots(options)).toEqual(["relay, empty disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(report.retired).toEqual(["node-1"]);
    expect(report.guilty).toEqual({});
  });

  it("in another half of the network signs a second feed, and the key is out on every honest node after the heal", () => {
    const options = { ...base, seed: 1, twins: 1 };
    expect(plots(options)).toEqual(["parted, new disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(Object.keys(report.guilty)).toEqual(["node-0"]);
  });

  it("from an older disk, where each peer hears but one of the two, is known by its counter, and both stop (START-4)", () => {
    const options = { ...base, seed: 9, twins: 1 };
    expect(plots(options)).toEqual(["strung, old disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(report.guilty).toEqual({});
  });

  it("leaves proofs behind that only some have heard of, and the others complete their tasks all the same", () => {
    const options = { ...base, seed: 11, twins: 1 };
    expect(plots(options)).toEqual(["parted, old disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(report.guilty["node-2"]).toContain("attest-and-timeout");
  });

  it.each([8, 18])("leaves proofs behind of which nobody can say alike who made them (seed %i)", (seed) => {
    const report = runVirtual({ seed, nodes: 4, attesters: 4, blocks: 20, shards: 2, twins: 1 });
    expect([report.violations, report.certificates]).toEqual([[], 3 * 20]);
  });
});

describe("two keys of four that are doubled, and parted together", () => {
  it.each([1, 5])("may break what no honest node can prevent (seed %i), and what breaks names them", (seed) => {
    const options = { ...base, seed, twins: 2 };
    expect(plots(options).every((plot) => plot.startsWith("parted"))).toBe(true);
    const { violations, guilty, hostile } = runVirtual(options);
    expect(violations.join()).not.toContain("attribution");
    // A copy that is known by its counter stops before it is guilty of anything.
    expect(Object.keys(guilty).filter((name) => !(name in hostile))).toEqual([]);
    expect(Object.keys(guilty)).not.toEqual([]);
  });
});

it("more twins than attesters are a mistake in the command line", () => {
  expect(() => runVirtual({ ...base, seed: 1, twins: 5 })).toThrow("5 twins; allowed: at most 4");
});
