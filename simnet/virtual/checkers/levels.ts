/**
 * In how many pieces a block that may be split has to be proven, worked out once more: whole, until a piece that is not
 * complete was put into quarantine by a quorum; and at no finer level than one that is complete.
 */
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { EntryOf } from "../../../src/protocol/messages.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";
import { placeOf } from "./place.ts";

/** What is known of a task. */
export interface Piece {
  readonly stage: Stage;
  readonly index: number;
  readonly isComplete: boolean;
  /** Whether a quorum has ever put it into quarantine. */
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

/** S1: pieces are there for nobody before a quorum has given up what is larger. */
export class Levels {
  readonly #isQuorum: (keys: Iterable<Key>) => boolean;
  readonly #voters = new Map<string, Set<Key>>();
  /** By block: levels of which a quorum has given a piece up. */
  readonly #givenUp = new Map<Hash, Set<number>>();

  constructor(isQuorum: (keys: Iterable<Key>) => boolean) {
    this.#isQuorum = isQuorum;
  }

  quarantine(author: Key, entry: EntryOf<"quarantine">, stage: Stage | undefined): void {
    if (stage?.isSplit !== true) return;
    const place = `${placeOf(entry)} ${entry.round}`;
    const voters = (this.#voters.get(place) ?? new Set<Key>()).add(author);
    this.#voters.set(place, voters);
    if (!this.#isQuorum(voters)) return;
    const levels = this.#givenUp.get(entry.block) ?? new Set<number>();
    this.#givenUp.set(entry.block, levels.add(levelOfIndex(stage, entry.index)));
  }

  /** Whether the task may be anybody's. */
  isOpen(block: Hash, stage: Stage | undefined, index: number): boolean {
    if (stage === undefined || stage.levels.length === 0) return true;
    const above = Array.from({ length: levelOfIndex(stage, index) }, (_, level) => level);
    return above.every((level) => this.#givenUp.get(block)?.has(level) === true);
  }
}
