import type { Closed } from "../../src/protocol/certificate.ts";
import { describe, expect, it } from "vitest";
import type { Event } from "../../src/core/event.ts";
import { nextWakeMs } from "../../src/core/step.ts";
import { blockId } from "../../src/protocol/ids.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { hashOf, manifestJson } from "../protocol/fixtures.ts";
import { announceOf, blockAt, keyOf, type TestBlock } from "./harness.ts";
import { Subject } from "./subject.ts";

const NAMES = ["a", "b", "c", "d"];
/** The attesters follow the chain themselves; the subject is a. */
const FOLLOWED = { attesters: NAMES, provers: ["p", "q", "r"], sources: NAMES };
/** The subject has no source. */
const FOUR = { attesters: NAMES, provers: ["p", "q", "r"], sources: ["s", "t", "u", "v"] };
const anywhere = (): Partial<ManifestJson> => ({
  chains: manifestJson([]).chains.map((chain) => ({ ...chain, start: "any" as const })),
});

function told(block: TestBlock, more: { readonly handed?: true } = {}): Event {
  const { height, hash, parent, payload, items } = announceOf(block);
  return { kind: "source-block", block: { chain: 1, height, hash, parent, payload, items }, ...more };
}

const stateOf = (test: Subject, block: TestBlock = blockAt(1)) => test.core.block(block).state;

describe("a node whose source follows the chain", () => {
  it("opens a block only once its source has told it, whoever announces it (ANNOUNCE-10)", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    test.core.step({ kind: "source-seen", chain: 1 });
    for (const who of ["b", "c", "d"]) test.hear(who, announceOf(blockAt(1)));
    expect(stateOf(test)).toBe("waiting");
    test.core.step(told(blockAt(1)));
    expect(stateOf(test)).toBe("open");
  });

  it("waits for a source that answers and has not got that far", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    for (let second = 0; second < 60; second++) {
      test.core.step({ kind: "source-seen", chain: 1 });
      for (const who of second === 0 ? ["b", "c", "d"] : []) test.hear(who, announceOf(blockAt(1)));
      test.tick(1000);
    }
    expect(stateOf(test)).toBe("waiting");
  });

  it("counts its source as none after 30 s without an answer, and waits for it again when it answers", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    test.core.step({ kind: "source-seen", chain: 1 });
    for (const who of ["b", "c"]) test.hear(who, announceOf(blockAt(1)));
    expect(nextWakeMs(test.core.state)).toBeLessThanOrEqual(30_000);
    test.tick(29_999);
    expect(stateOf(test)).toBe("waiting");
    test.tick(1);
    expect([stateOf(test), test.core.reports("source.down")]).toEqual(["open", [{ chain: 1 }]]);
    const owner = test.owner("shard", 0);
    expect(test.claimed(0)).toEqual([`grant shard/0#0 ${owner}`]);
    test.core.step({ kind: "source-seen", chain: 1 });
    expect(test.claimed(1)).toEqual([]);
    expect(test.core.step(told(blockAt(1)))).toContain(`grant shard/1#0 ${test.owner("shard", 1)}`);
  });

  it("does not take its own sleep for a source that does not answer", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    test.core.step({ kind: "source-seen", chain: 1 });
    for (const who of ["b", "c"]) test.hear(who, announceOf(blockAt(1)));
    test.tick(120_000);
    expect(stateOf(test)).toBe("waiting");
  });

  it("takes no second id of a block that its source has told (BARRIER-2)", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    test.core.step(told(blockAt(1)));
    const twin = { ...announceOf(blockAt(1)), payload: hashOf("the same in another form") };
    for (const who of ["b", "c", "d"]) test.hear(who, twin);
    expect(test.core.state.blocks.get(blockId(test.manifest.network, twin))?.state).toBe("waiting");
  });

  it("obeys its source where the operator hands in another block", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    test.core.step(told(blockAt(1)));
    test.core.step(told(blockAt(1, "fork", "main"), { handed: true }));
    expect([stateOf(test), stateOf(test, blockAt(1, "fork", "main"))]).toEqual(["open", "waiting"]);
  });

  it("announces what others announced first, until so many have that one is honest (ANNOUNCE-9)", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    test.hear("b", announceOf(blockAt(1)));
    expect(test.core.step(told(blockAt(1)))).toEqual(["announce height 1"]);
    for (const who of ["b", "c"]) test.hear(who, announceOf(blockAt(2)));
    expect(test.core.step(told(blockAt(2)))).toEqual([]);
  });

  it("cancels a block that its source takes back before the announcement is durable", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    test.core.step({ kind: "source-retract", chain: 1, hash: blockAt(1).hash });
    expect(test.hear("b", announceOf(blockAt(1)))).toEqual(["retract round 0", "cancel round 0"]);
  });
});

describe("a block that the own source has given up (ANNOUNCE-15)", () => {
  const givenUp = () => {
    const test = new Subject({ announced: false, parties: FOLLOWED });
    test.core.step(told(blockAt(1)));
    test.core.step({ kind: "source-retract", chain: 1, hash: blockAt(1).hash });
    for (const who of ["b", "c", "d"]) test.hear(who, { kind: "cancel", block: test.id(), round: 0 });
    expect([stateOf(test), test.core.said().at(-1)]).toEqual(["cancelled", "cancel round 0"]);
    return test;
  };

  it("is not announced again after a restart before the source has answered", () => {
    const test = givenUp();
    expect([...test.restart(), ...test.pass(2000)].filter((line) => line.startsWith("announce"))).toEqual([]);
    expect(stateOf(test)).toBe("cancelled");
  });

  it("is announced again after a restart once the source tells it", () => {
    const test = givenUp();
    test.restart();
    expect(test.core.step(told(blockAt(1)))).toContain("announce height 1");
  });

  it("is cancelled again where another source announces it again and the own source tells another block", () => {
    const test = givenUp();
    test.core.step(told(blockAt(1, "fork", "main")));
    const again = { ...announceOf(blockAt(1)), round: 1 };
    expect(test.hear("b", again)).toEqual(["cancel round 1"]);
  });
});

describe("a node without a source", () => {
  it("acts on what more than a third of the sources' weight has announced (ANNOUNCE-13)", () => {
    const test = new Subject({ announced: false, parties: FOUR });
    test.hear("s", announceOf(blockAt(1)));
    expect(stateOf(test)).toBe("waiting");
    test.hear("t", announceOf(blockAt(1)));
    expect(stateOf(test)).toBe("open");
  });

  it("counts the weights that the manifest gives the sources", () => {
    const sources = ["s", "t", "u", "v"].map((name) => ({ key: keyOf(name), weight: name === "s" ? 4 : 1 }));
    const test = new Subject({ announced: false, parties: FOUR, change: { sources } });
    for (const who of ["t", "u"]) test.hear(who, announceOf(blockAt(1)));
    expect(stateOf(test)).toBe("waiting");
    test.hear("s", announceOf(blockAt(1)));
    expect(stateOf(test)).toBe("open");
  });

  it("acts at once on a block that its operator hands in", () => {
    const parties = { ...FOUR, sources: ["a", "t", "u", "v"] };
    const test = new Subject({ announced: false, parties });
    test.core.step(told(blockAt(1), { handed: true }));
    expect(stateOf(test)).toBe("open");
  });

  it("cancels what enough sources take back in one round, and counts each source once (RETRACT-3)", () => {
    const test = new Subject({ announced: false, parties: FOUR });
    for (const who of ["s", "t"]) test.hear(who, announceOf(blockAt(1)));
    const retract = (round: number) => ({ kind: "retract", block: test.id(), round }) as const;
    expect(test.hear("u", retract(0))).toEqual([]);
    expect(test.hear("u", retract(1))).toEqual([]);
    expect(test.core.refusals()).toEqual(["retract.twice"]);
    expect(test.hear("v", retract(0))).toEqual(["cancel round 0"]);
  });

  it("lets one source of one take a block back once only (RETRACT-5)", () => {
    const test = new Subject({ announced: false });
    test.announce(blockAt(1));
    const retract = (round: number) => ({ kind: "retract", block: test.id(), round }) as const;
    expect(test.hear("s", retract(0))).toEqual(["cancel round 0"]);
    for (const who of ["b", "c"]) test.hear(who, { kind: "cancel", block: test.id(), round: 0 });
    test.announce(blockAt(1), 1);
    expect(stateOf(test)).toBe("open");
    expect(test.hear("s", retract(1))).toEqual([]);
    expect(stateOf(test)).toBe("open");
  });
});

describe("a chain whose runs start anywhere", () => {
  const start = (height: number) => ({ ...announceOf(blockAt(height)), start: true });

  it("has one id of each block: the child, where the source has told the parent (ANNOUNCE-14)", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED, change: anywhere() });
    for (const height of [7, 8]) test.core.step(told(blockAt(height)));
    test.hear("b", start(8));
    const twin = test.core.state.blocks.get(blockId(test.manifest.network, start(8)));
    expect([stateOf(test, blockAt(8)), twin?.state]).toEqual(["open", "waiting"]);
  });

  it("leaves blocks below the first one that the source told to the other sources", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED, change: anywhere() });
    test.core.step(told(blockAt(7)));
    const old = () => test.core.state.blocks.get(blockId(test.manifest.network, start(3)))?.state;
    test.hear("b", start(3));
    expect(old()).toBe("waiting");
    test.hear("c", start(3));
    expect(old()).toBe("open");
  });

  it("does not open a block again that only the index on disk knows to be certified (ANNOUNCE-5)", () => {
    const test = new Subject({ announced: false, parties: FOLLOWED, change: anywhere() });
    const { chain, height, hash } = start(3);
    const id = blockId(test.manifest.network, start(3));
    const closed: Closed = { id, chain, height, hash, parent: null, after: hashOf("after") };
    test.core.step({ kind: "batch", batch: test.batch("b", start(3)), from: keyOf("b"), closed: [closed] });
    test.core.step({ ...told(blockAt(3)), closed: [closed] } as Event);
    expect([test.core.state.blocks.size, test.core.said()]).toEqual([0, []]);
    test.core.step(told(blockAt(4)));
    expect(stateOf(test, blockAt(4))).toBe("open");
  });
});
