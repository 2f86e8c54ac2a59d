/**
 * The network: Transport on libp2p.
 *
 * This file only composes. The fast path is `gossip.ts`; what peers ask each other is `requests.ts` and `serve.ts`;
 * who is there is `presence.ts`; that they stay there is `keeper.ts`; what partitions have each for itself is `channel.ts`.
 */
import type { GossipSub } from "@chainsafe/libp2p-gossipsub";
import type { Libp2p } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Hash, Key } from "../protocol/ids.ts";
import type {
  Artefacts,
  Cancel,
  Clock,
  Done,
  Request,
  Result,
  Telemetry,
  Transport,
  TransportHandler,
} from "../ports.ts";
import { configuredAddress, keyOfAddress, reachOf } from "./addresses.ts";
import { Bans } from "./bans.ts";
import { type Channel, topicOf } from "./channel.ts";
import { Door } from "./door.ts";
import { NetworkFault } from "./fault.ts";
import { gossipService, insideOf, openGossip } from "./gossip.ts";
import type { Gossip } from "./gossip.ts";
import { keyOfPeer, peerOfKey, privateKeyOfSeed } from "./identity.ts";
import { Keeper } from "./keeper.ts";
import { createGater, createNode } from "./libp2p.ts";
import type { OwnAddresses, Profile } from "./libp2p.ts";
import { KEEPER } from "../peers/limits.ts";
import { CLOSE_MS_MAX } from "./limits.ts";
import { Presence, Strikes } from "./presence.ts";
import { Requests } from "./requests.ts";
import { routeOf, serve } from "./serve.ts";
import { collect, exchange } from "./streams.ts";
import { ChannelTransport } from "./transport.ts";
import { Work } from "./work.ts";

export interface NetworkOptions {
  /** Id of the network: peers of another one find no common topic and no common protocol. */
  readonly network: Hash;
  /** 32 secret bytes; the node's key is its peer id. */
  readonly seed: Uint8Array;
  readonly listen: readonly string[];
  /** Told to others instead of what the sockets say: behind NAT, or where listening is on all interfaces. */
  readonly announce?: readonly string[];
  readonly bootstrap: readonly string[];
  /** Keys that the manifest names. They are dialled for ever and keep their connections when there are too many. */
  readonly members: readonly Key[];
  /** Bytes served to joiners. */
  readonly manifest: Uint8Array;
  /** `local` lifts the limits by host, for many nodes on one machine. */
  readonly profile?: Profile;
  readonly messageBytesMax: number;
  /** Where bans survive a restart. */
  readonly banFile?: string;
}

/** A part of the network with a topic and a log of its own. */
export interface NetworkPartition {
  readonly name: string;
  readonly network: Hash;
  readonly messageBytesMax: number;
  readonly handler: TransportHandler;
}

export interface NetworkModules {
  readonly handler: TransportHandler;
  /**
   * Those that this node takes part in, where the network is divided; the handler above then hears what all share, which
   * are certificates.
   */
  readonly partitions?: readonly NetworkPartition[];
  readonly artefacts: Artefacts;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Whether a key is on the network's roster by now: its connection is no stranger's. */
  readonly admitted?: (key: Key) => boolean;
  /** Whether a key is an attester: what it costs is counted apart from other members. */
  readonly attests?: (key: Key) => boolean;
}

/** The transport of what all nodes of the network share. */
export interface Network extends Transport {
  readonly key: Key;
  /** The transport of a partition that this node takes part in. */
  partition(network: Hash): Transport;
  /** Full addresses, with the peer id at the end. */
  addresses(): string[];
  setMembers(keys: readonly Key[]): void;
  /** Bounded to a few seconds; the handler is not called from now on, pending requests end with `network.closed`. */
  close(): Promise<void>;
}

/**
 * Starts listening and dialling. Rejects with a `Fault`: `config.address` (an address that is none), `listen.in-use` or
 * `listen.failed`. The handler is called only after the promise has been resolved.
 */
export async function createNetwork(options: NetworkOptions, modules: NetworkModules): Promise<Network> {
  const { clock, telemetry } = modules;
  const bootstrap = options.bootstrap.map((text) => configuredAddress(text, "bootstrap"));
  const listen = options.listen.map((text) => configuredAddress(text, "listen"));
  for (const text of options.announce ?? []) configuredAddress(text, "announce");
  const bans = new Bans(options.banFile, clock);
  const damaged = await bans.load();
  if (damaged !== null) telemetry.emit("network.bans-damaged", { ...damaged });
  const strikes = new Strikes(clock);
  strikes.setMembers(options.members);
  const channels = channelsOf(options, modules);
  const topics = channels.map(({ topic }) => topic);
  // Many nodes on one machine start at once and are no strangers to each other.
  const door = options.profile === "local" ? undefined : new Door(clock);
  const node = await createNode(
    {
      privateKey: await privateKeyOfSeed(options.seed),
      listen: options.listen,
      announce: options.announce ?? [],
      // Without a service that verifies public addresses libp2p would keep a public listen address to itself.
      appendAnnounce: listen.filter((address) => reachOf(address) !== null).map(String),
      profile: options.profile ?? "public",
      members: options.members.length,
    },
    {
      gossip: gossipService(topics, options.members.length, strikes.score),
      gater: createGater({ banned: (key) => bans.has(key), door, telemetry }),
    },
  );
  const network = new Libp2pNetwork(options, modules, { node, bans, strikes, bootstrap, channels, door });
  await network.start();
  return network;
}

/** What all share comes first. */
function channelsOf(
  options: NetworkOptions,
  { handler, partitions }: NetworkModules,
): readonly [Channel, ...Channel[]] {
  const { network, messageBytesMax } = options;
  const label = partitions === undefined ? "tasks" : "certificates";
  const parts = partitions ?? [];
  return [
    { label, network, topic: topicOf(network, label), messageBytesMax, handler },
    ...parts.map(({ name, ...part }) => ({ label: name, topic: topicOf(part.network), ...part })),
  ];
}

interface Parts {
  readonly node: Libp2p<{ own: OwnAddresses; gossip?: GossipSub }>;
  readonly bans: Bans;
  readonly strikes: Strikes;
  readonly bootstrap: readonly Multiaddr[];
  readonly channels: readonly [Channel, ...Channel[]];
  readonly door: Door | undefined;
}

class Libp2pNetwork implements Network {
  readonly key: Key;
  readonly #options: NetworkOptions;
  readonly #modules: NetworkModules;
  readonly #parts: Parts;
  readonly #presence: Presence;
  readonly #work: Work;
  readonly #requests: Requests;
  readonly #keeper: Keeper;
  readonly #service: GossipSub;
  readonly #shared: Transport;
  readonly #partitions: ReadonlyMap<Hash, Transport>;
  #members: ReadonlySet<Key>;
  #gossip: Gossip | null = null;
  #live = false;
  #closing: Promise<void> | null = null;

  constructor(options: NetworkOptions, modules: NetworkModules, parts: Parts) {
    const { node, bans, strikes, bootstrap, channels, door } = parts;
    const { clock, telemetry, artefacts, admitted = () => false, attests = () => false } = modules;
    this.#options = options;
    this.#modules = modules;
    this.#parts = parts;
    this.#members = new Set(options.members);
    const { publicKey } = node.peerId;
    const service = node.services.gossip;
    if (publicKey === undefined || service === undefined) throw new Error("a node without a key or without gossip");
    this.key = bytesToHex(publicKey.raw);
    this.#service = service;
    const live = (): boolean => this.#live;
    const gossip = insideOf(service);
    const configured = new Set(bootstrap.map(keyOfAddress));
    const standing = (key: Key): "member" | "admitted" | "stranger" =>
      this.#members.has(key) || configured.has(key) ? "member" : admitted(key) ? "admitted" : "stranger";
    this.#work = new Work(clock, (key) => {
      if (attests(key)) return "attester";
      return standing(key) === "stranger" ? "stranger" : "member";
    });
    this.#presence = new Presence({ node, gossip, channels, bans, strikes, clock, telemetry, live, standing });
    this.#requests = new Requests({ clock, connection: (peer) => this.#presence.connection(peer) });
    node.addEventListener("connection:open", ({ detail: { remotePeer, remoteAddr } }) => {
      const key = keyOfPeer(remotePeer);
      if (key !== null && standing(key) !== "stranger") door?.trust(remoteAddr.toString());
    });
    const [shared, ...partitions] = channels;
    const transportOf = (channel: Channel): Transport =>
      new ChannelTransport(channel, {
        network: options.network,
        presence: this.#presence,
        requests: this.#requests,
        artefacts,
        gossip: () => (this.#closing === null ? this.#gossip : null),
      });
    this.#shared = transportOf(shared);
    this.#partitions = new Map(partitions.map((channel) => [channel.network, transportOf(channel)]));
    this.#keeper = new Keeper(
      { self: this.key, bootstrap, members: options.members },
      {
        node,
        bans,
        clock,
        telemetry,
        up: () => this.#presence.up(),
        ask: (peer, done) => this.#askPeers(peer, done),
      },
    );
  }

  async start(): Promise<void> {
    const { node, channels } = this.#parts;
    const { artefacts, clock, telemetry } = this.#modules;
    const live = (): boolean => this.#live;
    const judge = (peer: Key, code: string): void => this.#presence.judge(peer, code);
    const flooded = (peer: Key): void => this.#presence.flooded(peer);
    const struck = (peer: Key, code: string): void => this.#presence.struck(peer, code);
    const work = this.#work;
    await serve(this.#options, {
      node,
      channels,
      artefacts,
      clock,
      telemetry,
      live,
      work,
      struck,
      flooded,
      peers: (asking) => this.#keeper.tell(asking, this.addresses()),
    });
    this.#presence.attach(
      (peer) => this.#keeper.peerUp(peer),
      (peer) => this.#requests.drop(peer),
    );
    const service = this.#service;
    this.#gossip = openGossip(channels, {
      service,
      clock,
      telemetry,
      work,
      live,
      rejected: judge,
      flooded,
      struck,
    });
    try {
      await node.start();
    } catch (error) {
      await within(Promise.resolve(node.stop()), CLOSE_MS_MAX);
      throw listenFault(error, this.#options.listen);
    }
    node.services.own.tell();
    this.#gossip.subscribe();
    this.setMembers(this.#options.members);
    // The caller gets its network before its handler is called: it may want to use the one in the other.
    setImmediate(() => this.#begin());
  }

  publish(bytes: Uint8Array): void {
    this.#shared.publish(bytes);
  }

  peers(): readonly Key[] {
    return this.#shared.peers();
  }

  connected(): readonly Key[] {
    return this.#presence.connected();
  }

  request(
    peer: Key,
    request: Request,
    body: Uint8Array,
    bytesMax: number,
    timeoutMs: number,
    done: Done<readonly Uint8Array[]>,
  ): Cancel {
    return this.#shared.request(peer, request, body, bytesMax, timeoutMs, done);
  }

  fetch(peer: Key, hash: Hash, bytesMax: number, timeoutMs: number, done: Done<void>): Cancel {
    return this.#shared.fetch(peer, hash, bytesMax, timeoutMs, done);
  }

  partition(network: Hash): Transport {
    const found = this.#partitions.get(network);
    if (found === undefined) throw new Error(`this node takes no part in ${network}`);
    return found;
  }

  addresses(): string[] {
    return this.#parts.node.getMultiaddrs().map(String);
  }

  setMembers(keys: readonly Key[]): void {
    const { node, strikes } = this.#parts;
    this.#members = new Set(keys);
    strikes.setMembers(keys);
    this.#keeper.setMembers(keys);
    for (const key of keys) {
      if (key === this.key) continue;
      // The tag keeps members connected when there are too many; the keeper does the redialling.
      node.peerStore.merge(peerOfKey(key), { tags: { "proofmesh-member": { value: 100 } } }).catch((error: unknown) => {
        this.#modules.telemetry.emit("network.tag-failed", { peer: key, message: String(error) });
      });
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #begin(): void {
    if (this.#closing !== null) return;
    this.#live = true;
    this.#keeper.begin();
    this.#presence.begin();
  }

  #askPeers(peer: Key, done: (result: Result<readonly Uint8Array[]>) => void): void {
    const route = routeOf(this.#options.network, "peers");
    const limits = { bytesMax: KEEPER.exchangeBytesMax, code: "request.too-large" };
    this.#requests.start<readonly Uint8Array[]>(
      peer,
      route,
      KEEPER.exchangeMsMax,
      (connection, signal) => exchange(connection, route.id, new Uint8Array(0), { ...limits, signal }, collect),
      done,
    );
  }

  async #close(): Promise<void> {
    const { node, bans } = this.#parts;
    this.#live = false;
    this.#keeper.end();
    this.#presence.end();
    this.#requests.close();
    const stopped = await within(Promise.resolve(node.stop()), CLOSE_MS_MAX);
    if (!stopped) for (const connection of node.getConnections()) connection.abort(new Error("closing"));
    await bans.saved().catch((error: unknown) => {
      this.#modules.telemetry.emit("network.bans-lost", { message: String(error) });
    });
  }
}

/** Whether the promise was resolved in time. */
async function within(promise: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** libp2p names the reason in its message only. */
function listenFault(error: unknown, listen: readonly string[]): NetworkFault {
  const text = error instanceof Error ? error.message : String(error);
  const named = listen.filter((address) => text.includes(address));
  const where = (named.length > 0 ? named : listen).join(", ");
  if (text.includes("EADDRINUSE")) {
    return new NetworkFault("listen.in-use", `cannot listen on ${where}: another process uses the port`, error);
  }
  return new NetworkFault("listen.failed", `cannot listen on ${where}: ${text}`, error);
}
