import { expect, it } from "vitest";
import { simnet } from "./command.ts";

it("gives a script one line of JSON for each seed of a campaign on several cores, and tells the rest beside it", () => {
  const flags = ["--nodes", "2", "--blocks", "1", "--shards", "1", "--seeds", "1..6", "--jobs", "2", "--json"];
  const { stdout, stderr, status } = simnet("virtual", ...flags);
  const runs = stdout.trim().split("\n");
  const parsed = runs.map((line) => JSON.parse(line) as { seed: number; ok: boolean; command: string });
  expect(new Set(parsed.map(({ seed }) => seed))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
  expect(parsed.every(({ ok }) => ok)).toBe(true);
  expect(parsed[0]?.command).toContain("--nodes 2 --blocks 1");
  expect(stderr).toContain("6 seeds, 0 failed");
  expect(status).toBe(0);
});
