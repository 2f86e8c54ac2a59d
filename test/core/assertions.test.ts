import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assertAttest, assertBarrier, assertGrant } from "../../src/core/assertions.ts";
import { contentOf } from "../../src/core/barrier.ts";
import { BrokenInvariant } from "../../src/core/invariant.ts";
import { grantedTo, hasAttested, hasTimedOut, type LockedVote, sayLocked } from "../../src/core/locks.ts";
import { moveBlock } from "../../src/core/moves.ts";
import { MERITS, quotaOf } from "../../src/core/quota.ts";
import { OWNERS } from "../../src/core/standing.ts";
import type { Memo } from "../../src/core/changes.ts";
import { see, type View } from "../../src/core/views.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, keyOf } from "./harness.ts";
import { ACTIONS, Hostile, type Tally } from "./hostile.ts";
import { Subject } from "./subject.ts";

/** The code with which `run` ends; `null` where it comes to its end. */
function codeOf(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof BrokenInvariant) return error.code;
    throw error;
  }
}

const meritsOf = (test: Subject) => see(test.core.state, test.core.block(blockAt(1)), MERITS);
const subject = () => new Subject({ checkAllEvery: 1 });
const shardOf = (test: Subject, index: number) => {
  const task = test.core.block(blockAt(1)).tasksByStage.get("shard")?.[index];
  if (task === undefined) throw new Error(`no shard ${index}`);
  return task;
};

describe("the locks of a node", () => {
  const granted = () => {
    const test = subject();
    expect(test.claimed(0)).toContain(`grant shard/0#0 ${test.owner("shard", 0)}`);
    return test;
  };

  it("are taken with the vote and known after a restart, in the order of signing (S4)", () => {
    const test = granted();
    expect(grantedTo(test.core.state, shardOf(test, 0), 0)).toBe(keyOf(test.owner("shard", 0)));
    test.pass(60_000);
    expect(hasTimedOut(test.core.state, shardOf(test, 0), 0)).toBe(true);
    test.restart();
    expect(grantedTo(test.core.state, shardOf(test, 0), 0)).toBe(keyOf(test.owner("shard", 0)));
    expect(hasTimedOut(test.core.state, shardOf(test, 0), 0)).toBe(true);
    expect(hasAttested(test.core.state, shardOf(test, 0), 0)).toBe(false);
  });

  it("are taken once: a second vote for one ends the step, whatever its value (S4)", () => {
    const votes = (test: Subject): Record<string, LockedVote> => {
      const prover = keyOf(test.owner("shard", 0));
      const at = { ...test.task(0), attempt: 0 };
      return {
        same: { kind: "grant", ...at, prover },
        other: { kind: "grant", ...at, prover: keyOf(test.other("shard", 0)) },
        timeout: { kind: "timeout", ...at, code: "limit" },
        attest: { kind: "attest", ...at, prover, artefact: hashOf("x") },
      };
    };
    const taken = (...names: readonly string[]) => {
      const test = granted();
      const known = votes(test);
      return names.map((name) => codeOf(() => sayLocked(test.core.state, known[name] as LockedVote)));
    };
    expect(taken("same")).toEqual(["invariant.S4"]);
    expect(taken("other")).toEqual(["invariant.S4"]);
    expect(taken("timeout", "attest")).toEqual([null, "invariant.S4"]);
    expect(taken("attest", "timeout")).toEqual([null, "invariant.S4"]);
  });

  it("are not taken for a grant after a timeout (S4)", () => {
    const test = subject();
    const at = { ...test.task(0), attempt: 0 };
    sayLocked(test.core.state, { kind: "timeout", ...at, code: "limit" });
    expect(codeOf(() => sayLocked(test.core.state, { kind: "grant", ...at, prover: keyOf("p") }))).toBe("invariant.S4");
  });

  it("go with their block", () => {
    const test = granted();
    const { state } = test.core;
    expect([...state.locks.keys()]).toEqual([test.id()]);
    const { height, hash, parent } = blockAt(1);
    const of = {
      format: 1 as const,
      network: test.manifest.network,
      chain: 1,
      height,
      hash,
      parent,
      start: true,
      workflow: "block",
    };
    const content = { ...of, items: 0, payload: hashOf("other"), before: "00", after: "01", tasks: [], lost: [] };
    // Another block of its hash is certified.
    const certificate = { content, contentHash: hashOf("content"), block: hashOf("other block"), signers: [] };
    test.core.step({ kind: "certificate", certificate, bytes: new Uint8Array() });
    expect(state.blocks.size).toBe(0);
    expect(state.locks.size).toBe(0);
  });
});

describe("an assertion ends the step", () => {
  it("that grants an attempt which no quorum of timeouts has opened (S1)", () => {
    const test = subject();
    expect(codeOf(() => assertGrant(test.core.state, shardOf(test, 0), 0))).toBe(null);
    expect(codeOf(() => assertGrant(test.core.state, shardOf(test, 0), 1))).toBe("invariant.S1");
  });

  it("that attests for a prover to whom no quorum has granted the attempt (S1)", () => {
    const test = subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.assigned(0);
    expect(codeOf(() => assertAttest(test.core.state, shardOf(test, 0), 0, keyOf(owner)))).toBe(null);
    const other = keyOf(test.other("shard", 0));
    expect(codeOf(() => assertAttest(test.core.state, shardOf(test, 0), 0, other))).toBe("invariant.S1");
  });

  it("that finds quorums for two provers in one attempt, as long as at most f of the weight is out (S1)", () => {
    const find = (out: readonly string[]) => {
      const test = subject();
      const { state } = test.core;
      const [attempt] = shardOf(test, 0).attempts.values();
      for (const prover of ["p", "q"]) {
        const votes = ["b", "c", "d"].map((name) => [keyOf(name), {}] as const);
        if (attempt === undefined) throw new Error("no attempt");
        (attempt.grants as Map<string, unknown>).set(keyOf(prover), new Map(votes));
      }
      for (const name of out) state.out.set(keyOf(name), {} as never);
      return { code: codeOf(() => test.tick(0)), reports: test.core.reports("invariant.broken").length };
    };
    expect(find(["b"])).toEqual({ code: "invariant.S1", reports: 0 });
    expect(find(["b", "c"])).toEqual({ code: null, reports: 1 });
  });

  it("that signs a barrier with a proof that nobody has verified (S2)", () => {
    const test = subject();
    const prover = keyOf(test.owner("shard", 0));
    const task = { stage: "shard", index: 0, artefact: hashOf("x"), prover };
    const content = { tasks: [task] } as unknown as Parameters<typeof assertBarrier>[2];
    test.hear(test.owner("shard", 0), test.receipt(0, "x"));
    expect(codeOf(() => assertBarrier(test.core.state, test.core.block(blockAt(1)), content))).toBe("invariant.S2");
    test.verdict(0, "x");
    expect(codeOf(() => assertBarrier(test.core.state, test.core.block(blockAt(1)), content))).toBe(null);
  });

  it("that closes a block before its parent, or makes a move that no block may make (S3)", () => {
    const test = subject();
    test.announce(blockAt(2));
    const { state } = test.core;
    const [first, second] = [test.core.block(blockAt(1)), test.core.block(blockAt(2))];
    second.state = "open";
    expect(codeOf(() => moveBlock(state, second, "closed"))).toBe("invariant.S3");
    second.state = "cancelled";
    expect(codeOf(() => moveBlock(state, second, "open"))).toBe("invariant.block-state");
    expect(codeOf(() => moveBlock(state, second, "closed"))).toBe("invariant.block-state");
    moveBlock(state, second, "waiting");
    moveBlock(state, first, "closed");
    first.certificate = hashOf("content");
    expect(codeOf(() => moveBlock(state, first, "open"))).toBe("invariant.block-state");
  });

  it("that leaves a memo behind which its facts do not say (S6)", () => {
    const test = subject();
    const block = test.core.block(blockAt(1));
    quotaOf(test.core.state, keyOf("p"), 1);
    const memoOf = (view: View<unknown>, key = "") => block.memos.get(view)?.get(key) as Memo;
    const [merits, owners] = [memoOf(MERITS), memoOf(OWNERS, "shard")];
    const { value } = merits;
    merits.value = new Map([[keyOf("p"), { credits: 1, faults: 0 }]]);
    expect(codeOf(() => test.tick(0))).toBe("invariant.S6");
    merits.value = value;
    owners.value = [[keyOf("p")], [keyOf("p")]];
    expect(codeOf(() => test.tick(0))).toBe("invariant.S6");
  });
});

describe("the memos of a block go with the facts that they rest on", () => {
  it("where an attester has timed out twice and the earlier vote, with another code, arrives later (ENTRY-5, S6)", () => {
    const test = subject();
    const owner = keyOf(test.owner("shard", 0));
    test.claimed(0);
    test.assigned(0);
    const timeout = (code: string) => ({ ...test.timeout(0), code });
    const earlier = test.batch("c", timeout("not-claimed"));
    const later = test.batch("c", timeout("limit"));
    test.core.hear(later);
    for (const who of ["b", "d"]) test.hear(who, timeout(who === "b" ? "limit" : "no-progress"));
    expect(meritsOf(test).get(owner)).toEqual({ credits: 0, faults: 1 });
    test.core.hear(earlier);
    expect(meritsOf(test).get(owner)).toBe(undefined);
  });

  it("where attests name a proof that is not counted yet (S6)", () => {
    const test = subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.assigned(0);
    const attesters = ["b", "c", "d"];
    // Each of them has named as many other proofs as it may.
    for (const who of attesters) test.hear(who, ...[1, 2, 3, 4].map((at) => test.complete(0, `${who} ${at}`)));
    meritsOf(test);
    contentOf(test.core.state, test.core.block(blockAt(1)));
    for (const who of attesters) test.hear(who, test.attest(0, owner, "x"));
    expect(meritsOf(test).get(keyOf(owner))).toEqual({ credits: 1, faults: 0 });
  });
});

describe("the assertions that stay on", () => {
  it.each([
    ["at most f attesters and any provers", false],
    ["more than f attesters and any provers", true],
  ])("cannot be reached by hostile facts of %s (S1 to S4, S6)", (_, isBeyondModel) => {
    const tally: Tally = new Map();
    fc.assert(
      fc.property(ACTIONS, (actions) => new Hostile(isBeyondModel).play(actions, tally)),
      { numRuns: Number(process.env["ASSERTION_RUNS"] ?? 40), endOnFailure: true },
    );
    // The facts got as far as each assertion.
    for (const name of ["assigned attempt", "timed out attempt", "complete task", "key out", "certified block"])
      expect(tally.get(name), name).toBeGreaterThan(0);
    for (const name of ["own grant", "own timeout", "own attest", "own barrier"])
      expect(tally.get(name), name).toBeGreaterThan(0);
    if (!isBeyondModel) expect(tally.get("reported credit")).toBe(0);
  });
});
