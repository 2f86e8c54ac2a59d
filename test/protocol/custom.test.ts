import { describe, expect, it, vi } from "vitest";
import { type CollectedTask, guardSelect } from "../../src/protocol/custom.ts";
import { hashOf } from "./fixtures.ts";

const tasks: readonly CollectedTask[] = [0, 1, 2, 3].map((index) => {
  return { index, group: index, system: "mock", output: index === 2 ? null : hashOf(`result ${index}`) };
});

describe("a function that says which tasks close a stage", () => {
  it("is believed where what it says can be", () => {
    const complain = vi.fn();
    const ask = (said: unknown) => guardSelect(() => said, complain)(tasks);
    expect([ask(null), ask([0]), ask([0, 1, 3]), ask([1, 3])]).toEqual([null, [0], [0, 1, 3], [1, 3]]);
    expect(complain).not.toHaveBeenCalled();
  });

  it("closes nothing with nonsense", () => {
    const nonsense = [
      undefined,
      true,
      1,
      "0",
      {},
      [],
      [2],
      [4],
      [-1],
      [1, 0],
      [1, 1],
      [0.5],
      ["0"],
      [Number.NaN],
      [0, 1, 2, 3],
    ];
    for (const said of nonsense) {
      const complain = vi.fn();
      expect(guardSelect(() => said, complain)(tasks)).toBe(null);
      expect(complain).toHaveBeenCalledOnce();
    }
  });

  it("is complained of once, whatever it throws and how often", () => {
    const complain = vi.fn();
    const select = guardSelect(() => {
      throw new Error("no idea");
    }, complain);
    expect([select(tasks), select(tasks)]).toEqual([null, null]);
    expect(complain.mock.calls).toEqual([["it threw no idea"]]);
  });

  it("cannot change what it is shown", () => {
    const complain = vi.fn();
    const select = guardSelect((shown) => {
      (shown[0] as { output: string | null }).output = null;
      return [0];
    }, complain);
    expect(select(tasks)).toBe(null);
    expect(tasks[0]?.output).toBe(hashOf("result 0"));
  });
});
