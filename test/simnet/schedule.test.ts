import { describe, expect, test } from "vitest";
import { type Counts, type Planned, planChaos, planCounts } from "../../simnet/local/schedule.ts";

const NONE: Counts = { kill: 0, killAttester: 0, pause: 0, partition: 0, cut: 0 };
const MINUTE_MS = 60_000;

/** Nodes that a fault names by their number. */
function named({ fault }: Planned): readonly number[] {
  if (fault.kind === "partition") return fault.group;
  if (fault.kind === "cut") return fault.pair;
  return typeof fault.node === "number" ? [fault.node] : [];
}

describe("the plan of a local run", () => {
  test("is the seed's", () => {
    expect(planChaos(3, 7, 5 * MINUTE_MS)).toEqual(planChaos(3, 7, 5 * MINUTE_MS));
    expect(planChaos(3, 7, 5 * MINUTE_MS)).not.toEqual(planChaos(4, 7, 5 * MINUTE_MS));
  });

  test("has every kind of fault, in order, within its time and among its nodes", () => {
    for (const nodes of [2, 4, 7]) {
      const plan = planChaos(nodes, nodes, 10 * MINUTE_MS);
      expect(new Set(plan.map(({ fault }) => fault.kind))).toEqual(
        new Set(["kill", "pause", "partition", "cut", "slow"]),
      );
      expect(plan.map(({ atMs }) => atMs)).toEqual(plan.map(({ atMs }) => atMs).toSorted((a, b) => a - b));
      for (const planned of plan) {
        expect(planned.atMs).toBeLessThan(10 * MINUTE_MS);
        const nodesOf = named(planned);
        expect(new Set(nodesOf).size).toBe(nodesOf.length);
        for (const node of nodesOf) expect(node).toBeLessThan(nodes);
        // Whoever is parted from nobody is not parted.
        expect(nodesOf.length).toBeLessThan(planned.fault.kind === "partition" ? nodes : 3);
      }
    }
  });

  test("parts some groups one way only", () => {
    const ways = planChaos(1, 7, 30 * MINUTE_MS).flatMap(({ fault }) =>
      fault.kind === "partition" ? [fault.way] : [],
    );
    expect(new Set(ways)).toEqual(new Set(["both", "in", "out"]));
  });

  test("has as many of each as were asked for", () => {
    const plan = planCounts({ kill: 2, killAttester: 1, pause: 3, partition: 1, cut: 2 }, 4, 1, 1000);
    const kinds = plan.map(({ fault }) => fault.kind);
    const counts = ["kill", "pause", "partition", "cut"].map((kind) => kinds.filter((own) => own === kind).length);
    expect(counts).toEqual([3, 3, 1, 2]);
    expect(planCounts(NONE, 4, 1, 1000)).toEqual([]);
  });
});
