/** The phases of an attempt, and which moves between them there are. */
import { describe, expect, it } from "vitest";
import {
  type AttemptPhase,
  claimableMs,
  claimOf,
  dropClaim,
  markOver,
  noteClaim,
  openWindow,
  pausedUntilMs,
  pauseUntil,
  restartClocks,
  restartWindow,
  shutAgain,
} from "../../src/core/attempts.ts";
import { keyOf } from "./harness.ts";

const OWNER = keyOf("p");
const PHASES: Readonly<Record<AttemptPhase["name"], AttemptPhase>> = {
  shut: { name: "shut" },
  paused: { name: "paused", untilMs: 10 },
  open: { name: "open", untilMs: 10, openedMs: 5 },
  claimed: { name: "claimed", untilMs: 10, openedMs: 5, claimant: OWNER, claimedMs: 20 },
  over: { name: "over", claim: null },
};
const MOVES: Readonly<Record<string, (attempt: { phase: AttemptPhase }) => void>> = {
  pauseUntil: (attempt) => pauseUntil(attempt, 30),
  openWindow: (attempt) => openWindow(attempt, 30),
  noteClaim: (attempt) => noteClaim(attempt, OWNER, 30),
  dropClaim: (attempt) => dropClaim(attempt, OWNER),
  restartWindow: (attempt) => restartWindow(attempt, 30),
  restartClocks: (attempt) => restartClocks(attempt, 30, 40),
  markOver: (attempt) => markOver(attempt),
  shutAgain: (attempt) => shutAgain(attempt),
};
/** All moves that change the phase; each other move leaves the attempt as it is. */
const TO: Readonly<Record<string, string>> = {
  "shut pauseUntil": "paused",
  "paused openWindow": "open",
  "open noteClaim": "claimed",
  "claimed dropClaim": "open",
  "open restartWindow": "paused",
  "open restartClocks": "paused",
  "shut markOver": "over",
  "paused markOver": "over",
  "open markOver": "over",
  "claimed markOver": "over",
  "over shutAgain": "shut",
};

describe("an attempt", () => {
  const all = Object.keys(PHASES).flatMap((from) => Object.keys(MOVES).map((move) => [from, move] as const));
  it.each(all)("that is %s makes the move %s where that is legal, and no other", (from, move) => {
    const attempt = { phase: PHASES[from as AttemptPhase["name"]] };
    MOVES[move]?.(attempt);
    expect(attempt.phase.name).toBe(TO[`${from} ${move}`] ?? from);
  });

  it("that is over keeps the claim that counted, and no clock", () => {
    const attempt = { phase: PHASES.claimed };
    markOver(attempt);
    expect([claimOf(attempt), claimableMs(attempt), pausedUntilMs(attempt)]).toEqual([
      { claimant: OWNER, claimedMs: 20 },
      null,
      null,
    ]);
  });

  it("that is claimed stays claimed when its clocks begin anew", () => {
    const attempt = { phase: PHASES.claimed };
    restartWindow(attempt, 30);
    expect([claimOf(attempt)?.claimedMs, claimableMs(attempt)]).toEqual([20, 30]);
    restartClocks(attempt, 50, 60);
    expect([claimOf(attempt)?.claimedMs, claimableMs(attempt)]).toEqual([50, 60]);
  });

  it("may be claimed after its pause and once it is open", () => {
    const attempt = { phase: PHASES.open };
    expect(claimableMs(attempt)).toBe(10);
    dropClaim({ phase: PHASES.claimed }, keyOf("q"));
    expect(claimableMs({ phase: PHASES.paused })).toBe(null);
  });
});
