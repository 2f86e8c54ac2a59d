import { expect, it } from "vitest";
import { fuzzGossip } from "./gossip.ts";

it("whatever members and strangers say, each message gets a verdict with a code and the node goes on", () => {
  const { messages, verdicts } = fuzzGossip(100, 20_261_122);
  expect(messages).toBeGreaterThan(400);
  for (const met of ["accept", "reject message.malformed", "ignore author.unknown", "reject message.root-mismatch"])
    expect([...verdicts.keys()]).toContain(met);
});
