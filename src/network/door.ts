/**
 * Which inbound connections may begin a handshake. A handshake costs some 10 ms of CPU before anybody knows whose key it
 * is, and a stranger may come from any number of hosts. So connections from hosts that no member has connected from share
 * one rate.
 */
import type { Clock } from "../ports.ts";
import { Bucket } from "./budget.ts";
import { DOOR } from "./limits.ts";

export class Door {
  readonly #clock: Clock;
  readonly #strangers: Bucket;
  readonly #hosts = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#strangers = new Bucket(DOOR.strangers, clock.now());
  }

  /** A member has connected from there. What libp2p allows one host is the limit for this host from now on. */
  trust(address: string): void {
    const host = hostOf(address);
    this.#hosts.delete(host);
    this.#hosts.add(host);
    const [oldest] = this.#hosts;
    if (this.#hosts.size > DOOR.hostsMax && oldest !== undefined) this.#hosts.delete(oldest);
  }

  admits(address: string): boolean {
    return this.#hosts.has(hostOf(address)) || this.#strangers.take(1, this.#clock.now());
  }
}

/** Of /ip4/203.0.113.7/tcp/4001 the first two parts. */
function hostOf(address: string): string {
  return address.split("/").slice(1, 3).join("/");
}
