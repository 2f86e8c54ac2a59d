import { expect, test } from "vitest";
import { killLoop } from "./kill-loop.ts";
import { inTurn } from "./turns.ts";

/** Fifty, in two turns; each has a seed of its own. */
const KILLS = inTurn(Array<null>(50).fill(null), 2).length;

test(`${KILLS} kills lose nothing that was acknowledged and sign nothing twice`, { timeout: 900_000 }, async () => {
  const seed = Number(process.env["PROOFMESH_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  const figures = await killLoop({ kills: KILLS, seed, blockMs: 300, provingMs: 100, pauseMsMax: 1000 });
  process.stdout.write(`kill loop, seed ${seed}: ${JSON.stringify(figures, null, 2)}\n`);
  expect(figures.violations).toEqual([]);
  expect(figures.certified).toBe(figures.blocks);
  expect(figures.certified).toBeGreaterThan(2 * KILLS);
});
