/**
 * A simulated network: best-effort flood, request streams that fail, and connections that come and go.
 *
 * A link that is cut drops what is sent over it; the connection ends when its monitor notices, and comes back some time
 * after the cut is over. A link that is deaf drops gossip only and looks open for ever, as real ones have been seen to.
 *
 * Processes have addresses and are known by their keys, as with libp2p. Two of one key may both be connected to a peer, which
 * has its gossip streams with the one that came first and asks that one; the other may ask, and gets gossip from
 * that peer only once the first is gone. Two of one key never connect to each other.
 */
import type { Artefacts, Cancel, Done, Request, Transport, TransportHandler } from "../../src/ports.ts";
import { artefactHash, type Hash, type Key } from "../../src/protocol/ids.ts";
import { isOpening } from "../../src/protocol/opening.ts";
import type { SimProcess } from "./process.ts";
import type { Chance, World } from "./world.ts";

export interface LinkFaults {
  /** Share of gossip messages that never arrive. */
  readonly loss: number;
  /** Share that arrive twice, and that arrive once more up to two minutes later. */
  readonly duplicate: number;
  readonly replay: number;
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** Whether the nodes are spread over five regions of the world. */
  readonly wan: boolean;
}

const REPLAY_MS_MAX = 120_000;
/** When a connection that carries nothing is given up, and how long until somebody dials again after the heal. */
const MONITOR_MS = 7_000;
const REDIAL_MS_MAX = 7_000;

/** One way in milliseconds between North America's east and west, Europe, Asia and South America. */
const REGIONS = [
  [1, 32, 42, 95, 58],
  [32, 1, 70, 60, 90],
  [42, 70, 1, 110, 98],
  [95, 60, 110, 1, 155],
  [58, 90, 98, 155, 1],
] as const;

/** Where a process is to be reached: its key, unless another process has that one as well. */
export type Address = string;

interface Host {
  readonly key: Key;
  readonly address: Address;
  readonly handler: TransportHandler;
  readonly artefacts: Artefacts;
  readonly process: SimProcess;
}

export class SimNetwork {
  readonly #world: World;
  readonly #chance: Chance;
  #faults: LinkFaults;
  readonly #hosts = new Map<Address, Host>();
  /** Of keys that more than one process has: their addresses. */
  readonly #doubles = new Map<Key, readonly Address[]>();
  /** By an address and such a key: the process with which it has its gossip streams. */
  readonly #streams = new Map<string, Address>();
  /** By link, from one address to another: how many faults cut it or make it deaf. */
  readonly #cut = new Map<string, number>();
  readonly #deaf = new Map<string, number>();
  /** Pairs whose connection was given up. */
  readonly #apart = new Set<string>();
  readonly #regions = new Map<Address, number>();
  /** Sees everything that is published, when it is. */
  /** A node begins to fetch a file; the answer is called once it has ended. */
  onFetch: (by: Key, hash: Hash) => () => void = () => () => {};
  onPublish: (from: Key, bytes: Uint8Array, isSent?: boolean) => void = () => {};
  /** Sees each opening of a commitment that a node sends to another. */
  onShown: (from: Key, to: Key, commitment: Hash) => void = () => {};
  messages = 0;
  bytes = 0;
  requests = 0;
  /** By address: its questions from log to log. */
  readonly asked = new Map<Address, number>();

  constructor(world: World, chance: Chance, faults: LinkFaults) {
    this.#world = world;
    this.#chance = chance;
    this.#faults = faults;
  }

  /** The key has a process at this address as well. */
  double(key: Key, address: Address): void {
    this.#doubles.set(key, [...(this.#doubles.get(key) ?? [key]), address]);
  }

  join(
    key: Key,
    handler: TransportHandler,
    artefacts: Artefacts,
    process: SimProcess,
    address: Address = key,
  ): Transport {
    const host = { key, address, handler, artefacts, process };
    if (!this.#regions.has(address)) this.#regions.set(address, this.#regions.size % REGIONS.length);
    const others = [...this.#hosts.values()].filter((other) => other.key !== key);
    this.#hosts.set(address, host);
    for (const other of others) {
      this.#apart.delete(pairOf(address, other.address));
      if (this.#isCut(address, other.address)) this.#apart.add(pairOf(address, other.address));
      else this.#connect(address, other.address);
    }
    return {
      publish: (bytes) => this.#publish(host, bytes),
      peers: () => this.#peersOf(host, (other) => this.#gossips(host, other)),
      connected: () => this.#peersOf(host, () => true),
      request: (peer, request, body, _bytesMax, timeoutMs, done) =>
        this.#request(host, peer, request, body, timeoutMs, done),
      fetch: (peer, hash, bytesMax, timeoutMs, done) => this.#fetch(host, peer, hash, bytesMax, timeoutMs, done),
    };
  }

  leave(address: Address): void {
    const gone = this.#hosts.get(address);
    this.#hosts.delete(address);
    if (gone === undefined) return;
    for (const host of this.#hosts.values()) if (this.#isConnected(gone, host)) this.#part(gone, host);
  }

  /** Nothing goes from one to the other any more, until `mend` has been called as often. */
  cut(from: Address, to: Address): void {
    this.#cut.set(linkOf(from, to), (this.#cut.get(linkOf(from, to)) ?? 0) + 1);
    this.#world.after(MONITOR_MS, () => {
      if (!this.#isCut(from, to) || this.#apart.has(pairOf(from, to))) return;
      const [a, b] = [this.#hosts.get(from), this.#hosts.get(to)];
      if (a !== undefined && b !== undefined) this.#part(a, b);
      this.#apart.add(pairOf(from, to));
    });
  }

  mend(from: Address, to: Address): void {
    lower(this.#cut, linkOf(from, to));
    this.#world.after(this.#chance.between(500, REDIAL_MS_MAX), () => {
      if (this.#isCut(from, to) || !this.#apart.delete(pairOf(from, to))) return;
      this.#connect(from, to);
    });
  }

  deafen(from: Address, to: Address): void {
    this.#deaf.set(linkOf(from, to), (this.#deaf.get(linkOf(from, to)) ?? 0) + 1);
  }

  hear(from: Address, to: Address): void {
    lower(this.#deaf, linkOf(from, to));
  }

  /** Loses, repeats and replays nothing from now on. */
  calm(): void {
    this.#faults = { ...this.#faults, loss: 0, duplicate: 0, replay: 0 };
  }

  #publish(from: Host, bytes: Uint8Array): void {
    this.onPublish(from.key, bytes);
    for (const to of this.#hosts.values()) if (to.key !== from.key) this.#gossip(from, to, bytes);
  }

  /** Who is there. */
  keys(): Key[] {
    return [...new Set([...this.#hosts.values()].map(({ key }) => key))];
  }

  /** One message to one peer. */
  send(from: Key, to: Key, bytes: Uint8Array): void {
    const here = this.#hosts.get(from);
    const there = here === undefined ? undefined : this.#processOf(here, to);
    if (here !== undefined && there !== undefined) this.#gossip(here, there, bytes);
  }

  #gossip(here: Host, host: Host, bytes: Uint8Array): void {
    const [from, to] = [here.address, host.address];
    if (!this.#isConnected(here, host) || !this.#gossips(here, host)) return;
    const { loss, duplicate, replay } = this.#faults;
    this.messages++;
    this.bytes += bytes.length;
    if (this.#chance.next() < loss || this.#carriesNoGossip(from, to)) return;
    const arrive = () => {
      // A batch begins with its head, which names all the rest.
      this.#world.note("message", to, bytes.subarray(0, 160));
      host.handler.message(bytes, here.key);
    };
    this.#deliver(from, to, host, arrive);
    if (duplicate > 0 && this.#chance.next() < duplicate) this.#deliver(from, to, host, arrive);
    if (replay > 0 && this.#chance.next() < replay) this.#replay(here.key, to, bytes);
  }

  /** An old message comes again, to whoever is there under that address by then. */
  #replay(from: Key, to: Address, bytes: Uint8Array): void {
    this.#world.after(this.#chance.between(1, REPLAY_MS_MAX), () => {
      const host = this.#hosts.get(to);
      if (host === undefined || this.#faults.replay === 0) return;
      host.process.run(() => void host.handler.message(bytes, from));
    });
  }

  #deliver(from: Address, to: Address, host: Host, run: () => void): void {
    this.#world.after(this.#delayMs(from, to), () => {
      // What was under way to the life before does not reach this one.
      if (this.#hosts.get(to) === host) host.process.run(run);
    });
  }

  #delayMs(from: Address, to: Address): number {
    const { delayMsMin, delayMsMax, wan } = this.#faults;
    const ownMs = this.#chance.between(delayMsMin, delayMsMax);
    if (!wan) return ownMs;
    return ownMs + (REGIONS[this.#regions.get(from) ?? 0]?.[this.#regions.get(to) ?? 0] ?? 0);
  }

  #connect(a: Address, b: Address): void {
    const [one, other] = [this.#hosts.get(a), this.#hosts.get(b)];
    if (one === undefined || other === undefined) return;
    this.#openStreams(one, other);
    this.#openStreams(other, one);
    this.#up(one, other);
  }

  #up(one: Host, other: Host): void {
    if (!this.#gossips(one, other)) return;
    this.#deliver(other.address, one.address, one, () => one.handler.peer(other.key, "up"));
    this.#deliver(one.address, other.address, other, () => other.handler.peer(one.key, "up"));
  }

  /** The connection of the two is over; one of them may be gone already. */
  #part(one: Host, other: Host): void {
    const ends = this.#gossips(one, other)
      ? ([
          [one, other],
          [other, one],
        ] as const)
      : [];
    for (const [here, there] of ends)
      if (this.#hosts.get(here.address) === here)
        this.#deliver(there.address, here.address, here, () => here.handler.peer(there.key, "down"));
    this.#closeStreams(one, other);
    this.#closeStreams(other, one);
  }

  /** Streams belong to a key: the first process of it that comes gets them. */
  #openStreams(here: Host, there: Host): void {
    if (!this.#doubles.has(there.key)) return;
    const slot = linkOf(here.address, there.key);
    this.#streams.set(slot, this.#streams.get(slot) ?? there.address);
  }

  /** Then the watch of the peer notices that it is deaf to whoever is left of that key, and dials again. */
  #closeStreams(here: Host, there: Host): void {
    const slot = linkOf(here.address, there.key);
    if (this.#streams.get(slot) !== there.address) return;
    this.#streams.delete(slot);
    this.#world.after(this.#chance.between(500, REDIAL_MS_MAX), () => {
      if (this.#hosts.get(here.address) !== here || this.#streams.has(slot)) return;
      const next = this.#processesOf(here, there.key)[0];
      if (next !== undefined) this.#connect(here.address, next.address);
    });
  }

  #isCut(a: Address, b: Address): boolean {
    return this.#cut.size > 0 && (this.#cut.has(linkOf(a, b)) || this.#cut.has(linkOf(b, a)));
  }

  #isConnected(a: Host, b: Host): boolean {
    if (a.key === b.key) return false;
    return this.#apart.size === 0 || !this.#apart.has(pairOf(a.address, b.address));
  }

  /** Whether each has its streams with the other, and not with another process of that key. */
  #gossips(a: Host, b: Host): boolean {
    return this.#doubles.size === 0 || (this.#streamsWith(a, b) && this.#streamsWith(b, a));
  }

  #streamsWith(a: Host, b: Host): boolean {
    return !this.#doubles.has(b.key) || this.#streams.get(linkOf(a.address, b.key)) === b.address;
  }

  /** Connected processes of a key. */
  #processesOf(here: Host, key: Key): Host[] {
    return (this.#doubles.get(key) ?? [key]).flatMap((address) => {
      const host = this.#hosts.get(address);
      return host !== undefined && this.#isConnected(here, host) ? [host] : [];
    });
  }

  /** Who gets what is meant for a key: whoever of that key the streams are with, or anybody of it. */
  #processOf(here: Host, key: Key): Host | undefined {
    const all = this.#processesOf(here, key);
    return all.find((host) => this.#streamsWith(here, host)) ?? all[0];
  }

  #peersOf(here: Host, fits: (other: Host) => boolean): Key[] {
    const others = [...this.#hosts.values()].filter((other) => this.#isConnected(here, other) && fits(other));
    return [...new Set(others.map(({ key }) => key))];
  }

  #carriesNoGossip(from: Address, to: Address): boolean {
    if (this.#cut.size > 0 && this.#cut.has(linkOf(from, to))) return true;
    return this.#deaf.size > 0 && this.#deaf.has(linkOf(from, to));
  }

  /** A stream needs both directions. */
  #reachable(here: Host, to: Key): Host | undefined {
    const there = this.#processOf(here, to);
    return there !== undefined && !this.#isCut(here.address, there.address) ? there : undefined;
  }

  #request(
    here: Host,
    to: Key,
    request: Request,
    body: Uint8Array,
    timeoutMs: number,
    done: Done<readonly Uint8Array[]>,
  ): Cancel {
    this.requests++;
    this.asked.set(here.address, (this.asked.get(here.address) ?? 0) + 1);
    const { end, cancel } = this.#once(here, timeoutMs, done);
    const there = this.#reachable(here, to);
    if (there === undefined) return cancel;
    this.#deliver(here.address, there.address, there, () =>
      there.handler.request(here.key, request, body, (frames) => {
        if (this.#isCut(here.address, there.address)) return;
        this.#deliver(there.address, here.address, here, () => end({ ok: true, value: frames }));
      }),
    );
    return cancel;
  }

  #fetch(here: Host, to: Key, hash: Hash, bytesMax: number, timeoutMs: number, done: Done<void>): Cancel {
    const over = this.onFetch(here.key, hash);
    const once = this.#once<void>(here, timeoutMs, (result) => {
      over();
      done(result);
    });
    const { end } = once;
    const cancel = () => {
      over();
      once.cancel();
    };
    const there = this.#reachable(here, to);
    if (there === undefined) return cancel;
    this.#deliver(here.address, there.address, there, () =>
      there.artefacts.read(hash, bytesMax, (found) => {
        if (this.#isCut(here.address, there.address)) return;
        const file = found.ok ? found.value : null;
        const isWithheld = file === null || (there.handler.withholds?.(here.key, hash, file) ?? isOpening(file));
        if (!isWithheld && isOpening(file)) this.onShown(there.key, here.key, hash);
        this.#deliver(there.address, here.address, here, () => {
          if (isWithheld) return end({ ok: false, fault: { code: "artefact.unavailable", message: hash } });
          if (artefactHash(file) !== hash)
            return end({ ok: false, fault: { code: "artefact.wrong-bytes", message: hash } });
          here.artefacts.write(file, (written) => end(written.ok ? { ok: true, value: undefined } : written));
        });
      }),
    );
    return cancel;
  }

  /** A completion that is called once: with an answer, or when the time is over. */
  #once<T>(here: Host, timeoutMs: number, done: Done<T>): { readonly end: Done<T>; readonly cancel: Cancel } {
    let over = false;
    const end: Done<T> = (result) => {
      if (over || this.#hosts.get(here.address) !== here) return;
      over = true;
      expire();
      done(result);
    };
    const expire = this.#world.after(timeoutMs, () =>
      end({ ok: false, fault: { code: "stream.timeout", message: "no answer" } }),
    );
    const cancel = () => {
      over = true;
      expire();
    };
    return { end, cancel };
  }
}

function linkOf(from: Address, to: Address): string {
  return `${from}>${to}`;
}

function pairOf(a: Address, b: Address): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}

function lower(counts: Map<string, number>, name: string): void {
  const left = (counts.get(name) ?? 0) - 1;
  if (left > 0) counts.set(name, left);
  else counts.delete(name);
}
