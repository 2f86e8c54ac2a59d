/** Rules of the protocol that no other test is about; each test names its rule. */
import { describe, expect, it } from "vitest";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { blockAt, keyOf } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

const LISTED = PARTIES.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
const openTo = (provers: Partial<ManifestJson["provers"]>) =>
  new Subject({
    parties: { ...PARTIES, provers: [...PARTIES.provers, "new"] },
    change: { provers: { admission: "open", list: LISTED, ...provers } },
  });

describe("of what attesters and sources sign", () => {
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

  it("a vote to suspend is counted with few others that no quorum has joined (BENCH-2)", () => {
    const test = new Subject();
    const bench = (turn: number) => {
      test.hear("b", { kind: "bench", prover: keyOf("p"), chain: 1, height: 5, turn });
    };
    for (let turn = 0; turn < 300; turn++) bench(turn);
    expect(test.core.refusals()).toEqual(Array.from({ length: 300 - 256 }, () => "vote.too-many"));
  });
});

describe("of what provers sign", () => {
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
    expect(test.hear("new", { kind: "join", chain: 2, slots: 1 })).toEqual([]);
    expect(test.core.refusals()).toEqual(["block.chain-unknown"]);
  });

  it("a join of a prover that has a turn leads to no vote (JOIN-3)", () => {
    const test = openTo({});
    expect(test.hear("p", { kind: "join", chain: 1, slots: 1 })).toEqual([]);
    expect(test.core.refusals()).toEqual([]);
  });

  it("a join has the slots of the vote to admit (ADMIT-3)", () => {
    // Nobody may prove, so a newcomer is admitted without a drawing.
    const test = openTo({ list: [] });
    test.hear("new", { kind: "join", chain: 1, slots: 3 });
    const votes = [...test.core.state.ownAdmissions.keys()];
    expect(votes).toEqual([`${keyOf("new")}/1`]);
    const entries = test.core.feed.batches.flatMap((batch) => batch.entries);
    expect(entries).toContainEqual(expect.objectContaining({ kind: "admit", prover: keyOf("new"), slots: 3 }));
  });
});
