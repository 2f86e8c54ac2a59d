import { describe, expect, it } from "vitest";
import { createState } from "../../src/core/state.ts";
import { settleSync, wantedOf } from "../../src/core/replicator.ts";
import { checkCertificate } from "../../src/protocol/certificate.ts";
import { blockAt, equation, keyOf, network } from "./harness.ts";
import { Net } from "./net.ts";

describe("the pull that repairs the log", () => {
  it("asks every peer in turn, whatever the clock's steps: the one that it always falls on may be a liar", () => {
    const peers = ["b", "c", "d", "p", "q"].map(keyOf);
    const manifest = network({ attesters: ["a", "b", "c", "d"], provers: ["p", "q"], sources: ["a"] });
    const roles = { source: true, attester: true, prover: false };
    const state = createState(manifest, { self: keyOf("a"), roles, slots: 0, systems: [], seed: 12_345 });
    for (const peer of peers) state.peers.add(peer);
    const asked = peers.map(() => {
      state.effects = [];
      settleSync(state);
      state.nowMs += manifest.json.timing.syncMs;
      state.syncing.clear();
      return state.effects.map((effect) => (effect.kind === "sync" ? effect.peer : effect.kind));
    });
    expect(asked.flat().sort()).toEqual([...peers].sort());
  });

  it("names the blocks that a reorg had certified again below the highest height, and this node has missed", () => {
    const net = new Net(["a", "b", "c", "d"]);
    const [c, d] = [net.core("c"), net.core("d")];
    const [second, third] = [blockAt(2, "other", "main"), blockAt(3, "other")];
    const mine = (block: ReturnType<typeof blockAt>) => {
      net.mine(block);
      net.pass(1000);
    };
    mine(blockAt(1));
    mine(blockAt(2));
    expect(wantedOf(d.state)).toEqual([]);
    c.take("certify");
    net.down.add("d");
    mine(second);
    mine(third);
    const certificates = c.take("certify").map(({ bytes }) => {
      const checked = checkCertificate(net.manifest, bytes, equation);
      if (!checked.ok) throw new Error(checked.message);
      return { kind: "certificate", certificate: checked.value, bytes } as const;
    });
    expect(certificates.map(({ certificate }) => certificate.content.hash)).toEqual([second.hash, third.hash]);
    const [missing, highest] = certificates;
    if (missing === undefined || highest === undefined) throw new Error("no certificates");
    d.step(highest);
    expect(wantedOf(d.state)).toEqual([second.hash]);
    d.step(missing);
    expect(wantedOf(d.state)).toEqual([]);
    expect(
      [second, third].filter(({ hash }) => ![...d.state.closed.values()].some((each) => each.hash === hash)),
    ).toEqual([]);
  });

  it("names a block that it knows and could not certify, once the chain has gone on without it", () => {
    const net = new Net(["a", "b", "c", "d"]);
    const d = net.core("d");
    net.mine(blockAt(1));
    net.pass(1000);
    net.down.add("d");
    net.mine(blockAt(2, "other", "main"));
    net.pass(1000);
    net.down.clear();
    const other = blockAt(2, "other", "main");
    net.mine(blockAt(2));
    for (const batch of net.batches.filter(({ entries }) => entries.some(({ kind }) => kind === "announce")))
      d.hear(batch);
    expect(wantedOf(d.state)).toContain(other.hash);
  });
});
