import { expect } from "vitest";
import type { VirtualOptions } from "../../simnet/virtual/options.ts";
import { runVirtual } from "../../simnet/virtual/run.ts";

/** Runs it; whatever happens on the way, every node ends with every certificate and no rule is broken. */
export function expectSound(options: VirtualOptions): void {
  const report = runVirtual(options);
  expect(report.violations).toEqual([]);
  expect(report.certificates).toBe(options.nodes * options.blocks);
  if (options.crashEveryMs !== undefined) expect(report.crashes).toBeGreaterThan(3);
  if (options.wrong !== undefined || options.failing !== undefined) expect(report.reclaims).toBeGreaterThan(5);
}
