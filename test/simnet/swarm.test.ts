import { describe, expect, it } from "vitest";
import { AGREED, COPIED } from "../../simnet/virtual/copy-mutants.ts";
import { proversNeeded, swarmHostile, swarmSize } from "../../simnet/virtual/swarm.ts";

describe("the swarm", () => {
  it("knows how many provers have to agree or to make copies", () => {
    expect([undefined, AGREED, COPIED].map(proversNeeded)).toEqual([1, 2, 2]);
  });

  it.each([1, 2, 3])("draws at least as many honest provers as the workflow needs: %i", (needed) => {
    for (let seed = 1; seed <= 500; seed++) {
      for (const isHostile of [true, false]) {
        const size = swarmSize(seed, isHostile, needed);
        const { attesters = 0 } = size;
        const drawn = swarmHostile(seed, size, isHostile, needed);
        const { byzantineAttesters = 0, byzantineProvers = 0, twins = 0, attestersOnlyAttest = false } = drawn;
        const others = size.nodes - attesters - byzantineProvers;
        const honest = attestersOnlyAttest ? others : others + attesters - byzantineAttesters - twins;
        expect(honest, `seed ${seed}`).toBeGreaterThanOrEqual(needed);
      }
    }
  });
});
