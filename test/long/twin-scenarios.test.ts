/** All partitions of four attesters and a copy of one of them, over two phases. */
import { expect, test } from "vitest";
import { describeScenario, runTwinScenario, twinScenarios } from "../../simnet/virtual/twin-scenarios.ts";
import { inTurn } from "./turns.ts";

test.each(inTurn(twinScenarios(2), 18).map((scenario) => [describeScenario(scenario), scenario] as const))(
  "the copy of an attester breaks nothing: %s",
  { timeout: 60_000 },
  (_, scenario) => {
    const { violations, certificates } = runTwinScenario(scenario, 1);
    expect(violations).toEqual([]);
    expect(certificates).toBe(3 * 18);
  },
);
