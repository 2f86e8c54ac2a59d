import { describe, expect, it } from "vitest";
import { GROUP_BATCHES_MAX, lossOf } from "../../src/runtime/signing.ts";
import { hashOf } from "../protocol/fixtures.ts";

const journal = (next: number) => ({
  next,
  head: hashOf(`${next - 1}`),
  hashOf: (number: number) => hashOf(`${number}`),
});
const state = (next: number, lost = false) => ({ counter: 2, next, head: hashOf(`${next - 1}`), lost });

describe("a journal", () => {
  it("is whole where it holds all that was counted, and at most one group more (LOST-1)", () => {
    expect(lossOf(state(0), journal(0))).toBe(null);
    expect(lossOf(state(9), journal(9))).toBe(null);
    expect(lossOf(state(9), journal(9 + GROUP_BATCHES_MAX))).toBe(null);
  });

  it.each([
    ["the signing state is missing", null, journal(9)],
    ["the signing state says that it was lost", state(9, true), journal(9)],
    ["it is older than the signing state", state(10), journal(9)],
    ["the signing state is older than it", state(9), journal(10 + GROUP_BATCHES_MAX)],
    ["it is another one", { ...state(9), head: hashOf("other") }, journal(9)],
    ["it is another one that is longer", { ...state(9), head: hashOf("other") }, journal(11)],
  ])("is lost where %s (LOST-1)", (_, signed, found) => {
    expect(lossOf(signed, found)).not.toBe(null);
  });
});
