/** Connections are few, keys are free: who stays when more come than there is room for. */
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import type { Libp2p } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { afterEach, describe, expect, test } from "vitest";
import { fetchManifest } from "../../src/network/joiner.ts";
import { createNode } from "../../src/network/libp2p.ts";
import { leaves, type Seat, type Standing } from "../../src/peers/crowd.ts";
import { CROWD } from "../../src/peers/limits.ts";
import { NETWORK, newSeed, startNode, TestNode, until } from "./fixture.ts";

const running: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.close()));
});

/** A peer that connects and then neither asks nor sends anything. */
async function idler(victim: TestNode, seed: Uint8Array = newSeed()): Promise<Libp2p> {
  const privateKey = await generateKeyPairFromSeed("Ed25519", seed);
  const options = { listen: [], announce: [], appendAnnounce: [], profile: "local", members: 0 } as const;
  const node = await createNode({ privateKey, ...options }, { gater: {} });
  running.push({ close: async () => node.stop() });
  await node.start();
  await node.dial(multiaddr(victim.network.addresses()[0]), { signal: AbortSignal.timeout(5_000) });
  return node;
}

const keyOf = ({ peerId }: Libp2p): string => Buffer.from(peerId.publicKey?.raw ?? []).toString("hex");

describe("when there is no room", () => {
  const full = (standing: Standing, idleMs: number): Seat[] =>
    Array.from({ length: CROWD.roomMax.stranger }, (_, at) => ({ key: `${at}`, standing, idleMs: idleMs + at }));

  test("a newcomer gets the place of the stranger that is idle for longest (PEER-5)", () => {
    const newcomer: Seat = { key: "new", standing: "stranger", idleMs: 0 };
    expect(leaves("new", [...full("stranger", 0).slice(1), newcomer])).toBeNull();
    expect(leaves("new", [...full("stranger", CROWD.idleMsMin), newcomer])).toBe(`${CROWD.roomMax.stranger - 1}`);
    expect(leaves("new", [...full("stranger", 0), newcomer])).toBe("new");
  });

  test("members and admitted provers compete with no stranger", () => {
    const strangers = full("stranger", CROWD.idleMsMin);
    for (const standing of ["member", "admitted", "dialled"] as const) {
      expect(leaves("known", [...strangers, { key: "known", standing, idleMs: 0 }])).toBeNull();
      const known = full(standing, 1e9).map((seat) => ({ ...seat, key: `known ${seat.key}` }));
      expect(leaves("new", [...known, { key: "new", standing: "stranger", idleMs: 0 }])).toBeNull();
    }
  });
});

test("forty idle strangers keep no joiner out, and no member and no admitted prover loses its connection", async () => {
  const seed = newSeed();
  const admitted = new Set<string>();
  const victim = await startNode({}, Object.assign(new TestNode(), { admitted: (key: string) => admitted.has(key) }));
  running.push(victim.network);
  const prover = await generateKeyPairFromSeed("Ed25519", seed);
  admitted.add(Buffer.from(prover.publicKey.raw).toString("hex"));
  const known = await idler(victim, seed);
  const strangers: Libp2p[] = [];
  for (let at = 0; at < 40; at++) {
    // The last ones come while the first ones are not idle for long enough yet.
    await idler(victim)
      .then((node) => strangers.push(node))
      .catch(() => undefined);
  }
  expect(victim.network.connected?.().length).toBeLessThanOrEqual(CROWD.roomMax.stranger + 1);
  await new Promise((resolve) => setTimeout(resolve, CROWD.idleMsMin));
  const address = victim.network.addresses()[0] ?? "";
  for (let joiner = 0; joiner < 3; joiner++)
    expect(Buffer.from(await fetchManifest(address, NETWORK, 5_000)).toString()).toBe("the manifest");
  await until("idle strangers are cut", () => victim.count("network.cut idle") > 0);
  expect(victim.network.connected?.()).toContain(keyOf(known));
  expect(known.getConnections()).toHaveLength(1);
}, 60_000);
