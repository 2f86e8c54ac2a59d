/** Two live processes of one key, each honest by itself. */
import { describe, expect, it } from "vitest";
import { runVirtual } from "../../simnet/virtual/run.ts";
import { NODES, plots, TWINS, wellFor } from "../simnet/plots.ts";

describe("a copy of a node that is started", () => {
  it("in its place, with an empty disk, goes on, and the original ends when it is back", () => {
    const options = { ...TWINS, seed: 4, twins: 1 };
    expect(plots(options)).toEqual(["relay, empty disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(report.retired).toEqual(["node-1"]);
    expect(report.guilty).toEqual({});
  });

  it("in another half of the network signs a second feed, and the key is out on every honest node after the heal", () => {
    const options = { ...TWINS, seed: 1, twins: 1 };
    expect(plots(options)).toEqual(["parted, new disk"]);
    const report = runVirtual(options);
    wellFor(NODES - 1, report);
    expect(Object.keys(report.guilty)).toEqual(["node-0"]);
  });

  it("leaves proofs behind that only some have heard of, and the others complete their tasks all the same", () => {
    const options = { ...TWINS, seed: 11, twins: 1 };
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
    const options = { ...TWINS, seed, twins: 2 };
    expect(plots(options).every((plot) => plot.startsWith("parted"))).toBe(true);
    const { violations, guilty, hostile } = runVirtual(options);
    expect(violations.join()).not.toContain("attribution");
    // A copy that is known by its counter stops before it is guilty of anything.
    expect(Object.keys(guilty).filter((name) => !(name in hostile))).toEqual([]);
    expect(Object.keys(guilty)).not.toEqual([]);
  });
});
