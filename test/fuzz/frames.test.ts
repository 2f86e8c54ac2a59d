import { expect, it } from "vitest";
import { fuzzFrames } from "./frames.ts";

it("whatever comes on a stream, it is the artefact that was asked for or a code", async () => {
  const { refused, received } = await fuzzFrames(500, 20_261_122);
  expect(received).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(100);
});
