/**
 * Keeps the connections that the node should have, for ever.
 *
 * libp2p gives a lost peer up after five dials; a partition lasts as long as it lasts. Every bootstrap address and
 * every member is dialled again until it answers, and connected peers are asked for the addresses of members that we
 * miss, so that one bootstrap address is enough.
 */
import type { Connection, Libp2p, PeerId } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import type { Multiaddr } from "@multiformats/multiaddr";
import type { Key } from "../protocol/ids.ts";
import { isHash } from "../protocol/ids.ts";
import type { Cancel, Clock, Result, Telemetry } from "../ports.ts";
import { keyOfAddress, reachOf, withoutPeer } from "./addresses.ts";
import type { Reach } from "./addresses.ts";
import type { Bans } from "./bans.ts";
import { Book } from "./book.ts";
import { keyOfPeer, peerOfKey } from "./identity.ts";
import { CONNECTIONS_TARGET, KEEPER, LIBP2P } from "./limits.ts";

export interface KeeperOptions {
  readonly self: Key;
  readonly bootstrap: readonly Multiaddr[];
  readonly members: readonly Key[];
}

export interface KeeperModules {
  readonly node: Libp2p;
  readonly bans: Bans;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Who can be asked for peers. */
  readonly up: () => readonly Key[];
  readonly ask: (peer: Key, done: (result: Result<readonly Uint8Array[]>) => void) => void;
}

interface Target {
  /** Not known before the first connection if the operator gave an address without a peer id. */
  key: Key | null;
  readonly address: Multiaddr | null;
  failures: number;
  nextAt: number;
  dialling: boolean;
  connectedAt: number | null;
}

export class Keeper {
  readonly #self: Key;
  readonly #modules: KeeperModules;
  readonly #book = new Book();
  readonly #targets = new Map<string, Target>();
  #members: ReadonlySet<Key> = new Set();
  #ended = false;
  #cancel: Cancel = () => undefined;
  #exchangeAt = 0;

  constructor({ self, bootstrap, members }: KeeperOptions, modules: KeeperModules) {
    this.#self = self;
    this.#modules = modules;
    for (const address of bootstrap) {
      const key = keyOfAddress(address);
      if (key === null) this.#target(address.toString(), null, address);
      else this.#book.configure(key, withoutPeer(address));
    }
    this.setMembers(members);
  }

  setMembers(members: readonly Key[]): void {
    this.#members = new Set(members);
  }

  begin(): void {
    const { node, clock } = this.#modules;
    node.addEventListener("peer:connect", ({ detail }) => this.#connected(detail));
    node.addEventListener("peer:disconnect", ({ detail }) => this.#disconnected(detail));
    node.addEventListener("peer:identify", ({ detail }) => {
      const key = keyOfPeer(detail.peerId);
      const addresses = detail.listenAddrs.map(String);
      if (key !== null) this.#book.own(key, addresses, reachOfConnection(detail.connection));
    });
    const tick = (): void => {
      if (this.#ended) return;
      this.#cancel = clock.after(KEEPER.everyMs, tick);
      this.#tick();
    };
    this.#cancel = clock.after(0, tick);
  }

  end(): void {
    this.#ended = true;
    this.#cancel();
  }

  /** A peer came up: it may know whom we miss. */
  peerUp(peer: Key): void {
    if (this.#missing()) this.#exchange(peer);
  }

  /** The list that a peer is told: ourselves, and whom we are connected to, members first. */
  tell(asking: Key, ownAddresses: readonly string[]): Uint8Array {
    const connected = [...this.#connectedKeys()].filter((key) => key !== asking);
    const ranked = connected.sort((a, b) => Number(this.#members.has(b)) - Number(this.#members.has(a)));
    const rows = ranked.map((key) => [key, this.#book.tellable(key)] as const);
    const own = ownAddresses.slice(0, KEEPER.addressesOwnMax).map((text) => withoutPeer(multiaddr(text)));
    const told = [[this.#self, own] as const, ...rows].filter(([, addresses]) => addresses.length > 0);
    return new TextEncoder().encode(JSON.stringify(told.slice(0, KEEPER.exchangePeersMax)));
  }

  #target(id: string, key: Key | null, address: Multiaddr | null): Target {
    let target = this.#targets.get(id);
    if (target === undefined) {
      target = { key, address, failures: 0, nextAt: 0, dialling: false, connectedAt: null };
      this.#targets.set(id, target);
    }
    return target;
  }

  #connectedKeys(): Set<Key> {
    const keys = new Set<Key>();
    for (const { remotePeer, status } of this.#modules.node.getConnections()) {
      const key = keyOfPeer(remotePeer);
      if (key !== null && status === "open") keys.add(key);
    }
    return keys;
  }

  #missing(): boolean {
    const connected = this.#connectedKeys();
    if (connected.size < CONNECTIONS_TARGET) return true;
    return [...this.#members].some((key) => key !== this.#self && !connected.has(key));
  }

  #tick(): void {
    const connected = this.#connectedKeys();
    const now = this.#modules.clock.now();
    for (const key of this.#book.keys()) {
      if (this.#targets.has(key)) continue;
      // Two nodes that hear of each other would dial each other at once; the larger key lets the smaller one begin.
      const yields = key < this.#self && !this.#book.configured(key);
      this.#target(key, key, null).nextAt = yields ? now + KEEPER.yieldMs : 0;
    }
    let dialling = [...this.#targets.values()].filter((target) => target.dialling).length;
    for (const [id, target] of this.#targets) {
      if (dialling >= KEEPER.dialsMax) break;
      if (target.dialling || target.nextAt > now || !this.#wanted(id, target, connected)) continue;
      if (this.#dial(target)) dialling += 1;
      else this.#targets.delete(id);
    }
    if (now >= this.#exchangeAt && this.#missing()) {
      this.#exchangeAt = now + KEEPER.exchangeEveryMs;
      const up = this.#modules.up();
      const peer = up[Math.floor(Math.random() * up.length)];
      if (peer !== undefined) this.#exchange(peer);
    }
  }

  #wanted(id: string, { key, address, failures }: Target, connected: ReadonlySet<Key>): boolean {
    if (key === null) return true;
    if (key === this.#self || connected.has(key) || this.#modules.bans.has(key)) return false;
    if (address !== null || this.#members.has(key) || this.#book.configured(key)) return true;
    if (failures < KEEPER.strangerFailuresMax) return connected.size < CONNECTIONS_TARGET;
    this.#targets.delete(id);
    this.#book.forget(key);
    return false;
  }

  /** Starts a dial if the book still has an address; what it ends with sets the time of the next. */
  #dial(target: Target): boolean {
    const { node, clock, telemetry } = this.#modules;
    const addresses = target.address === null ? this.#addressesOf(target) : [target.address];
    if (addresses.length === 0) return false;
    target.dialling = true;
    node.dial([...addresses], { signal: AbortSignal.timeout(LIBP2P.dialMsMax) }).then(
      ({ remotePeer }) => {
        target.dialling = false;
        target.key ??= keyOfPeer(remotePeer);
        target.connectedAt ??= clock.now();
      },
      (error: unknown) => {
        target.dialling = false;
        this.#backOff(target);
        telemetry.count("network.dial", error instanceof Error ? error.name : "failed");
      },
    );
    return true;
  }

  #addressesOf({ key, failures }: Target): Multiaddr[] {
    if (key === null) return [];
    const suffix = `/p2p/${peerOfKey(key).toString()}`;
    return this.#book.dialable(key, failures).map((text) => multiaddr(text).encapsulate(suffix));
  }

  #backOff(target: Target): void {
    target.failures += 1;
    const delayMs = Math.min(KEEPER.backoffLongestMs, KEEPER.backoffFirstMs * 2 ** Math.min(target.failures - 1, 16));
    // Jitter, or the nodes that lost each other together knock together.
    target.nextAt = this.#modules.clock.now() + delayMs * (0.75 + Math.random() / 2);
  }

  #connected(peer: PeerId): void {
    const key = keyOfPeer(peer);
    for (const target of this.#targets.values()) {
      if (key !== null && target.key === key) target.connectedAt = this.#modules.clock.now();
    }
  }

  #disconnected(peer: PeerId): void {
    const key = keyOfPeer(peer);
    const now = this.#modules.clock.now();
    for (const target of this.#targets.values()) {
      if (key === null || target.key !== key) continue;
      if (target.connectedAt !== null && now - target.connectedAt > KEEPER.steadyMs) target.failures = 0;
      target.connectedAt = null;
      this.#backOff(target);
    }
  }

  #exchange(peer: Key): void {
    this.#modules.ask(peer, (result) => {
      if (!result.ok || this.#ended) return;
      const connection = this.#modules.node.getConnections(peerOfKey(peer))[0];
      const frame = result.value[0];
      if (connection === undefined || frame === undefined) return;
      const teller = reachOfConnection(connection);
      for (const [key, addresses] of parsePeers(frame)) {
        if (key === this.#self) continue;
        if (key === peer) this.#book.own(key, addresses, teller);
        else this.#book.heard(key, addresses, teller);
      }
      this.#book.trim((key) => this.#members.has(key));
    });
  }
}

function reachOfConnection(connection: Connection): Reach {
  return reachOf(connection.remoteAddr) ?? "public";
}

/** What of an answer has the right shape; the rest is left out, nobody is punished for hints. */
export function parsePeers(frame: Uint8Array): [Key, string[]][] {
  let rows: unknown;
  try {
    rows = JSON.parse(new TextDecoder().decode(frame));
  } catch {
    return [];
  }
  if (!Array.isArray(rows)) return [];
  const peers: [Key, string[]][] = [];
  for (const row of rows.slice(0, KEEPER.exchangePeersMax) as unknown[]) {
    if (!Array.isArray(row)) continue;
    const [key, addresses] = row as unknown[];
    if (typeof key !== "string" || !isHash(key) || !Array.isArray(addresses)) continue;
    peers.push([key, addresses.filter((address): address is string => typeof address === "string")]);
  }
  return peers;
}
