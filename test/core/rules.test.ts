/** Rules of the protocol that no other test is about; each test names its rule. */
import { describe, expect, it } from "vitest";
import { createLane, delivered, found, looked, wake } from "../../src/core/handover.ts";
import { voteOf } from "../../src/protocol/batch.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { announceOf, blockAt, Feed, keyOf } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

const LISTED = PARTIES.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
const openTo = (provers: Partial<ManifestJson["provers"]>) =>
  new Subject({
    parties: { ...PARTIES, provers: [...PARTIES.provers, "new"] },
    change: { provers: { admission: "open", list: LISTED, ...provers } },
  });

describe("of what attesters and sources sign", () => {
  it("no vote is signed while a verifier of the network's keys is missing (VERIFY-8)", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.core.step({ kind: "verifier", fault: "verifier.zkvm" });
    expect(test.claimed(0)).toEqual([]);
    test.hear(owner, test.receipt(0, "proof"));
    test.assigned(0);
    expect(test.verdict(0, "proof")).toEqual([]);
    expect(test.core.step({ kind: "verifier", fault: null })).toEqual([
      `grant shard/0#0 ${owner}`,
      `attest shard/0#0 ${owner}`,
    ]);
  });

  it("a block whose payload is not what its announcement says has no task (ANNOUNCE-12)", () => {
    const test = new Subject({ announced: false });
    test.core.isAnnouncedTruly = () => false;
    test.announce(blockAt(1));
    expect(test.claimed(0)).toEqual([]);
    expect(test.core.reports("block.invalid")).toMatchObject([{ height: 1, code: "payload.items-mismatch" }]);
    expect(test.core.block(blockAt(1))).toMatchObject({ invalid: "payload.items-mismatch", tasks: [] });
  });

  it("a retract is signed once a block (RETRACT-4)", () => {
    const test = new Subject({ announced: false, parties: { ...PARTIES, sources: ["a", "b"] } });
    test.hear("b", announceOf(blockAt(1)));
    const takeBack = () => test.core.step({ kind: "source-retract", chain: 1, hash: blockAt(1).hash });
    expect(takeBack()).toEqual(["retract round 0", "cancel round 0"]);
    expect(takeBack()).toEqual([]);
  });

  it("a retract of a later round cancels the block once the block is in that round (RETRACT-3)", () => {
    const test = new Subject({ announced: false });
    test.announce(blockAt(1), 1);
    expect(test.hear("s", { kind: "retract", block: test.id(), round: 1 })).toEqual([]);
    const cancels = ["b", "c", "d"].map((who) => test.hear(who, { kind: "cancel", block: test.id(), round: 0 }));
    expect(cancels).toEqual([[], [], ["cancel round 1"]]);
  });

  it("a node does not suspend itself, because it signs (BENCH-3)", () => {
    const test = new Subject({ parties: { ...PARTIES, provers: ["a"] } });
    for (let attempt = 0; attempt < 5; attempt++) {
      for (const who of ["b", "c", "d"]) test.hear(who, test.timeout(0, attempt));
      test.pass(1000);
    }
    expect(test.core.reports("attempt.over").length).toBeGreaterThanOrEqual(5);
    expect(test.core.said().filter((line) => line.startsWith("bench"))).toEqual([]);
  });

  it("a timeout for want of a claim waits while the owner is full and nobody is idle (TIMEOUT-5)", () => {
    const limits = { ...manifestJson([]).limits, claimsPerSlotMax: 1 };
    const overdue = (others: readonly string[]) => {
      const heavy = { key: keyOf("p"), slots: 1, weight: 16 };
      const list = [heavy, ...others.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }))];
      const provers = { admission: "list" as const, list };
      const test = new Subject({ parties: { ...PARTIES, provers: ["p", ...others] }, change: { limits, provers } });
      expect([test.owner("shard", 0), test.owner("shard", 1)]).toEqual(["p", "p"]);
      test.claimed(0);
      return test.pass(600).filter((line) => line.startsWith("timeout shard/1"));
    };
    expect(overdue([])).toEqual([]);
    // An idle prover could take the next attempt.
    expect(overdue(["q"])).toEqual(["timeout shard/1#0 not-claimed"]);
  });

  it("a barrier waits half a claim window for a proof that would be named instead (BARRIER-6)", () => {
    const systems = ["mock-one", "mock-two", "mock-three"];
    const variants = systems.map((system) => ({ system, key: system }));
    const collect = { any: 2, of: "families" } as const;
    const stage = { name: "prove", variants, tasks: {}, collect, leaseMs: 2000, limitMs: 20_000 };
    const keys = Object.fromEntries(systems.map((system) => [system, { system, verifyingKey: "bW9jaw==", files: {} }]));
    const test = new Subject({ change: { workflows: { block: { window: 2, stages: [stage] } }, keys } });
    const closed = (index: number) => {
      test.hear("p", test.receipt(index, `proof ${index}`, 0, { stage: "prove", system: systems[index] ?? "" }));
      if (index > 0) test.verdict(index, `proof ${index}`, undefined, "prove");
      for (const who of ["b", "c", "d"])
        if (index > 0) test.hear(who, test.complete(index, `proof ${index}`, "prove", "p"));
    };
    [0, 1, 2].forEach(closed);
    expect(test.core.block(blockAt(1)).state).toBe("closed");
    expect(test.pass(200)).not.toContain("barrier");
    expect(test.pass(100)).toContain("barrier");
  });

  it("the latest round of a cancel counts (CANCEL-1)", () => {
    const test = new Subject();
    const cancel = (round: number) => test.hear("b", { kind: "cancel", block: test.id(), round });
    for (const round of [0, 2, 1]) cancel(round);
    expect(test.core.block(blockAt(1)).cancels.get(keyOf("b"))).toMatchObject({ round: 2 });
  });

  it.each([
    [0, []],
    [1, ["cancel round 1"]],
  ])("a retract of an earlier round than the block's cancels nothing (RETRACT-1): round %i of 1", (round, said) => {
    const test = new Subject();
    for (const who of ["b", "c", "d"]) test.hear(who, { kind: "cancel", block: test.id(), round: 0 });
    test.announce(blockAt(1), 1);
    expect(test.core.block(blockAt(1))).toMatchObject({ round: 1 });
    expect(test.hear("s", { kind: "retract", block: test.id(), round })).toEqual(said);
  });

  it("the earliest vote to suspend a prover from a turn counts (BENCH-2)", () => {
    const test = new Subject();
    const bench = (height: number) =>
      test.batch("b", { kind: "bench", prover: keyOf("p"), chain: 1, height, turn: 0 } as const);
    const [first, second] = [bench(5), bench(6)];
    for (const batch of [second, first, second]) test.core.hear(batch);
    const [benching] = test.core.state.benches.values();
    expect(benching?.voters.get(keyOf("b"))).toMatchObject({ height: 5 });
  });
});

describe("evidence", () => {
  it("of votes by a key that is no attester shows no offence (EVIDENCE-6)", () => {
    const test = new Subject();
    const grants = ["q", "r"].map((prover) => test.batch("p", test.grant(0, prover)));
    const shown = grants.map((batch) => voteOf(batch, 0));
    for (const batch of grants) test.core.hear(batch);
    expect(test.hear("b", { kind: "evidence", shown })).toEqual([]);
    expect(test.core.refusals()).toEqual(["author.role", "author.role", "evidence.false"]);
    expect(test.core.state.out.has(keyOf("p"))).toBe(false);
  });
});

describe("a node that signs", () => {
  it("ends where it is shown a batch of its key that this start has not signed (START-6)", () => {
    const test = new Subject();
    test.claimed(0);
    const other = new Feed("a", test.core.feed.batches).seal(test.manifest, [{ kind: "beat", tasks: [] }]);
    test.core.step({ kind: "batch", batch: other, from: keyOf("b") });
    expect(test.core.state.mute).toBe("key.in-use");
    expect(test.claimed(1)).toEqual([]);
  });
});

describe("a lane of a sink", () => {
  it("looks again for a certificate that came while it waited for an answer (SINK-7)", () => {
    const lane = createLane({ network: hashOf("network"), self: keyOf("a"), nodes: [], takeoverMs: 0 });
    const block = { height: 1, content: { hash: hashOf("block") } };
    found(lane, { ok: true, value: block }, 0);
    looked(lane, { ok: true, value: { kind: "missing" } }, 0);
    expect(delivered(lane, { ok: true, value: undefined }, 0).move).toEqual({ kind: "seek", after: block });
    expect(wake(lane)).toBe(null);
    expect(found(lane, { ok: true, value: null }, 0).move).toEqual({ kind: "seek", after: block });
    expect(found(lane, { ok: true, value: null }, 0).move).toEqual({ kind: "idle" });
  });
});

describe("of what provers sign", () => {
  it("an entry about a task that its block does not have is refused (ENTRY-4)", () => {
    const test = new Subject();
    expect(test.hear("p", test.claim(99))).toEqual([]);
    expect(test.core.refusals()).toEqual(["task.unknown"]);
  });

  it("a claim of a task that is complete is refused, and held against nobody (CLAIM-3)", () => {
    const test = new Subject();
    const [owner, other] = [test.owner("shard", 0), test.other("shard", 0)];
    expect(test.hear(other, test.claim(0))).toEqual([]);
    expect(test.core.refusals()).toEqual(["claim.not-owner"]);
    test.hear(owner, test.receipt(0, "proof"));
    test.verdict(0, "proof");
    for (const who of ["b", "c", "d"]) test.hear(who, test.attest(0, owner, "proof"));
    expect(test.core.reports("task.complete")).toHaveLength(1);
    expect(test.hear(other, test.claim(0, 1))).toEqual([]);
    expect(test.core.refusals()).toEqual([]);
  });

  it.each([
    ["works", "p", true, 500],
    ["has nothing to do", "p", false, 2000],
    ["is not on the roster", "new", false, Number.POSITIVE_INFINITY],
  ])("a beat comes at the pace of a node that %s (BEAT-2)", (_, name, works, everyMs) => {
    const parties = { attesters: ["a", "b", "c", "d"], provers: ["p"], sources: ["s"] };
    const test = new Subject({ name, parties, roles: { prover: true }, announced: works });
    const count = () => test.core.feed.batches.flatMap(({ entries }) => entries).filter(isBeat).length;
    test.pass(500);
    const before = count();
    test.pass(8000);
    expect(count() - before).toBe(8000 / everyMs);
  });

  it("a claim of a task that is not the owner's is kept, and refused (CLAIM-2)", () => {
    const test = new Subject();
    const other = test.other("shard", 0);
    expect(test.hear(other, test.claim(0))).toEqual([]);
    expect(test.core.refusals()).toEqual(["claim.not-owner"]);
    const granted = ["b", "c", "d"].flatMap((who) => test.hear(who, test.grant(0, other)));
    expect(granted).toEqual([]);
    expect(test.core.block(blockAt(1)).tasks[0]?.attempts.get(0)?.claims.has(keyOf(other))).toBe(true);
  });

  it("a receipt whose proof is not the one that it names ends the attempt (RECEIPT-3)", () => {
    const test = new Subject();
    test.claimed(0);
    const inline = new Uint8Array(100);
    const said = test.hear(test.owner("shard", 0), test.receipt(0, "another", 0, { inline }));
    expect(test.core.refusals()).toEqual(["receipt.inline-mismatch"]);
    expect(said).toEqual(["timeout shard/0#0 receipt.inline-mismatch"]);
  });

  it("a join of an unknown chain is refused (JOIN-2)", () => {
    const test = openTo({});
    expect(test.hear("new", { kind: "join", chain: 2, slots: 1, proofs: [] })).toEqual([]);
    expect(test.core.refusals()).toEqual(["block.chain-unknown"]);
  });

  it("a join of a prover that has a turn leads to no vote (JOIN-3)", () => {
    const test = openTo({});
    expect(test.hear("p", { kind: "join", chain: 1, slots: 1, proofs: [] })).toEqual([]);
    expect(test.core.refusals()).toEqual([]);
  });

  it("a join has the slots of the vote to admit (ADMIT-3)", () => {
    // Nobody may prove, so a newcomer is admitted without a drawing.
    const test = openTo({ list: [] });
    test.hear("new", { kind: "join", chain: 1, slots: 3, proofs: [] });
    const votes = [...test.core.state.ownAdmissions.keys()];
    expect(votes).toEqual([`${keyOf("new")}/1`]);
    const entries = test.core.feed.batches.flatMap((batch) => batch.entries);
    expect(entries).toContainEqual(expect.objectContaining({ kind: "admit", prover: keyOf("new"), slots: 3 }));
  });
});

function isBeat({ kind }: { readonly kind: string }): boolean {
  return kind === "beat";
}
