import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accountOf } from "../../src/core/account.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { announceOf, blockAt, keyOf } from "./harness.ts";
import { Subject } from "./subject.ts";

const SMALL = { authorBytes: 64 << 10, taskBytes: 0 };

/** Claims of tasks of a block that nobody announces. */
function junk(count: number, name = "nothing"): Entry[] {
  const task = { block: hashOf(name), stage: "shard", index: 0 };
  return Array.from({ length: count }, (_, attempt) => ({ kind: "claim", ...task, attempt, timeouts: [] }));
}

function costOf(test: Subject, who: string): number {
  return accountOf(test.core.state, keyOf(who)).bytes;
}

describe("the account of an author", () => {
  it("is full at its limit: what is over does not enter the log, and nobody else is refused anything (BATCH-14, R1)", () => {
    const test = new Subject({ limits: SMALL });
    for (let at = 0; at < 8; at++) test.hear("p", ...junk(4, `nothing ${at}`));
    expect(costOf(test, "p")).toBeLessThanOrEqual(64 << 10);
    expect(new Set(test.core.refusals())).toEqual(new Set(["account.full"]));
    const kept = test.core.state.log.feed(keyOf("p"))?.kept().length ?? 0;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(8);
    const owner = test.owner("shard", 0) === "p" ? 1 : 0;
    expect(test.claimed(owner)).toEqual([`grant shard/${owner}#0 ${test.owner("shard", owner)}`]);
  });

  it("names the block that fills it, once", () => {
    const test = new Subject({ limits: SMALL });
    test.claimed(test.owner("shard", 0) === "p" ? 0 : 1);
    for (let at = 0; at < 8; at++) test.hear("p", ...junk(4));
    const reports = test.core.reports("account.full");
    expect(reports).toMatchObject([{ author: keyOf("p"), block: hashOf("nothing"), bytesMax: 64 << 10 }]);
  });

  it("takes the same batch later, when there is room again", () => {
    const test = new Subject({ limits: SMALL });
    const batches = Array.from({ length: 8 }, (_, at) => test.batch("p", ...junk(4, `nothing ${at}`)));
    for (const batch of batches) test.core.hear(batch);
    const { log } = test.core.state;
    const refused = batches.filter((batch) => !log.has(batch));
    for (const { head } of log.feed(keyOf("p"))?.kept().slice(0, 4) ?? []) log.forget(head.author, head.number);
    for (const batch of refused.slice(0, 2)) test.core.hear(batch);
    expect(refused.slice(0, 2).map((batch) => log.has(batch))).toEqual([true, true]);
  });

  it("grows with the tasks that are prepared here, since honest work on them needs more", () => {
    const test = new Subject({ limits: { authorBytes: 16 << 10, taskBytes: 1 << 20 } });
    expect(accountOf(test.core.state, keyOf("p")).bytesMax).toBe((16 << 10) + (3 << 20));
    expect(test.claimed(0)).toEqual([`grant shard/0#0 ${test.owner("shard", 0)}`]);
  });

  it("leaves each member its share where a crowd of others fills the sum", () => {
    const limits = { authorBytes: 64 << 10, membersBytes: 100 << 10, taskBytes: 0 };
    const test = new Subject({ limits });
    const [one, ...others] = ["p", "q", "r"];
    for (const who of others) for (let at = 0; at < 8; at++) test.hear(who, ...junk(4, `${who} ${at}`));
    test.core.effects.length = 0;
    test.hear(one ?? "", ...junk(4));
    expect(test.core.refusals()).toEqual([]);
  });

  it("has a number of signature checks a second, and goes on when time has passed (BATCH-15)", () => {
    const test = new Subject({ limits: { authorChecksPerSecond: 10, checksSeconds: 0.3 } });
    for (let at = 0; at < 5; at++) test.hear("p", ...junk(1, `nothing ${at}`));
    expect(test.core.refusals()).toEqual(["account.busy", "account.busy"]);
    test.tick(200);
    test.core.effects.length = 0;
    test.hear("p", ...junk(1));
    expect(test.core.refusals()).toEqual([]);
  });

  it("pays for the votes that a claim carries before they are checked", () => {
    const test = new Subject({ limits: { authorChecksPerSecond: 10, checksSeconds: 0.3 } });
    test.hear(test.owner("shard", 0, 1), test.claim(0, 1, test.timeoutVotes(0, 0)));
    expect(test.core.refusals()).toEqual(["account.busy"]);
  });
});

describe("an announcement", () => {
  it("costs no tasks before its payload is read (R1)", () => {
    const test = new Subject({ announced: false });
    test.core.isAnnouncedTruly = () => false;
    const announce = announceOf(blockAt(1));
    for (let at = 0; at < 8; at++) test.hear("s", { ...announce, payload: hashOf(`p${at}`), items: 16_320 });
    const blocks = [...test.core.state.blocks.values()];
    expect(blocks).toHaveLength(8);
    expect(blocks.flatMap(({ tasks }) => tasks)).toEqual([]);
  });

  it("is refused beside eight others of its height by the same source (BATCH-16)", () => {
    const test = new Subject({ announced: false });
    const announce = announceOf(blockAt(1));
    for (let at = 0; at < 10; at++) test.hear("s", { ...announce, payload: hashOf(`p${at}`) });
    expect(test.core.refusals()).toEqual(["block.too-many", "block.too-many"]);
    expect(test.core.state.blocks.size).toBe(8);
  });

  it("in one batch with more than that is refused as a whole", () => {
    const test = new Subject({ announced: false });
    const announce = announceOf(blockAt(1));
    test.hear("s", ...Array.from({ length: 100 }, (_, at) => ({ ...announce, payload: hashOf(`p${at}`) })));
    expect([test.core.refusals(), test.core.state.blocks.size]).toEqual([["block.too-many"], 0]);
  });
});

describe("what comes before it can be judged", () => {
  it("is lost in no order, however much others sign about nothing (ENTRY-3, S6)", () => {
    const grants = (test: Subject) =>
      [...(test.core.block(blockAt(1)).tasks[0]?.attempts.get(0)?.grants.values() ?? [])].map(({ size }) => size);
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }), (order) => {
        const test = new Subject({ announced: false });
        const owner = test.owner("shard", 0);
        const flood = Array.from({ length: 17 }, (_, at) => test.batch("r", ...junk(250, `nothing ${at}`)));
        const batches = [
          [test.batch("s", announceOf(blockAt(1)))],
          flood,
          ...["b", "c", "d"].map((who) => [test.batch(who, test.grant(0, owner))]),
        ];
        for (const at of order) for (const batch of batches[at] ?? []) test.core.hear(batch);
        expect(grants(test)).toEqual([3]);
      }),
      { numRuns: 10 },
    );
  });

  it("about an attempt far from open makes no record, and counts once the attempts before are over (ENTRY-6)", () => {
    const test = new Subject();
    const about = (attempt: number): EntryOf<"timeout"> => ({ ...test.timeout(0, attempt) });
    test.hear("b", about(4));
    const attempts = () => [...(test.core.block(blockAt(1)).tasks[0]?.attempts.keys() ?? [])];
    expect(Math.max(...attempts())).toBe(0);
    for (const attempt of [0, 1]) for (const who of ["b", "c", "d"]) test.hear(who, about(attempt));
    expect(test.core.block(blockAt(1)).tasks[0]?.attempts.get(4)?.timeouts.size).toBe(1);
  });

  it("about a proof that nobody has handed in is counted for the first of them, and for all once there is a receipt (ENTRY-7)", () => {
    const test = new Subject();
    for (let at = 0; at < 50; at++) test.hear("b", test.complete(0, `proof ${at}`));
    const task = test.core.block(blockAt(1)).tasks[0];
    expect(task?.proofs.size).toBe(4);
    test.hear(test.owner("shard", 0), test.receipt(0, "proof 40"));
    expect([...(test.core.proof(blockAt(1), "proof 40")?.vouchers.keys() ?? [])]).toEqual([keyOf("b")]);
  });
});
