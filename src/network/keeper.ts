/**
 * Keeps the connections that the node should have, for ever. `peers/keeper.ts` decides; this shell dials, asks, and passes
 * on what libp2p reports. libp2p itself gives a lost peer up after five dials.
 */
import type { Connection, Libp2p } from "@libp2p/interface";
import { multiaddr } from "@multiformats/multiaddr";
import type { Multiaddr } from "@multiformats/multiaddr";
import { KeeperMachine, type KeeperAction, type KeeperEvent, type Moment } from "../peers/keeper.ts";
import { KEEPER } from "../peers/limits.ts";
import type { Key } from "../protocol/ids.ts";
import { isHash } from "../protocol/ids.ts";
import type { Cancel, Clock, Result, Telemetry } from "../ports.ts";
import { keyOfAddress, reachOf, sanitise, withoutPeer } from "./addresses.ts";
import type { Reach } from "./addresses.ts";
import type { Bans } from "./bans.ts";
import { keyOfPeer, peerOfKey } from "./identity.ts";
import { LIBP2P } from "./limits.ts";

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

type Untimed<E> = E extends KeeperEvent ? Omit<E, keyof Moment> : never;

export class Keeper {
  readonly #modules: KeeperModules;
  readonly #machine: KeeperMachine;
  #ended = false;
  #cancel: Cancel = () => undefined;

  constructor({ self, bootstrap, members }: KeeperOptions, modules: KeeperModules) {
    this.#modules = modules;
    this.#machine = new KeeperMachine({
      self,
      members,
      bootstrap: bootstrap.map((address) => {
        const key = keyOfAddress(address);
        return { key, address: key === null ? address.toString() : withoutPeer(address) };
      }),
    });
  }

  setMembers(members: readonly Key[]): void {
    this.#machine.setMembers(members);
  }

  begin(): void {
    const { node, clock, bans, up } = this.#modules;
    node.addEventListener("peer:connect", ({ detail }) => {
      const key = keyOfPeer(detail);
      if (key !== null) this.#step({ kind: "connected", key });
    });
    node.addEventListener("peer:disconnect", ({ detail }) => {
      const key = keyOfPeer(detail);
      if (key !== null) this.#step({ kind: "disconnected", key });
    });
    node.addEventListener("peer:identify", ({ detail }) => {
      const key = keyOfPeer(detail.peerId);
      const told = detail.listenAddrs.map(String);
      const addresses = sanitise(told, reachOfConnection(detail.connection), KEEPER.addressesOwnMax);
      if (key !== null) this.#step({ kind: "identified", key, addresses });
    });
    const tick = (): void => {
      if (this.#ended) return;
      this.#cancel = clock.after(KEEPER.everyMs, tick);
      this.#step({ kind: "tick", connected: this.#connected(), up: up(), isBanned: (key) => bans.has(key) });
    };
    this.#cancel = clock.after(0, tick);
  }

  end(): void {
    this.#ended = true;
    this.#cancel();
  }

  /** A peer came up: it may know whom the node misses. */
  peerUp(key: Key): void {
    this.#step({ kind: "up", key, connected: this.#connected() });
  }

  /** The list of peers for one that asks. */
  tell(asking: Key, ownAddresses: readonly string[]): Uint8Array {
    const own = ownAddresses.map((text) => withoutPeer(multiaddr(text)));
    return new TextEncoder().encode(JSON.stringify(this.#machine.list(asking, own, this.#connected())));
  }

  #step(event: Untimed<KeeperEvent>): void {
    const moment = { nowMs: this.#modules.clock.now(), draw: Math.random() };
    for (const action of this.#machine.step({ ...event, ...moment })) {
      if (action.kind === "dial") this.#dial(action);
      else this.#exchange(action.peer);
    }
  }

  #connected(): Set<Key> {
    const keys = new Set<Key>();
    for (const { remotePeer, status } of this.#modules.node.getConnections()) {
      const key = keyOfPeer(remotePeer);
      if (key !== null && status === "open") keys.add(key);
    }
    return keys;
  }

  #dial({ target, key, addresses }: Extract<KeeperAction, { kind: "dial" }>): void {
    const { node, telemetry } = this.#modules;
    const suffix = key === null ? null : `/p2p/${peerOfKey(key).toString()}`;
    const parsed = addresses.map((text) => {
      const address = multiaddr(text);
      return suffix === null ? address : address.encapsulate(suffix);
    });
    node.dial(parsed, { signal: AbortSignal.timeout(LIBP2P.dialMsMax) }).then(
      ({ remotePeer }) => this.#step({ kind: "dialled", target, key: keyOfPeer(remotePeer) }),
      (error: unknown) => {
        this.#step({ kind: "dial-failed", target });
        telemetry.count("network.dial", error instanceof Error ? error.name : "failed");
      },
    );
  }

  #exchange(peer: Key): void {
    this.#modules.ask(peer, (result) => {
      if (!result.ok || this.#ended) return;
      const connection = this.#modules.node.getConnections(peerOfKey(peer))[0];
      const frame = result.value[0];
      if (connection === undefined || frame === undefined) return;
      const teller = reachOfConnection(connection);
      const peers = parsePeers(frame).map(([key, told]) => {
        const most = key === peer ? KEEPER.addressesOwnMax : KEEPER.addressesHeardMax;
        return [key, sanitise(told, teller, most)] as const;
      });
      this.#step({ kind: "told", by: peer, peers });
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
