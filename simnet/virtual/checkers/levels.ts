/**
 * In how many pieces a block that may be split has to be proven, worked out once more: whole, until a piece that is not
 * complete has failed so often that it is in quarantine; and at no finer level than one that is complete.
 */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";
import { placeOf } from "./place.ts";

/** What is known of a task. */
export interface Piece {
  readonly stage: Stage;
  readonly index: number;
  readonly isComplete: boolean;
  /** Whether its attempts have put it into quarantine. */
  readonly isGivenUp: boolean;
}

/** The level that a task is made for; 0 where its stage has none. */
export function levelOfIndex({ levels, variants }: Stage, index: number): number {
  let left = Math.floor(index / variants.length);
  for (const [level, groups] of levels.entries()) {
    if (left < groups) return level;
    left -= groups;
  }
  return 0;
}

export function levelFrom(pieces: readonly Piece[]): number {
  const leveled = pieces.filter(({ stage }) => stage.levels.length > 0);
  const [any] = leveled;
  if (any === undefined) return 0;
  const at = (level: number) => leveled.filter(({ stage, index }) => levelOfIndex(stage, index) === level);
  const levels = any.stage.levels.map((_, level) => level);
  const whole = levels.find((level) => at(level).every(({ isComplete }) => isComplete));
  if (whole !== undefined) return whole;
  const stuck = (level: number) =>
    at(level).some(({ stage, isComplete, isGivenUp }) => stage.isSplit && !isComplete && isGivenUp);
  return levels.find((level) => !stuck(level)) ?? levels.length - 1;
}

/** One attempt of a piece, as far as it was told. */
interface Told {
  readonly number: number;
  readonly overMs: number | null;
  readonly claims: ReadonlyMap<Key, unknown>;
  readonly timeouts: ReadonlyMap<Key, string>;
  readonly ends: ReadonlyMap<Key, { readonly code: string; readonly isLogical: boolean }>;
}

/**
 * Whether the attempts that are over put the task into quarantine: one logical code of all provers but those whose last
 * turn ended otherwise, or of as many as the manifest asks for; or as many failures as it allows, each prover's among them.
 */
export function haveGivenUp(attempts: readonly Told[], { json, retry }: Manifest, stage: Stage): boolean {
  const provers = json.provers.list.length;
  const over = attempts.filter(({ overMs }) => overMs !== null);
  const failed = over.filter(({ claims, ends }) => claims.size > 0 && !endsWith(ends, "released"));
  if (failed.length >= Math.max(stage.attempts ?? retry.attempts, provers)) return true;
  const codes = new Map<string, Set<Key>>();
  for (const { ends, claims, timeouts } of over)
    for (const [key, { code, isLogical }] of ends)
      if (isLogical && claims.has(key) && [...timeouts.values()].includes(code))
        codes.set(code, (codes.get(code) ?? new Set<Key>()).add(key));
  // The order of owners begins again after the last of them.
  const last = new Map(over.map((each) => [each.number % provers, each]));
  const otherwise = [...last.values()].filter(({ ends }) =>
    [...ends.values()].every(({ isLogical, code }) => !isLogical && code !== "released"),
  );
  const needed = Math.min(retry.logicalProvers, provers - otherwise.length);
  return [...codes.values()].some((keys) => keys.size >= needed);
}

function endsWith(ends: Told["ends"], wanted: string): boolean {
  return [...ends.values()].some(({ code }) => code === wanted);
}

// PACE-2.
/** S1: pieces are there for nobody before what is larger has failed as often as it takes at least. */
export class Levels {
  readonly #isQuorum: (keys: Iterable<Key>) => boolean;
  readonly #voters = new Map<string, Set<Key>>();
  /** By block and level: how many attempts of a piece are over, of that with the most. */
  readonly #over = new Map<string, Map<number, number>>();
  readonly #least: (excluded: number) => number;

  constructor({ json, retry }: Manifest, isQuorum: (keys: Iterable<Key>) => boolean) {
    this.#isQuorum = isQuorum;
    // An excluded prover fails no attempt. The others have one turn each.
    this.#least = (excluded) => Math.max(1, Math.min(retry.logicalProvers, json.provers.list.length - excluded));
  }

  timeout(author: Key, entry: EntryOf<"timeout">, stage: Stage | undefined): void {
    if (stage?.isSplit !== true) return;
    const place = placeOf(entry, entry.attempt);
    const voters = this.#voters.get(place) ?? new Set<Key>();
    if (this.#isQuorum(voters)) return;
    this.#voters.set(place, voters.add(author));
    if (!this.#isQuorum(voters)) return;
    const level = `${entry.block} ${levelOfIndex(stage, entry.index)}`;
    const counts = this.#over.get(level) ?? new Map<number, number>();
    this.#over.set(level, counts.set(entry.index, (counts.get(entry.index) ?? 0) + 1));
  }

  /** Whether the task may be anybody's, where so many provers are excluded or suspended. */
  isOpen(block: Hash, stage: Stage | undefined, index: number, excluded: number): boolean {
    if (stage === undefined || stage.levels.length === 0) return true;
    const above = Array.from({ length: levelOfIndex(stage, index) }, (_, level) => level);
    const most = (level: number) => Math.max(0, ...(this.#over.get(`${block} ${level}`)?.values() ?? []));
    return above.every((level) => most(level) >= this.#least(excluded));
  }
}
