/**
 * A simulated network: best-effort flood, request streams that fail, and connections that come and go.
 *
 * A link that is cut drops what is sent over it; the connection ends when its monitor notices, and comes back some time
 * after the cut is over. A link that is deaf drops gossip only and looks open for ever, as real ones have been seen to.
 */
import type { Artefacts, Cancel, Done, Request, Transport, TransportHandler } from "../../src/ports.ts";
import type { Hash, Key } from "../../src/protocol/ids.ts";
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

interface Host {
  readonly handler: TransportHandler;
  readonly artefacts: Artefacts;
  readonly process: SimProcess;
}

export class SimNetwork {
  readonly #world: World;
  readonly #chance: Chance;
  #faults: LinkFaults;
  readonly #hosts = new Map<Key, Host>();
  /** By link, from one key to another: how many faults cut it or make it deaf. */
  readonly #cut = new Map<string, number>();
  readonly #deaf = new Map<string, number>();
  /** Pairs whose connection was given up. */
  readonly #apart = new Set<string>();
  readonly #regions = new Map<Key, number>();
  /** Sees everything that is published, when it is. */
  onPublish: (from: Key, bytes: Uint8Array, isSent?: boolean) => void = () => {};
  messages = 0;
  bytes = 0;
  requests = 0;

  constructor(world: World, chance: Chance, faults: LinkFaults) {
    this.#world = world;
    this.#chance = chance;
    this.#faults = faults;
  }

  join(key: Key, handler: TransportHandler, artefacts: Artefacts, process: SimProcess): Transport {
    const host = { handler, artefacts, process };
    if (!this.#regions.has(key)) this.#regions.set(key, this.#regions.size % REGIONS.length);
    const others = [...this.#hosts.keys()];
    this.#hosts.set(key, host);
    for (const other of others) {
      this.#apart.delete(pairOf(key, other));
      if (this.#isCut(key, other)) this.#apart.add(pairOf(key, other));
      else this.#tell(key, other, "up");
    }
    return {
      publish: (bytes) => this.#publish(key, bytes),
      peers: () => this.keys().filter((other) => other !== key && this.#isConnected(key, other)),
      request: (peer, request, body, _bytesMax, timeoutMs, done) =>
        this.#request(key, host, peer, request, body, timeoutMs, done),
      fetch: (peer, hash, bytesMax, timeoutMs, done) => this.#fetch(key, host, peer, hash, bytesMax, timeoutMs, done),
    };
  }

  leave(key: Key): void {
    this.#hosts.delete(key);
    for (const [other, host] of this.#hosts)
      if (this.#isConnected(key, other)) this.#deliver(key, other, host, () => host.handler.peer(key, "down"));
  }

  /** Nothing goes from one to the other any more, until `mend` has been called as often. */
  cut(from: Key, to: Key): void {
    this.#cut.set(linkOf(from, to), (this.#cut.get(linkOf(from, to)) ?? 0) + 1);
    this.#world.after(MONITOR_MS, () => {
      if (!this.#isCut(from, to) || this.#apart.has(pairOf(from, to))) return;
      this.#tell(from, to, "down");
      this.#apart.add(pairOf(from, to));
    });
  }

  mend(from: Key, to: Key): void {
    lower(this.#cut, linkOf(from, to));
    this.#world.after(this.#chance.between(500, REDIAL_MS_MAX), () => {
      if (this.#isCut(from, to) || !this.#apart.delete(pairOf(from, to))) return;
      this.#tell(from, to, "up");
    });
  }

  deafen(from: Key, to: Key): void {
    this.#deaf.set(linkOf(from, to), (this.#deaf.get(linkOf(from, to)) ?? 0) + 1);
  }

  hear(from: Key, to: Key): void {
    lower(this.#deaf, linkOf(from, to));
  }

  /** Loses, repeats and replays nothing from now on. */
  calm(): void {
    this.#faults = { ...this.#faults, loss: 0, duplicate: 0, replay: 0 };
  }

  #publish(from: Key, bytes: Uint8Array): void {
    this.onPublish(from, bytes);
    for (const to of this.#hosts.keys()) if (to !== from) this.send(from, to, bytes);
  }

  /** Who is there. */
  keys(): Key[] {
    return [...this.#hosts.keys()];
  }

  /** One message to one peer. */
  send(from: Key, to: Key, bytes: Uint8Array): void {
    const host = this.#hosts.get(to);
    if (host === undefined || !this.#isConnected(from, to)) return;
    const { loss, duplicate, replay } = this.#faults;
    this.messages++;
    this.bytes += bytes.length;
    if (this.#chance.next() < loss || this.#carriesNoGossip(from, to)) return;
    const arrive = () => {
      // A batch begins with its head, which names all the rest.
      this.#world.note("message", to, bytes.subarray(0, 160));
      host.handler.message(bytes, from);
    };
    this.#deliver(from, to, host, arrive);
    if (duplicate > 0 && this.#chance.next() < duplicate) this.#deliver(from, to, host, arrive);
    if (replay > 0 && this.#chance.next() < replay) this.#replay(from, to, bytes);
  }

  /** An old message comes again, to whoever is there under that key by then. */
  #replay(from: Key, to: Key, bytes: Uint8Array): void {
    this.#world.after(this.#chance.between(1, REPLAY_MS_MAX), () => {
      const host = this.#hosts.get(to);
      if (host === undefined || this.#faults.replay === 0) return;
      host.process.run(() => void host.handler.message(bytes, from));
    });
  }

  #deliver(from: Key, to: Key, host: Host, run: () => void): void {
    this.#world.after(this.#delayMs(from, to), () => {
      // What was under way to the life before does not reach this one.
      if (this.#hosts.get(to) === host) host.process.run(run);
    });
  }

  #delayMs(from: Key, to: Key): number {
    const { delayMsMin, delayMsMax, wan } = this.#faults;
    const ownMs = this.#chance.between(delayMsMin, delayMsMax);
    if (!wan) return ownMs;
    return ownMs + (REGIONS[this.#regions.get(from) ?? 0]?.[this.#regions.get(to) ?? 0] ?? 0);
  }

  #tell(a: Key, b: Key, state: "up" | "down"): void {
    const [hostA, hostB] = [this.#hosts.get(a), this.#hosts.get(b)];
    if (hostA === undefined || hostB === undefined) return;
    this.#deliver(b, a, hostA, () => hostA.handler.peer(b, state));
    this.#deliver(a, b, hostB, () => hostB.handler.peer(a, state));
  }

  #isCut(a: Key, b: Key): boolean {
    return this.#cut.size > 0 && (this.#cut.has(linkOf(a, b)) || this.#cut.has(linkOf(b, a)));
  }

  #isConnected(a: Key, b: Key): boolean {
    return this.#apart.size === 0 || !this.#apart.has(pairOf(a, b));
  }

  #carriesNoGossip(from: Key, to: Key): boolean {
    if (this.#cut.size > 0 && this.#cut.has(linkOf(from, to))) return true;
    return this.#deaf.size > 0 && this.#deaf.has(linkOf(from, to));
  }

  /** A stream needs both directions. */
  #reachable(from: Key, to: Key): Host | undefined {
    return this.#isConnected(from, to) && !this.#isCut(from, to) ? this.#hosts.get(to) : undefined;
  }

  #request(
    from: Key,
    here: Host,
    to: Key,
    request: Request,
    body: Uint8Array,
    timeoutMs: number,
    done: Done<readonly Uint8Array[]>,
  ): Cancel {
    this.requests++;
    const { end, cancel } = this.#once(from, here, timeoutMs, done);
    const there = this.#reachable(from, to);
    if (there === undefined) return cancel;
    this.#deliver(from, to, there, () =>
      there.handler.request(from, request, body, (frames) => {
        if (this.#isCut(from, to)) return;
        this.#deliver(to, from, here, () => end({ ok: true, value: frames }));
      }),
    );
    return cancel;
  }

  #fetch(from: Key, here: Host, to: Key, hash: Hash, bytesMax: number, timeoutMs: number, done: Done<void>): Cancel {
    const { end, cancel } = this.#once(from, here, timeoutMs, done);
    const there = this.#reachable(from, to);
    if (there === undefined) return cancel;
    this.#deliver(from, to, there, () =>
      there.artefacts.read(hash, bytesMax, (found) => {
        if (this.#isCut(from, to)) return;
        this.#deliver(to, from, here, () => {
          if (!found.ok || found.value === null)
            return end({ ok: false, fault: { code: "artefact.unavailable", message: hash } });
          here.artefacts.write(found.value, () => end({ ok: true, value: undefined }));
        });
      }),
    );
    return cancel;
  }

  /** A completion that is called once: with an answer, or when the time is over. */
  #once<T>(
    from: Key,
    here: Host,
    timeoutMs: number,
    done: Done<T>,
  ): { readonly end: Done<T>; readonly cancel: Cancel } {
    let over = false;
    const end: Done<T> = (result) => {
      if (over || this.#hosts.get(from) !== here) return;
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

function linkOf(from: Key, to: Key): string {
  return `${from}>${to}`;
}

function pairOf(a: Key, b: Key): string {
  return a < b ? `${a}|${b}` : `${b}|${a}`;
}

function lower(counts: Map<string, number>, name: string): void {
  const left = (counts.get(name) ?? 0) - 1;
  if (left > 0) counts.set(name, left);
  else counts.delete(name);
}
