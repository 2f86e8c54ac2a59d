/**
 * Who may own an attempt, worked out once more from the rule: every prover draws once for each of its weight, the best
 * draw wins, and nobody is dealt more than its share of a stage rounded up; attempts go down the task's own ranking.
 */
import { hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { domainHash, type Hash, type Key, u64 } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";

interface Dealt {
  readonly key: Key;
  readonly weight: number;
}

/** Lost attempts that may move a prover to the end of every order. */
const LOST_MIN = 3;
/** More of them than this, and what a node may believe has too many forms to be told apart. */
const TROUBLED_MAX = 7;

export class Owners {
  readonly #manifest: Manifest;
  readonly #rankings = new Map<string, readonly (readonly Key[])[]>();
  /**
   * Keys that nodes may hold to be last in every order: a quorum has benched them, or they may have accused somebody
   * falsely. Nodes learn of it at different moments, and of the proven guilty as well.
   */
  readonly benched = new Set<Key>();
  readonly #lost = new Map<Key, number>();
  readonly #guilty: () => Iterable<Key>;

  constructor(manifest: Manifest, guilty: () => Iterable<Key>) {
    this.#manifest = manifest;
    this.#guilty = guilty;
  }

  /** Whether some node that has heard of a part of what befell the roster may take this prover for the attempt's owner. */
  mayOwn(prover: Key, block: Hash, stage: Stage, index: number, attempt: number): boolean {
    // Newcomers are admitted from a height on, and nodes hear of that at different moments, too.
    if (this.#manifest.json.provers.admission === "open") return true;
    const ranking = this.#ranking(block, stage)[index];
    if (ranking === undefined) return false;
    const guilty = [...this.#guilty()].filter((key) => ranking.includes(key));
    if (this.benched.size + guilty.length > TROUBLED_MAX) return true;
    // The benched go to the end of every order, and the guilty into none.
    return subsets(guilty).some((out) => {
      const left = ranking.filter((key) => !out.includes(key));
      return subsets([...this.benched]).some((last) => {
        const order = [...left.filter((key) => !last.includes(key)), ...left.filter((key) => last.includes(key))];
        return order[attempt % order.length] === prover;
      });
    });
  }

  /** A quorum ended an attempt. Whoever lost a few may go to the end, for as long as certificates say so. */
  lost(block: Hash, stage: Stage, index: number, attempt: number, claimants: Iterable<Key>): void {
    const ranking = this.#ranking(block, stage)[index] ?? [];
    for (const key of new Set([...claimants, ...ranking.slice(attempt % Math.max(ranking.length, 1)).slice(0, 1)])) {
      const count = (this.#lost.get(key) ?? 0) + 1;
      this.#lost.set(key, count);
      if (count >= LOST_MIN) this.benched.add(key);
    }
  }

  /** Each level is dealt for itself, under a name of its own. */
  #ranking(block: Hash, stage: Stage): readonly (readonly Key[])[] {
    const { name, levels, count, distinct, variants } = stage;
    const copies = distinct === "provers" ? variants.length : 1;
    if (levels.length === 0) return this.#dealt(block, name, count, copies);
    return levels.flatMap((groups, level) => this.#dealt(block, `${name}/${level}`, groups * variants.length, copies));
  }

  #dealt(block: Hash, stage: string, count: number, copies: number): readonly (readonly Key[])[] {
    const dealt = this.#manifest.json.provers.list;
    const share = new Map(dealt.map(({ key, weight }) => [key, shareOf(count, weight, dealt)]));
    const rank = (index: number) => {
      const place = [hexToBytes(this.#manifest.network), hexToBytes(block), u64(index), utf8ToBytes(stage)];
      const seed = domainHash("owner", ...place);
      return dealt
        .map((each) => ({ key: each.key, draw: drawOf(seed, each) }))
        .sort((a, b) => (a.draw === b.draw ? (a.key < b.key ? -1 : 1) : a.draw < b.draw ? 1 : -1))
        .map(({ key }) => key);
    };
    return Array.from({ length: count / copies }, (_, group) => {
      const name = `${block} ${stage} ${group}`;
      const known = this.#rankings.get(name) ?? orders(rank(group * copies), copies, share);
      // Known ones took their share when they were dealt, from a share that is gone.
      if (this.#rankings.has(name)) for (const [owner] of known.slice(0, dealt.length)) take(share, owner);
      this.#rankings.set(name, known);
      return known;
    }).flat();
  }
}

/**
 * The orders of the copies of a task. Each is led by a prover of its own that has room left, as far as there are any; the rest is dealt
 * to them in turn, and behind its own stand all others, the last dealt first.
 */
function orders(ranking: readonly Key[], copies: number, share: Map<Key, number>): Key[][] {
  const leaders: Key[] = [];
  for (let copy = 0; copy < Math.min(copies, ranking.length); copy++) {
    const left = ranking.filter((key) => !leaders.includes(key));
    const leader = left.find((key) => (share.get(key) ?? 0) > 0) ?? left[0];
    take(share, leader);
    if (leader !== undefined) leaders.push(leader);
  }
  const dealt = [...leaders, ...ranking.filter((key) => !leaders.includes(key))];
  return Array.from({ length: copies }, (_, copy) => {
    const own = dealt.filter((key) => dealt.indexOf(key) % copies === copy);
    return [...own, ...dealt.filter((key) => !own.includes(key)).toReversed()];
  });
}

function shareOf(count: number, weight: number, dealt: readonly Dealt[]): number {
  const total = dealt.reduce((sum, each) => sum + each.weight, 0);
  return Math.ceil((count * weight) / total);
}

function take(share: Map<Key, number>, key: Key | undefined): void {
  if (key !== undefined) share.set(key, (share.get(key) ?? 0) - 1);
}

/** The best of as many draws as the prover has weight, as hex: of one length, so that text compares as numbers do. */
function drawOf(seed: Hash, { key, weight }: Dealt): string {
  const draws = Array.from({ length: weight }, (_, draw) =>
    domainHash("owner-draw", hexToBytes(seed), hexToBytes(key), u64(draw)).slice(0, 16),
  );
  return draws.reduce((best, draw) => (draw > best ? draw : best), "");
}

function subsets(keys: readonly Key[]): Key[][] {
  let all: Key[][] = [[]];
  for (const key of keys) all = [...all, ...all.map((some) => [...some, key])];
  return all;
}
