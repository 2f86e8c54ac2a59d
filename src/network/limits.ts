/**
 * Every number of the network, with its reason.
 *
 * The options of libp2p and gossipsub have defaults for large public networks of strangers; measured on small ones
 * some of them silence honest nodes and some punish nothing. What is set here was tested together.
 */

import { FRONTIER_BYTES_MAX } from "../protocol/limits.ts";

const KIB = 1024;
const MIB: number = 1024 * 1024;

/**
 * Where libp2p itself refuses, before it knows whose connection it is: all that may stay, as often as one key may
 * connect, and what is under way. Members come on top.
 */
export const CONNECTIONS_MAX = 2_048;
export const LIBP2P = {
  /** A dial is one TCP and one Noise handshake; what takes longer is not there. */
  dialMsMax: 5_000,
  addressDialMsMax: 3_000,
  closeMsMax: 1_000,
  /** Short, or peers that send nothing (slow loris) hold the pending slots. */
  upgradeMsMax: 5_000,
  negotiateMsMax: 5_000,
  dialsMax: 16,
  dialQueueMax: 128,
  /** The dead-peer detector besides TCP: a silent partition is noticed in 5 to 10 s. */
  pingEveryMs: 5_000,
  pingMsMax: 5_000,
  tcpIdleMsMax: 60_000,
  tcpBacklog: 16,
  /** Worst buffer is connections x streams x window, so all three are small. */
  streamsMax: 32,
  earlyStreamsMax: 4,
  windowBytesMax: 1 * MIB,
  readBufferBytesMax: 1 * MIB,
  writeBufferBytesMax: 4 * MIB,
  keepAliveMs: 10_000,
  identifyMsMax: 5_000,
  observedAddressesMax: 4,
  /** An interface's own address stays one as long as the node runs: ten years. */
  ownAddressMs: 315_360_000_000,
} as const;

/**
 * Limits by host. Machines of one operator share an address behind NAT, and a test cluster shares loopback: there the
 * default of five connections a second refuses honest nodes.
 */
export const PROFILES = {
  public: { inboundPerSecond: 20, pendingMax: 16 },
  local: { inboundPerSecond: 1_000, pendingMax: 200 },
} as const;

export const GOSSIP = {
  /** Must exceed any honest frame: one frame above it parts two honest nodes until somebody hangs up. */
  inboundFrameBytesMax: 2 * MIB,
  /** Above it the stream is aborted; the watch then closes the connection and the keeper redials. */
  outboundBufferBytesMax: 8 * MIB,
  streamsMax: 4,
  topicBytesPerPeer: 16 * KIB,
  /** At least what honest peers pack: above a limit the whole frame is dropped. */
  decode: {
    maxSubscriptions: 32,
    maxMessages: 256,
    maxIhaveMessageIDs: 256,
    maxIwantMessageIDs: 256,
    maxIdontwantMessageIDs: 256,
    maxControlMessages: 64,
    maxPeerInfos: 8,
  },
  /** No gossip about messages: repair is our own pull protocol, and answers to IWANT above 4 MiB are never sent. */
  Dlazy: 0,
  gossipFactor: 0,
  mcacheLength: 3,
  mcacheGossip: 1,
  iwantFollowupMs: 5_000,
  seenMs: 120_000,
  /** Flooding what we publish costs egress times peers and saves a hop; above this many peers it is not worth it. */
  floodPeersMax: 64,
  /**
   * Where every author floods, the mesh only carries what a broken link has missed, and each copy costs a node half a
   * millisecond: with a mesh of 4 instead of 2 ten nodes spent twice the time on the same messages.
   */
  floodedMesh: { D: 2, Dlo: 1, Dhi: 3, Dscore: 1, Dout: 0 },
  mesh: { D: 8, Dlo: 6, Dhi: 12, Dscore: 4, Dout: 2 },
  /** Smaller messages arrive before an IDONTWANT about them would. */
  idontwantBytesMin: 16 * KIB,
  heartbeatMs: 1_000,
} as const;

/** With defaults 40 invalid messages a second kept a positive score for ever; with these 3 to 80 end a peer. */
export const SCORE = {
  topicScoreCap: 20,
  decayIntervalMs: 1_000,
  decayToZero: 0.01,
  retainMs: 3_600_000,
  appWeight: 10,
  member: 5,
  /** One strike (a flood, a frame that is none) is -300 at first: four in a row reach the graylist. */
  strike: -30,
  /** A peer that is slow may be in trouble itself; twenty times a minute it is not. */
  slowStrike: -6,
  strikeHalfLifeMs: 60_000,
  strikesMax: 1_024,
  /** Off: sixteen nodes behind one address would go silent. */
  colocationWeight: 0,
  colocationThreshold: 10,
  behaviourWeight: -10,
  behaviourThreshold: 2,
  behaviourDecay: 0.9,
  topic: {
    topicWeight: 1,
    timeInMeshWeight: 0.01,
    timeInMeshQuantum: 12_000,
    timeInMeshCap: 300,
    firstMessageDeliveriesWeight: 0.5,
    firstMessageDeliveriesDecay: 0.9,
    firstMessageDeliveriesCap: 20,
    /** Penalties for silence need a measured rate; a quiet network has none. */
    meshMessageDeliveriesWeight: 0,
    meshFailurePenaltyWeight: 0,
    invalidMessageDeliveriesWeight: -20,
    invalidMessageDeliveriesDecay: 0.98,
  },
  /** Wide enough for a few mistakes: one rejected message is -20, seven in a burst -980. */
  thresholds: {
    gossipThreshold: -100,
    publishThreshold: -500,
    graylistThreshold: -1_000,
    acceptPXThreshold: 1_000,
    opportunisticGraftThreshold: 1,
  },
} as const;

/** What one peer may send, and for how long it may send more. Bursts are honest: repair and start-up are bursts. */
export const PEER = {
  messagesPerSecond: 200,
  bytesPerSecond: 2 * MIB,
  burst: 4,
  /** Frames cost their decoding whatever is in them: each message in its own, and as many about none. */
  framesPerSecond: 400,
  /** Of framing and control a frame may have as much as of messages. */
  frameBytesPerSecond: 4 * MIB,
  /** Pieces of anything that a peer sends on streams of its own: twice as many as its frames may be cut into, and pings. */
  piecesPerSecond: 2_000,
  /** An honest peer pings every few seconds; each ping is answered whatever it costs. */
  pingsPerSecond: 2,
  pingBurst: 16,
  /** libp2p 3 buffers what we do not read; only hanging up stops a flood. */
  floodMsMax: 2_000,
  /** Two nodes that dial each other at once have two for a moment. */
  connectionsMax: 3,
  budgetsMax: 1_024,
} as const;

/**
 * CPU time in milliseconds a second, saved up for some seconds. What a connection costs before a message is read comes on
 * top, so these are half of what the members may cost in all.
 */
export const WORK = {
  /** An attester, and any other member. */
  one: { perSecond: 100, burst: 2 },
  /** All members together, attesters left out. */
  members: { perSecond: 200, burst: 2 },
  /** Each member has so much of its own, however much the other ones cost. */
  least: { perSecond: 2, burst: 5 },
  strangers: { perSecond: 40, burst: 2 },
  /** Questions of one peer that are refused while it is over: to refuse one takes half as long as a small answer. */
  refusals: { perSecond: 1, burst: 4 },
  /** To open a stream and to read a question. */
  msPerRequest: 0.5,
  /** To encrypt and to send an answer. */
  msPerMib: 12,
  msPerFrame: 0.005,
} as const;

/** Handshakes of strangers, from all hosts together: some 4 % of a core. */
export const DOOR = {
  strangers: { perSecond: 3, burst: 2 },
  hostsMax: 1_024,
} as const;

export const WATCH = {
  everyMs: 1_000,
  /** Heartbeats without gossip streams before a connection that had them counts as deaf. */
  deafBeats: 3,
  /** The same for one that is still opening them: on a loaded machine that takes seconds. */
  deafBeatsAtFirst: 10,
  /** A connection that never speaks gossip (a joiner fetching a manifest) may last this long. */
  strangerMsMax: 30_000,
  /** How fast a peer is announced as up while its streams are still opening. */
  readyEveryMs: 25,
} as const;

export const REQUEST = {
  /** The largest question is a frontier; one that did not fit would end all repair. */
  bodyBytesMax: FRONTIER_BYTES_MAX,
  /** A certificate of the largest size and batches beside it. */
  responseBytesMax: 2 * MIB,
  framesMax: 4_096,
  concurrentMax: 4,
  /** The client waits in line for its own four slots. */
  waitingMax: 256,
  /** For the server: reading the request, and everything. */
  readMsMax: 5_000,
  serveMsMax: 60_000,
  artefactFrameBytes: 256 * KIB,
  /** A file comes in ranges of so many bytes, each a request: at 0.5 MiB a second one takes the 8 s that a fetch has. */
  rangeBytesMax: 4 * MIB,
  /** Ranges held in memory at once for all peers together: 16 x 4 MiB. */
  rangesServedMax: 16,
  manifestBytesMax: 1 * MIB,
} as const;

/** Requests a second, by peer and protocol. One proof is one artefact, so theirs follows the rate of tasks. */
export const REQUESTS_PER_SECOND = { sync: 8, manifest: 8, peers: 8, artefact: 128 } as const;

/** `close` is bounded: what has not ended by then is cut. */
export const CLOSE_MS_MAX = 3_000;
