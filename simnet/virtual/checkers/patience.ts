/** L4 and the one-honest rule: nobody holds an attempt to be over before there is a reason to. */
import type { Manifest } from "../../../src/protocol/manifest.ts";
import type { Stage } from "../../../src/protocol/workflow.ts";

interface Facts {
  /** The earliest moment at which the attempt can have been open anywhere. */
  readonly openedMs: number;
  readonly claimedMs: number | null;
  /** Whether the others who say so weigh so much that one of them is honest. */
  readonly isHonestAmong: boolean;
  readonly nowMs: number;
}

/** Clocks drift; nobody's drifts further. */
const DRIFT = 0.7;

/** Why this reason cannot be, or `null`. */
export function judgeTimeout(code: string, facts: Facts, manifest: Manifest, stage: Stage | undefined): string | null {
  if (stage === undefined) return "for a task that there is not";
  const { openedMs, claimedMs, nowMs } = facts;
  const tooSoon = (sinceMs: number, leastMs: number): string | null =>
    nowMs - sinceMs < DRIFT * leastMs ? `after ${Math.round(nowMs - sinceMs)} ms of ${leastMs}` : null;
  switch (code) {
    case "others-timed-out":
      return facts.isHonestAmong ? null : "on the word of too few";
    case "not-claimed":
      return tooSoon(openedMs, manifest.json.timing.claimWindowMs);
    case "no-progress":
      return claimedMs === null ? "of a claim that nobody made" : tooSoon(claimedMs, stage.leaseMs);
    case "limit":
      // A limit that follows what is usual is a lease at least.
      return claimedMs === null
        ? "of a claim that nobody made"
        : tooSoon(claimedMs, Math.min(stage.leaseMs, stage.limitMs));
    default:
      // Released, failed or rejected: the prover's own word, or a proof that anybody can verify.
      return null;
  }
}
