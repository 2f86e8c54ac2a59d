/** One hostile peer: libp2p with a key of its own, and gossip streams that it writes by hand. */
import { randomBytes } from "node:crypto";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import type { Connection, Libp2p, Stream } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import { topicOf } from "../../src/network/channel.ts";
import { createNode } from "../../src/network/libp2p.ts";
import type { Protocol } from "../../src/network/requests.ts";
import { protocolOf } from "../../src/network/serve.ts";
import { framed, subscription } from "./wire.ts";

export const MESHSUB = "/meshsub/1.2.0";

export interface Target {
  readonly network: string;
  /** With the peer id. */
  readonly address: string;
}

export class Peer {
  readonly target: Target;
  readonly topic: string;
  readonly node: Libp2p;
  /** What came over gossip, the latest only. */
  readonly heard: Uint8Array[] = [];
  #gossip: Stream | null = null;

  constructor(target: Target, node: Libp2p) {
    this.target = target;
    this.topic = topicOf(target.network);
    this.node = node;
  }

  static async start(target: Target, seed: Uint8Array = randomBytes(32)): Promise<Peer> {
    const node = await createNode(
      {
        privateKey: await generateKeyPairFromSeed("Ed25519", seed),
        listen: [],
        announce: [],
        appendAnnounce: [],
        profile: "local",
        members: 1_000,
      },
      { gater: {} },
    );
    const peer = new Peer(target, node);
    await node.handle(MESHSUB, (stream) => {
      stream.addEventListener("message", ({ data }) => {
        peer.heard.push(data.subarray());
        if (peer.heard.length > 64) peer.heard.shift();
      });
    });
    await node.start();
    return peer;
  }

  get connected(): boolean {
    return this.node.getConnections().some(({ status }) => status === "open");
  }

  async connect(): Promise<Connection> {
    const open = this.node.getConnections().find(({ status }) => status === "open");
    return open ?? this.node.dial(multiaddr(this.target.address), { signal: AbortSignal.timeout(5_000) });
  }

  /** The stream on which the target hears gossip of us, opened and subscribed where there is none. */
  async gossip(): Promise<Stream> {
    if (this.#gossip !== null && this.#gossip.status === "open") return this.#gossip;
    const connection = await this.connect();
    const stream = await connection.newStream(MESHSUB, { signal: AbortSignal.timeout(5_000) });
    stream.send(framed(subscription(this.topic)));
    this.#gossip = stream;
    return stream;
  }

  async stream(protocol: Protocol): Promise<Stream> {
    return this.open(protocolOf(this.target.network, protocol));
  }

  async open(protocol: string): Promise<Stream> {
    const connection = await this.connect();
    return connection.newStream(protocol, { signal: AbortSignal.timeout(5_000) });
  }

  async close(): Promise<void> {
    await this.node.stop();
  }
}
