/** A libp2p node that can misbehave: what our own nodes would refuse to send, this one sends. */
import { createHash } from "node:crypto";
import type { GossipSub } from "@chainsafe/libp2p-gossipsub";
import { generateKeyPair, generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import type { Libp2p, Stream } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { topicOf } from "../../src/network/channel.ts";
import { gossipService, insideOf } from "../../src/network/gossip.ts";
import { createNode } from "../../src/network/libp2p.ts";
import type { Services } from "../../src/network/libp2p.ts";
import type { Protocol } from "../../src/network/requests.ts";
import { protocolOf } from "../../src/network/serve.ts";
import { NETWORK, newSeed } from "./fixture.ts";
import type { TestNode } from "./fixture.ts";

export interface Raw {
  readonly node: Libp2p<Services>;
  readonly gossip: GossipSub;
  dial(victim: TestNode): Promise<void>;
  /** Whether it knows that the victim listens. */
  hears(victim: TestNode): boolean;
  publish(bytes: Uint8Array): void;
  /** One length-prefixed frame on the gossip stream, whatever its size. */
  frame(victim: TestNode, bytes: Uint8Array): void;
  stream(victim: TestNode, protocol: Protocol): Promise<Stream>;
}

export async function startRaw(keyType: "Ed25519" | "secp256k1" = "Ed25519"): Promise<Raw> {
  const topic = topicOf(NETWORK);
  const ed25519 = await generateKeyPairFromSeed("Ed25519", newSeed());
  // The type of our own options allows Ed25519 only, which is the point of the other one.
  const privateKey = keyType === "Ed25519" ? ed25519 : ((await generateKeyPair(keyType)) as unknown as typeof ed25519);
  const node = await createNode(
    {
      privateKey,
      listen: ["/ip4/127.0.0.1/tcp/0"],
      announce: [],
      appendAnnounce: [],
      profile: "local",
      members: 8,
    },
    { gossip: gossipService([topic], 4, () => 0), gater: {} },
  );
  await node.start();
  const gossip = node.services.gossip as GossipSub;
  gossip.subscribe(topic);
  const peerIdOf = (victim: TestNode): string => victim.network.addresses()[0]?.split("/p2p/")[1] ?? "";
  return {
    node,
    gossip,
    dial: async (victim) => {
      await node.dial(multiaddr(victim.network.addresses()[0]));
    },
    hears: (victim) => gossip.getSubscribers(topic).some((peer) => peer.toString() === peerIdOf(victim)),
    publish: (bytes) => void gossip.publish(topic, bytes),
    frame: (victim, bytes) => {
      const stream = insideOf(gossip).streamsOutbound.get(peerIdOf(victim)) as { push(bytes: Uint8Array): void };
      stream.push(bytes);
    },
    stream: (victim, protocol) =>
      node.dialProtocol(multiaddr(victim.network.addresses()[0]), protocolOf(NETWORK, protocol)),
  };
}

export function keyOfRaw({ node }: Raw): string {
  return Buffer.from(node.peerId.publicKey?.raw ?? []).toString("hex");
}

export function distinct(text: string, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => createHash("sha256").update(`${text} ${index}`).digest());
}
