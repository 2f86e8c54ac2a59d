import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { quotaOf } from "../../src/core/quota.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { blockAt, keyOf } from "./harness.ts";
import { Net } from "./net.ts";
import { PARTIES, Subject } from "./subject.ts";

const LIMITS = { ...manifestJson([]).limits, claimsPerSlotMax: 4 };
const change = { limits: LIMITS };

function quota(test: Subject, prover: string): number {
  return quotaOf(test.core.state, keyOf(prover), 1);
}

function reject(test: Subject, prover: string, proof: string): EntryOf<"reject"> {
  return { kind: "reject", ...test.task(0), prover: keyOf(prover), artefact: hashOf(proof), code: "proof.equation" };
}

describe("what a prover may have claimed at once", () => {
  it("is all that its slots allow, where the manifest names it", () => {
    expect(quota(new Subject({ change }), "p")).toBe(4);
  });

  it("is halved by each rejected proof, once one honest attester at least has rejected it, and never below one (REJECT-3)", () => {
    const test = new Subject({ change });
    const seen = ["one", "two", "three", "four"].flatMap((proof) =>
      ["b", "b", "c", "d"].map((who) => {
        test.hear(who, reject(test, "p", proof));
        return quota(test, "p");
      }),
    );
    expect(seen).toEqual([4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(quota(test, "q")).toBe(4);
  });

  it("is halved by a lease that it lost, and not by a task that it gave back, failed with an error or never claimed", () => {
    for (const [code, left] of [
      ["no-progress", 2],
      ["limit", 2],
      ["released", 4],
      ["machine.lost", 4],
      ["not-claimed", 4],
    ] as const) {
      const test = new Subject({ change });
      const owner = test.owner("shard", 0);
      test.claimed(0);
      test.assigned(0);
      ["b", "c", "d"].forEach((who) => test.hear(who, { ...test.timeout(0), code }));
      expect([code, quota(test, owner)]).toEqual([code, left]);
    }
  });

  it("begins at one for a newcomer, and grows by one with each credited proof", () => {
    const provers = { admission: "open" as const, list: [{ key: keyOf("p"), slots: 1, weight: 1 }] };
    const test = new Subject({ parties: { ...PARTIES, provers: ["p", "new"] }, change: { ...change, provers } });
    const admit = { kind: "admit", prover: keyOf("new"), chain: 1, height: 2, slots: 2 } as const;
    ["b", "c", "d"].forEach((who) => test.hear(who, admit));
    expect(quota(test, "new")).toBe(1);
    const seen = [0, 1].map((index) => {
      ["b", "c", "d"].forEach((who) => test.hear(who, test.attest(index, "new", `proof ${index}`)));
      return quota(test, "new");
    });
    expect(seen).toEqual([2, 3]);
  });

  it("is what attesters grant at most, and what is over is granted when the first is complete", () => {
    const parties = { ...PARTIES, provers: ["p"] };
    const test = new Subject({ parties, change });
    for (const proof of ["one", "two"]) ["b", "c"].forEach((who) => test.hear(who, reject(test, "p", proof)));
    expect(test.claimed(0)).toEqual(["grant shard/0#0 p"]);
    expect(test.claimed(1)).toEqual([]);
    expect(test.core.refusals()).toContain("claim.capacity");
    test.hear("p", test.receipt(0, "proof"));
    ["b", "c", "d"].forEach((who) => test.hear(who, test.complete(0, "proof")));
    expect(test.tick(125)).toEqual(["grant shard/1#0 p"]);
  });

  it("is what a prover claims at most itself (CLAIM-4)", () => {
    const parties = { ...PARTIES, provers: ["p"] };
    const test = new Subject({ name: "p", roles: { prover: true }, parties, change, announced: false });
    test.announce(blockAt(1));
    expect(test.core.said()).toEqual(["claim shard/0#0", "claim shard/1#0"]);
    const careful = new Subject({ name: "p", roles: { prover: true }, parties, change, announced: false });
    for (const proof of ["one", "two"]) ["b", "c"].forEach((who) => careful.hear(who, reject(careful, "p", proof)));
    careful.announce(blockAt(1));
    expect(careful.core.said()).toEqual(["claim shard/0#0"]);
  });

  it("is the same on all nodes that have heard the same, whatever the order (S6)", () => {
    const names = ["a", "b", "c", "d"];
    const net = new Net(names, change);
    net.isValid = (prover) => prover !== "b";
    for (let height = 1; height <= 6; height++) {
      net.mine(blockAt(height));
      net.pass(2000);
    }
    const quotas = (order: typeof net.batches) => {
      const core = net.observer();
      for (const batch of order) core.hear(batch);
      return names.map((name) => quotaOf(core.state, keyOf(name), 1));
    };
    const expected = quotas(net.batches);
    expect(expected[1]).toBeLessThan(4);
    expect(expected[0]).toBe(4);
    for (const core of net.cores) expect(names.map((name) => quotaOf(core.state, keyOf(name), 1))).toEqual(expected);
    fc.assert(
      fc.property(fc.shuffledSubarray(net.batches, { minLength: net.batches.length }), (order) => {
        expect(quotas(order)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });
});
