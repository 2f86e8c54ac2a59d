/**
 * L4: a failure in quarantine is followed by its pause. No honest prover claims the next attempt before the pause is over,
 * and no honest attester ends that attempt by its own judgement.
 *
 * Judged where links lose nothing and clocks are true, because nodes count what they have heard.
 */
import type { Key } from "../../../src/protocol/ids.ts";
import type { Manifest } from "../../../src/protocol/manifest.ts";
import { haveGivenUp } from "./levels.ts";
import type { Life, TaskLife } from "./lives.ts";
import { placeOf } from "./place.ts";

/** Why an attempt ended that counts as no failure. */
const NO_FAILURE: ReadonlySet<string> = new Set(["not-claimed", "released"]);

export interface PaceOptions {
  readonly manifest: Manifest;
  readonly now: () => number;
  readonly isHostile: (key: Key) => boolean;
  readonly complain: (violation: string) => void;
}

export class Pace {
  readonly #options: PaceOptions;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** An attempt was claimed, or held to be over for a reason of its author's own. */
  heard(task: TaskLife, attempt: Life, author: Key, what: "claimed" | "timed out"): void {
    const { now, isHostile, complain } = this.#options;
    if (isHostile(author)) return;
    const leastMs = this.#pauseMs(task, attempt);
    const afterMs = now() - attempt.openedMs;
    if (afterMs >= leastMs) return;
    const { block, stage, index } = task;
    const place = placeOf({ block: block.id, stage: stage.name, index }, attempt.number);
    // PACE-1, PACE-3, PACE-4, REQUEUE-2.
    complain(`L4: ${author.slice(0, 8)} ${what} ${place} ${Math.round(afterMs)} ms into a pause of ${leastMs} ms`);
  }

  #pauseMs({ attempts, stage }: TaskLife, { number }: Life): number {
    const { manifest } = this.#options;
    const { pauseMs, pauseMsMax } = manifest.retry;
    const over = attempts.slice(0, number);
    const last = over.at(-1);
    if (last === undefined || !isFailure(last)) return 0;
    const since = over.findIndex((_, at) => haveGivenUp(over.slice(0, at + 1), manifest, stage));
    if (since < 0) return 0;
    return Math.min(pauseMs * 2 ** over.slice(since + 1).filter(isFailure).length, pauseMsMax);
  }
}

function isFailure({ claims, timeouts }: Life): boolean {
  return claims.size > 0 && [...timeouts.values()].every((code) => !NO_FAILURE.has(code));
}
