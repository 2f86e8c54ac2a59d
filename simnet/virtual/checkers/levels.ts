/**
 * In how many pieces a block that may be split has to be proven, worked out once more: whole, until a piece that is not
 * complete was put into quarantine by a quorum; and at no finer level than one that is complete.
 */
import type { Stage } from "../../../src/protocol/workflow.ts";

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
