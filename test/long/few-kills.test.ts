import { expect, test } from "vitest";
import { killLoop } from "./kill-loop.ts";

test("five kills lose nothing that was acknowledged and sign nothing twice", { timeout: 120_000 }, async () => {
  const figures = await killLoop({ kills: 5, seed: 1, blockMs: 300, provingMs: 100, pauseMsMax: 600 });
  expect(figures.violations).toEqual([]);
  expect(figures.certified).toBe(figures.blocks);
  // The checker looked at something.
  expect(figures.blocks).toBeGreaterThan(5);
  expect(figures.grants).toBeGreaterThan(figures.blocks);
  expect(figures.lookedFor).toBeGreaterThan(50);
});
