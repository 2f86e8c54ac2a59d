/**
 * What a node does about certificates of a divided network, decided without a port.
 *
 * A chain's certificates are taken in so that each one's parent is here. A valid one that comes early shows only that
 * something is missing, which is asked for from then on. So even all attesters of another partition together cannot
 * fill this node's disk with heights of their choice. After a reorg of certified blocks the branch that goes on is
 * asked for from the fork, at most `BRANCH_HEIGHTS` back. `runtime/certificates.ts` reads, writes, sends and asks.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { domainHash, type Hash, type Key } from "../protocol/ids.ts";

/** Blocks that are told from each other; of one further below the last it is known that there is a certificate. */
const KNOWN_MAX = 4096;
/** How far below the highest certificate a block can still be new. */
export const BRANCH_HEIGHTS = 64;
/** Of a second; a node that catches up has thousands, and its peers have them. */
const TOLD_MAX = 16;

/** A chain of a partition that this node takes no part in. */
export interface Followed {
  readonly start: number | "any";
  /** The highest certificate that is here. */
  height: number;
  /** Certificates from this height on are asked for. */
  from: number;
  /** Hashes of the latest certified blocks, by height. */
  readonly hashes: Map<number, Set<Hash>>;
}

/** A certified block's place on its chain. */
export interface PlaceOnChain {
  readonly height: number;
  readonly hash: Hash;
  readonly parent: Hash;
  readonly start: boolean;
}

export function follow(start: number | "any"): Followed {
  const height = start === "any" ? -1 : start - 1;
  return { start, height, from: height + 1, hashes: new Map() };
}

/** Whether all blocks of this height count as known (CHANNEL-3): one that replays old certificates would have each one checked. */
export function isPast({ start, height }: Followed, at: number): boolean {
  return start !== "any" && at <= height - BRANCH_HEIGHTS;
}

/** A checked certificate has come: whether it may be kept, or its parent has to come first. */
export function isNext(chain: Followed, { height, parent, start }: PlaceOnChain): boolean {
  // Else a quorum of another partition could begin anywhere, and again and again.
  if (chain.start === "any" ? start : height === chain.start) return true;
  // CHANNEL-2.
  // mutant: keep-early-certificates
  return chain.hashes.get(height - 1)?.has(parent) === true;
}

/** A certificate came early: its parent is asked for (CHANNEL-4). */
export function askBelow(chain: Followed, { height }: PlaceOnChain): void {
  // mutant: forget-branches
  chain.from = Math.max(Math.min(chain.from, height - 1), chain.height - BRANCH_HEIGHTS + 1, 0);
}

/** The certificate is kept. */
export function take(chain: Followed, { height, hash }: Pick<PlaceOnChain, "height" | "hash">): void {
  const there = chain.hashes.get(height) ?? new Set<Hash>();
  chain.hashes.set(height, there.add(hash));
  chain.height = Math.max(chain.height, height);
  chain.from = Math.max(chain.from, height + 1);
  for (const at of chain.hashes.keys()) if (at < chain.height - BRANCH_HEIGHTS) chain.hashes.delete(at);
}

/** What this node knows of certificates, of whichever chain. */
export interface Hearsay {
  /** Blocks whose certificate is here, the latest. */
  readonly held: Set<Hash>;
  /** Blocks that somebody was heard to tell of, the latest. */
  readonly told: Set<Hash>;
  second: number;
  count: number;
}

export function createHearsay(): Hearsay {
  return { held: new Set(), told: new Set(), second: 0, count: 0 };
}

/** Whether this node sends the certificate to all now (CHANNEL-5). */
export function mayTell(hearsay: Hearsay, block: Hash, nowMs: number): boolean {
  // mutant: all-tell/heard
  if (hearsay.told.has(block)) return false;
  const second = Math.floor(nowMs / 1000);
  if (hearsay.second !== second) Object.assign(hearsay, { second, count: 0 });
  if (hearsay.count >= TOLD_MAX) return false;
  hearsay.count++;
  remember(hearsay.told, block);
  return true;
}

/** The set's oldest goes where it would grow beyond its limit. */
export function remember(set: Set<Hash>, value: Hash): void {
  set.delete(value);
  set.add(value);
  const [oldest] = set;
  if (set.size > KNOWN_MAX && oldest !== undefined) set.delete(oldest);
}

/** Attesters in the order of a draw over the block, as many as hold an honest one. */
export function tellersOf(
  { weights, oneHonest }: { readonly weights: ReadonlyMap<Key, number>; readonly oneHonest: number },
  block: Hash,
): Key[] {
  const drawn = [...weights.keys()].map((key) => ({
    key,
    rank: domainHash("teller", hexToBytes(block), hexToBytes(key)),
  }));
  drawn.sort((a, b) => (a.rank < b.rank ? -1 : 1));
  let weight = 0;
  return drawn.flatMap(({ key }) => {
    // mutant: all-tell
    if (weight >= oneHonest) return [];
    weight += weights.get(key) ?? 0;
    return [key];
  });
}
