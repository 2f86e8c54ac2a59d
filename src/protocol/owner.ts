/**
 * Who owns a task in an attempt. Everybody knows beforehand, so claims never race.
 *
 * Weighted rendezvous hashing with bounded load: each prover's score for a task is the best of `weight` hash draws (the
 * maximum of w uniform draws is exactly weighted rendezvous, and needs no logarithm, which engines may round
 * differently). Plain rendezvous overloads some prover two to four times, so tasks are dealt in order and nobody gets
 * more than its share of a stage rounded up. The bound is per stage rather than per block: the tasks of a stage run at
 * the same time, and a prover with two of them would be what the block waits for.
 *
 * A hash for each task and member takes seconds where thousands are members. Rosters above `EXACT_MAX` therefore draw from
 * one hash for each stage and member, which each task's seed scrambles, and their orders end after `ORDER_MAX` members.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { domainDigest, type Hash, type Key, u64 } from "./ids.ts";

export interface Candidate {
  readonly key: Key;
  readonly weight: number;
  /** The best `ORDER_MAX` of each group are in a long roster's orders, so that members who go last leave room for the others. */
  readonly group?: number;
}

/** Rosters up to this size are ranked whole. */
export const EXACT_MAX = 64;
/** So many members of each group are in the orders of a larger roster. Attempts begin again with the first after the last. */
export const ORDER_MAX = 32;

/**
 * The owners of a stage's tasks: for each task index the provers in the order of their attempts. Attempt k goes to the
 * k-th of the task's own order, and round again. Empty orders where there is no candidate. Of `copies` tasks that follow
 * each other, each begins with provers of its own: nobody owns two of them before all of one's own had their turn.
 */
export function ownersOf(
  network: Hash,
  block: Hash,
  stage: string,
  count: number,
  candidates: readonly Candidate[],
  copies = 1,
): readonly (readonly Key[])[] {
  const total = candidates.reduce((sum, candidate) => sum + candidate.weight, 0);
  const room = new Map(candidates.map(({ key, weight }) => [key, Math.ceil((count * weight) / total)]));
  const orders: Key[][] = [];
  const isLong = candidates.length > EXACT_MAX;
  const deal = isLong ? longDeal(network, block, stage, candidates) : exactDeal(network, block, stage, candidates);
  for (let index = 0; index < count; index += copies) {
    const { firsts, ranked } = deal(index, copies, room);
    const all = [...firsts.flat(), ...ranked];
    for (const [copy, first] of firsts.entries()) {
      const own = [...first, ...ranked.filter((_, at) => at % copies === copy)];
      // The last of the others first: their own task needs them least.
      orders.push([...own, ...all.filter((key) => !own.includes(key)).reverse()]);
    }
  }
  return orders;
}

interface Dealt {
  /** For each copy the owner of its first attempt; empty where everybody leads another copy. */
  readonly firsts: readonly (readonly Key[])[];
  /** The others, the best first. */
  readonly ranked: readonly Key[];
}

type Deal = (index: number, copies: number, room: Map<Key, number>) => Dealt;

function exactDeal(network: Hash, block: Hash, stage: string, candidates: readonly Candidate[]): Deal {
  const drawn = candidates.map(({ key, weight }) => ({ key, weight, bytes: hexToBytes(key) }));
  return (index, copies, room) => {
    const ranked = rank(network, block, stage, index, drawn);
    return { firsts: Array.from({ length: copies }, () => takeFirst(ranked, room)), ranked };
  };
}

/** Takes the first that has room for one more, of one task somebody always; of copies anybody rather than nobody. */
function takeFirst(ranked: Key[], room: Map<Key, number>): readonly Key[] {
  // mutant: owners-without-bound
  const first = ranked.findIndex((key) => (room.get(key) ?? 0) > 0);
  const taken = ranked.splice(Math.max(first, 0), 1);
  for (const key of taken) room.set(key, (room.get(key) ?? 0) - 1);
  return taken;
}

/** The owner of an attempt in a task's order; `null` where nobody can prove it. */
export function ownerOf(order: readonly Key[], attempt: number): Key | null {
  return order[attempt % order.length] ?? null;
}

interface Drawn extends Candidate {
  readonly bytes: Uint8Array;
}

function rank(network: Hash, block: Hash, stage: string, index: number, candidates: readonly Drawn[]): Key[] {
  const seed = domainDigest("owner", hexToBytes(network), hexToBytes(block), u64(index), utf8ToBytes(stage));
  const scored = candidates.map(({ key, weight, bytes }) => ({ key, score: bestDraw(seed, bytes, weight) }));
  scored.sort((a, b) => {
    if (a.score === b.score) return a.key < b.key ? -1 : 1;
    // mutant: other-owners
    return a.score > b.score ? -1 : 1;
  });
  return scored.map(({ key }) => key);
}

function bestDraw(seed: Uint8Array, key: Uint8Array, weight: number): bigint {
  let best = 0n;
  for (let draw = 0; draw < weight; draw++) {
    const digest = domainDigest("owner-draw", seed, key, u64(draw));
    const value = new DataView(digest.buffer, digest.byteOffset).getBigUint64(0);
    if (value > best) best = value;
  }
  return best;
}

interface Drawer {
  readonly key: Key;
  readonly weight: number;
  /** The first 16 bytes of the member's hash for this stage. */
  readonly words: readonly [number, number, number, number];
}

function longDeal(network: Hash, block: Hash, stage: string, candidates: readonly Candidate[]): Deal {
  const seed = domainDigest("owner-stage", hexToBytes(network), hexToBytes(block), utf8ToBytes(stage));
  // In the order of their keys, which decides between equal draws.
  const sorted = [...candidates].sort((a, b) => (a.key < b.key ? -1 : 1));
  // The seed keeps these hashes apart from all others. Half of it and a key are one block of SHA-256; with a domain it were two.
  const message = new Uint8Array(48);
  message.set(seed.subarray(0, 16));
  const drawers = sorted.map(({ key, weight }) => {
    message.set(hexToBytes(key), 16);
    return { key, weight, words: wordsOf(sha256(message)) };
  });
  const groups = new Map<number, number[]>();
  for (const [at, { group = 0 }] of sorted.entries()) {
    const known = groups.get(group);
    if (known === undefined) groups.set(group, [at]);
    else known.push(at);
  }
  const scores = new Float64Array(drawers.length);
  return (index, copies, room) => {
    const task = wordsOf(domainDigest("owner-task", seed, u64(index)));
    for (const [at, drawer] of drawers.entries()) scores[at] = drawScore(task, drawer);
    const firsts = Array.from({ length: copies }, () => [takeBest(drawers, scores, room)]);
    const best = [...groups.values()].flatMap((group) => bestOf(drawers, scores, group, ORDER_MAX * copies));
    return { firsts, ranked: sortByScore(best, scores).map((at) => drawers[at]?.key ?? "") };
  };
}

/** Takes the best draw that has room for one more. The room of all together is enough for every task. */
function takeBest(drawers: readonly Drawer[], scores: Float64Array, room: Map<Key, number>): Key {
  let best = -1;
  for (let at = 0; at < drawers.length; at++) {
    if ((scores[at] ?? 0) <= (scores[best] ?? TAKEN) || (room.get(drawers[at]?.key ?? "") ?? 0) <= 0) continue;
    best = at;
  }
  const key = drawers[best]?.key ?? "";
  room.set(key, (room.get(key) ?? 0) - 1);
  scores[best] = TAKEN;
  return key;
}

/** The `most` best of a group. Few are above the bound that is tried first; all are sorted where they are too few. */
function bestOf(drawers: readonly Drawer[], scores: Float64Array, group: readonly number[], most: number): number[] {
  const weight = group.reduce((sum, at) => sum + (drawers[at]?.weight ?? 0), 0);
  const bound = SCORE_MAX * Math.max(1 - (2 * most) / weight, 0);
  const above = group.filter((at) => (scores[at] ?? TAKEN) >= bound);
  const enough = above.length >= most ? above : group.filter((at) => scores[at] !== TAKEN);
  return sortByScore(enough, scores).slice(0, most);
}

/** By position, and so by key, where scores are equal. */
function sortByScore(members: number[], scores: Float64Array): number[] {
  return members.sort((a, b) => (scores[b] ?? TAKEN) - (scores[a] ?? TAKEN) || a - b);
}

const SCORE_MAX = 2 ** 52;
/** Below every score: the member leads the task already. */
const TAKEN = -1;

function wordsOf(digest: Uint8Array): readonly [number, number, number, number] {
  const view = new DataView(digest.buffer, digest.byteOffset);
  return [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12)];
}

/** The best of as many 52-bit draws as the member has weight. */
function drawScore([s0, s1, s2, s3]: Drawer["words"], { words: [w0, w1, w2, w3], weight }: Drawer): number {
  let best = 0;
  for (let draw = 0; draw < weight; draw++) {
    const high = scramble(scramble((w0 ^ s0) + draw) ^ w1 ^ s1) >>> 0;
    const low = scramble(scramble((w2 ^ s2) + draw) ^ w3 ^ s3) >>> 12;
    best = Math.max(best, high * 2 ** 20 + low);
  }
  return best;
}

/** A permutation of 32-bit numbers in which every bit of the input changes half of the output (`lowbias32`). */
function scramble(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x7feb352d);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x846ca68b);
  return mixed ^ (mixed >>> 16);
}
