import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { factsChanged, rosterMoved, settledChanged } from "../../src/core/changes.ts";
import { checkViews, see, seen, type View } from "../../src/core/views.ts";
import { blockAt } from "./harness.ts";
import { ACTIONS, Hostile } from "./hostile.ts";
import { Subject } from "./subject.ts";

describe("the view of a block", () => {
  /** How often each view was computed, and what it reads besides its inputs. */
  const counting = () => {
    const test = new Subject();
    const { state } = test.core;
    const block = test.core.block(blockAt(1));
    const computed = { low: 0, high: 0 };
    const fact = { value: 1 };
    const low: View<{ readonly isLarge: boolean }> = {
      name: "the low view",
      inputsOf: (_, { changes }) => [changes.facts],
      compute: (_state, _block, _key, last) => {
        computed.low++;
        const isLarge = fact.value > 2;
        return last?.isLarge === isLarge ? last : { isLarge };
      },
    };
    const high: View<string> = {
      name: "the high view",
      inputsOf: () => [see(state, block, low)],
      compute: (_state, _block, key) => {
        computed.high++;
        return `${key}: ${see(state, block, low).isLarge ? "large" : "small"}`;
      },
    };
    return { state, block, computed, fact, low, high };
  };

  it("is computed again only where one of its inputs has changed", () => {
    const { state, block, computed, fact, low, high } = counting();
    expect(see(state, block, high, "a")).toBe("a: small");
    rosterMoved(state);
    settledChanged(block);
    expect(see(state, block, high, "a")).toBe("a: small");
    expect(computed).toEqual({ low: 1, high: 1 });
    fact.value = 2;
    factsChanged(block);
    expect(see(state, block, high, "a")).toBe("a: small");
    // The lower view says the same, so the higher one stays.
    expect(computed).toEqual({ low: 2, high: 1 });
    fact.value = 3;
    factsChanged(block);
    expect(seen(state, block, low)).toBe(undefined);
    expect(see(state, block, high, "a")).toBe("a: large");
    expect(computed).toEqual({ low: 3, high: 2 });
    expect(seen(state, block, low)).toEqual({ isLarge: true });
  });

  it("has one value for each key", () => {
    const { state, block, computed, high } = counting();
    expect(["a", "b", "a"].map((key) => see(state, block, high, key))).toEqual(["a: small", "b: small", "a: small"]);
    expect(computed).toEqual({ low: 1, high: 2 });
  });

  it("is named where a fact has changed and nobody has counted the change", () => {
    const { state, block, fact, low, high } = counting();
    see(state, block, high, "a");
    expect(checkViews(state, block, true)).toEqual([]);
    fact.value = 3;
    expect(checkViews(state, block, true)).toContain(low.name);
    factsChanged(block);
    expect(checkViews(state, block, true)).toEqual([]);
  });

  it("equals the view that is computed anew after every step, whatever facts come (S6)", () => {
    let compared = 0;
    fc.assert(
      fc.property(ACTIONS, fc.boolean(), (actions, isBeyondModel) => {
        new Hostile(isBeyondModel).play(actions, new Map(), (state) => {
          for (const block of state.blocks.values()) {
            if (block.certificate !== null) continue;
            expect(checkViews(state, block, true)).toEqual([]);
            compared += block.memos.size;
          }
        });
      }),
      { numRuns: 20, endOnFailure: true },
    );
    expect(compared).toBeGreaterThan(1000);
  });
});
