/** LEAVE: which members own no tasks any more, by what certificates say of the retention. */
import { describe, expect, it } from "vitest";
import { rememberClosed } from "../../src/core/ancestry.ts";
import { leftOf } from "../../src/core/leaving.ts";
import { isRosterFull } from "../../src/core/standing.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { blockAt, keyOf } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

const RETENTION = 16;
const LISTED = PARTIES.provers.map((prover) => ({ key: keyOf(prover), slots: 1, weight: 1 }));

interface Story {
  /** How many newcomers joined, and from which height on each has its turn. */
  readonly newcomers: number;
  readonly from?: (newcomer: number) => number;
  /** Who is credited for the task of a block. */
  readonly provenBy: (height: number) => readonly string[];
  readonly blocks?: number;
  readonly rosterMax?: number;
  readonly leftMax?: number;
}

function name(newcomer: number): string {
  return `newcomer ${newcomer}`;
}

/** The block above these, and those of the newcomers that have left by then. */
function told({ newcomers, from = () => 1, provenBy, blocks = 30, rosterMax = 4096, leftMax = 4096 }: Story) {
  const limits = { ...manifestJson([]).limits, retentionBlocks: RETENTION };
  const test = new Subject({
    change: { limits, provers: { admission: "open", list: LISTED } },
    limits: { rosterMax, leftMax },
  });
  const { state } = test.core;
  for (let at = 0; at < newcomers; at++) {
    const turns = new Map([[1, [from(at)]]]);
    state.roster.set(keyOf(name(at)), {
      key: keyOf(name(at)),
      weight: 1,
      slots: 1,
      turns,
      lost: 0,
      heardMs: 0,
      claimDelay: null,
    });
  }
  for (let height = 1; height <= blocks; height++) {
    const { hash, parent } = blockAt(height);
    const id = hashOf(`id ${height}`);
    state.tallies.set(id, new Map(provenBy(height).map((who) => [keyOf(who), { proven: 1, lost: 0 }])));
    rememberClosed(state, { id, chain: 1, height, hash, after: "00", parent: height === 1 ? null : parent });
  }
  test.announce(blockAt(blocks + 1));
  const block = test.core.block(blockAt(blocks + 1));
  const left = leftOf(state, block, [...state.roster.values()]);
  const names = Array.from({ length: newcomers }, (_, at) => at).filter((at) => left.has(keyOf(name(at))));
  return { test, left: names, isListedLeft: LISTED.some(({ key }) => left.has(key)) };
}

const byListed = (height: number) => [PARTIES.provers[height % PARTIES.provers.length] ?? ""];
const all = (count: number) => Array.from({ length: count }, (_, at) => at);

describe("a crowd", () => {
  it("of which none proves leaves after a whole retention, and no listed prover (LEAVE-3, LEAVE-4)", () => {
    const { left, isListedLeft } = told({ newcomers: 40, provenBy: byListed });
    expect(left).toEqual(all(40));
    expect(isListedLeft).toBe(false);
  });

  it("keeps those that had no whole retention yet, and those with a credit in it (LEAVE-4)", () => {
    const { left } = told({
      newcomers: 40,
      from: (at) => (at === 3 ? 16 : 1),
      provenBy: (height) => (height === 15 ? [name(5)] : byListed(height)),
    });
    expect(left).toEqual(all(40).filter((at) => at !== 3 && at !== 5));
  });

  it("stays before the certificates are those of a whole retention (LEAVE-4)", () => {
    expect(told({ newcomers: 40, provenBy: byListed, blocks: 12 }).left).toEqual([]);
  });

  it("that has left takes no room of a newcomer, as long as there is room for those that left (JOIN-2)", () => {
    const roster = { newcomers: 40, provenBy: byListed, rosterMax: 10 };
    expect([40, 34, 33].map((leftMax) => isRosterFull(told({ ...roster, leftMax }).test.core.state, 1))).toEqual([
      false,
      false,
      true,
    ]);
    expect(isRosterFull(told({ ...roster, provenBy: (height) => [name(height)] }).test.core.state, 1)).toBe(true);
  });
});

describe("a large roster that proves", () => {
  it("keeps members that own no task within the retention by bad luck (LEAVE-4)", () => {
    // Each task is credited to another of 40 members, so of the retention 16 have a credit and 24 have none.
    expect(told({ newcomers: 40, provenBy: (height) => [name(height % 40)] }).left).toEqual([]);
  });

  it("keeps them where half of its members are gone (LEAVE-4)", () => {
    expect(told({ newcomers: 20, provenBy: (height) => [name(height % 10)] }).left).toEqual([]);
  });
});
