/** A simulated network: best-effort flood with loss and delay, request streams that fail, and peers that come and go. */
import type { Artefacts, Cancel, Done, Request, Transport, TransportHandler } from "../../src/ports.ts";
import type { Hash, Key } from "../../src/protocol/ids.ts";
import type { Chance, World } from "./world.ts";

export interface LinkFaults {
  /** Share of gossip messages that never arrive. */
  readonly loss: number;
  readonly delayMsMin: number;
  readonly delayMsMax: number;
}

interface Host {
  readonly handler: TransportHandler;
  readonly artefacts: Artefacts;
  /** Grows with every restart: what was under way to the life before does not reach this one. */
  readonly life: number;
}

export class SimNetwork {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #faults: LinkFaults;
  readonly #hosts = new Map<Key, Host>();
  #lives = 0;
  /** Sees everything that is published, when it is. */
  onPublish: (from: Key, bytes: Uint8Array) => void = () => {};
  messages = 0;
  bytes = 0;
  requests = 0;

  constructor(world: World, chance: Chance, faults: LinkFaults) {
    this.#world = world;
    this.#chance = chance;
    this.#faults = faults;
  }

  join(key: Key, handler: TransportHandler, artefacts: Artefacts): Transport {
    const host = { handler, artefacts, life: ++this.#lives };
    const others = [...this.#hosts];
    this.#hosts.set(key, host);
    for (const [other, there] of others) {
      this.#deliver(other, there.life, () => there.handler.peer(key, "up"));
      this.#deliver(key, host.life, () => handler.peer(other, "up"));
    }
    return {
      publish: (bytes) => this.#publish(key, bytes),
      peers: () => this.keys().filter((other) => other !== key),
      request: (peer, request, body, _bytesMax, timeoutMs, done) =>
        this.#request(key, host.life, peer, request, body, timeoutMs, done),
      fetch: (peer, hash, bytesMax, timeoutMs, done) => this.#fetch(key, host, peer, hash, bytesMax, timeoutMs, done),
    };
  }

  leave(key: Key): void {
    this.#hosts.delete(key);
    for (const [other, host] of this.#hosts) this.#deliver(other, host.life, () => host.handler.peer(key, "down"));
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
    if (host === undefined) return;
    this.messages++;
    this.bytes += bytes.length;
    if (this.#chance.next() < this.#faults.loss) return;
    this.#deliver(to, host.life, () => {
      // A batch begins with its head, which names all the rest.
      this.#world.note("message", to, bytes.subarray(0, 160));
      host.handler.message(bytes, from);
    });
  }

  #deliver(to: Key, life: number, run: () => void): void {
    this.#world.after(this.#chance.between(this.#faults.delayMsMin, this.#faults.delayMsMax), () => {
      if (this.#hosts.get(to)?.life === life) run();
    });
  }

  #request(
    from: Key,
    life: number,
    to: Key,
    request: Request,
    body: Uint8Array,
    timeoutMs: number,
    done: Done<readonly Uint8Array[]>,
  ): Cancel {
    this.requests++;
    let over = false;
    const end: Done<readonly Uint8Array[]> = (result) => {
      if (over || this.#hosts.get(from)?.life !== life) return;
      over = true;
      done(result);
    };
    this.#world.after(timeoutMs, () => end({ ok: false, fault: { code: "stream.timeout", message: "no answer" } }));
    const host = this.#hosts.get(to);
    if (host !== undefined) {
      this.#deliver(to, host.life, () =>
        host.handler.request(from, request, body, (frames) =>
          this.#deliver(from, life, () => end({ ok: true, value: frames })),
        ),
      );
    }
    return () => {
      over = true;
    };
  }

  #fetch(from: Key, host: Host, to: Key, hash: Hash, bytesMax: number, timeoutMs: number, done: Done<void>): Cancel {
    let over = false;
    const end: Done<void> = (result) => {
      if (over || this.#hosts.get(from)?.life !== host.life) return;
      over = true;
      done(result);
    };
    this.#world.after(timeoutMs, () => end({ ok: false, fault: { code: "stream.timeout", message: "no answer" } }));
    const there = this.#hosts.get(to);
    if (there !== undefined) {
      this.#deliver(to, there.life, () =>
        there.artefacts.read(hash, bytesMax, (found) =>
          this.#deliver(from, host.life, () => {
            if (!found.ok || found.value === null)
              return end({ ok: false, fault: { code: "artefact.unavailable", message: hash } });
            host.artefacts.write(found.value, () => end({ ok: true, value: undefined }));
          }),
        ),
      );
    }
    return () => {
      over = true;
    };
  }
}
