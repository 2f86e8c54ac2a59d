import { expect, test } from "vitest";
import { World } from "../../simnet/virtual/world.ts";

test("what comes after a run's end is there for the next", () => {
  const world = new World(1);
  const ran: string[] = [];
  world.after(10, () => ran.push("before"));
  world.after(30, () => ran.push("after"));
  world.run(20, () => false);
  expect(ran).toEqual(["before"]);
  world.run(40, () => false);
  expect(ran).toEqual(["before", "after"]);
});
