/** A network that passes each of its bounds a hundred times, with restarts, newcomers and strangers all the time. */
import { expect, it } from "vitest";
import { Age, WRAPS } from "../../simnet/virtual/age.ts";

it("keeps heap, disk and the time of catching up as they are, however often its bounds are passed", () => {
  const { violations, seldom, newcomerMs } = new Age({ seed: 1, ...WRAPS }).run();
  expect([violations, seldom]).toEqual([[], []]);
  expect(newcomerMs).toBeLessThan(30_000);
});
