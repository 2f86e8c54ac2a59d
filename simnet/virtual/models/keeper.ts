/**
 * A network of nodes that decide their connections with the real keepers, bans and crowds, on simulated sockets. Members
 * and honest strangers keep their connections, die, come back and are cut off. Hostile peers come and go: they take
 * places, tell false addresses under countless keys, and misbehave until they are banned.
 */
import { domainHash, type Key, u64 } from "../../../src/protocol/ids.ts";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { BanList } from "../../../src/peers/bans.ts";
import { leaves, type Seat } from "../../../src/peers/crowd.ts";
import { KeeperMachine, type KeeperAction, type KeeperEvent, type Moment } from "../../../src/peers/keeper.ts";
import { KEEPER } from "../../../src/peers/limits.ts";
import { ConnectionJudge } from "../checkers/connections.ts";
import { Chance, World } from "../world.ts";

const MEMBERS = 6;
const STRANGERS = 24;
const HOSTILE = 60;
const RUN_MS = 180_000;
const LATENCY_MS = 40;
/** A dial to an address where nobody answers ends so late; a connection over a cut link dies so late. */
const DIAL_MS = 3_000;
const DEAD_MS = 8_000;

/** The clock on the wall is so much faster, because bans are longer than a run. */
const WALL_RATE = 20;

type Untimed<E> = E extends KeeperEvent ? Omit<E, keyof Moment> : never;

interface Link {
  readonly peer: Key;
  readonly isOutbound: boolean;
  readonly sinceMs: number;
  activeMs: number;
}

interface Peer {
  readonly key: Key;
  readonly kind: "member" | "stranger" | "hostile";
  readonly address: string;
  readonly links: Map<Key, Link>;
  bans: BanList;
  machine: KeeperMachine | null;
  isUp: boolean;
}

class Network {
  readonly world: World;
  readonly violations: string[] = [];
  readonly #chance: Chance;
  readonly #peers = new Map<Key, Peer>();
  readonly #byAddress = new Map<string, Peer>();
  readonly #cut = new Set<string>();
  readonly #judge: ConnectionJudge;
  readonly #members: readonly Key[];
  readonly #bootstrap: { readonly address: string; readonly key: Key | null };
  #invented = 0;

  constructor(seed: number) {
    this.world = new World(seed);
    this.#chance = new Chance(seed, "model/keeper");
    const peers = [
      ...Array.from({ length: MEMBERS }, (_, at) => this.#create("member", at)),
      ...Array.from({ length: STRANGERS }, (_, at) => this.#create("stranger", at)),
      ...Array.from({ length: HOSTILE }, (_, at) => this.#create("hostile", at)),
    ];
    this.#members = peers.flatMap(({ kind, key }) => (kind === "member" ? [key] : []));
    const [first] = peers;
    this.#bootstrap = { address: first?.address ?? "", key: seed % 2 === 0 ? null : (first?.key ?? null) };
    this.#judge = new ConnectionJudge(new Set(this.#members), (text) => void this.violations.push(text));
    for (const peer of peers) this.#start(peer);
    this.#disturb();
    this.#look();
  }

  get #wallMs(): number {
    return WALL_RATE * this.world.nowMs;
  }

  #create(kind: Peer["kind"], at: number): Peer {
    const key = domainHash("sim-peer", utf8ToBytes(kind), u64(at));
    const peer: Peer = {
      key,
      kind,
      address: `${kind}-${at}`,
      links: new Map(),
      bans: new BanList(),
      machine: null,
      isUp: false,
    };
    this.#peers.set(key, peer);
    this.#byAddress.set(peer.address, peer);
    return peer;
  }

  #start(peer: Peer): void {
    peer.isUp = true;
    this.#judge.started(peer.key, peer.kind, this.world.nowMs);
    if (peer.kind === "hostile") return this.#harass(peer);
    const machine = new KeeperMachine({ self: peer.key, bootstrap: [this.#bootstrap], members: this.#members });
    peer.machine = machine;
    const tick = (): void => {
      if (peer.machine !== machine) return;
      const connected = new Set(peer.links.keys());
      const isBanned = (key: Key) => peer.bans.has(key, this.#wallMs);
      this.#step(peer, { kind: "tick", connected, up: [...connected], isBanned });
      this.world.after(KEEPER.everyMs, tick);
    };
    this.world.after(this.#chance.between(0, KEEPER.everyMs), tick);
  }

  #stop(peer: Peer): void {
    peer.isUp = false;
    peer.machine = null;
    this.#judge.stopped(peer.key);
    for (const key of peer.links.keys()) this.#disconnect(peer, key);
  }

  #step(peer: Peer, event: Untimed<KeeperEvent>): void {
    const { machine } = peer;
    if (machine === null) return;
    const actions = machine.step({ ...event, nowMs: this.world.nowMs, draw: this.#chance.next() });
    for (const action of actions) {
      if (action.kind === "dial") this.#dial(peer, action);
      else this.#ask(peer, action.peer);
    }
  }

  #dial(from: Peer, { target, key, addresses }: Extract<KeeperAction, { kind: "dial" }>): void {
    const { machine } = from;
    const found = addresses.flatMap((address) => this.#byAddress.get(address) ?? []);
    const there = found.find((peer) => (key === null || peer.key === key) && this.#isReachable(from, peer));
    const isRefused = there === undefined || there.bans.has(from.key, this.#wallMs);
    if (there !== undefined && isRefused) this.#judge.refused(there.key, from.key, this.#wallMs);
    this.world.after(isRefused ? DIAL_MS : LATENCY_MS, () => {
      if (from.machine !== machine) return;
      const isThere = !isRefused && this.#isReachable(from, there);
      if (!isThere) return this.#step(from, { kind: "dial-failed", target });
      this.#connect(from, there);
      this.#step(from, { kind: "dialled", target, key: there.key });
    });
  }

  #connect(from: Peer, to: Peer): void {
    if (from.links.has(to.key) || from.key === to.key) return;
    const nowMs = this.world.nowMs;
    from.links.set(to.key, { peer: to.key, isOutbound: true, sinceMs: nowMs, activeMs: nowMs });
    to.links.set(from.key, { peer: from.key, isOutbound: false, sinceMs: nowMs, activeMs: nowMs });
    this.#judge.connected(from.key, to.key, this.#wallMs);
    for (const [here, there] of [
      [from, to],
      [to, from],
    ] as const) {
      this.#step(here, { kind: "connected", key: there.key });
      this.#step(here, { kind: "identified", key: there.key, addresses: [there.address] });
      if (here.kind !== "hostile") this.#makeRoom(here, there.key);
      if (here.links.has(there.key)) this.#step(here, { kind: "up", key: there.key, connected: keysOf(here) });
    }
  }

  /** As `network/presence.ts` does it. */
  #makeRoom(here: Peer, newcomer: Key): void {
    const nowMs = this.world.nowMs;
    const seats = [...here.links.values()].map(({ peer, isOutbound, activeMs }): Seat => {
      const isMember = this.#members.includes(peer);
      const standing = isMember ? "member" : isOutbound ? "dialled" : "stranger";
      return { key: peer, standing, idleMs: nowMs - activeMs };
    });
    const leaver = leaves(newcomer, seats);
    if (leaver === null) return;
    this.#judge.cut(here.key, leaver);
    this.#disconnect(here, leaver);
  }

  #disconnect(here: Peer, key: Key): void {
    const there = this.#peers.get(key);
    if (!here.links.delete(key) || there === undefined) return;
    there.links.delete(here.key);
    this.#judge.disconnected(here.key, key, this.world.nowMs);
    this.#step(here, { kind: "disconnected", key });
    this.#step(there, { kind: "disconnected", key: here.key });
  }

  #ask(from: Peer, key: Key): void {
    const there = this.#peers.get(key);
    const { machine } = from;
    this.world.after(2 * LATENCY_MS, () => {
      if (there === undefined || from.machine !== machine || !from.links.has(key)) return;
      const peers = there.machine?.list(from.key, [there.address], keysOf(there)) ?? this.#lies(there);
      const link = there.links.get(from.key);
      if (link !== undefined) link.activeMs = this.world.nowMs;
      this.#step(from, { kind: "told", by: key, peers });
    });
  }

  /** False addresses of members, and keys that nobody has. */
  #lies({ key, address }: Peer): readonly (readonly [Key, readonly string[]])[] {
    const nobody = Array.from({ length: KEEPER.exchangePeersMax - MEMBERS - 1 }, () => this.#invent());
    return [
      [key, [address]] as const,
      ...this.#members.map((member) => [member, ["nowhere-1", "nowhere-2", "nowhere-3", "nowhere-4"]] as const),
      ...nobody.map((each) => [each, [`nowhere-${each.slice(0, 8)}`]] as const),
    ];
  }

  #invent(): Key {
    return domainHash("sim-nobody", u64(this.#invented++));
  }

  /** A hostile peer dials somebody now and then, under its key, and stays, idles, or misbehaves. */
  #harass(peer: Peer): void {
    const again = () => this.world.after(this.#chance.between(200, 4_000), () => this.#harass(peer));
    const honest = [...this.#peers.values()].filter(({ kind, isUp }) => kind !== "hostile" && isUp);
    const victim = honest[this.#chance.between(0, honest.length - 1)];
    const nowMs = this.world.nowMs;
    again();
    if (victim === undefined) return;
    const link = peer.links.get(victim.key);
    if (link !== undefined) {
      const act = this.#chance.between(0, 3);
      if (act === 0) this.#disconnect(peer, victim.key);
      else if (act === 1) {
        const termMs = victim.bans.add(peer.key, this.#wallMs);
        this.#judge.banned(victim.key, peer.key, this.#wallMs, termMs);
        this.#disconnect(victim, peer.key);
      } else {
        const there = victim.links.get(peer.key);
        if (there !== undefined) there.activeMs = nowMs;
        // A connection of a key of its own each time costs nothing but the handshake.
        this.#step(victim, { kind: "identified", key: this.#invent(), addresses: ["nowhere"] });
      }
    } else if (victim.bans.has(peer.key, this.#wallMs)) this.#judge.refused(victim.key, peer.key, this.#wallMs);
    else this.#connect(peer, victim);
  }

  #isReachable(a: Peer, b: Peer): boolean {
    return a.isUp && b.isUp && a.key !== b.key && !this.#cut.has(pairOf(a.key, b.key));
  }

  /** Honest nodes die and come back, and links are cut, until the last minute and a half. */
  #disturb(): void {
    const { world } = this;
    if (world.nowMs > RUN_MS - 90_000) return;
    world.after(this.#chance.between(1_000, 8_000), () => this.#disturb());
    const honest = [...this.#peers.values()].filter(({ kind }) => kind !== "hostile");
    const one = honest[this.#chance.between(0, honest.length - 1)];
    const other = honest[this.#chance.between(0, honest.length - 1)];
    if (one === undefined || other === undefined || one === other) return;
    if (this.#chance.next() < 0.4) {
      if (!one.isUp) return;
      this.#stop(one);
      world.after(this.#chance.between(500, 20_000), () => this.#start(one));
      return;
    }
    const pair = pairOf(one.key, other.key);
    if (this.#cut.has(pair)) return;
    this.#cut.add(pair);
    this.#judge.parted(one.key, other.key);
    world.after(DEAD_MS, () => {
      if (this.#cut.has(pair)) this.#disconnect(one, other.key);
    });
    world.after(this.#chance.between(1_000, 40_000), () => {
      this.#cut.delete(pair);
      this.#judge.mended(one.key, other.key, world.nowMs);
    });
  }

  #look(): void {
    this.world.after(1_000, () => this.#look());
    this.#judge.look(this.world.nowMs);
    for (const { key, links, machine, kind } of this.#peers.values()) {
      if (machine === null || kind === "hostile") continue;
      const strangers = [...links.values()].filter(
        ({ peer, isOutbound }) => !isOutbound && !this.#members.includes(peer),
      );
      this.#judge.counted(key, strangers.length, machine.sizes);
    }
  }
}

export function fuzzKeepers(seed: number): readonly string[] {
  const network = new Network(seed);
  network.world.run(RUN_MS, () => network.violations.length >= 5);
  return network.violations;
}

function keysOf({ links }: Peer): ReadonlySet<Key> {
  return new Set(links.keys());
}

function pairOf(a: Key, b: Key): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}
