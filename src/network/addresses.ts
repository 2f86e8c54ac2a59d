/**
 * Addresses as peers tell them: hints, bounded and filtered.
 *
 * Noise authenticates the key at the end of a dial, so a wrong address costs a dial and nothing else. What must not
 * happen is that a stranger makes us knock on doors inside our own network.
 */
import { multiaddr } from "@multiformats/multiaddr";
import type { Multiaddr } from "@multiformats/multiaddr";
import type { Key } from "../protocol/ids.ts";
import { NetworkFault } from "./fault.ts";
import { keyOfText } from "./identity.ts";
import { KEEPER } from "../peers/limits.ts";

export type Reach = "loopback" | "private" | "public";

const WIDTH: Readonly<Record<Reach, number>> = { loopback: 0, private: 1, public: 2 };

/** Where an address can be reached from, or `null` if it is not one that we dial: TCP to an IP or a DNS name. */
export function reachOf(address: Multiaddr): Reach | null {
  const parts = address.getComponents();
  const host = parts[0];
  const port = parts[1];
  const rest = parts.length === 2 || (parts.length === 3 && parts[2]?.name === "p2p");
  if (host === undefined || port === undefined || !rest) return null;
  if (port.name !== "tcp" || Number(port.value) === 0) return null;
  if (host.name === "ip4") return reachOfIp4(host.value ?? "");
  if (host.name === "ip6") return reachOfIp6(host.value ?? "");
  return host.name === "dns" || host.name === "dns4" || host.name === "dns6" ? "public" : null;
}

function reachOfIp4(host: string): Reach | null {
  const [a = 0, b = 0] = host.split(".").map(Number);
  if (a === 127) return "loopback";
  if (a === 0 || a >= 224) return null;
  const shared = a === 100 && b >= 64 && b < 128;
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168) || (a === 169 && b === 254) || shared) {
    return "private";
  }
  return "public";
}

function reachOfIp6(host: string): Reach | null {
  const text = host.toLowerCase();
  if (text === "::1") return "loopback";
  if (text === "::" || text.startsWith("ff") || text.startsWith("::ffff")) return null;
  return /^f[cd]|^fe[89ab]/.test(text) ? "private" : "public";
}

/** From where the best reachable of some addresses can be reached; `null` where none can be dialled. */
export function widestReach(addresses: readonly string[]): Reach | null {
  const reaches = addresses.flatMap((text) => {
    const address = parse(text);
    return (address === null ? null : reachOf(address)) ?? [];
  });
  return reaches.toSorted((a, b) => WIDTH[b] - WIDTH[a])[0] ?? null;
}

/** What a node tells others: what it is told to, else where it listens, on all of the machine's hosts where it says so. */
export function announceable(
  listen: readonly string[],
  announce: readonly string[],
  hosts: readonly string[],
): readonly string[] {
  if (announce.length > 0) return announce;
  return listen.flatMap((text) => {
    const wildcard = /^\/ip([46])\/(?:0\.0\.0\.0|::)\/(.*)$/.exec(text);
    if (wildcard === null) return [text];
    const version = wildcard[1] === "4" ? "4" : "6";
    const own = hosts.filter((host) => host.includes(":") === (version === "6"));
    return own.map((host) => `/ip${version}/${host}/${wildcard[2]}`);
  });
}

/**
 * The addresses worth remembering of those that somebody told us: parsed, dialable, without the peer id, at most
 * `countMax`. An address is believed only from a peer that is at least as near to us as the address: loopback from
 * loopback, private from private.
 */
export function sanitise(told: readonly string[], teller: Reach, countMax: number): string[] {
  const kept = new Set<string>();
  for (const text of told.slice(0, 4 * countMax)) {
    if (kept.size >= countMax) break;
    if (text.length > KEEPER.addressCharsMax) continue;
    const address = parse(text);
    const reach = address === null ? null : reachOf(address);
    if (address === null || reach === null || WIDTH[reach] < WIDTH[teller]) continue;
    kept.add(withoutPeer(address));
  }
  return [...kept];
}

export function withoutPeer(address: Multiaddr): string {
  return address.toString().replace(/\/p2p\/[^/]+$/, "");
}

/** The key at the end of an address, or `null` if it names none. */
export function keyOfAddress(address: Multiaddr): Key | null {
  const last = address.getComponents().at(-1);
  return last?.name === "p2p" && last.value !== undefined ? keyOfText(last.value) : null;
}

function parse(text: string): Multiaddr | null {
  try {
    return multiaddr(text);
  } catch {
    // What does not parse is not an address; who sent it is not punished, formats grow.
    return null;
  }
}

/** An address that an operator wrote. Throws `config.address` with the text and what is allowed. */
export function configuredAddress(text: string, use: string): Multiaddr {
  const allowed = "allowed are addresses like /ip4/203.0.113.7/tcp/9000 or /dns/example.org/tcp/9000[/p2p/<peer id>]";
  const address = parse(text);
  if (address === null)
    throw new NetworkFault("config.address", `${use} address "${text}" is no multiaddr; ${allowed}`);
  const [host, port] = address.getComponents();
  const known = host !== undefined && ["ip4", "ip6", "dns", "dns4", "dns6"].includes(host.name);
  if (!known || port?.name !== "tcp") {
    throw new NetworkFault("config.address", `${use} address "${text}" is not TCP; ${allowed}`);
  }
  return address;
}
