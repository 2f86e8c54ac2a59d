import { hexToBytes } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { closedOf, settleClosed } from "../../src/core/blocks.ts";
import { noteCertified } from "../../src/core/drawing.ts";
import { compact } from "../../src/core/replicator.ts";
import { isIn, orderOf } from "../../src/core/standing.ts";
import { isKnownAuthor, step } from "../../src/core/step.ts";
import { Log } from "../../src/log/log.ts";
import { domainHash, type Hash } from "../../src/protocol/ids.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { EntryOf } from "../../src/protocol/messages.ts";
import { createState } from "../../src/core/state.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { blockAt, keyOf, network } from "./harness.ts";
import { Net } from "./net.ts";
import { PARTIES, Subject } from "./subject.ts";

const OPEN = { provers: { admission: "open", list: manifestJson([]).provers.list } } as const;
const BASE = hashOf("base block");
const LISTED = PARTIES.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
const open = (change: Partial<ManifestJson> = {}) =>
  new Subject({
    parties: { ...PARTIES, provers: ["p", "q", "r", "new", "p2"] },
    change: { provers: { ...OPEN.provers, list: LISTED }, ...change },
  });

/** A join with an admission proof. A test verifies by the name alone whose proof it is. */
function join(slots = 1, base = BASE): EntryOf<"join"> {
  const proof = { base, index: 0, artefact: hashOf("admission proof"), bytes: 100, inline: new Uint8Array() };
  return { kind: "join", chain: 1, slots, proofs: [proof] };
}

function admit(height: number, slots = 1): EntryOf<"admit"> {
  return { kind: "admit", prover: keyOf("new"), chain: 1, height, slots };
}

function certified(test: Subject, height: number): void {
  const chain = test.core.state.chains.get(1);
  if (chain === undefined) throw new Error("no chain");
  chain.certified = height;
}

/** A base block of this height, and as many certified blocks of the chain then. */
function based(test: Subject, height: number, count = height, chain = 1): void {
  const values = new Map([[0, hexToBytes(hashOf("values"))]]);
  test.core.state.chains
    .get(chain)
    ?.bases.set(BASE, { about: { ...blockAt(height), chainId: chain }, height, count, values });
}

/** The block of this height is certified, its base is as high, and each admission proof holds: what is said because of it. */
function certify(test: Subject, height: number, content = hashOf(`content ${height}`)): string[] {
  certified(test, height);
  based(test, height, test.core.state.chains.get(1)?.certifiedCount);
  const { hash } = blockAt(height);
  noteCertified(test.core.state, { chain: 1, height, hash }, content);
  return [...test.tick(0), ...verified(test)];
}

/** All admission proofs that are asked for hold: what is said because of it. */
function verified(test: Subject): string[] {
  return test.core.take("verify").flatMap(({ task, artefact, maker, candidate }) => {
    const verdict = { kind: "valid", bytes: 100, possession: new Uint8Array() } as const;
    return candidate === null ? [] : test.core.step({ kind: "verified", task, artefact, maker, candidate, verdict });
  });
}

/** A content that holds a drawing on a chain that starts at `any`, or holds none. */
function contentOf(draws: boolean): Hash {
  return `${hashOf("content").slice(0, -1)}${draws ? "0" : "1"}`;
}

describe("an open network", () => {
  it("admits a newcomer by a quorum, once, from a height that is not dealt yet (ADMIT-1)", () => {
    const { workflows } = manifestJson([]);
    // All three blocks are open at once.
    const wide = Object.entries(workflows).map(([name, workflow]) => [name, { ...workflow, window: 3 }]);
    const test = open({ workflows: Object.fromEntries(wide) });
    expect(test.hear("new", join())).toEqual([]);
    expect(test.core.state.roster.has(keyOf("new"))).toBe(false);
    // A quorum's votes count whatever height they name; this node's own names the next epoch.
    ["b", "c", "d"].forEach((who) => test.hear(who, admit(3)));
    expect(test.core.reports("prover.admitted")).toMatchObject([{ height: 3 }]);
    const owners = (height: number) => {
      const task = test.core.block(blockAt(height)).tasks[0];
      if (task === undefined) throw new Error(`block ${height} has no task`);
      return orderOf(test.core.state, task);
    };
    for (const height of [2, 3]) test.announce(blockAt(height));
    expect(owners(1)).not.toContain(keyOf("new"));
    expect(owners(2)).not.toContain(keyOf("new"));
    expect(owners(3)).toContain(keyOf("new"));
  });

  it("gives a newcomer no more than a few slots, whatever it asks for (JOIN-4)", () => {
    const test = open();
    test.hear("new", join(1000));
    certify(test, 16);
    expect(test.core.feed.batches.at(-1)?.entries).toMatchObject([{ kind: "admit", slots: 4 }]);
  });

  it("ADMIT-4: names the first epoch that begins above its own head, the confirmations and the window where nobody is drawn", () => {
    for (const [head, confirmations, window, height] of [
      [0, 0, 1, 16],
      [14, 0, 1, 16],
      [15, 0, 1, 32],
      [10, 4, 1, 16],
      [9, 4, 2, 16],
      [10, 4, 2, 32],
    ] as const) {
      const { chains, workflows } = manifestJson([]);
      const wide = Object.entries(workflows).map(([name, workflow]) => [name, { ...workflow, window }]);
      const test = open({
        provers: { ...OPEN.provers, list: [] },
        chains: chains.map((chain) => ({ ...chain, confirmations })),
        workflows: Object.fromEntries(wide),
      });
      certified(test, head);
      expect([head, confirmations, window, ...test.hear("new", join())]).toEqual([
        head,
        confirmations,
        window,
        `admit new height ${height}`,
      ]);
    }
  });

  it("ADMIT-5: votes on a joiner once an epoch, however often it asks and with whatever slots", () => {
    for (const test of [open(), open({ provers: { ...OPEN.provers, list: [] } })]) {
      const said = Array.from({ length: 384 }, (_, at) => test.hear("new", join(at)));
      expect([...said.flat(), ...certify(test, 16)]).toHaveLength(1);
      expect(Array.from({ length: 384 }, (_, at) => test.hear("new", join(at))).flat().length).toBeLessThan(2);
    }
  });

  it("ADMIT-5: votes again for the next epoch where the votes split over its beginning", () => {
    const test = open();
    expect(test.hear("new", join())).toEqual([]);
    expect(certify(test, 16)).toEqual(["admit new height 32"]);
    ["c", "d"].forEach((who) => test.hear(who, admit(48)));
    expect(test.core.state.roster.has(keyOf("new"))).toBe(false);
    expect(certify(test, 32)).toEqual(["admit new height 48"]);
    expect(test.core.reports("prover.admitted")).toMatchObject([{ height: 48 }]);
    expect([...test.hear("new", join()), ...certify(test, 48)]).toEqual([]);
  });

  it("ADMIT-8: votes at the first block of an epoch, and on nobody who might have known that block", () => {
    const test = open();
    certified(test, 13);
    test.hear("new", join());
    certified(test, 15);
    test.hear("p2", join());
    expect(certify(test, 16)).toEqual(["admit new height 32"]);
    expect(certify(test, 17)).toEqual([]);
    expect(certify(test, 32).toSorted()).toEqual(["admit new height 48", "admit p2 height 48"]);
  });

  it("ADMIT-8: does not vote for an epoch that it has dealt blocks of", () => {
    const test = open();
    test.hear("new", join());
    certified(test, 31);
    based(test, 16);
    noteCertified(test.core.state, { chain: 1, height: 16, hash: blockAt(16).hash }, hashOf("content"));
    expect([...test.tick(0), ...verified(test)]).toEqual([]);
    expect(certify(test, 32)).toEqual(["admit new height 48"]);
  });

  it("ADMIT-9: takes those whose key and block have the lowest hashes, where more wait than one drawing admits", () => {
    const names = Array.from({ length: 12 }, (_, at) => `n${at}`);
    const parties = { ...PARTIES, provers: ["p", "q", "r", ...names] };
    const test = new Subject({
      parties,
      change: { provers: { ...OPEN.provers, list: LISTED } },
      limits: { newcomersMax: 3 },
    });
    for (const name of names) test.hear(name, join());
    const ticket = (name: string, height: number) =>
      domainHash("drawing", hexToBytes(keyOf(name)), hexToBytes(blockAt(height).hash));
    for (const height of [16, 32]) {
      const lowest = names.toSorted((a, b) => (ticket(a, height) < ticket(b, height) ? -1 : 1)).slice(0, 3);
      expect(certify(test, height)).toEqual(lowest.map((name) => `admit ${name} height ${height + 16}`));
    }
  });

  it("ADMIT-9: draws nobody who has stopped asking", () => {
    const test = open();
    test.hear("new", join());
    test.tick(100_000);
    test.hear("p2", join());
    test.tick(100_000);
    expect(certify(test, 16)).toEqual(["admit p2 height 32"]);
  });

  it("ADMIT-4: does not count a block that is only announced as its head", () => {
    const test = open();
    test.announce(blockAt(1000));
    test.hear("new", join());
    expect(certify(test, 16)).toEqual(["admit new height 32"]);
  });

  describe("where the hashes of blocks are known before their announcement", () => {
    const { chains } = manifestJson([]);
    const again = chains.map((chain) => ({ ...chain, id: 2, reproves: 1 }));
    const any = { chains: chains.map((chain) => ({ ...chain, start: "any" as const })) };
    const know = (test: Subject, certifiedCount: number) => {
      const chain = test.core.state.chains.get(1);
      if (chain === undefined) throw new Error("no chain");
      Object.assign(chain, { certifiedCount });
    };

    it("ADMIT-6: a newcomer owns tasks 64 blocks later on a chain that proves another again", () => {
      const test = open({ chains: [...chains, ...again] });
      test.hear("new", { ...join(), chain: 2 });
      const chain = test.core.state.chains.get(2);
      if (chain !== undefined) chain.certified = 16;
      based(test, 16, 16, 2);
      noteCertified(test.core.state, { chain: 2, height: 16, hash: hashOf("again 16") }, hashOf("content"));
      expect([...test.tick(0), ...verified(test)]).toEqual(["admit new height 96"]);
    });

    it("ADMIT-6: attesters vote 64 certified blocks after the first join on a chain that starts at `any`", () => {
      const test = open(any);
      const draw = (certifiedCount: number, draws = true) => {
        know(test, certifiedCount);
        return certify(test, certifiedCount, contentOf(draws));
      };
      know(test, 7);
      expect(test.hear("new", join())).toEqual([]);
      expect(draw(70)).toEqual([]);
      expect(draw(71, false)).toEqual([]);
      expect(test.hear("new", join())).toEqual([]);
      expect(draw(71)).toEqual(["admit new height 0"]);
    });

    it("BENCH-4: a suspended prover gets its next turn once as many blocks are certified as elsewhere", () => {
      const test = open(any);
      const { state } = test.core;
      const member = () => state.roster.get(keyOf("p")) ?? expect.fail("p is no member");
      const isOnDuty = () => [0, 7, 100].map((height) => isIn(state, member(), 1, height));
      const bench = (turn: number) => {
        const vote = { kind: "bench", prover: keyOf("p"), chain: 1, height: 50, turn } as const;
        for (const who of ["b", "c", "d"]) test.hear(who, vote);
      };
      bench(0);
      expect(isOnDuty()).toEqual([false, false, false]);
      know(test, 7);
      expect(test.hear("p", join())).toEqual([]);
      know(test, 24);
      expect(test.hear("p", join())).toEqual([]);
      know(test, 25);
      expect(test.hear("p", join())).toEqual(["admit p height 16"]);
      for (const who of ["b", "c"]) test.hear(who, { ...admit(16), prover: keyOf("p") });
      expect(isOnDuty()).toEqual([true, true, true]);
      bench(16);
      expect(isOnDuty()).toEqual([false, false, false]);
      expect(test.hear("p", join())).toEqual([]);
    });

    it("ADMIT-6: nobody waits on a chain without a prover", () => {
      const provers = { ...OPEN.provers, list: [] };
      const test = open({ ...any, provers });
      expect(test.hear("new", join())).toEqual(["admit new height 0"]);
    });
  });

  it("ADMIT-7: a newcomer owns tasks before its turn where nobody else may prove", () => {
    const test = open();
    const owners = () => {
      const task = test.core.block(blockAt(1)).tasks[0];
      return task === undefined ? [] : orderOf(test.core.state, task);
    };
    ["b", "c", "d"].forEach((who) => test.hear(who, admit(80)));
    expect(owners()).not.toContain(keyOf("new"));
    for (const prover of PARTIES.provers) {
      expect(owners()).not.toContain(keyOf("new"));
      const bench = { kind: "bench", prover: keyOf(prover), chain: 1, height: 1, turn: 0 } as const;
      ["b", "c", "d"].forEach((who) => test.hear(who, bench));
    }
    expect(owners()).toContain(keyOf("new"));
  });

  it("hears of strangers nothing but that they want to join (BATCH-8)", () => {
    const test = open();
    test.hear("new", test.claim(0));
    expect(test.core.refusals()).toEqual(["author.role"]);
  });

  it("keeps room in its log for members, however many keys somebody makes up", () => {
    const test = open();
    const log = new Log();
    Object.assign(test.core.state, { log });
    for (let at = 0; at < 2048; at++) log.skipTo(hashOf(`made up ${at}`), 1);
    const known = (who: string): boolean => isKnownAuthor(test.core.state, test.batch(who, join()));
    expect(known("new")).toBe(false);
    log.skipTo(keyOf("old"), 1);
    expect(["old", "b", "p"].map(known)).toEqual([true, true, true]);
    expect(log.add(test.batch("b", join()))).toBe("new");
  });

  it("JOIN-6: lets the stranger that was silent for longest make room for a new one", () => {
    const parties = { ...PARTIES, provers: ["p", "q", "r", "new", "later", "one", "two"] };
    const change = { provers: { ...OPEN.provers, list: LISTED } };
    // The source has a feed, and two strangers have one.
    const test = new Subject({ parties, change, limits: { strangerFeedsMax: 3, strangerKeptMs: 1000 } });
    const has = (who: string) => test.core.state.log.feed(keyOf(who)) !== undefined;
    const known = (who: string) => isKnownAuthor(test.core.state, test.batch(who, join()));
    test.hear("one", join());
    test.tick(500);
    test.hear("two", join());
    expect([known("new"), has("one"), has("two")]).toEqual([false, true, true]);
    test.tick(600);
    test.hear("one", join());
    expect(known("new")).toBe(false);
    test.tick(500);
    test.hear("new", join());
    expect(["new", "one", "two"].map(has)).toEqual([true, true, false]);
    expect(known("later")).toBe(false);
    // A member keeps its feed, however long it is silent.
    ["b", "c", "d"].forEach((who) => test.hear(who, { ...admit(16), prover: keyOf("one") }));
    test.tick(60_000);
    test.hear("later", join());
    expect(["one", "new", "later"].map(has)).toEqual([true, false, true]);
  });

  it("JOIN-6: lets no stranger keep its place with a batch that the log refuses", () => {
    const parties = { ...PARTIES, provers: ["p", "q", "r", "new", "far"] };
    const change = { provers: { ...OPEN.provers, list: LISTED } };
    const test = new Subject({
      parties,
      change,
      limits: { strangerFeedsMax: 2, strangerKeptMs: 1000, batchAheadMax: 2 },
    });
    for (let at = 0; at < 8; at++) test.batch("far", join());
    test.hear("far", join());
    expect(test.core.refusals()).toEqual(["batch.too-far"]);
    test.tick(1000);
    test.hear("new", join());
    expect(certify(test, 16)).toEqual(["admit new height 32"]);
  });

  it("hears of a newcomer that it wants to join and nothing else, for nobody takes in the rest", () => {
    const manifest = network(PARTIES, { provers: { ...OPEN.provers, list: LISTED } });
    const roles = { source: false, attester: false, prover: true };
    const state = createState(manifest, { self: keyOf("new"), roles, slots: 1, systems: ["mock"], seed: 0 });
    const said = Array.from({ length: 300 }, (_, at) => step(state, { kind: "tick" }, at * 100, () => true))
      .flat()
      .flatMap((effect) => (effect.kind === "append" ? effect.entries : []));
    expect(new Set(said.map(({ kind }) => kind))).toEqual(new Set(["join"]));
  });

  it("that is not open admits nobody (JOIN-1)", () => {
    const test = new Subject({ parties: { ...PARTIES, provers: [...PARTIES.provers] } });
    test.hear("new", join());
    expect(test.core.refusals()).toEqual(["author.unknown"]);
  });

  it("is joined by a node that wants to prove and is not on the roster (JOIN-5)", () => {
    const parties = { ...PARTIES, provers: ["p"] };
    const provers = { ...OPEN.provers, list: LISTED.slice(0, 1) };
    const test = new Subject({ name: "new", roles: { prover: true }, parties, change: { provers } });
    expect(test.core.said()).toEqual(["join"]);
    expect(test.tick(100)).toEqual([]);
    expect(test.tick(2000)).toEqual(["join"]);
    ["a", "b", "c"].forEach((who) => test.hear(who, { ...admit(3), prover: keyOf("new") }));
    expect(test.pass(10_000)).toEqual([]);
  });
});

it("lets go of votes about a turn only once no block that is kept needs it (S6)", () => {
  for (const [kept, isKept] of [
    [3, true],
    [30, false],
  ] as const) {
    const limits = { ...manifestJson([]).limits, retentionBlocks: 4 };
    const test = open({ limits });
    const { state } = test.core;
    for (let height = 2; height <= 24; height++) test.announce(blockAt(height));
    // The chain has given this block up, and the own source has told it.
    test.announce(blockAt(kept, "fork", "main"));
    Object.assign(test.core.block(blockAt(kept, "fork", "main")), { told: true });
    const bench = { kind: "bench", prover: keyOf("p"), chain: 1, height: 2, turn: 0 } as const;
    ["b", "c", "d"].forEach((who) => test.hear(who, bench));
    ["b", "c", "d"].forEach((who) => test.hear(who, { ...admit(16), prover: keyOf("p") }));
    // Of each feed the last batch stays.
    ["b", "c", "d"].forEach((who) => test.hear(who, { ...bench, prover: keyOf("q"), height: 20 }));
    for (let height = 1; height <= 24; height++) {
      const block = test.core.block(blockAt(height));
      Object.assign(block, { certificate: hashOf("certificate"), state: "closed", closedMs: height });
      settleClosed(state, closedOf(block, hashOf("after")));
    }
    const feeds = new Map(PARTIES.attesters.map((name) => [keyOf(name), 100]));
    for (const peer of ["b", "c", "d"]) state.frontiers.set(keyOf(peer), feeds);
    compact(state);
    const about = (name: string) => {
      const entries = [...state.log.feeds()].flatMap((feed) => feed.kept()).flatMap((batch) => batch.entries);
      return entries.some((entry) => entry.kind === "bench" && entry.prover === keyOf(name));
    };
    expect([kept, about("p"), about("q")]).toEqual([kept, isKept, true]);
    expect(state.benches.size).toBe(isKept ? 2 : 1);
  }
});

describe("a prover that has gone silent", () => {
  it("is benched after three lost attempts, so that it costs no block any more, and comes back when it speaks (BENCH-1, BENCH-3)", () => {
    const net = new Net(["a", "b", "c", "d"]);
    net.down.add("d");
    for (let height = 1; height <= 8; height++) {
      net.mine(blockAt(height));
      net.pass(3000);
    }
    const [core] = net.live();
    expect(core?.reports("prover.benched")).toHaveLength(1);
    const lost = core?.reports("attempt.over") ?? [];
    expect(lost.length).toBeGreaterThanOrEqual(3);
    const before = lost.length;
    for (let height = 9; height <= 14; height++) {
      net.mine(blockAt(height));
      net.pass(1000);
    }
    expect(core?.reports("attempt.over")).toHaveLength(before);
    net.down.delete("d");
    const d = net.core("d");
    for (const batch of net.batches) if (!d.state.log.has(batch)) d.hear(batch);
    net.settle();
    // It has a turn again from block 32 on.
    for (let height = 15; height <= 44; height++) {
      net.mine(blockAt(height));
      net.pass(500);
    }
    expect(d.said().filter((line) => line.startsWith("receipt")).length).toBeGreaterThan(0);
    expect(net.core("a").state.closed.size).toBe(44);
  });
});
