/** Transport in one channel: its own topic and its own peers, over connections that all channels share. */
import type { Artefacts, Cancel, Done, Request, Transport } from "../ports.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { fetchArtefact } from "./artefact.ts";
import type { Channel } from "./channel.ts";
import type { Gossip } from "./gossip.ts";
import type { Presence } from "./presence.ts";
import type { Requests } from "./requests.ts";
import { routeOf } from "./serve.ts";
import { collect, exchange } from "./streams.ts";

export interface ChannelModules {
  /** Id of the whole network, in which files are asked for. */
  readonly network: Hash;
  readonly presence: Presence;
  readonly requests: Requests;
  readonly artefacts: Artefacts;
  /** `null` before there is any, and when the network closes. */
  readonly gossip: () => Gossip | null;
}

export class ChannelTransport implements Transport {
  readonly #channel: Channel;
  readonly #modules: ChannelModules;

  constructor(channel: Channel, modules: ChannelModules) {
    this.#channel = channel;
    this.#modules = modules;
  }

  publish(bytes: Uint8Array): void {
    this.#modules.gossip()?.publish(this.#channel, bytes);
  }

  peers(): readonly Key[] {
    return this.#modules.presence.up(this.#channel.topic);
  }

  connected(): readonly Key[] {
    return this.#modules.presence.connected();
  }

  request(
    peer: Key,
    request: Request,
    body: Uint8Array,
    bytesMax: number,
    timeoutMs: number,
    done: Done<readonly Uint8Array[]>,
  ): Cancel {
    const route = routeOf(this.#channel.network, request);
    return this.#modules.requests.start<readonly Uint8Array[]>(
      peer,
      route,
      timeoutMs,
      (connection, signal) =>
        exchange(connection, route.id, body, { bytesMax, code: "request.too-large", signal }, collect),
      done,
    );
  }

  fetch(peer: Key, hash: Hash, bytesMax: number, timeoutMs: number, done: Done<void>): Cancel {
    const { network, requests, artefacts } = this.#modules;
    const route = routeOf(network, "artefact");
    return fetchArtefact(
      { protocol: route.id, hash, bytesMax },
      { artefacts, ask: (run, then) => requests.start(peer, route, timeoutMs, run, then) },
      done,
    );
  }
}
