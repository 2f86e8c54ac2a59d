/**
 * How far an attempt is by this node's clock, and the moves from phase to phase.
 *
 * shut -> paused: its task is ready, and the attempts below it are over. Nobody claims it before the pause ends.
 * paused -> open: this node is an attester and confirms the block. The claim window runs from here, or from the pause's end.
 * open -> claimed: the claim of its owner, or of the prover that a quorum granted it to, is here. Lease and limit run.
 * claimed -> open: the claim is no fact any more.
 * paused, open, claimed -> paused, open, claimed: the clocks begin anew, because the task is ready once more or requeued.
 * shut, paused, open, claimed -> over: a quorum of timeouts ended it.
 * over -> shut: that quorum is none any more, because an attester is excluded.
 */
import type { Key } from "../protocol/ids.ts";

/** A claim that counts, and when this node first saw that it does. */
interface Claim {
  readonly claimant: Key;
  readonly claimedMs: number;
}

interface Pause {
  /** Until when nobody claims the attempt, because earlier attempts have failed. */
  readonly untilMs: number;
}

interface Opened extends Pause {
  /** When this node, as an attester, saw the attempt open. */
  readonly openedMs: number;
}

export type AttemptPhase =
  | { readonly name: "shut" }
  | ({ readonly name: "paused" } & Pause)
  | ({ readonly name: "open" } & Opened)
  | ({ readonly name: "claimed" } & Opened & Claim)
  | { readonly name: "over"; readonly claim: Claim | null };

interface Phased {
  phase: AttemptPhase;
}

/** The attempt is its task's open one, and may be claimed once this time has come. */
export function pauseUntil(attempt: Phased, untilMs: number): void {
  if (attempt.phase.name === "shut") attempt.phase = { name: "paused", untilMs };
}

/** The claim window begins to run. */
export function openWindow(attempt: Phased, nowMs: number): void {
  if (attempt.phase.name === "paused") attempt.phase = { ...attempt.phase, name: "open", openedMs: nowMs };
}

/** The claim of this prover counts; a later change of the roster takes nothing from it. */
export function noteClaim(attempt: Phased, claimant: Key, claimedMs: number): void {
  if (attempt.phase.name === "open") attempt.phase = { ...attempt.phase, name: "claimed", claimant, claimedMs };
}

/** The claim of this prover is no fact any more. */
export function dropClaim(attempt: Phased, claimant: Key): void {
  const { phase } = attempt;
  if (phase.name !== "claimed" || phase.claimant !== claimant) return;
  attempt.phase = { name: "open", untilMs: phase.untilMs, openedMs: phase.openedMs };
}

/** Whoever owns it has the whole claim window again. A claim that counts goes on counting. */
export function restartWindow(attempt: Phased, nowMs: number): void {
  const { phase } = attempt;
  if (phase.name === "open") attempt.phase = { name: "paused", untilMs: phase.untilMs };
  if (phase.name === "claimed") attempt.phase = { ...phase, openedMs: nowMs };
}

/** All its clocks begin anew, its pause as well, because operators have requeued the task. */
export function restartClocks(attempt: Phased, nowMs: number, untilMs: number): void {
  const { phase } = attempt;
  if (phase.name === "paused" || phase.name === "open") attempt.phase = { name: "paused", untilMs };
  if (phase.name === "claimed") attempt.phase = { ...phase, untilMs, openedMs: nowMs, claimedMs: nowMs };
}

/** A quorum has ended it. Whether that is news. */
export function markOver(attempt: Phased): boolean {
  if (attempt.phase.name === "over") return false;
  attempt.phase = { name: "over", claim: claimOf(attempt) };
  return true;
}

/** The quorum that has ended it is none any more. */
export function shutAgain(attempt: Phased): void {
  if (attempt.phase.name === "over") attempt.phase = { name: "shut" };
}

/** The claim that counts here; `null` where there is none. */
export function claimOf({ phase }: Phased): Claim | null {
  if (phase.name === "over") return phase.claim;
  return phase.name === "claimed" ? { claimant: phase.claimant, claimedMs: phase.claimedMs } : null;
}

/** Until when nobody claims the attempt; `null` before that is known, and once the attempt is over. */
export function pausedUntilMs({ phase }: Phased): number | null {
  return phase.name === "shut" || phase.name === "over" ? null : phase.untilMs;
}

/** From when on the claim window of the attempt runs; `null` while it does not. */
export function claimableMs({ phase }: Phased): number | null {
  return phase.name === "open" || phase.name === "claimed" ? Math.max(phase.openedMs, phase.untilMs) : null;
}
