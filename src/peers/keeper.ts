/**
 * Decides whom a node dials, and whom it asks for peers.
 *
 * This file is a state machine. It has no clock, no sockets and no chance of its own: each event brings the time, who is
 * connected, and a number to draw from. The shell (`network/keeper.ts`) carries out the actions.
 *
 * Bootstrap addresses and members are dialled again until they answer, because a partition lasts as long as it lasts.
 * Strangers are dialled while the node has too few connections, and are given up after some failures.
 */
import type { Key } from "../protocol/ids.ts";
import { Book } from "./book.ts";
import { CONNECTIONS_TARGET, KEEPER } from "./limits.ts";

/** A dial is named by the key, or by the address where an operator gave none. */
export type TargetId = string;

/** What holds when an event happens. */
export interface Moment {
  readonly nowMs: number;
  /** Uniform in [0, 1). */
  readonly draw: number;
}

/** What the shell sees of the network. */
export interface Sight {
  readonly connected: ReadonlySet<Key>;
  /** Connected peers that can be asked. */
  readonly up: readonly Key[];
  readonly isBanned: (key: Key) => boolean;
}

export type KeeperEvent = Moment &
  (
    | ({ readonly kind: "tick" } & Sight)
    | { readonly kind: "dialled"; readonly target: TargetId; readonly key: Key | null }
    | { readonly kind: "dial-failed"; readonly target: TargetId }
    | { readonly kind: "connected"; readonly key: Key }
    | { readonly kind: "disconnected"; readonly key: Key }
    /** Gossip reaches a peer. */
    | { readonly kind: "up"; readonly key: Key; readonly connected: ReadonlySet<Key> }
    /** A peer's own addresses, from a connection that authenticates it. */
    | { readonly kind: "identified"; readonly key: Key; readonly addresses: readonly string[] }
    /** The answer of a peer: its own addresses and those of others. */
    | {
        readonly kind: "told";
        readonly by: Key;
        readonly peers: readonly (readonly [Key, readonly string[]])[];
      }
  );

export type KeeperAction =
  | {
      readonly kind: "dial";
      readonly target: TargetId;
      readonly key: Key | null;
      readonly addresses: readonly string[];
    }
  | { readonly kind: "ask"; readonly peer: Key };

interface Target {
  readonly id: TargetId;
  /** `null` before the first connection, where the operator gave an address without a peer id. */
  key: Key | null;
  readonly address: string | null;
  failures: number;
  nextMs: number;
  dialling: boolean;
  connectedMs: number | null;
}

export interface KeeperMachineOptions {
  readonly self: Key;
  /** Addresses of the operator, each with its key if it names one. */
  readonly bootstrap: readonly { readonly address: string; readonly key: Key | null }[];
  readonly members: readonly Key[];
}

export class KeeperMachine {
  readonly #self: Key;
  readonly #book = new Book();
  readonly #targets = new Map<TargetId, Target>();
  #members: ReadonlySet<Key>;
  #exchangeMs = 0;

  constructor({ self, bootstrap, members }: KeeperMachineOptions) {
    this.#self = self;
    this.#members = new Set(members);
    for (const { address, key } of bootstrap) {
      if (key === null) this.#target(address, null, address);
      else this.#book.configure(key, address);
    }
  }

  setMembers(members: readonly Key[]): void {
    this.#members = new Set(members);
  }

  /** How many keys and how many targets it keeps. */
  get sizes(): { readonly book: number; readonly targets: number } {
    return { book: this.#book.size, targets: this.#targets.size };
  }

  /** The list for a peer that asks: the node itself, and connected peers, members first. */
  list(
    asking: Key,
    own: readonly string[],
    connected: ReadonlySet<Key>,
  ): readonly (readonly [Key, readonly string[]])[] {
    const others = [...connected].filter((key) => key !== asking);
    const ranked = others.sort((a, b) => Number(this.#members.has(b)) - Number(this.#members.has(a)));
    const rows = ranked.map((key) => [key, this.#book.tellable(key)] as const);
    const told = [[this.#self, own.slice(0, KEEPER.addressesOwnMax)] as const, ...rows];
    return told.filter(([, addresses]) => addresses.length > 0).slice(0, KEEPER.exchangePeersMax);
  }

  step(event: KeeperEvent): KeeperAction[] {
    switch (event.kind) {
      case "tick":
        return this.#tick(event);
      case "dialled":
        return this.#dialled(event);
      case "dial-failed": {
        const target = this.#targets.get(event.target);
        if (target === undefined) return [];
        target.dialling = false;
        this.#backOff(target, event);
        return [];
      }
      case "connected":
        for (const target of this.#of(event.key)) target.connectedMs = event.nowMs;
        return [];
      case "disconnected":
        return this.#disconnected(event);
      case "up":
        return this.#isMissing(event.connected) ? [{ kind: "ask", peer: event.key }] : [];
      case "identified":
        this.#book.own(event.key, event.addresses);
        // mutant: book-unbounded
        this.#trim();
        return [];
      case "told":
        for (const [key, addresses] of event.peers) {
          if (key === this.#self) continue;
          if (key === event.by) this.#book.own(key, addresses);
          else this.#book.heard(key, addresses, event.by, this.#members.has(event.by));
        }
        this.#trim();
        return [];
    }
  }

  /** Keys are free, so the room for them has an end. Members keep theirs. */
  #trim(): void {
    this.#book.trim((key) => this.#members.has(key));
  }

  #tick(event: Moment & Sight): KeeperAction[] {
    const { nowMs, draw, up, connected } = event;
    for (const { id, key, address, dialling } of this.#targets.values())
      if (address === null && key !== null && !dialling && !this.#book.has(key)) this.#targets.delete(id);
    for (const key of this.#book.keys()) {
      if (this.#targets.has(key)) continue;
      // Two nodes that hear of each other would dial each other at once; the larger key lets the smaller one begin.
      const yields = key < this.#self && !this.#book.configured(key);
      this.#target(key, key, null).nextMs = yields ? nowMs + KEEPER.yieldMs : 0;
    }
    const actions = this.#dials(event);
    if (nowMs >= this.#exchangeMs && this.#isMissing(connected)) {
      this.#exchangeMs = nowMs + KEEPER.exchangeEveryMs;
      const peer = this.#choose(up, draw);
      if (peer !== undefined) actions.push({ kind: "ask", peer });
    }
    return actions;
  }

  /** PEER-4: half of the questions go to members, because strangers may be many and lie. */
  #choose(up: readonly Key[], draw: number): Key | undefined {
    const members = up.filter((key) => this.#members.has(key));
    // mutant: strangers-asked
    const asked = draw < 0.5 && members.length > 0 ? members : up;
    return asked[Math.floor(((2 * draw) % 1) * asked.length)];
  }

  #dials({ nowMs, ...sight }: Moment & Sight): KeeperAction[] {
    const due = [...this.#targets.values()].filter(({ dialling, nextMs }) => !dialling && nextMs <= nowMs);
    let free = KEEPER.dialsMax - [...this.#targets.values()].filter(({ dialling }) => dialling).length;
    const actions: KeeperAction[] = [];
    // PEER-2: strangers come last, because invented ones would otherwise take the dials of members.
    const needed = due.filter((target) => this.#isNeeded(target));
    const strangers = sight.connected.size < CONNECTIONS_TARGET ? due.filter((target) => !this.#isNeeded(target)) : [];
    // mutant: strangers-first
    const ranked = [...needed, ...strangers];
    for (const target of ranked) {
      if (free <= 0) break;
      if (!this.#isWanted(target, sight)) continue;
      const addresses = this.#addressesOf(target);
      if (addresses.length === 0) {
        this.#targets.delete(target.id);
        continue;
      }
      target.dialling = true;
      free--;
      actions.push({ kind: "dial", target: target.id, key: target.address === null ? target.key : null, addresses });
    }
    return actions;
  }

  /** Whether the node dials it for ever. */
  #isNeeded({ key, address }: Target): boolean {
    return address !== null || key === null || this.#members.has(key) || this.#book.configured(key);
  }

  #isWanted({ key }: Target, { connected, isBanned }: Omit<Sight, "up">): boolean {
    return key === null || (key !== this.#self && !connected.has(key) && !isBanned(key));
  }

  #addressesOf({ key, address, failures }: Target): readonly string[] {
    if (address !== null) return [address];
    return key === null ? [] : this.#book.dialable(key, failures);
  }

  #dialled({ target: id, key, nowMs }: Extract<KeeperEvent, { kind: "dialled" }>): KeeperAction[] {
    const target = this.#targets.get(id);
    if (target === undefined) return [];
    target.dialling = false;
    target.key ??= key;
    target.connectedMs ??= nowMs;
    return [];
  }

  #disconnected({ key, ...moment }: Extract<KeeperEvent, { kind: "disconnected" }>): KeeperAction[] {
    for (const target of this.#of(key)) {
      if (target.connectedMs !== null && moment.nowMs - target.connectedMs > KEEPER.steadyMs) target.failures = 0;
      target.connectedMs = null;
      this.#backOff(target, moment);
    }
    return [];
  }

  #backOff(target: Target, { nowMs, draw }: Moment): void {
    target.failures++;
    const { id, key, failures } = target;
    if (key !== null && failures >= KEEPER.strangerFailuresMax && !this.#isNeeded(target)) {
      this.#targets.delete(id);
      this.#book.forget(key);
      return;
    }
    // mutant: backoff-unbounded
    const delayMs = Math.min(KEEPER.backoffLongestMs, KEEPER.backoffFirstMs * 2 ** Math.min(target.failures - 1, 16));
    // PEER-1. Jitter, because the nodes that lost each other together would knock together.
    target.nextMs = nowMs + delayMs * (0.75 + draw / 2);
  }

  #of(key: Key): Target[] {
    return [...this.#targets.values()].filter((target) => target.key === key);
  }

  #target(id: TargetId, key: Key | null, address: string | null): Target {
    let target = this.#targets.get(id);
    if (target === undefined) {
      target = { id, key, address, failures: 0, nextMs: 0, dialling: false, connectedMs: null };
      this.#targets.set(id, target);
    }
    return target;
  }

  #isMissing(connected: ReadonlySet<Key>): boolean {
    if (connected.size < CONNECTIONS_TARGET) return true;
    return [...this.#members].some((key) => key !== this.#self && !connected.has(key));
  }
}
