import { describe, expect, it } from "vitest";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { blockAt, keyOf, withoutPayee } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

describe("grant", () => {
  it("goes to the owner that claims, at once and once (GRANT-1)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    expect(test.hear(owner, test.claim(0))).toEqual([`grant shard/0#0 ${owner}`]);
    expect(test.hear(owner, test.claim(0))).toEqual([]);
    expect(test.tick(100)).toEqual([]);
  });

  it("goes to nobody but the owner (GRANT-2)", () => {
    const test = new Subject();
    const other = test.other("shard", 0);
    expect(test.hear(other, test.claim(0))).toEqual([]);
    expect(test.core.refusals()).toEqual(["claim.not-owner"]);
    const owner = test.owner("shard", 0);
    expect(test.claimed(0)).toEqual([`grant shard/0#0 ${owner}`]);
  });

  it("is not given after the own timeout (GRANT-5)", () => {
    const test = new Subject();
    expect(test.tick(500).sort()).toEqual(["timeout shard/0#0 not-claimed", "timeout shard/1#0 not-claimed"]);
    expect(test.claimed(0)).toEqual([]);
    expect(test.hear("b", test.grant(0, test.owner("shard", 0)))).toEqual([]);
  });

  it("is given for the attempt that is open, and no other (GRANT-3)", () => {
    const test = new Subject();
    const next = test.owner("shard", 0, 1);
    expect(test.hear(next, test.claim(0, 1))).toEqual([]);
    const said = ["b", "c", "d"].flatMap((who) => test.hear(who, test.timeout(0)));
    expect(said).toEqual(["timeout shard/0#0 others-timed-out", `grant shard/0#1 ${next}`]);
    expect(test.claimed(0, 0)).toEqual([]);
  });

  it("is given on a claim that carries the timeout certificate of the attempt before (CLAIM-1)", () => {
    const test = new Subject();
    const next = test.owner("shard", 0, 1);
    // Two votes are one short of it; with the own one that follows from them it is whole.
    const short = test.timeoutVotes(0, 0, ["b", "c"]);
    expect(test.hear(next, test.claim(0, 1, short))).toEqual([
      "timeout shard/0#0 others-timed-out",
      `grant shard/0#1 ${next}`,
    ]);
    const again = new Subject();
    const whole = again.timeoutVotes(0, 0);
    expect(again.hear(next, again.claim(0, 1, whole))).toEqual([`grant shard/0#1 ${next}`]);
  });

  it("is not given on a claim whose timeout votes are forged, doubled or of another attempt", () => {
    const test = new Subject();
    const next = test.owner("shard", 0, 1);
    const [vote, second] = test.timeoutVotes(0, 0, ["b", "c"]);
    const other = test.timeoutVotes(1, 0, ["d"]);
    const stranger = test.timeoutVotes(0, 0, ["p"]);
    if (vote === undefined || second === undefined) throw new Error("no votes");
    const forged = { ...second, signature: new Uint8Array(64) };
    const timeouts = [vote, vote, forged, ...other, ...stranger];
    expect(test.hear(next, test.claim(0, 1, timeouts))).toEqual([]);
    expect(test.core.block(blockAt(1)).tasks[0]?.attempts.get(0)?.timeouts.size).toBe(1);
  });

  it("stays within the owner's capacity (GRANT-4)", () => {
    const parties = { ...PARTIES, provers: ["p"] };
    const limits = { ...manifestJson([]).limits, claimsPerSlotMax: 1 };
    const test = new Subject({ parties, change: { limits } });
    expect(test.claimed(0)).toEqual(["grant shard/0#0 p"]);
    expect(test.claimed(1)).toEqual([]);
    expect(test.core.refusals()).toContain("claim.capacity");
  });

  it("waits for a claim that came before the block was announced", () => {
    const test = new Subject({ announced: false });
    expect(test.claimed(0)).toEqual([]);
    expect(test.announce(blockAt(1))).toEqual([`grant shard/0#0 ${test.owner("shard", 0)}`]);
  });
});

/** The only prover's proof of the first task, which it has claimed. */
function proven(test: Subject): void {
  ["b", "c"].forEach((who) => test.hear(who, test.grant(0, "p")));
  test.hear("p", test.receipt(0, "proof"));
  test.verdict(0, "proof");
  ["b", "c"].forEach((who) => test.hear(who, test.attest(0, "p", "proof")));
}

describe("timeout", () => {
  it("comes when the claim window is over, which grows by half an attempt (TIMEOUT-1)", () => {
    const test = new Subject();
    expect(test.tick(499)).toEqual([]);
    expect(test.tick(1)).toHaveLength(2);
    ["b", "c"].forEach((who) => test.hear(who, test.timeout(0), test.timeout(1)));
    expect(test.tick(749)).toEqual([]);
    expect(test.tick(1).sort()).toEqual(["timeout shard/0#1 not-claimed", "timeout shard/1#1 not-claimed"]);
  });

  it("leaves a prover whose claims come late the time that they take, and others none of it", () => {
    const parties = { ...PARTIES, provers: ["p"] };
    const test = new Subject({ parties });
    test.tick(400);
    expect(test.claimed(0)).toEqual(["grant shard/0#0 p"]);
    proven(test);
    // One claim after 400 ms: 400 and four deviations of 200 are the window of p from here on.
    expect(test.tick(799)).toEqual([]);
    expect(test.tick(1)).toEqual(["timeout shard/1#0 not-claimed"]);
    const others = new Subject();
    expect(others.tick(500)).toHaveLength(2);
  });

  it("learns nothing from a late claim that is given back, or else its prover would have ever more time", () => {
    const test = new Subject({ parties: { ...PARTIES, provers: ["p"] } });
    test.tick(400);
    test.claimed(0);
    test.hear("p", { kind: "release", ...test.task(0), attempt: 0 });
    expect(test.tick(100)).toEqual(["timeout shard/1#0 not-claimed"]);
  });

  it("never waits longer for a claim than the manifest's maximum", () => {
    const parties = { ...PARTIES, provers: ["p"] };
    const timing = { ...manifestJson([]).timing, claimWindowMsMax: 600 };
    const test = new Subject({ parties, change: { timing } });
    test.tick(450);
    test.claimed(0);
    proven(test);
    expect(test.tick(149)).toEqual([]);
    expect(test.tick(1)).toEqual(["timeout shard/1#0 not-claimed"]);
  });

  it("comes when a claimed task makes no progress for a lease, and progress renews it (BEAT-1)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.claimed(1);
    test.tick(1500);
    const beat = (units: number) => ({ kind: "beat", tasks: [{ ...test.task(0), attempt: 0, units }] }) as const;
    expect(test.hear(owner, beat(1))).toEqual([]);
    expect(test.tick(500)).toEqual(["timeout shard/1#0 no-progress"]);
    test.tick(1000);
    // The same count again is a beat without progress.
    expect(test.hear(owner, beat(1))).toEqual([]);
    expect(test.tick(500)).toEqual(["timeout shard/0#0 no-progress"]);
  });

  it("comes at a lease at least, and at four times what is usual for the stage, whatever the beats say", () => {
    for (const [usualMs, limitMs] of [
      [100, 2000],
      [1500, 6000],
      [9000, 20_000],
    ] as const) {
      const test = new Subject();
      test.core.state.tookMs.set(
        "block/shard",
        Array.from({ length: 8 }, () => usualMs),
      );
      const owner = test.owner("shard", 0);
      test.claimed(0);
      const said = new Map<number, string>();
      for (let ms = 500; ms <= 20_000; ms += 500) {
        for (const line of test.tick(500)) if (line.startsWith("timeout shard/0#0")) said.set(ms, line);
        test.hear(owner, { kind: "beat", tasks: [{ ...test.task(0), attempt: 0, units: ms }] });
      }
      expect([...said]).toEqual([[limitMs, "timeout shard/0#0 limit"]]);
    }
  });

  it("comes at the stage's limit, whatever the beats say", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    const said: string[] = [];
    for (let units = 1; units <= 20; units++) {
      said.push(...test.tick(1000).filter((line) => line.includes("shard/0")));
      test.hear(owner, { kind: "beat", tasks: [{ ...test.task(0), attempt: 0, units }] });
    }
    expect(said).toEqual(["timeout shard/0#0 limit"]);
    expect(test.core.nowMs).toBe(20_000);
  });

  it("is not held up by beats of a prover that is not the owner, nor cut short by its word", () => {
    const test = new Subject();
    const [owner, other] = [test.owner("shard", 0), test.other("shard", 0)];
    test.claimed(0);
    test.hear(other, test.claim(0));
    const beat = (units: number) => ({ kind: "beat", tasks: [{ ...test.task(0), attempt: 0, units }] }) as const;
    test.hear(other, beat(Number.MAX_SAFE_INTEGER));
    const end = { ...test.task(0), attempt: 0 };
    expect(test.hear(other, { kind: "release", ...end })).toEqual([]);
    expect(test.hear(other, { kind: "fail", ...end, code: "machine.lost", logical: true })).toEqual([]);
    test.tick(1500);
    test.hear(owner, beat(1));
    expect(test.tick(1999).filter((line) => line.includes("shard/0"))).toEqual([]);
    expect(test.tick(1)).toEqual(["timeout shard/0#0 no-progress"]);
  });

  for (const kind of ["release", "fail"] as const) {
    it(`comes at once on the owner's ${kind} (RELEASE-2, FAIL-2)`, () => {
      const test = new Subject();
      test.claimed(0);
      const end = { ...test.task(0), attempt: 0 };
      const entry =
        kind === "release"
          ? ({ kind, ...end } as const)
          : ({ kind, ...end, code: "machine.lost", logical: false } as const);
      const code = kind === "release" ? "released" : "machine.lost";
      expect(test.hear(test.owner("shard", 0), entry)).toEqual([`timeout shard/0#0 ${code}`]);
    });
  }

  it("comes when f+1 others say that the attempt is over (TIMEOUT-2)", () => {
    const test = new Subject();
    test.claimed(0);
    expect(test.hear("b", test.timeout(0))).toEqual([]);
    expect(test.hear("c", test.timeout(0))).toEqual(["timeout shard/0#0 others-timed-out"]);
  });

  it("never comes after the own attest (TIMEOUT-3)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.assigned(0);
    test.hear(owner, test.receipt(0, "proof"));
    expect(test.verdict(0, "proof")).toEqual([`attest shard/0#0 ${owner}`]);
    test.hear(owner, { kind: "release", ...test.task(0), attempt: 0 });
    ["b", "c", "d"].forEach((who) => test.hear(who, test.timeout(0)));
    expect(test.pass(30_000).filter((line) => line.includes("shard/0"))).toEqual([]);
  });

  it("never comes when a valid proof is known, whoever made it", () => {
    const test = new Subject();
    const other = test.other("shard", 0);
    test.hear(other, test.receipt(0, "proof"));
    expect(test.verdict(0, "proof")).toEqual(["complete shard/0"]);
    ["b", "c"].forEach((who) => test.hear(who, test.timeout(0)));
    expect(test.pass(3000).filter((line) => line.includes("shard/0"))).toEqual([]);
  });
});

describe("attest", () => {
  it("needs the assignment certificate, waits for it a little, and is said once (ATTEST-1, ATTEST-3, COMPLETE-2)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.hear(owner, test.receipt(0, "proof"));
    expect(test.verdict(0, "proof")).toEqual([]);
    expect(test.assigned(0)).toEqual([`attest shard/0#0 ${owner}`]);
    expect(test.tick(300)).toEqual([]);
    test.hear(owner, test.receipt(0, "second proof"));
    // A second proof of the same attempt is true as well, but no lock is taken twice.
    expect(test.verdict(0, "second proof")).toEqual(["complete shard/0"]);
  });

  it("becomes a complete where the assignment certificate does not come (COMPLETE-1)", () => {
    const test = new Subject();
    test.claimed(0);
    test.hear(test.owner("shard", 0), test.receipt(0, "proof"));
    expect(test.verdict(0, "proof")).toEqual([]);
    expect(test.tick(249)).toEqual([]);
    expect(test.tick(1)).toEqual(["complete shard/0"]);
    // The lock is still free: the certificate may come late, and the prover is paid.
    expect(test.assigned(0)).toEqual([`attest shard/0#0 ${test.owner("shard", 0)}`]);
  });

  it("never comes after the own timeout: a late proof completes the task and is not credited", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.assigned(0);
    expect(test.tick(2000)).toContain("timeout shard/0#0 no-progress");
    test.hear(owner, test.receipt(0, "proof"));
    expect(test.verdict(0, "proof")).toEqual(["complete shard/0"]);
    expect(test.pass(1000).filter((line) => line.includes("shard/0"))).toEqual([]);
  });

  it("names the prover of the certificate, and nobody who only hands in the proof", () => {
    const test = new Subject();
    const [owner, other] = [test.owner("shard", 0), test.other("shard", 0)];
    test.claimed(0);
    test.assigned(0);
    test.hear(other, test.receipt(0, "stolen"));
    expect(test.verdict(0, "stolen")).toEqual(["complete shard/0"]);
    // The lock is the owner's still, for a proof of its own.
    expect(test.hear(owner, test.receipt(0, "own"))).toEqual([]);
    expect(test.verdict(0, "own")).toEqual([`attest shard/0#0 ${owner}`]);
  });
});

describe("a proof", () => {
  it("that does not verify is rejected, and the attempt is over at once (REJECT-1)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.hear(owner, test.receipt(0, "bad"));
    expect(test.verdict(0, "bad", { kind: "invalid", code: "proof.equation" })).toEqual([
      `reject shard/0 ${owner} proof.equation`,
      "timeout shard/0#0 proof.equation",
    ]);
  });

  it("of other public values than the task implies is rejected without a look at it (RECEIPT-6)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    const values = test.values(1, owner);
    expect(test.hear(owner, test.receipt(0, "bad", 0, { values }))).toEqual([
      `reject shard/0 ${owner} receipt.other-task`,
      "timeout shard/0#0 receipt.other-task",
    ]);
    expect(test.core.take("verify")).toEqual([]);
  });

  it("under another key or system is no receipt for this task (RECEIPT-1, RECEIPT-2)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.hear(owner, test.receipt(0, "x", 0, { key: hashOf("other") }), test.receipt(0, "y", 0, { system: "other" }));
    test.hear(owner, test.receipt(0, "z", 0, { bytes: (1 << 20) + 1 }));
    expect(test.core.refusals()).toEqual(["receipt.wrong-key", "receipt.wrong-key", "message.too-large"]);
    expect(test.core.take("verify")).toEqual([]);
  });

  it("is not spoiled by somebody who names it with other public values or other bytes", () => {
    const test = new Subject({ change: withoutPayee() });
    const [owner, other] = [test.owner("shard", 0), test.other("shard", 0)];
    test.claimed(0);
    test.assigned(0);
    const { values } = test.receipt(1, "proof");
    expect(test.hear(other, test.receipt(0, "proof", 0, { values }))).toEqual([
      `reject shard/0 ${other} receipt.other-task`,
    ]);
    const inline = new TextEncoder().encode("not the proof");
    test.hear(other, test.receipt(0, "proof", 0, { inline, bytes: inline.length }));
    test.hear(owner, test.receipt(0, "proof"));
    const asked = test.core.take("verify");
    expect(asked.map((effect) => effect.inline.length)).toEqual([0]);
    expect(test.verdict(0, "proof")).toEqual([`attest shard/0#0 ${owner}`]);
  });

  it("of another length than its receipt says is rejected, and the next owner does the task", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.hear(owner, test.receipt(0, "proof", 0, { bytes: 99 }));
    expect(test.core.take("verify")).toHaveLength(1);
    expect(test.verdict(0, "proof", { kind: "valid", bytes: 100, possession: new Uint8Array() })).toEqual([
      `reject shard/0 ${owner} receipt.wrong-bytes`,
      "timeout shard/0#0 receipt.wrong-bytes",
    ]);
    expect(test.core.refusals()).toEqual(["receipt.wrong-bytes"]);
  });

  it("is not spoiled by somebody who names it with another length", () => {
    const test = new Subject({ change: withoutPayee() });
    const [owner, other] = [test.owner("shard", 0), test.other("shard", 0)];
    test.claimed(0);
    test.assigned(0);
    test.hear(other, test.receipt(0, "proof", 0, { bytes: 99 }));
    test.hear(owner, test.receipt(0, "proof"));
    const valid = { kind: "valid", bytes: 100, possession: new Uint8Array() } as const;
    expect(test.verdict(0, "proof", valid)).toEqual([`reject shard/0 ${other} receipt.wrong-bytes`]);
    expect(test.verdict(0, "proof", valid)).toEqual([`attest shard/0#0 ${owner}`]);
  });

  it("that cannot be had is neither: it is asked for again, and past the limit the attempt is over (REJECT-2)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.hear(owner, test.receipt(0, "gone"));
    const said: string[] = [];
    let asked = 0;
    for (let at = 0; at < 400 && said.length === 0; at++) {
      asked += test.core.take("verify").length;
      test.hear(owner, { kind: "beat", tasks: [{ ...test.task(0), attempt: 0, units: at }] });
      if (test.core.proof(blockAt(1), "gone")?.asked === true) {
        said.push(...test.verdict(0, "gone", { kind: "unavailable", code: "artefact.unavailable" }));
      } else said.push(...test.tick(50).filter((line) => line.includes("shard/0")));
    }
    expect(said).toEqual(["timeout shard/0#0 artefact.unavailable"]);
    expect(asked).toBe(5);
  });

  it("at which the verifier traps is refused by nobody, and its attempt ends by that code (VERIFY-8)", () => {
    const test = new Subject();
    test.claimed(0);
    test.hear(test.owner("shard", 0), test.receipt(0, "proof"));
    const verdict = { kind: "verdictless", code: "verifier.trap" } as const;
    const said = Array.from({ length: 5 }, () => test.verdict(0, "proof", verdict)).flat();
    expect(said).toEqual(["timeout shard/0#0 verifier.trap"]);
  });

  it("that this node cannot make again itself does not end the attempt of its prover (REJECT-2)", () => {
    const test = new Subject();
    test.claimed(0);
    test.hear(test.owner("shard", 0), test.receipt(0, "proof"));
    const verdict = { kind: "unable", code: "executor.missing" } as const;
    const said = Array.from({ length: 6 }, () => test.verdict(0, "proof", verdict)).flat();
    expect(said).toEqual([]);
    expect(test.core.reports("proof.unavailable").map(({ tries }) => tries)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("is asked about once, and not at all once the task is complete and credited", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.hear(owner, test.receipt(0, "proof"));
    test.tick(10);
    expect(test.core.take("verify")).toHaveLength(1);
    ["b", "c", "d"].forEach((who) => test.hear(who, test.attest(0, owner, "proof")));
    expect(test.core.reports("task.complete")).toMatchObject([{ stage: "shard", index: 0, credited: true }]);
    // Asked again without a payer, because attesters vouch for it.
    expect(test.core.take("verify")).toMatchObject([{ artefact: hashOf("proof"), payers: [] }]);
    test.hear(test.other("shard", 0), test.receipt(0, "another"));
    expect(test.core.take("verify")).toEqual([]);
  });

  it("stands for two at most of one prover", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    ["1", "2", "3"].forEach((name) => test.hear(owner, test.receipt(0, name)));
    expect(test.core.refusals()).toEqual(["receipt.too-many"]);
  });
});

describe("a vote of somebody who has none", () => {
  it("changes nothing (ENTRY-1, S7)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.hear("p", test.timeout(0), test.complete(0, "proof"), test.grant(0, owner));
    test.hear("s", test.timeout(0));
    test.hear("b", test.claim(1));
    expect(test.core.refusals()).toEqual(Array.from({ length: 5 }, () => "author.role"));
    expect(test.core.state.blocks.get(test.id())?.tasks[0]?.attempts.get(0)?.grants.get(keyOf(owner))?.size).toBe(1);
  });
});
