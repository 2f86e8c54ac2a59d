import { expect, it } from "vitest";
import { blockAt, keyOf } from "./harness.ts";
import { Net } from "./net.ts";

const BLOCK_MS = 250;

it("ADMIT-4: a newcomer has its first credit within 30 s where blocks come every 0.25 s", () => {
  const list = ["a", "b", "c"].map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
  const net = new Net(["a", "b", "c", "d"], { provers: { admission: "open", list } });
  const turns = () => net.core("a").state.roster.get(keyOf("d"))?.turns.get(1);
  let height = 0;
  const isCredited = () => {
    const tallies = [...net.core("a").state.tallies.values()];
    return tallies.some((tally) => (tally.get(keyOf("d"))?.proven ?? 0) > 0);
  };
  while (!isCredited() && height * BLOCK_MS < 30_000) {
    net.mine(blockAt(++height));
    net.pass(BLOCK_MS);
  }
  expect(turns()?.map((from) => from % 16)).toEqual([0]);
  expect(isCredited()).toBe(true);
  expect(height * BLOCK_MS).toBeLessThan(10_000);
});
