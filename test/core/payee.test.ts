import { describe, expect, it } from "vitest";
import { taskStatus } from "../../src/core/lifecycle.ts";
import { chosenProof } from "../../src/core/makers.ts";
import { isReserved } from "../../src/core/receipts.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, keyOf, type network, withoutPayee } from "./harness.ts";
import { Subject } from "./subject.ts";

const WRONG = { kind: "invalid", code: "proof.equation" } as const;
const OTHERS = ["b", "c", "d"];

/** The task's second attempt is granted to its owner, and the first owner's proof comes late. */
function late(
  change: Parameters<typeof network>[1] = {},
  receipt: Partial<EntryOf<"receipt">> = {},
): { readonly test: Subject; readonly maker: string; readonly thief: string } {
  const test = new Subject({ change });
  const [maker, thief] = [test.owner("shard", 0), test.owner("shard", 0, 1)];
  test.claimed(0);
  for (const who of OTHERS) test.hear(who, test.timeout(0));
  test.claimed(0, 1);
  test.assigned(0, 1);
  test.hear(maker, test.receipt(0, "proof", 0, receipt));
  return { test, maker, thief };
}

function taskIn(test: Subject) {
  const task = test.core.block(blockAt(1)).tasks[0];
  if (task === undefined) throw new Error("block 1 has no task");
  return task;
}

describe("a proof that names its maker", () => {
  it("completes the task and pays nobody where it comes late, though the holder of the attempt hands it in as well", () => {
    const { test, maker, thief } = late();
    test.hear(thief, test.receipt(0, "proof", 1));
    const asked = test.core.take("verify");
    expect(asked.map((each) => each.maker)).toEqual([keyOf(maker), keyOf(thief)]);
    expect(asked[0]?.values).not.toEqual(asked[1]?.values);
    const verdict = (
      prover: string,
      answer: typeof WRONG | { readonly kind: "valid"; readonly bytes: number; readonly possession: Uint8Array },
    ) =>
      test.core.step({
        kind: "verified",
        task: test.task(0),
        artefact: hashOf("proof"),
        maker: keyOf(prover),
        verdict: answer,
      });
    expect(verdict(maker, { kind: "valid", bytes: 100, possession: new Uint8Array() })).toEqual(["complete shard/0"]);
    expect(verdict(thief, WRONG)[0]).toBe(`reject shard/0 ${thief} proof.other-prover`);
    for (const who of OTHERS) test.hear(who, test.complete(0, "proof", "shard", maker));
    expect(taskStatus(test.core.state, taskIn(test)).state).toBe("complete");
    expect(chosenProof(test.core.state, taskIn(test))).toMatchObject({
      credited: false,
      made: { prover: keyOf(maker) },
    });
  });

  it("is rejected unseen in a receipt that has the maker's public values: receipt.other-prover (RECEIPT-8)", () => {
    const { test, maker, thief } = late();
    test.core.take("verify");
    const said = test.hear(thief, test.receipt(0, "proof", 1, { values: test.values(0, maker) }));
    expect(said[0]).toBe(`reject shard/0 ${thief} receipt.other-prover`);
    expect(test.core.take("verify")).toEqual([]);
  });

  it("is not complete by votes for another maker: they are about another proof", () => {
    const { test, maker, thief } = late();
    test.verdict(0, "proof");
    for (const who of ["b", "c"]) test.hear(who, test.complete(0, "proof", "shard", thief));
    expect(taskIn(test).completeMs).toBe(null);
    for (const who of ["b", "c"]) test.hear(who, test.complete(0, "proof", "shard", maker));
    expect(taskIn(test).completeMs).not.toBe(null);
  });

  it("is named with its maker by who calls the task complete, whether the proof itself names the maker or not (COMPLETE-5)", () => {
    for (const change of [{}, withoutPayee()]) {
      const test = new Subject({ change });
      const maker = test.owner("shard", 0);
      test.hear(maker, test.receipt(0, "proof"));
      test.verdict(0, "proof");
      const said = test.core.feed.batches.flatMap(({ entries }) => entries);
      const complete = { kind: "complete", ...test.task(0), prover: keyOf(maker), artefact: hashOf("proof") };
      expect(said).toContainEqual(complete);
    }
  });
});

describe("a proof that does not name its maker", () => {
  const possession = new Uint8Array(32).fill(7);
  const valid = { kind: "valid", bytes: 100, possession } as const;
  const judged = (test: Subject, prover: string) =>
    test.core.step({
      kind: "verified",
      task: test.task(0),
      artefact: hashOf("proof"),
      maker: keyOf(prover),
      verdict: valid,
    });

  it("is rejected in a receipt that does not show that its author holds it: receipt.not-held (RECEIPT-9)", () => {
    const { test, thief } = late(withoutPayee());
    test.hear(thief, test.receipt(0, "proof", 1));
    expect(judged(test, thief)[0]).toBe(`reject shard/0 ${thief} receipt.not-held`);
  });

  it("pays who holds it and the attempt (RECEIPT-9)", () => {
    const { test, thief } = late(withoutPayee());
    test.hear(thief, test.receipt(0, "proof", 1, { possession }));
    expect(judged(test, thief)).toEqual([`attest shard/0#1 ${thief}`]);
  });

  it("pays nobody else once this node has vouched for another's (ATTEST-6)", () => {
    const { test, maker, thief } = late(withoutPayee(), { possession });
    expect(judged(test, maker)).toEqual(["complete shard/0"]);
    test.hear(thief, test.receipt(0, "proof", 1, { possession }));
    expect(judged(test, thief)).toEqual(["complete shard/0"]);
  });

  it("is for attesters alone until its task is complete (RECEIPT-10)", () => {
    const { test, maker } = late(withoutPayee(), { possession });
    expect(isReserved(test.core.state, hashOf("proof"))).toBe(true);
    expect(isReserved(test.core.state, hashOf("another"))).toBe(false);
    expect(test.core.state.namedArtefacts.get(hashOf("proof"))?.size).toBe(1);
    judged(test, maker);
    for (const who of OTHERS) test.hear(who, test.complete(0, "proof", "shard", maker));
    expect(isReserved(test.core.state, hashOf("proof"))).toBe(false);
    expect(isReserved(late().test.core.state, hashOf("proof"))).toBe(false);
  });
});
