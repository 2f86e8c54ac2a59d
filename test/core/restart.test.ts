import { describe, expect, it } from "vitest";
import { nextWakeMs } from "../../src/core/step.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, Feed, keyOf } from "./harness.ts";
import { Net } from "./net.ts";
import { PARTIES, Subject } from "./subject.ts";

const ALONE = { attesters: ["a"], provers: ["a"], sources: ["s"] };

describe("a restart", () => {
  it("signs nothing until enough peers have said that they know no more of its feed (FEED-1)", () => {
    const test = new Subject();
    expect(test.restartUnconfirmed()).toEqual([]);
    expect(test.core.state.mute).toBe("feed.unchecked");
    expect(test.claimed(0)).toEqual([]);
    expect(test.synced("b", 0)).toEqual([]);
    expect(test.synced("b", 0)).toEqual([]);
    expect(test.synced("p", 0)).toEqual([]);
    expect(test.synced("c", 0)).toEqual([`grant shard/0#0 ${test.owner("shard", 0)}`]);
  });

  it("asks nobody where it makes a quorum alone", () => {
    const test = new Subject({ parties: ALONE });
    test.restart();
    expect(test.core.state.mute).toBe(null);
  });

  it("keeps the locks: what it granted, timed out or attested it does not contradict", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.claimed(0);
    test.tick(500);
    expect(test.core.said()).toEqual([`grant shard/0#0 ${owner}`, "timeout shard/1#0 not-claimed"]);
    test.restart();
    expect(test.claimed(0)).toEqual([]);
    expect(test.claimed(1)).toEqual([]);
    test.assigned(0);
    test.hear(owner, test.receipt(0, "proof"));
    expect(test.verdict(0, "proof")).toEqual([`attest shard/0#0 ${owner}`]);
    expect(test.restart()).toEqual([]);
    test.hear(owner, { kind: "release", ...test.task(0), attempt: 0 });
    ["b", "c", "d"].forEach((who) => test.hear(who, test.timeout(0)));
    expect(test.pass(5000).filter((line) => line.includes("shard/0"))).toEqual([]);
  });

  it("keeps them though the disk with everything else is gone, and the block is heard of much later", () => {
    const test = new Subject();
    const owner = test.owner("shard", 0);
    test.tick(500);
    const announcement = test.core.heard[0];
    if (announcement === undefined) throw new Error("no announcement");
    test.restart([]);
    // Facts about blocks that nobody announced are let go after a minute where there are too many of them.
    const flood = Array.from({ length: 250 }, (_, index) => ({ ...test.timeout(0), block: keyOf(`unknown ${index}`) }));
    for (let round = 0; round < 18; round++) test.hear("b", ...flood);
    test.tick(61_000);
    for (let round = 0; round < 2; round++) test.hear("c", ...flood);
    expect(test.core.hear(announcement)).toEqual([]);
    expect(test.hear(owner, test.claim(0))).toEqual([]);
    expect(test.pass(100)).toEqual([]);
  });

  it("finds its own word at a peer, waits until its feed is whole, and goes on behind it (FEED-2)", () => {
    const test = new Subject();
    test.claimed(0);
    test.claimed(1);
    const [first, second] = test.core.feed.batches;
    if (first === undefined || second === undefined) throw new Error("nothing said");
    // The backup that was restored is from before the second batch.
    test.core.feed.batches.pop();
    test.restartUnconfirmed();
    expect(test.synced("b", 2)).toEqual([]);
    expect(test.synced("c", 1)).toEqual([]);
    test.core.step({ kind: "batch", batch: second, from: keyOf("b") });
    test.core.feed.batches.push(second);
    expect(test.core.state.mute).toBe("feed.behind");
    expect(test.synced("b", 2)).toEqual([]);
    expect(test.synced("c", 2)).toEqual([]);
    expect(test.core.state.mute).toBe("feed.behind");
    expect(test.synced("d", 2)).toEqual([]);
    expect(test.core.state.mute).toBe("feed.waiting");
    // One lease of silence; a word of its own that comes late starts it again.
    expect(test.pass(1950)).toEqual([]);
    expect(test.core.state.mute).toBe("feed.waiting");
    test.tick(50);
    expect(test.core.state.mute).toBe(null);
    expect(test.core.refusals()).not.toContain("batch.equivocation");
  });

  it("takes no lock in what was open before it lost words of its own, and every lock in what opens later (GRANT-7, ATTEST-4)", () => {
    const test = new Subject();
    test.claimed(0);
    const lost = test.core.feed.batches.pop();
    if (lost === undefined) throw new Error("nothing said");
    test.restartUnconfirmed();
    test.core.step({ kind: "batch", batch: lost, from: keyOf("b") });
    test.core.feed.batches.push(lost);
    test.confirm();
    expect(test.pass(2000)).toEqual([]);
    expect(test.core.state.mute).toBe(null);
    expect(test.claimed(1)).toEqual([]);
    expect(test.pass(20_000)).toEqual([]);
    const owner = test.owner("shard", 0);
    test.assigned(0);
    test.hear(owner, test.receipt(0, "proof"));
    expect([...test.verdict(0, "proof"), ...test.pass(500)]).toEqual(["complete shard/0"]);
    ["b", "c", "d"].forEach((who) => test.hear(who, test.timeout(1)));
    expect(test.claimed(1, 1)).toEqual([`grant shard/1#1 ${test.owner("shard", 1, 1)}`]);
  });

  it("joins f+1 others there that hold an attempt to be over: with one more attester away it would stay open for ever (TIMEOUT-4)", () => {
    const test = new Subject();
    test.claimed(0);
    const lost = test.core.feed.batches.pop();
    if (lost === undefined) throw new Error("nothing said");
    test.restartUnconfirmed();
    test.core.step({ kind: "batch", batch: lost, from: keyOf("b") });
    test.core.feed.batches.push(lost);
    test.confirm();
    test.pass(2000);
    expect([...test.hear("b", test.timeout(1)), ...test.pass(20_000)]).toEqual([]);
    expect(test.hear("c", test.timeout(1))).toEqual(["timeout shard/1#0 others-timed-out"]);
    expect(test.claimed(1, 1)).toEqual([`grant shard/1#1 ${test.owner("shard", 1, 1)}`]);
    // What gave the attempt back counts for as little as a clock.
    test.hear(test.owner("shard", 0), { kind: "release", ...test.task(0), attempt: 0 });
    expect(test.pass(1000)).toEqual([]);
    test.hear("b", test.timeout(0));
    expect(test.hear("c", test.timeout(0))).toEqual(["timeout shard/0#0 released"]);
  });

  it("makes a proof again that was ready while it might not speak", () => {
    const test = new Subject({ name: "p", roles: { prover: true }, parties: { ...PARTIES, provers: ["p"] } });
    const [work] = test.core.take("prove");
    if (work === undefined) throw new Error("nothing to prove");
    test.restart();
    test.core.take("prove");
    const lost = new Feed("p", test.core.feed.batches).seal(test.manifest, [{ kind: "beat", tasks: [] }]);
    test.core.step({ kind: "batch", batch: lost, from: keyOf("b") });
    test.core.feed.batches.push(lost);
    expect(test.core.state.mute).toBe("feed.behind");
    const { task, attempt, values } = work;
    const made = {
      artefact: hashOf("proof"),
      bytes: 100,
      values,
      provingMs: 10,
      inline: new Uint8Array(),
      possession: new Uint8Array(),
    };
    expect(test.core.step({ kind: "proved", task, attempt, proof: made })).toEqual([]);
    test.core.take("prove");
    test.confirm();
    test.pass(2000);
    expect(test.core.take("prove")).toMatchObject([{ task, attempt }]);
    expect(test.core.step({ kind: "proved", task, attempt, proof: made })).toContain(
      `receipt ${task.stage}/${task.index}#0`,
    );
  });

  it("waits where a process of its key was heard a moment ago, and speaks once that one stays silent", () => {
    const test = new Subject();
    test.restartUnconfirmed();
    test.tick(1000);
    const dead = (agoMs: number) => [{ instance: "0".repeat(32), upMs: 60_000, agoMs }];
    for (const peer of ["b", "c", "d"]) test.synced(peer, 0, dead(1500));
    expect(test.core.state.mute).toBe("feed.unchecked");
    test.tick(9000);
    for (const peer of ["b", "c"]) test.synced(peer, 0, dead(10_500));
    expect(test.core.state.mute).toBe(null);
  });

  it("gives way to an older process with its key that as many attesters hear as hold an honest one, and to no younger (FEED-3)", () => {
    const twin = (upMs: number) => [{ instance: "0".repeat(32), upMs, agoMs: 100 }];
    const test = new Subject();
    test.restart();
    test.tick(10_000);
    for (const peer of ["b", "b", "p", "q", "r", "s"]) test.synced(peer, 0, twin(60_000));
    expect(test.core.state.mute).toBe(null);
    test.synced("c", 0, twin(60_000));
    expect(test.core.state.mute).toBe("key.in-use");
    expect(test.claimed(0)).toEqual([]);
    const elder = new Subject();
    elder.restart();
    elder.tick(10_000);
    for (const peer of ["b", "c", "d"]) elder.synced(peer, 0, twin(5000));
    expect(elder.core.state.mute).toBe(null);
    expect(elder.core.reports("key.in-use")).toMatchObject([{ here: "goes on" }]);
  });

  it("is not silenced by peers that only say that they know more", () => {
    const test = new Subject();
    test.restartUnconfirmed();
    test.synced("d", Number.MAX_SAFE_INTEGER);
    test.confirm();
    test.synced("d", Number.MAX_SAFE_INTEGER);
    expect(test.core.state.mute).toBe(null);
  });

  it("falls silent for good when somebody signs with its key (FEED-4)", () => {
    const test = new Subject();
    test.claimed(0);
    const clone = test.batch("a", { kind: "retract", block: test.id(), round: 1 });
    test.core.step({ kind: "batch", batch: clone, from: keyOf("b") });
    expect(test.core.state.mute).toBe("key.cloned");
    expect(test.claimed(1)).toEqual([]);
    expect(test.confirm()).toEqual([]);
    expect(test.core.state.mute).toBe("key.cloned");
  });

  it("makes no second proof of what it had handed in", () => {
    const test = new Subject({ parties: ALONE, name: "a", roles: { prover: true, attester: true, source: true } });
    const [effect] = test.core.take("prove");
    if (effect === undefined) throw new Error("nothing to prove");
    const { task, attempt, values } = effect;
    const proof = {
      artefact: keyOf("proof"),
      bytes: 10,
      values,
      provingMs: 1,
      inline: new Uint8Array(),
      possession: new Uint8Array(),
    };
    expect(test.core.step({ kind: "proved", task, attempt, proof })).toContain(`receipt ${task.stage}/${task.index}#0`);
    test.restart();
    expect(test.core.take("prove").map((again) => again.task.index)).not.toContain(task.index);
  });
});

describe("a start record", () => {
  const lost = (): Subject => {
    const test = new Subject();
    test.restartUnconfirmed(test.core.heard, true);
    return test;
  };

  it("counts an answer only where it is shown (START-3)", () => {
    const test = new Subject();
    test.restartUnconfirmed();
    for (const peer of ["b", "c", "d"]) test.synced(peer, 0, [], { starts: [] });
    expect(test.core.state.mute).toBe("feed.unchecked");
    const older = test.startRecord({ counter: 1, nonce: "00".repeat(16) });
    for (const peer of ["b", "c", "d"]) test.synced(peer, 0, [], { starts: [older] });
    expect(test.core.state.mute).toBe("feed.unchecked");
    test.confirm();
    expect(test.core.state.mute).toBe(null);
  });

  it("with the counter of this start and another nonce stops the node, and convicts nobody (START-4)", () => {
    const test = new Subject();
    test.restart();
    expect(test.core.state.mute).toBe(null);
    test.synced("b", 0, [], { starts: [test.startRecord(), test.startRecord({ nonce: "cc".repeat(16) })] });
    expect(test.core.state.mute).toBe("key.copied");
    expect(test.claimed(0)).toEqual([]);
    expect([test.core.state.out.size, test.core.state.unsaid.size]).toEqual([0, 0]);
  });

  it("of a later start makes a node that has not signed yet begin again above it, as one that is lost (START-5)", () => {
    const test = new Subject();
    test.restartUnconfirmed();
    const own = test.startRecord();
    test.synced("b", 0, [], { starts: [own, test.startRecord({ counter: 9, nonce: "cc".repeat(16) })] });
    expect(test.core.take("renew")).toMatchObject([{ counter: 10 }]);
    expect(test.core.state.lostOwn).toBe(true);
    for (const peer of ["b", "c", "d"]) test.synced(peer, 0, [], { starts: [own] });
    expect(test.core.state.mute).toBe("feed.unchecked");
    test.core.step({ kind: "renewed", counter: 10, nonce: "dd".repeat(16) });
    test.confirm();
    expect(test.core.state.mute).toBe("feed.waiting");
  });

  it("of a later start is remembered by a node that signs, and changes nothing else (START-5)", () => {
    const test = new Subject();
    test.restart();
    test.synced("b", 0, [], { starts: [test.startRecord({ counter: 9, nonce: "cc".repeat(16) })] });
    expect(test.core.state.mute).toBe(null);
    expect(test.core.take("remember")).toMatchObject([{ counter: 9, lost: false }]);
  });

  it("does not do for a lost disk where an answer is by an empty or a recovering peer (LOST-2)", () => {
    const test = lost();
    test.synced("b", 0);
    test.synced("c", 0);
    test.synced("d", 0, [], { peerNext: 0 });
    test.synced("d", 0, [], { recovers: true });
    expect(test.core.state.mute).toBe("feed.unchecked");
    test.synced("d", 0);
    expect(test.core.state.mute).toBe("feed.waiting");
  });

  it("bars every attempt that may have been open, blocks included that nobody else knew (LOST-3)", () => {
    const test = lost();
    test.confirm();
    test.pass(2000);
    expect(test.core.state.mute).toBe(null);
    expect(test.core.take("leap")).toHaveLength(1);
    expect(test.claimed(0)).toEqual([]);
    expect(test.core.block(blockAt(1)).tasks.map(({ barred }) => barred)).toEqual([0, 0, 0]);
    test.announce(blockAt(2));
    expect(test.core.block(blockAt(2)).tasks[0]?.barred).toBe(0);
    // Two windows above the start, where nothing is certified.
    expect(test.core.state.chains.get(1)?.barred).toBeLessThan(20);
  });

  it("bars the attempt after one that its own lost timeout may have ended (LOST-3)", () => {
    const test = lost();
    test.hear("b", test.timeout(0));
    test.hear("c", test.timeout(0));
    test.hear("b", test.timeout(1));
    test.confirm();
    test.pass(2000);
    expect(
      test.core
        .block(blockAt(1))
        .tasks.map(({ barred }) => barred)
        .slice(0, 2),
    ).toEqual([1, 0]);
  });
});

describe("a node that drains", () => {
  it("gives back what is not finished, and says nothing more", () => {
    const test = new Subject({ parties: ALONE, roles: { prover: true, attester: true, source: true } });
    const said = test.core.step({ kind: "drain" });
    expect(said.sort()).toEqual(["release shard/0#0", "release shard/1#0"]);
    expect(test.core.take("cancel")).toHaveLength(1);
    expect(test.pass(10_000)).toEqual([]);
    const { height, hash, parent } = blockAt(2);
    const seen = { chain: 1, height, hash, parent, payload: keyOf("payload"), items: 0 };
    expect(test.core.step({ kind: "source-block", block: seen })).toEqual([]);
  });

  it("has its tasks taken up by the next owner at once", () => {
    const net = new Net(["a", "b", "c", "d"]);
    net.mine(blockAt(1));
    for (const core of net.cores) core.take("prove");
    net.core("a").step({ kind: "drain" });
    net.down.add("a");
    net.mine(blockAt(2));
    net.pass(6000);
    for (const core of net.live()) expect(core.block(blockAt(2)).certificate).not.toBe(null);
  });
});

describe("a node that has nothing to do", () => {
  const cases: readonly (readonly [string, Subject])[] = [
    ["and no peers", new Subject({ parties: ALONE, announced: false })],
    [
      "and waits to be confirmed",
      new Subject({ roles: { attester: true, prover: true }, parties: { ...PARTIES, provers: ["a", "p"] } }),
    ],
    ["and drains", new Subject({ roles: { attester: true, prover: true }, parties: ALONE })],
  ];
  for (const [name, test] of cases) {
    it(`${name} sleeps: no moment that it asks for is over already`, () => {
      if (name.includes("confirmed")) test.restartUnconfirmed();
      if (name.includes("drains")) test.core.step({ kind: "drain" });
      for (let round = 0; round < 20; round++) {
        const wakeMs = nextWakeMs(test.core.state);
        expect(wakeMs).toBeGreaterThan(test.core.nowMs);
        test.tick(Number.isFinite(wakeMs) ? wakeMs - test.core.nowMs : 10_000);
      }
    });
  }
});
