/**
 * Who owns a task in an attempt. Everybody knows beforehand, so claims never race.
 *
 * Weighted rendezvous hashing with bounded load: each prover's score for a task is the best of `weight` hash draws (the
 * maximum of w uniform draws is exactly weighted rendezvous, and needs no logarithm, which engines may round
 * differently). Plain rendezvous overloads some prover two to four times, so tasks are dealt in order and nobody gets
 * more than its share of a stage rounded up. The bound is per stage rather than per block: the tasks of a stage run at
 * the same time, and a prover with two of them would be what the block waits for.
 */
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { domainDigest, type Hash, type Key, u64 } from "./ids.ts";

export interface Candidate {
  readonly key: Key;
  readonly weight: number;
}

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
  const drawn = candidates.map(({ key, weight }) => ({ key, weight, bytes: hexToBytes(key) }));
  for (let index = 0; index < count; index += copies) {
    const ranked = rank(network, block, stage, index, drawn);
    const firsts = Array.from({ length: copies }, () => takeFirst(ranked, room));
    const all = [...firsts.flat(), ...ranked];
    for (const [copy, first] of firsts.entries()) {
      const own = [...first, ...ranked.filter((_, at) => at % copies === copy)];
      // The last of the others first: their own task needs them least.
      orders.push([...own, ...all.filter((key) => !own.includes(key)).reverse()]);
    }
  }
  return orders;
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
