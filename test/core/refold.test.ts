/** S6: what a node makes of a log does not depend on the order in which the log came. */
import { describe, expect, it } from "vitest";
import { checkRefold } from "../../simnet/virtual/checkers/refold.ts";
import type { Batch } from "../../src/protocol/batch.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { equation, keyOf } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

/** Hears the batches in this order, and folds the log in other orders. */
function folded(test: Subject, batches: readonly Batch[]): string[] {
  for (const batch of batches) test.core.hear(batch);
  return checkRefold("a", test.core.state, [], equation);
}

describe("a log says the same in each order of arrival (S6)", () => {
  it("about a prover that releases an attempt and reports a failure", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    const at = { ...test.task(0), attempt: 0 };
    const claim = test.batch(owner, test.claim(0));
    const release = test.batch(owner, { kind: "release", ...at });
    const fail = test.batch(owner, { kind: "fail", ...at, code: "machine.broken", logical: false });
    expect(folded(test, [claim, fail, release])).toEqual([]);
  });

  it("about a prover that hands in another proof than it names, and releases the attempt", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    const release = test.batch(owner, { kind: "release", ...test.task(0), attempt: 0 });
    const receipt = test.batch(owner, test.receipt(0, "another", 0, { inline: new Uint8Array(100) }));
    expect(folded(test, [receipt, release])).toEqual([]);
  });

  it("about the turns of provers that an attester votes for beside many others (ADMIT-2, BENCH-2)", () => {
    const list = PARTIES.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
    const provers = { ...manifestJson([]).provers, admission: "open" as const, list };
    const test = new Subject({ change: { provers } });
    const admit = (name: string): EntryOf<"admit"> => {
      return { kind: "admit", prover: keyOf(name), chain: 1, height: 5, slots: 1 };
    };
    const bench = (name: string): EntryOf<"bench"> => {
      return { kind: "bench", prover: hashOf(name), chain: 1, height: 5, turn: 0 };
    };
    const many = (part: number) => Array.from({ length: 128 }, (_, at) => `nobody ${part} ${at}`);
    const flood = [0, 1, 2].flatMap((part) => [
      test.batch("b", ...many(part).map(admit)),
      test.batch("b", ...many(part).map(bench)),
    ]);
    const suspend = { kind: "bench", prover: keyOf("p"), chain: 1, height: 1, turn: 0 } as const;
    const votes = ["b", "c", "d"].map((who) => test.batch(who, admit("new"), suspend));
    expect(folded(test, [...flood, ...votes])).toEqual([]);
    expect(test.core.state.roster.get(keyOf("new"))?.turns.get(1)).toEqual([5]);
  });
});
