import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compactRoster, isIn } from "../../src/core/standing.ts";
import { step } from "../../src/core/step.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { blockAt, equation, keyOf } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

describe("what counts of an author's words", () => {
  const barrier = (test: Subject, content: number): EntryOf<"barrier"> => {
    return { kind: "barrier", block: test.id(), content: hashOf(`content ${content}`) };
  };

  it("are the first eight contents of a barrier by the order of its feed, whatever the order of arrival (BARRIER-4)", () => {
    const expected = Array.from({ length: 8 }, (_, at) => hashOf(`content ${at}`)).sort();
    fc.assert(
      fc.property(fc.shuffledSubarray([...Array(12).keys()], { minLength: 12 }), (order) => {
        const test = new Subject();
        const batches = Array.from({ length: 12 }, (_, at) => test.batch("b", barrier(test, at)));
        for (const at of order) {
          const batch = batches[at];
          if (batch !== undefined) test.core.hear(batch);
        }
        expect([...test.core.block(blockAt(1)).votes.keys()].sort()).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  it("are said with vote.too-many where they are beyond", () => {
    const test = new Subject();
    for (let content = 0; content < 9; content++) test.hear("b", barrier(test, content));
    expect(test.core.refusals()).toEqual(["vote.too-many"]);
  });
});

describe("what is said of a block that nobody has announced here", () => {
  it("is let go of with the block's certificate: kept, it would keep its batches for ever", () => {
    const test = new Subject({ announced: false });
    test.hear("b", { kind: "barrier", block: test.id(), content: hashOf("content") });
    expect(test.core.state.pending.size).toBe(1);
    const { height, hash, parent } = blockAt(1);
    const of = { network: test.manifest.network, chain: 1, height, hash, parent, start: true, workflow: "block" };
    const more = { format: 1 as const, lost: [], items: 0, payload: hashOf("payload") };
    const content = { ...of, ...more, before: "00", after: "01", tasks: [] };
    const certificate = { content, contentHash: hashOf("content"), block: test.id(), signers: [] };
    test.core.step({ kind: "certificate", certificate, bytes: new Uint8Array() });
    expect(test.core.state.pending.size).toBe(0);
    // Nor is it kept where it comes after that.
    test.hear("c", { kind: "barrier", block: test.id(), content: hashOf("content") });
    expect(test.core.state.pending.size).toBe(0);
  });
});

describe("the votes that a claim carries", () => {
  it("cost a signature check only where they say something new", () => {
    const test = new Subject();
    const votes = test.timeoutVotes(0, 0);
    const claims = Array.from({ length: 3 }, () => test.batch(test.owner("shard", 0, 1), test.claim(0, 1, votes)));
    const checks = claims.map((batch) => {
      let checked = 0;
      step(test.core.state, { kind: "batch", batch, from: null }, 0, (...args) => {
        checked++;
        return equation(...args);
      });
      return checked;
    });
    expect(checks).toEqual([3, 0, 0]);
    expect(test.core.block(blockAt(1)).tasks[0]?.attempts.get(0)?.timeouts.size).toBe(3);
  });
});

describe("the roster's votes", () => {
  const provers = { ...manifestJson([]).provers, admission: "open" as const };
  const list = PARTIES.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
  const open = () => new Subject({ change: { provers: { ...provers, list } } });
  const admit = (name: string, height: number): EntryOf<"admit"> => {
    return { kind: "admit", prover: keyOf(name), chain: 1, height, slots: 1 };
  };
  const bench = (name: string, height: number, turn: number): EntryOf<"bench"> => {
    return { kind: "bench", prover: keyOf(name), chain: 1, height, turn };
  };
  const turns = (test: Subject, name: string) => test.core.state.roster.get(keyOf(name))?.turns.get(1);

  it("of one attester count in any number, and its account bounds them (ADMIT-2, BENCH-2)", () => {
    const test = open();
    const limits = { authorBytes: 2 ** 20, taskBytes: 0 };
    const full = new Subject({ change: { provers: { ...provers, list } }, limits });
    for (const each of [test, full])
      for (let at = 0; at < 400; at++) each.hear("b", admit(`nobody ${at}`, 5), bench(`nobody ${at}`, 5, 0));
    expect([test.core.state.admissions.size, test.core.state.benches.size]).toEqual([400, 400]);
    expect(full.core.refusals()).toContain("account.full");
    expect(full.core.state.admissions.size).toBeLessThan(400);
    for (const who of ["b", "c", "d"]) test.hear(who, admit("new", 5));
    expect(turns(test, "new")).toEqual([5]);
  });

  it("go once a later turn has begun before every block that is kept, and what is left means the same", () => {
    const test = open();
    for (const who of ["b", "c", "d"]) test.hear(who, admit("new", 3));
    for (const who of ["b", "c", "d"]) test.hear(who, bench("new", 10, 3));
    for (const who of ["b", "c", "d"]) test.hear(who, admit("new", 20));
    expect(turns(test, "new")).toEqual([3, 20]);
    const chain = test.core.state.chains.get(1);
    if (chain === undefined) throw new Error("no chain");
    chain.retired = 19;
    compactRoster(test.core.state);
    expect(turns(test, "new")).toEqual([3, 20]);
    chain.retired = 20;
    compactRoster(test.core.state);
    // A block of a low height is kept after a deep reorg.
    expect(turns(test, "new")).toEqual([3, 20]);
    test.core.state.blocks.clear();
    compactRoster(test.core.state);
    expect(turns(test, "new")).toEqual([20]);
    expect([...test.core.state.admissions.values()].map(({ height }) => height)).toEqual([20]);
    expect(test.core.state.benches.size).toBe(0);
    for (const who of ["b", "c", "d"]) test.hear(who, bench("new", 30, 20));
    expect(test.core.reports("prover.benched").map(({ height }) => height)).toEqual([10, 30]);
  });

  it("about a turn that another one has followed mean nothing, whether they are still there or not (BENCH-1)", () => {
    const test = open();
    // A listed prover, as after a start: its turn from height 0 has ended, and the votes that ended it are compacted.
    for (const who of ["b", "c", "d"]) test.hear(who, admit("p", 20));
    for (const who of ["b", "c", "d"]) test.hear(who, bench("p", 30, 20));
    const { state } = test.core;
    const isInAt = () => [19, 29, 30].map((height) => isIn(state, memberOf(state, "p"), 1, height));
    expect(turns(test, "p")).toEqual([0, 20]);
    expect(isInAt()).toEqual([true, true, false]);
    const chain = state.chains.get(1);
    if (chain === undefined) throw new Error("no chain");
    chain.retired = 20;
    state.blocks.clear();
    compactRoster(state);
    expect(turns(test, "p")).toEqual([20]);
    expect(isInAt().slice(1)).toEqual([true, false]);
  });
});

function memberOf(state: Subject["core"]["state"], name: string) {
  const member = state.roster.get(keyOf(name));
  if (member === undefined) throw new Error(`no member ${name}`);
  return member;
}
