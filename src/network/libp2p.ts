/** libp2p with the limits of `limits.ts`: TCP, Noise, Yamux, identify and ping, nothing else. Each is surface. */
import type { GossipSub, GossipSubComponents } from "@chainsafe/libp2p-gossipsub";
import { identify } from "@libp2p/identify";
import type { Identify } from "@libp2p/identify";
import type { ConnectionGater, Ed25519PrivateKey, Libp2p, PeerId } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { ping } from "@libp2p/ping";
import type { Ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { createLibp2p } from "libp2p";
import type { Multiaddr } from "@multiformats/multiaddr";
import { reachOf } from "./addresses.ts";
import type { Door } from "./door.ts";
import { keyOfPeer } from "./identity.ts";
import type { Key } from "../protocol/ids.ts";
import type { Telemetry } from "../ports.ts";
import { KEEPER } from "../peers/limits.ts";
import { CONNECTIONS_MAX, LIBP2P, PROFILES } from "./limits.ts";

export type Profile = keyof typeof PROFILES;

export interface Libp2pOptions {
  readonly privateKey: Ed25519PrivateKey;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly appendAnnounce: readonly string[];
  readonly profile: Profile;
  /** Members, for the number of connections. */
  readonly members: number;
}

export interface Libp2pModules {
  readonly gossip?: (components: GossipSubComponents) => GossipSub;
  readonly gater: ConnectionGater;
}

export type Services = { identify: Identify; ping: Ping; own: OwnAddresses; gossip?: GossipSub };

/** What of libp2p knows the addresses of its sockets, and which of them it tells. */
export interface AddressComponents {
  readonly transportManager: { getAddrs(): Multiaddr[] };
  readonly addressManager: {
    confirmObservedAddr(address: Multiaddr, options: { readonly type: "transport"; readonly ttl: number }): void;
  };
}

export interface OwnAddresses {
  /** To be called once the sockets listen: services are started beside them, not after them. */
  tell(): void;
}

/**
 * Tells the machine's own public addresses. libp2p keeps the public address of an interface to itself until other
 * peers have confirmed it, and no peer of this network confirms addresses. A wrong address costs a dial only.
 */
export function ownAddresses({ transportManager, addressManager }: AddressComponents): OwnAddresses {
  return {
    tell: () => {
      for (const address of transportManager.getAddrs())
        if (reachOf(address) === "public")
          addressManager.confirmObservedAddr(address, { type: "transport", ttl: LIBP2P.ownAddressMs });
    },
  };
}

/** Not started: handlers are to be registered first. */
export function createNode(options: Libp2pOptions, { gossip, gater }: Libp2pModules): Promise<Libp2p<Services>> {
  const { inboundPerSecond, pendingMax } = PROFILES[options.profile];
  const connectionsMax = options.members + CONNECTIONS_MAX;
  return createLibp2p<Services>({
    start: false,
    privateKey: options.privateKey,
    addresses: {
      listen: [...options.listen],
      announce: [...options.announce],
      appendAnnounce: [...options.appendAnnounce],
    },
    transports: [
      tcp({
        // Above libp2p's own limit, so that libp2p refuses with a reason before the kernel does without one.
        maxConnections: connectionsMax + 8,
        backlog: LIBP2P.tcpBacklog,
        inboundSocketInactivityTimeout: LIBP2P.tcpIdleMsMax,
        outboundSocketInactivityTimeout: LIBP2P.tcpIdleMsMax,
        // Nagle would hold a claim back for the acknowledgement of the message before it.
        dialOpts: { noDelay: true },
        listenOpts: { noDelay: true },
      }),
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: LIBP2P.streamsMax,
        maxOutboundStreams: LIBP2P.streamsMax,
        maxEarlyStreams: LIBP2P.earlyStreamsMax,
        keepAliveInterval: LIBP2P.keepAliveMs,
        streamOptions: {
          maxStreamWindowSize: LIBP2P.windowBytesMax,
          maxReadBufferLength: LIBP2P.readBufferBytesMax,
          maxWriteBufferLength: LIBP2P.writeBufferBytesMax,
        },
      }),
    ],
    connectionGater: gater,
    connectionManager: {
      maxConnections: connectionsMax,
      maxParallelDials: LIBP2P.dialsMax,
      maxDialQueueLength: LIBP2P.dialQueueMax,
      maxPeerAddrsToDial: KEEPER.dialAddressesMax,
      dialTimeout: LIBP2P.dialMsMax,
      addressDialTimeout: LIBP2P.addressDialMsMax,
      connectionCloseTimeout: LIBP2P.closeMsMax,
      inboundUpgradeTimeout: LIBP2P.upgradeMsMax,
      inboundStreamProtocolNegotiationTimeout: LIBP2P.negotiateMsMax,
      outboundStreamProtocolNegotiationTimeout: LIBP2P.negotiateMsMax,
      inboundConnectionThreshold: inboundPerSecond,
      maxIncomingPendingConnections: pendingMax,
    },
    connectionMonitor: {
      pingInterval: LIBP2P.pingEveryMs,
      // One late ping cuts the connection, so a pause of our own event loop must not look like one.
      pingTimeout: { minTimeout: LIBP2P.pingMsMax },
    },
    services: {
      identify: identify({ timeout: LIBP2P.identifyMsMax, maxObservedAddresses: LIBP2P.observedAddressesMax }),
      ping: ping(),
      own: ownAddresses,
      ...(gossip === undefined ? {} : { gossip }),
    },
  });
}

export interface GaterModules {
  readonly banned: (key: Key) => boolean;
  /** Left out, every host may begin a handshake. */
  readonly door?: Pick<Door, "admits"> | undefined;
  readonly telemetry: Telemetry;
}

/** Who may connect: keys that are ours to name, and not banned. The handshake is the first that knows the key. */
export function createGater({ banned, door, telemetry }: GaterModules): ConnectionGater {
  const refuse = (peer: PeerId): boolean => {
    const key = keyOfPeer(peer);
    const code = key === null ? "key-type" : banned(key) ? "banned" : null;
    if (code !== null) telemetry.count("network.refused", code);
    return code !== null;
  };
  return {
    denyInboundConnection: ({ remoteAddr }) => {
      const isDenied = door !== undefined && !door.admits(remoteAddr.toString());
      if (isDenied) telemetry.count("network.refused", "door");
      return isDenied;
    },
    denyDialPeer: refuse,
    denyInboundEncryptedConnection: refuse,
    denyOutboundEncryptedConnection: refuse,
  };
}
