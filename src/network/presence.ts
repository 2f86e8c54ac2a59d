/**
 * Who is there, who is deaf, who has to go.
 *
 * A connection can be open while gossip on it is dead for good: one frame above the limit is enough, between two
 * honest nodes. So a peer is `up` only while both gossip streams are open, and a connection without them is closed for
 * the keeper to dial again.
 */
import { PING_PROTOCOL } from "@libp2p/ping";
import type { Connection, Libp2p, PeerId, Stream } from "@libp2p/interface";
import type { Key } from "../protocol/ids.ts";
import type { Cancel, Clock, Telemetry, TransportHandler } from "../ports.ts";
import type { Bans } from "./bans.ts";
import type { GossipService } from "./gossip.ts";
import { keyOfPeer, peerOfKey } from "./identity.ts";
import { Bucket, PeerBudget, scaled } from "./budget.ts";
import { leaves, type Seat } from "../peers/crowd.ts";
import { PEER, SCORE, WATCH } from "./limits.ts";

const MESHSUB = "/meshsub/";
/** What gossipsub itself holds against a peer, and says no more about. */
const BEHAVIOUR = "gossip.behaviour";
const PIECES = { perSecond: PEER.piecesPerSecond, burst: PEER.burst };
const PINGS = { perSecond: PEER.pingsPerSecond, burst: PEER.pingBurst };
const PING_BYTES = 32;
const PIECE_BYTES = { perSecond: 2 * PEER.frameBytesPerSecond, burst: PEER.burst };

export interface PresenceModules {
  readonly node: Libp2p;
  readonly gossip: GossipService;
  /** Each hears who shares its topic. */
  readonly channels: readonly { readonly topic: string; readonly handler: Pick<TransportHandler, "peer"> }[];
  readonly bans: Bans;
  readonly strikes: Strikes;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly live: () => boolean;
  readonly standing: (key: Key) => "member" | "admitted" | "stranger";
}

/** The application's part of the scores: members get a little trust, floods cost it. By peer id, as gossipsub asks. */
export class Strikes {
  readonly #clock: Clock;
  readonly #strikes = new Map<string, { readonly points: number; readonly at: number }>();
  #members: ReadonlySet<string> = new Set();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  setMembers(keys: readonly Key[]): void {
    this.#members = new Set(keys.map((key) => peerOfKey(key).toString()));
  }

  add(peer: PeerId, strike: number): void {
    const id = peer.toString();
    const points = this.#decayed(id) + strike;
    this.#strikes.delete(id);
    this.#strikes.set(id, { points, at: this.#clock.now() });
    const oldest = this.#strikes.keys().next().value;
    if (this.#strikes.size > SCORE.strikesMax && oldest !== undefined) this.#strikes.delete(oldest);
  }

  readonly score = (id: string): number => (this.#members.has(id) ? SCORE.member : 0) + this.#decayed(id);

  #decayed(id: string): number {
    const strike = this.#strikes.get(id);
    if (strike === undefined) return 0;
    return strike.points * 0.5 ** ((this.#clock.now() - strike.at) / SCORE.strikeHalfLifeMs);
  }
}

interface Watched {
  readonly peer: PeerId;
  readonly key: Key;
  /** When it last asked or sent something other than a ping; at first, when it connected. */
  activeAt: number;
  /** Those of our topics that it has. */
  readonly topics: Set<string>;
  /** Whether identify named gossip among the peer's protocols. */
  speaks: boolean;
  everAlive: boolean;
  deafBeats: number;
  /** The topics by which it was reported. */
  readonly up: Set<string>;
  /** The last thing that it did wrong. */
  code: string;
  readonly meter: PeerBudget;
  readonly pings: Bucket;
}

export class Presence {
  readonly #modules: PresenceModules;
  readonly #watched = new Map<string, Watched>();
  readonly #metered = new WeakSet<Stream>();
  #cancelWatch: Cancel = () => undefined;
  #cancelReady: Cancel | null = null;
  #onUp: (peer: Key) => void = () => undefined;
  #onDown: (peer: Key) => void = () => undefined;

  constructor(modules: PresenceModules) {
    this.#modules = modules;
  }

  /** Listens from now on; nothing is reported before `begin`. */
  attach(onUp: (peer: Key) => void, onDown: (peer: Key) => void): void {
    this.#onUp = onUp;
    this.#onDown = onDown;
    const { node, gossip, channels } = this.#modules;
    const ours = new Set(channels.map(({ topic }) => topic));
    node.addEventListener("connection:open", ({ detail }) => this.#crowded(detail));
    node.addEventListener("peer:connect", ({ detail }) => this.#connected(detail));
    node.addEventListener("peer:disconnect", ({ detail }) => this.#disconnected(detail));
    node.addEventListener("peer:identify", ({ detail }) => {
      const watched = this.#watched.get(detail.peerId.toString());
      if (watched !== undefined) watched.speaks = detail.protocols.some((protocol) => protocol.startsWith(MESHSUB));
    });
    gossip.addEventListener("subscription-change", ({ detail }) => {
      this.#connected(detail.peerId);
      const watched = this.#watched.get(detail.peerId.toString());
      for (const { topic, subscribe } of detail.subscriptions) {
        if (!ours.has(topic)) continue;
        if (subscribe) watched?.topics.add(topic);
        else watched?.topics.delete(topic);
      }
      this.#awaitReady();
    });
  }

  begin(): void {
    const watch = (): void => {
      this.#cancelWatch = this.#modules.clock.after(WATCH.everyMs, watch);
      for (const watched of this.#watched.values()) this.#beat(watched);
    };
    this.#cancelWatch = this.#modules.clock.after(WATCH.everyMs, watch);
    this.#awaitReady();
  }

  end(): void {
    this.#cancelWatch();
    this.#cancelReady?.();
    this.#watched.clear();
  }

  /** Peers that gossip reaches: by this topic, or by any where none is given. */
  up(topic?: string): readonly Key[] {
    const isUp = ({ up }: Watched): boolean => (topic === undefined ? up.size > 0 : up.has(topic));
    return [...this.#watched.values()].filter(isUp).map(({ key }) => key);
  }

  connected(): readonly Key[] {
    return [...this.#watched.values()].map(({ key }) => key);
  }

  /** An open connection to a peer, or `null`. */
  connection(key: Key): Connection | null {
    return this.#connections(peerOfKey(key)).find(({ status }) => status === "open") ?? null;
  }

  /**
   * Bans the peer if its score is below the graylist. Gossipsub caches scores for a heartbeat, in which a peer that is cut
   * off may come again a dozen times; its strikes alone are enough.
   * `code` is what it has just done wrong, if anything.
   */
  judge(key: Key, code?: string): void {
    const { gossip, bans, strikes, telemetry } = this.#modules;
    const peer = peerOfKey(key);
    const watched = this.#watched.get(peer.toString());
    if (watched !== undefined && code !== undefined) watched.code = code;
    const id = peer.toString();
    const score = Math.min(gossip.getScore(id), SCORE.appWeight * strikes.score(id));
    if (score >= SCORE.thresholds.graylistThreshold || bans.has(key)) return;
    const termMs = bans.add(key);
    const why = watched?.code ?? code ?? BEHAVIOUR;
    telemetry.emit("network.banned", { peer: key, code: why, score: Math.round(score), termMs });
    this.#cut(peer, "banned");
  }

  /** The peer did what costs no score by itself. */
  struck(key: Key, code: string): void {
    this.#modules.strikes.add(peerOfKey(key), code === "request.slow" ? SCORE.slowStrike : SCORE.strike);
    this.#modules.telemetry.emit("refused", { code, author: key, entry: "stream", from: key });
    this.judge(key, code);
  }

  /** The peer sent more than it may for longer than it may. */
  flooded(key: Key): void {
    const peer = peerOfKey(key);
    // A connection that is being cut still delivers what it holds.
    if (!this.#connections(peer).some(({ status }) => status === "open")) return;
    this.#modules.strikes.add(peer, SCORE.strike);
    this.#modules.telemetry.emit("network.flooded", { peer: key });
    this.#cut(peer, "flooding");
    // It may be back and gone again before the next heartbeat looks.
    this.judge(key, "peer.flood");
  }

  #connections(peer: PeerId): Connection[] {
    return this.#modules.node.getConnections(peer);
  }

  #connected(peer: PeerId): void {
    const key = keyOfPeer(peer);
    const id = peer.toString();
    if (key === null || this.#watched.has(id) || this.#connections(peer).length === 0) return;
    const { clock, channels } = this.#modules;
    const meter = new PeerBudget(scaled(PIECES, channels.length), scaled(PIECE_BYTES, channels.length), clock.now());
    const fresh = {
      activeAt: clock.now(),
      topics: new Set<string>(),
      speaks: false,
      everAlive: false,
      deafBeats: 0,
      up: new Set<string>(),
      code: BEHAVIOUR,
      meter,
      pings: new Bucket(PINGS, clock.now()),
    };
    this.#watched.set(id, { peer, key, ...fresh });
    this.#makeRoom(key);
    this.#awaitReady();
  }

  /** Where the newcomer is one too many, the peer that is idle for longest gives it its place. */
  #makeRoom(newcomer: Key): void {
    const { clock, standing } = this.#modules;
    const seats = [...this.#watched.values()].map(({ peer, key, activeAt }): Seat => {
      const dialled = this.#connections(peer).some(({ direction }) => direction === "outbound");
      const known = standing(key);
      return { key, standing: dialled && known === "stranger" ? "dialled" : known, idleMs: clock.now() - activeAt };
    });
    const leaver = leaves(newcomer, seats);
    if (leaver !== null) this.#cut(peerOfKey(leaver), leaver === newcomer ? "full" : "idle");
  }

  #disconnected(peer: PeerId): void {
    const watched = this.#watched.get(peer.toString());
    this.#watched.delete(peer.toString());
    if (watched !== undefined) this.#down(watched);
  }

  #down(watched: Watched): void {
    if (watched.up.size === 0) return;
    const lost = [...watched.up];
    watched.up.clear();
    this.#onDown(watched.key);
    for (const topic of lost) this.#report(watched, topic, "down");
  }

  /** Streams open without an event that tells so; while somebody's are opening they are looked at often. */
  #awaitReady(): void {
    if (this.#cancelReady !== null || !this.#modules.live()) return;
    this.#cancelReady = this.#modules.clock.after(WATCH.readyEveryMs, () => {
      this.#cancelReady = null;
      let waiting = false;
      for (const watched of this.#watched.values()) {
        if (watched.up.size > 0 && isSubset(watched.topics, watched.up)) continue;
        if (this.#alive(watched)) this.#raise(watched);
        else waiting = true;
      }
      if (waiting) this.#awaitReady();
    });
  }

  #raise(watched: Watched): void {
    watched.everAlive = true;
    watched.deafBeats = 0;
    const fresh = [...watched.topics].filter((topic) => !watched.up.has(topic));
    const isFirst = watched.up.size === 0;
    for (const topic of fresh) watched.up.add(topic);
    if (isFirst) this.#onUp(watched.key);
    for (const topic of fresh) this.#report(watched, topic, "up");
  }

  #report({ key }: Watched, topic: string, state: "up" | "down"): void {
    if (!this.#modules.live()) return;
    this.#modules.channels.find((channel) => channel.topic === topic)?.handler.peer(key, state);
  }

  /** What gossipsub believes and what the streams say must both hold: after an oversize frame either may lie. */
  #alive({ peer, topics }: Watched): boolean {
    if (topics.size === 0) return false;
    const { gossip } = this.#modules;
    const id = peer.toString();
    if (!gossip.peers.has(id) || !gossip.streamsInbound.has(id) || !gossip.streamsOutbound.has(id)) return false;
    const streams = this.#connections(peer)
      .flatMap((connection) => connection.streams)
      .filter(({ protocol }) => protocol.startsWith(MESHSUB));
    const inbound = streams.some((stream) => stream.direction === "inbound" && stream.remoteWriteStatus === "writable");
    const outbound = streams.some((stream) => stream.direction === "outbound" && stream.writeStatus === "writable");
    return inbound && outbound;
  }

  #beat(watched: Watched): void {
    this.judge(watched.key);
    const connections = this.#connections(watched.peer);
    for (const { streams } of connections) for (const stream of streams) this.#meter(watched, stream);
    if (connections.length === 0) return this.#disconnected(watched.peer);
    if (this.#alive(watched)) {
      watched.deafBeats = 0;
      for (const topic of watched.up) {
        if (watched.topics.has(topic)) continue;
        watched.up.delete(topic);
        this.#report(watched, topic, "down");
      }
      return;
    }
    watched.deafBeats += 1;
    const streaming = connections.some(({ streams }) => streams.some(({ protocol }) => protocol.startsWith(MESHSUB)));
    if (watched.deafBeats < beatsMax(watched, streaming)) return;
    const code = watched.speaks || streaming ? "deaf" : "stranger";
    if (code === "deaf") this.#modules.telemetry.emit("network.recycled", { peer: watched.key });
    this.#cut(watched.peer, code);
  }

  /** Whatever comes on streams that the peer has opened: gossip, requests, pings. */
  #meter(watched: Watched, stream: Stream): void {
    if (stream.direction !== "inbound" || this.#metered.has(stream)) return;
    this.#metered.add(stream);
    stream.addEventListener("message", ({ data }) => {
      const now = this.#modules.clock.now();
      const isPing = stream.protocol === PING_PROTOCOL;
      if (!isPing) watched.activeAt = now;
      if (isPing && !watched.pings.take(Math.ceil(data.byteLength / PING_BYTES), now)) return this.flooded(watched.key);
      if (watched.meter.take(data.byteLength, now) || watched.meter.overMs(now) <= PEER.floodMsMax) return;
      this.flooded(watched.key);
    });
  }

  /** A key needs one connection; more of them are more buffers, streams and slots. */
  #crowded(connection: Connection): void {
    const open = this.#connections(connection.remotePeer).filter(({ status }) => status === "open");
    if (open.length <= PEER.connectionsMax) return;
    this.#modules.telemetry.count("network.cut", "crowded");
    connection.abort(new Error("connection cut: crowded"));
  }

  #cut(peer: PeerId, code: string): void {
    this.#modules.telemetry.count("network.cut", code);
    for (const connection of this.#connections(peer)) connection.abort(new Error(`connection cut: ${code}`));
  }
}

function isSubset(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  return [...part].every((each) => whole.has(each));
}

function beatsMax(watched: Watched, streaming: boolean): number {
  if (watched.everAlive) return WATCH.deafBeats;
  if (watched.speaks || streaming) return WATCH.deafBeatsAtFirst;
  return Math.ceil(WATCH.strangerMsMax / WATCH.everyMs);
}
