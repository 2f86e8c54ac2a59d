/** Runs in which a second process signs with a node's key. */
import { expect } from "vitest";
import type { VirtualOptions, VirtualReport } from "../../simnet/virtual/options.ts";
import { scheduleOf } from "../../simnet/virtual/schedule.ts";

export const NODES = 4;
const BLOCKS = 20;
export const TWINS = { nodes: NODES, attesters: NODES, blocks: BLOCKS, shards: 2 } as const;

/** What befalls the twins of a run, so that a test says which plot its seed has. */
export function plots(options: VirtualOptions): string[] {
  const faults = scheduleOf(options, 100 + BLOCKS * 1000);
  return faults.flatMap((fault) => (fault.kind === "twin" ? [`${fault.way}, ${fault.copy} disk`] : []));
}

export function wellFor(honest: number, { violations, certificates }: VirtualReport): void {
  expect(violations).toEqual([]);
  expect(certificates).toBe(honest * BLOCKS);
}
