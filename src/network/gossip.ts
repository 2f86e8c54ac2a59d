/**
 * The fast path: a topic for each channel, best effort to everyone who shares it.
 *
 * Gossipsub forgets and loses by design, so nothing here is a log. What matters is what a peer can do to us: every
 * message passes the peer's token bucket before anything is decoded, the verdict is given at once, and what was
 * rejected costs the sender its score.
 */
import { createHash } from "node:crypto";
import { TopicValidatorResult, gossipsub } from "@chainsafe/libp2p-gossipsub";
import type { GossipSub, GossipSubComponents, Message } from "@chainsafe/libp2p-gossipsub";
import type { PeerId } from "@libp2p/interface";
import type { Key } from "../protocol/ids.ts";
import type { Clock, Telemetry } from "../ports.ts";
import { PeerBudget, type Rate, scaled } from "./budget.ts";
import type { Channel } from "./channel.ts";
import { rethrow } from "./fault.ts";
import { keyOfPeer } from "./identity.ts";
import { GOSSIP, PEER, SCORE } from "./limits.ts";
import { authorNamed, type Work } from "./work.ts";

/** What we read of gossipsub beyond its public face; `openGossip` fails loudly if an upgrade moves it. */
interface Inside {
  readonly peers: ReadonlyMap<string, PeerId>;
  readonly streamsInbound: ReadonlyMap<string, unknown>;
  readonly streamsOutbound: ReadonlyMap<string, unknown>;
  getScore(peer: string): number;
  /** Throws for bytes that are no frame. */
  decodeRpc(bytes: Uint8Array): unknown;
  /** Reads the frames of a peer one by one until they end. */
  pipePeerReadStream(peer: PeerId, frames: AsyncIterable<Frame>): Promise<void>;
  reportMessageValidationResult(id: string, source: string, acceptance: TopicValidatorResult): void;
}

interface Frame {
  readonly byteLength: number;
}

export type GossipService = GossipSub & Inside;

/**
 * The message id covers the content: an id of author and number alone would hide equivocation, because every node
 * would then see one version only.
 */
function messageId(message: Message): Uint8Array {
  return createHash("sha256").update(message.topic).update(message.data).digest();
}

function idText(id: Uint8Array): string {
  return Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString("base64");
}

/** The gossipsub service of libp2p. `score` is the application's part of a peer's score, by peer id. */
export function gossipService(
  topics: readonly string[],
  peersExpected: number,
  score: (peer: string) => number,
): (components: GossipSubComponents) => GossipSub {
  const isFlooded = peersExpected <= GOSSIP.floodPeersMax;
  return gossipsub({
    // Payloads carry their own signature; signing twice costs 470 us a delivery.
    globalSignaturePolicy: "StrictNoSign",
    msgIdFn: messageId,
    msgIdToStrFn: idText,
    // Unknown topics are the way to fill a node's memory.
    allowedTopics: [...topics],
    maxTopicBytesPerPeer: GOSSIP.topicBytesPerPeer,
    decodeRpcLimits: GOSSIP.decode,
    maxInboundDataLength: GOSSIP.inboundFrameBytesMax,
    maxOutboundBufferSize: GOSSIP.outboundBufferBytesMax,
    maxInboundStreams: GOSSIP.streamsMax,
    maxOutboundStreams: GOSSIP.streamsMax,
    asyncValidation: true,
    ...(isFlooded ? GOSSIP.floodedMesh : GOSSIP.mesh),
    Dlazy: GOSSIP.Dlazy,
    gossipFactor: GOSSIP.gossipFactor,
    mcacheLength: GOSSIP.mcacheLength,
    mcacheGossip: GOSSIP.mcacheGossip,
    gossipsubIWantFollowupMs: GOSSIP.iwantFollowupMs,
    seenTTL: GOSSIP.seenMs,
    idontwantMinDataSize: GOSSIP.idontwantBytesMin,
    heartbeatInterval: GOSSIP.heartbeatMs,
    floodPublish: isFlooded,
    batchPublish: true,
    doPX: false,
    fallbackToFloodsub: false,
    emitSelf: false,
    // Publishing must not throw at start-up: delivery is ensured by pulling.
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    runOnLimitedConnection: false,
    scoreThresholds: SCORE.thresholds,
    scoreParams: {
      topicScoreCap: SCORE.topicScoreCap,
      decayInterval: SCORE.decayIntervalMs,
      decayToZero: SCORE.decayToZero,
      retainScore: SCORE.retainMs,
      appSpecificWeight: SCORE.appWeight,
      appSpecificScore: score,
      IPColocationFactorWeight: SCORE.colocationWeight,
      IPColocationFactorThreshold: SCORE.colocationThreshold,
      behaviourPenaltyWeight: SCORE.behaviourWeight,
      behaviourPenaltyThreshold: SCORE.behaviourThreshold,
      behaviourPenaltyDecay: SCORE.behaviourDecay,
      topics: Object.fromEntries(topics.map((topic) => [topic, { ...TOPIC_DEFAULTS, ...SCORE.topic }])),
    },
  });
}

/** The type wants every field; those of the parts that are off have no effect. */
const TOPIC_DEFAULTS = {
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 100,
  meshMessageDeliveriesThreshold: 20,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5_000,
  meshFailurePenaltyDecay: 0.5,
} as const;

type Heard = Pick<Channel, "label" | "topic" | "messageBytesMax"> & {
  readonly handler: Pick<Channel["handler"], "message">;
};

export interface GossipModules {
  readonly service: GossipSub;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly work: Work;
  /** Whether the handler may be called. */
  readonly live: () => boolean;
  /** Called when a message was rejected: the score may have fallen below the graylist. */
  readonly rejected: (from: Key, code: string) => void;
  /** Called when a peer has been over its budget for too long. */
  readonly flooded: (from: Key) => void;
  /** Called when a peer did what no honest one does and gossipsub does not count. */
  readonly struck: (from: Key, code: string) => void;
}

export interface Gossip {
  /** To be called once libp2p runs; before it nobody sends us anything. */
  subscribe(): void;
  publish(channel: Pick<Channel, "topic" | "messageBytesMax">, bytes: Uint8Array): void;
}

/** Connects the topics to the handlers. */
export function openGossip(channels: readonly Heard[], modules: GossipModules): Gossip {
  const { service, telemetry } = modules;
  const inside = insideOf(service);
  meterFrames(inside, channels.length, modules);
  for (const channel of channels) {
    const budgets = new Map<Key, PeerBudget>();
    service.topicValidators.set(channel.topic, (peer, message) => validate(peer, message, channel, modules, budgets));
  }
  service.addEventListener("gossipsub:message", ({ detail }) => {
    // Only what the validator accepted comes here; the report is what makes gossipsub forward it.
    inside.reportMessageValidationResult(
      detail.msgId,
      detail.propagationSource.toString(),
      TopicValidatorResult.Accept,
    );
  });
  return {
    subscribe(): void {
      for (const { topic } of channels) service.subscribe(topic);
    },
    publish({ topic, messageBytesMax }, bytes): void {
      if (bytes.length > messageBytesMax) {
        telemetry.emit("network.publish-refused", { code: "message.too-large", bytes: bytes.length, messageBytesMax });
        return;
      }
      service.publish(topic, bytes).catch((error: unknown) => {
        telemetry.emit("network.publish-failed", { message: String(error) });
      });
    },
  };
}

function validate(
  peer: PeerId,
  message: Message,
  { label, messageBytesMax, handler }: Heard,
  { clock, telemetry, work, live, rejected, flooded }: GossipModules,
  budgets: Map<Key, PeerBudget>,
): TopicValidatorResult {
  const from = keyOfPeer(peer);
  if (from === null || !live()) return TopicValidatorResult.Ignore;
  const now = clock.now();
  const budget = budgetOf(from, now, budgets, MESSAGES);
  if (!budget.take(message.data.length, now)) {
    telemetry.count("network.message", "peer.flood");
    if (budget.overMs(now) > PEER.floodMsMax) flooded(from);
    return TopicValidatorResult.Ignore;
  }
  if (message.data.length > messageBytesMax) {
    telemetry.count("network.message", "message.too-large");
    telemetry.count("refused", "message.too-large");
    telemetry.emit("refused", { code: "message.too-large", author: "unreadable", entry: "batch", from });
    rejected(from, "message.too-large");
    return TopicValidatorResult.Reject;
  }
  const author = authorNamed(message.data);
  if (!work.allows(from) || (author !== null && !work.allows(author))) {
    telemetry.count("network.message", "peer.busy");
    return TopicValidatorResult.Ignore;
  }
  try {
    // A copy, because the bytes are a window on the whole frame, which one kept message would keep alive. (`slice` of
    // what is really a Buffer would be no copy.)
    const verdict = handler.message(new Uint8Array(message.data), from);
    work.spend(verdict.kind === "accept" ? (author ?? from) : from, clock.now() - now);
    telemetry.count("network.channel", label);
    telemetry.count("network.message", verdict.kind === "accept" ? "accept" : verdict.code);
    if (verdict.kind === "accept") return TopicValidatorResult.Accept;
    if (verdict.kind === "ignore") return TopicValidatorResult.Ignore;
    rejected(from, verdict.code);
    return TopicValidatorResult.Reject;
  } catch (error) {
    // The handler never throws for a reason of its input: this is a broken invariant, and gossipsub would swallow it.
    rethrow(error);
    return TopicValidatorResult.Ignore;
  }
}

/**
 * Counts frames before they are decoded. Gossipsub decodes whatever comes and forgets what it could not read, and what
 * it has seen before never gets to the validator: both cost us, and neither costs the sender anything.
 */
function meterFrames(
  inside: GossipService,
  channels: number,
  { clock, telemetry, flooded, struck }: GossipModules,
): void {
  // Frames do not say whose they are before they are decoded.
  const frames = [scaled(FRAMES[0], channels), scaled(FRAMES[1], channels)] as const;
  const budgets = new Map<Key, PeerBudget>();
  let unreadable = false;
  const decode = inside.decodeRpc.bind(inside);
  inside.decodeRpc = (bytes) => {
    try {
      return decode(bytes);
    } catch (error) {
      unreadable = true;
      throw error;
    }
  };
  async function* metered(from: Key, arriving: AsyncIterable<Frame>): AsyncGenerator<Frame, void, undefined> {
    for await (const frame of arriving) {
      const now = clock.now();
      const budget = budgetOf(from, now, budgets, frames);
      if (!budget.take(frame.byteLength, now)) {
        telemetry.count("network.message", "peer.flood");
        if (budget.overMs(now) > PEER.floodMsMax) flooded(from);
        continue;
      }
      unreadable = false;
      // Gossipsub decodes a frame before it asks for the next one, and nothing else runs in between.
      yield frame;
      if (!unreadable) continue;
      unreadable = false;
      telemetry.count("network.message", "frame.malformed");
      struck(from, "frame.malformed");
    }
  }
  /** The reader ends with a frame above the limit; gossipsub only forgets the stream. */
  async function* whole(from: Key, arriving: AsyncIterable<Frame>): AsyncGenerator<Frame, void, undefined> {
    try {
      yield* metered(from, arriving);
    } catch (error) {
      if (error instanceof Error && error.name === "InvalidDataLengthError") struck(from, "frame.too-large");
      throw error;
    }
  }
  const read = inside.pipePeerReadStream.bind(inside);
  inside.pipePeerReadStream = (peer, arriving) => {
    const from = keyOfPeer(peer);
    return read(peer, from === null ? arriving : whole(from, arriving));
  };
}

const { burst } = PEER;
const MESSAGES: readonly [Rate, Rate] = [
  { perSecond: PEER.messagesPerSecond, burst },
  { perSecond: PEER.bytesPerSecond, burst },
];
const FRAMES: readonly [Rate, Rate] = [
  { perSecond: PEER.framesPerSecond, burst },
  { perSecond: PEER.frameBytesPerSecond, burst },
];

/** Budgets outlive connections, or a flooder would only have to redial. */
function budgetOf(from: Key, now: number, budgets: Map<Key, PeerBudget>, rates: readonly [Rate, Rate]): PeerBudget {
  const known = budgets.get(from);
  if (known !== undefined) return known;
  const budget = new PeerBudget(...rates, now);
  budgets.set(from, budget);
  const oldest = budgets.keys().next().value;
  if (budgets.size > PEER.budgetsMax && oldest !== undefined) budgets.delete(oldest);
  return budget;
}

export function insideOf(service: GossipSub): GossipService {
  const inside = service as GossipService;
  const whole =
    inside.peers instanceof Map &&
    inside.streamsInbound instanceof Map &&
    inside.streamsOutbound instanceof Map &&
    typeof inside.getScore === "function" &&
    typeof inside.decodeRpc === "function" &&
    typeof inside.pipePeerReadStream === "function" &&
    typeof inside.reportMessageValidationResult === "function";
  if (!whole) throw new Error("this version of gossipsub hides its streams or scores; the watch cannot work");
  return inside;
}
