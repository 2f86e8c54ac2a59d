import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sourceResumes } from "../../src/core/branch.ts";
import type { Event } from "../../src/core/event.ts";
import { blockId } from "../../src/protocol/ids.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { announceOf, blockAt, type Core, Feed, keyOf, withoutPayee } from "./harness.ts";
import { certifiedHeights, Net, summary } from "./net.ts";
import { Subject } from "./subject.ts";

const NAMES = ["a", "b", "c", "d"];
/** The attesters follow the chain themselves. */
const SOURCE = { attesters: NAMES, provers: ["p", "q", "r"], sources: NAMES };

/** What the own source tells of a block. */
function seenAt(height: number): Event {
  const { hash, parent, payload, items } = announceOf(blockAt(height));
  return { kind: "source-block", block: { chain: 1, height, hash, parent, payload, items } };
}

/** All of a block's proofs are handed in and vouched for by the others. */
function complete(test: Subject, height: number): string[] {
  return ["shard 0", "shard 1", "aggregate 0"].flatMap((place) => {
    const [stage = "", index = ""] = place.split(" ");
    const block = test.id(blockAt(height));
    const proof = `proof ${height} ${place}`;
    const voucher = { ...test.complete(Number(index), proof, stage, "p"), block };
    const said = test.hear("p", test.receipt(Number(index), proof, 0, { stage, block }));
    return [...said, ...["b", "c", "d"].flatMap((who) => test.hear(who, voucher))];
  });
}

describe("a chain", () => {
  it("is certified block by block, every proof made once and by its owner (BARRIER-5)", () => {
    const net = new Net(NAMES);
    for (let height = 1; height <= 5; height++) net.mine(blockAt(height));
    for (const core of net.cores) {
      expect(certifiedHeights(core)).toEqual([1, 2, 3, 4, 5]);
      expect(core.refusals()).toEqual([]);
      expect(core.reports("attempt.over")).toEqual([]);
    }
    const receipts = net.cores.flatMap((core) => core.said().filter((line) => line.startsWith("receipt")));
    expect(receipts).toHaveLength(15);
  });

  it("opens no more blocks at once than the window allows (ANNOUNCE-11)", () => {
    const test = new Subject();
    test.announce(blockAt(2));
    test.announce(blockAt(3));
    expect([1, 2, 3].map((height) => test.core.block(blockAt(height)).state)).toEqual(["open", "open", "waiting"]);
  });

  it("opens the next block as soon as the first of the window closes, though others are open in between", () => {
    const test = new Subject();
    test.announce(blockAt(2));
    test.announce(blockAt(3));
    complete(test, 1);
    expect([1, 2, 3].map((height) => test.core.block(blockAt(height)).state)).toEqual(["closed", "open", "open"]);
  });

  it("waits for parents that nobody has announced, and opens when they come", () => {
    const test = new Subject({ announced: false });
    test.announce(blockAt(2));
    expect(test.core.block(blockAt(2)).state).toBe("waiting");
    test.announce(blockAt(1));
    expect(test.core.block(blockAt(2)).state).toBe("open");
  });

  it("closes in its order, though a later block's proofs are there first (S3)", () => {
    const test = new Subject();
    test.announce(blockAt(2));
    expect(complete(test, 2)).not.toContain("barrier");
    expect(test.core.block(blockAt(2)).tasks.every(({ completeMs }) => completeMs !== null)).toBe(true);
    expect(test.core.block(blockAt(2)).state).toBe("open");
    expect(complete(test, 1).filter((line) => line === "barrier")).toEqual(["barrier", "barrier"]);
    const order = test.core.feed.batches.flatMap(({ entries }) => entries).filter((entry) => entry.kind === "barrier");
    expect(order.map(({ block }) => block)).toEqual([test.id(blockAt(1)), test.id(blockAt(2))]);
  });

  it("is signed once more where a receipt that comes later says that somebody else was first to make a proof (COMPLETE-4, BARRIER-3, S6)", () => {
    const test = new Subject({ change: withoutPayee() });
    const barriers = (said: readonly string[]) => said.filter((line) => line === "barrier").length;
    expect(barriers(complete(test, 1))).toBe(1);
    const first = ["q", "r"].find((name) => keyOf(name) < keyOf("p")) ?? "";
    test.hear(first, test.receipt(0, "proof 1 shard 0"));
    test.verdict(0, "proof 1 shard 0");
    const said = ["b", "c", "d"].flatMap((who) => test.hear(who, test.complete(0, "proof 1 shard 0", "shard", first)));
    expect(barriers([...said, ...test.pass(2_500)])).toBe(1);
  });

  it("is not signed beyond a block that this node does not sign itself (BARRIER-1)", () => {
    const test = new Subject();
    test.announce(blockAt(2));
    const { hash, parent } = blockAt(1, "fork", "main");
    const seen = { chain: 1, height: 1, hash, parent, payload: hash, items: 0 };
    test.core.step({ kind: "source-block", block: seen });
    const said = [1, 2].flatMap((height) => complete(test, height));
    expect(test.core.block(blockAt(2)).state).toBe("closed");
    expect(said).not.toContain("barrier");
  });

  it("is certified though a source was first to announce its blocks falsely, on top of one another and out of order (S6)", () => {
    const net = new Net(NAMES);
    const lies = [1, 2].flatMap((height) => {
      const said = announceOf(blockAt(height));
      return [
        { ...said, items: 100 },
        { ...said, payload: hashOf("nothing") },
        { ...said, height: height + 1, start: false },
        { ...said, parent: hashOf("nowhere") },
      ];
    });
    const trueIds = [1, 2].map((height) => blockId(net.manifest.network, announceOf(blockAt(height))));
    const batches = new Feed("d");
    const said = [lies.slice(0, 5), lies.slice(5)].map((some) => batches.seal(net.manifest, some));
    net.down.add("d");
    for (const [at, core] of net.live().entries()) {
      core.isAnnouncedTruly = (id) => trueIds.includes(id);
      for (const batch of at === 0 ? said : said.toReversed()) core.hear(batch);
    }
    for (const height of [2, 1]) net.mine(blockAt(height));
    net.pass(6000);
    for (const core of net.live()) {
      expect(certifiedHeights(core)).toEqual([1, 2]);
      expect([...core.state.blocks.values()].filter(({ certificate }) => certificate === null)).toEqual([]);
    }
  });

  it("takes no announcement of another chain, workflow or start (ANNOUNCE-1, ANNOUNCE-2, ANNOUNCE-3, ANNOUNCE-7)", () => {
    const test = new Subject({ announced: false });
    const announce = announceOf(blockAt(1));
    test.hear("s", { ...announce, chain: 2 });
    test.hear("s", { ...announce, workflow: "other" });
    test.hear("s", { ...announce, start: false });
    test.hear("s", { ...announce, height: 0 });
    test.hear("s", { ...announce, items: 2 ** 31 });
    test.hear("b", announce);
    expect(test.core.refusals()).toEqual([
      "block.chain-unknown",
      "block.workflow-unknown",
      "block.before-start",
      "block.before-start",
      "block.too-large",
      "author.role",
    ]);
    expect(test.core.state.blocks.size).toBe(0);
  });

  it("is not followed into heights that are far away: the batch stays with the peers (BATCH-9)", () => {
    const test = new Subject();
    test.announce(blockAt(1100));
    expect(test.core.refusals()).toEqual(["block.too-far"]);
    expect(test.core.state.log.feed([...test.core.state.manifest.sources][0] ?? "")?.highest).toBe(0);
  });
});

describe("a reorg", () => {
  it("cancels what a quorum of attesters sees leave the chain, and the other branch goes on (CANCEL-2)", () => {
    const net = new Net(NAMES);
    net.mine(blockAt(1));
    net.down.add("d");
    net.isValid = () => false;
    net.mine(blockAt(2));
    for (const core of net.live()) core.step({ kind: "source-retract", chain: 1, hash: blockAt(2).hash });
    net.settle();
    net.isValid = () => true;
    net.mine(blockAt(2, "fork", "main"));
    net.pass(4000);
    for (const core of net.live()) {
      expect(core.block(blockAt(2)).state).toBe("cancelled");
      expect(core.block(blockAt(2, "fork", "main")).certificate).not.toBe(null);
      expect(core.state.working.size).toBe(0);
      expect(core.refusals().filter((code) => code.startsWith("block."))).toEqual([]);
    }
  });

  it("stops the provers of the block that is gone", () => {
    const test = new Subject({
      roles: { attester: true, prover: true },
      name: "p",
      parties: { attesters: ["b", "c", "d"], provers: ["p"], sources: ["s"] },
    });
    expect(test.core.take("prove")).toHaveLength(1);
    ["b", "c", "d"].forEach((who) => test.hear(who, { kind: "cancel", block: test.id(), round: 0 }));
    expect(test.core.take("cancel")).toHaveLength(1);
    expect(test.core.block(blockAt(1)).state).toBe("cancelled");
  });

  it("that goes back again takes up the first branch in a new round (ANNOUNCE-8)", () => {
    const test = new Subject();
    expect(test.hear("s", { kind: "retract", block: test.id(), round: 0 })).toEqual(["cancel round 0"]);
    ["b", "c"].forEach((who) => test.hear(who, { kind: "cancel", block: test.id(), round: 0 }));
    expect(test.core.block(blockAt(1)).state).toBe("cancelled");
    expect(test.claimed(0)).toEqual([]);
    expect(test.announce(blockAt(1), 1)).toEqual([`grant shard/0#0 ${test.owner("shard", 0)}`]);
    // A cancel of the first round counts no more, whoever says it.
    test.hear("d", { kind: "cancel", block: test.id(), round: 0 });
    expect(test.core.block(blockAt(1)).state).toBe("open");
  });

  it("leaves proofs complete whether a quorum vouched for them before it cancelled the block or after (S6)", () => {
    const states = [true, false].map((first) => {
      const test = new Subject();
      const vouch = () => ["b", "c", "d"].forEach((who) => test.hear(who, test.complete(0, "proof")));
      test.hear("p", test.receipt(0, "proof"));
      if (first) vouch();
      ["b", "c", "d"].forEach((who) => test.hear(who, { kind: "cancel", block: test.id(), round: 0 }));
      if (!first) vouch();
      const { state, tasks } = test.core.block(blockAt(1));
      return [state, ...tasks.map(({ completeMs }) => completeMs !== null)];
    });
    expect(states).toEqual([
      ["cancelled", true, false, false],
      ["cancelled", true, false, false],
    ]);
  });

  it("is believed of the own source and nobody else's, where there is one (RETRACT-2)", () => {
    const test = new Subject({ announced: false });
    const { height, hash, parent } = blockAt(1);
    const seen = {
      chain: 1,
      height,
      hash,
      parent,
      payload: announceOf(blockAt(1)).payload,
      items: 0,
    };
    test.core.step({ kind: "source-block", block: seen });
    test.announce(blockAt(1));
    expect(test.hear("s", { kind: "retract", block: test.id(), round: 0 })).toEqual([]);
    test.announce(blockAt(1, "fork", "main"));
    expect(test.core.block(blockAt(1, "fork", "main")).state).toBe("waiting");
    expect(test.core.step({ kind: "source-retract", chain: 1, hash })).toEqual(["cancel round 0"]);
  });

  it("is not cancelled on the word of another source by who has one of its own that has not spoken yet", () => {
    const test = new Subject({ parties: SOURCE, announced: false });
    test.hear("b", announceOf(blockAt(1)));
    expect(test.hear("b", { kind: "retract", block: test.id(), round: 0 })).toEqual([]);
    expect(test.core.step({ kind: "source-retract", chain: 1, hash: blockAt(1).hash })).toContain("cancel round 0");
  });

  it("that is over before all have cancelled is announced again by those who see the block back on the chain (CANCEL-3)", () => {
    const test = new Subject({ announced: false, parties: SOURCE });
    test.core.step(seenAt(1));
    expect(test.core.step({ kind: "source-retract", chain: 1, hash: blockAt(1).hash })).toEqual([
      "retract round 0",
      "cancel round 0",
    ]);
    expect(test.core.step(seenAt(1))).toEqual([]);
    ["b", "c"].forEach((who) => test.hear(who, { kind: "cancel", block: test.id(), round: 0 }));
    expect(test.core.said().at(-1)).toBe("announce height 1");
    expect(test.core.block(blockAt(1))).toMatchObject({ state: "open", round: 1 });
  });

  it("that goes back is not held up by who had announced the block for all later rounds at once (ANNOUNCE-4)", () => {
    const test = new Subject({ announced: false, parties: SOURCE });
    for (const round of [0, 3, 63, 64, 2 ** 32 - 1]) test.hear("b", announceOf(blockAt(1), round));
    expect(test.core.refusals()).toEqual(["round.too-many", "round.too-many"]);
    test.core.step(seenAt(1));
    test.core.step({ kind: "source-retract", chain: 1, hash: blockAt(1).hash });
    ["b", "c"].forEach((who) => test.hear(who, { kind: "cancel", block: test.id(), round: 0 }));
    expect(test.core.block(blockAt(1)).state).toBe("cancelled");
    expect(test.core.step(seenAt(1))).toEqual(["announce height 1"]);
    expect(test.core.block(blockAt(1))).toMatchObject({ state: "open", round: 1 });
  });

  it("is not undone by who announces the block that is gone again (CANCEL-4)", () => {
    const test = new Subject({ announced: false, parties: SOURCE });
    test.core.step(seenAt(1));
    test.core.step({ kind: "source-retract", chain: 1, hash: blockAt(1).hash });
    const { height, hash, parent, payload, items } = announceOf(blockAt(1, "fork"));
    test.core.step({ kind: "source-block", block: { chain: 1, height, hash, parent, payload, items } });
    ["b", "c"].forEach((who) => test.hear(who, { kind: "cancel", block: test.id(), round: 0 }));
    expect(test.core.block(blockAt(1)).state).toBe("cancelled");
    test.hear("d", announceOf(blockAt(1), 1));
    expect(test.core.block(blockAt(1)).state).toBe("waiting");
    expect(test.core.block(blockAt(1, "fork")).state).toBe("open");
  });

  it("that happened while the node was away is told of the blocks that were opened", () => {
    const test = new Subject({ parties: SOURCE, announced: false });
    ["b", "c"].forEach((who) => test.hear(who, announceOf(blockAt(1, "fork"))));
    expect(test.core.block(blockAt(1, "fork")).state).toBe("open");
    expect(test.core.step(seenAt(1))).toEqual(["retract round 0", "cancel round 0", "announce height 1"]);
  });
});

describe("a source", () => {
  it("goes on after the highest certified block, and tells everything above it again", () => {
    const net = new Net(NAMES);
    const resumes = () => sourceResumes(net.core("a").state, 1);
    expect(resumes()).toBe(null);
    net.mine(blockAt(1));
    net.isValid = () => false;
    for (const height of [2, 3]) net.mine(blockAt(height));
    expect(resumes()).toEqual({ height: 1, hash: blockAt(1).hash });
  });

  it("goes on with the lowest block that this node has announced where a run starts anywhere", () => {
    const chains = manifestJson([]).chains.map((chain) => ({ ...chain, start: "any" as const }));
    const test = new Subject({ announced: false, parties: SOURCE, change: { chains } });
    expect(sourceResumes(test.core.state, 1)).toBe(null);
    for (const height of [7, 8]) test.core.step(seenAt(height));
    test.hear("b", { ...announceOf(blockAt(3)), start: true });
    expect(sourceResumes(test.core.state, 1)).toEqual({ height: 6, hash: blockAt(6).hash });
  });
});

describe("the state of a node", () => {
  it("is a function of what it has heard, and not of the order (S6)", () => {
    const net = new Net(NAMES);
    net.isValid = (prover) => prover !== "b";
    for (let height = 1; height <= 2; height++) net.mine(blockAt(height));
    net.pass(3000);
    net.down.add("c");
    net.mine(blockAt(3));
    net.pass(2000);
    expect(certifiedHeights(net.core("a"))).toEqual([1, 2, 3]);
    const straight = net.observer();
    for (const batch of net.batches) straight.hear(batch);
    const expected = summary(straight);
    expect(straight.refusals()).toEqual([]);
    fc.assert(
      fc.property(fc.shuffledSubarray(net.batches, { minLength: net.batches.length }), (order) => {
        const core = net.observer();
        for (const batch of order) core.hear(batch);
        expect(JSON.stringify(summary(core))).toBe(JSON.stringify(expected));
        expect(core.refusals()).toEqual([]);
        expect(core.state.pending.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("comes to the certificates where others' words close its blocks before it has read their payloads", () => {
    const net = new Net(NAMES);
    for (let height = 1; height <= 3; height++) net.mine(blockAt(height));
    net.pass(3000);
    expect(certifiedHeights(net.core("a"))).toEqual([1, 2, 3]);
    const announces = (batch: (typeof net.batches)[number]) => batch.entries.some(({ kind }) => kind === "announce");
    const core = net.observer();
    // The lowest last: with it all the others open and close in one step.
    const announced = net.batches.filter(announces).toReversed();
    for (const batch of [...net.batches.filter((each) => !announces(each)), ...announced]) core.hear(batch);
    expect(certifiedHeights(core)).toEqual([1, 2, 3]);
  });

  it("stays bounded, however long the chain: entries go, certificates stay", () => {
    const net = new Net(NAMES);
    const sizes = new Set<number>();
    for (let height = 1; height <= 40; height++) {
      net.mine(blockAt(height));
      net.pass(200);
      net.compare();
      const [core] = net.cores;
      if (core === undefined || height < 10) continue;
      sizes.add(core.state.blocks.size);
      expect(batchesKept(core)).toBeLessThan(4 * 80);
    }
    const { retentionBlocks } = manifestJson([]).limits;
    expect(Math.max(...sizes)).toBeLessThanOrEqual(retentionBlocks + 2);
    expect(certifiedHeights(net.core("a"))).toHaveLength(40);
    expect(net.core("a").state.working.size).toBe(0);
  });

  it("takes nothing in again that it has let go of, and no word of its own in that for one that it had lost", () => {
    const net = new Net(NAMES);
    for (let height = 1; height <= 20; height++) {
      net.mine(blockAt(height));
      net.pass(200);
      net.compare();
    }
    const core = net.core("a");
    const said = net.cores.flatMap((each) => each.feed.batches.slice(0, 5));
    const kept = batchesKept(core);
    for (const batch of said) core.step({ kind: "batch", batch, from: keyOf("b") });
    expect([core.state.mute, core.state.pending.size, batchesKept(core)]).toEqual([null, 0, kept]);
  });

  it("keeps what a quorum of attesters has not said that it has: a gap that nobody can fill would stay for ever", () => {
    const net = new Net(NAMES);
    const grow = (from: number, to: number) => {
      for (let height = from; height <= to; height++) {
        net.mine(blockAt(height));
        net.pass(200);
      }
    };
    const { retentionBlocks } = manifestJson([]).limits;
    grow(1, 2 * retentionBlocks);
    const core = net.core("a");
    expect(batchesKept(core)).toBe(net.batches.length);
    net.down.add("c");
    net.down.add("d");
    net.compare();
    net.down.clear();
    grow(2 * retentionBlocks + 1, 3 * retentionBlocks);
    expect(batchesKept(core)).toBe(net.batches.length);
    net.compare();
    grow(3 * retentionBlocks + 1, 4 * retentionBlocks);
    expect(batchesKept(core)).toBeLessThan(net.batches.length);
  });
});

function batchesKept({ state }: Core): number {
  return [...state.log.feeds()].reduce((sum, feed) => sum + feed.kept().length, 0);
}
