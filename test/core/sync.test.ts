import { describe, expect, it } from "vitest";
import { createState } from "../../src/core/state.ts";
import { settleSync } from "../../src/core/replicator.ts";
import { keyOf, network } from "./harness.ts";

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
});
