/** Mutants of the rules about time: what comes too soon, too late or never. */
import type { Mutant } from "./mutant.ts";

export const LATE_MUTANTS: Readonly<Record<string, Mutant>> = {
  "hasty-timeout": {
    rule: "TIMEOUT-1: the owner has its claim window",
    edits: [{ at: "hasty-timeout", replace: 'if (state.nowMs >= untilMs - 400) return { code: "not-claimed" };' }],
    runs: ["rough", "late"],
    expected: /^L4: .*\(not-claimed\)/,
  },
  "no-lease": {
    rule: "TIMEOUT-1: a claim without progress ends with its lease",
    edits: [{ at: "no-lease", replace: 'if (state.nowMs >= leaseUntilMs - 1900) return { code: "no-progress" };' }],
    runs: ["droppers", "rough"],
    expected: /^L4: .*\(no-progress\)/,
  },
  "beats-renew": {
    rule: "BEAT-1: a beat renews a lease only where it tells of progress",
    edits: [{ at: "beats-renew", replace: "if (beat.units < knownUnits) continue;" }],
    runs: ["hanging"],
    expected: /^L4: .*\(no-progress\) is over after/,
  },
  "no-limit": {
    rule: "TIMEOUT-1: progress renews a lease only up to the absolute limit",
    edits: [
      { at: "no-limit", remove: true },
      // Otherwise the next owners prove at their own risk what no quorum ends.
      { at: "no-limit/others", replace: "return 0;" },
    ],
    runs: ["endless"],
    expected: /^L1: /,
  },
  "retries-unclaimed": {
    rule: "L2: an owner claims what it owns, what has failed before as well",
    edits: [{ at: "retries-unclaimed", after: "if (attempt.number > 0) return false;" }],
    runs: ["failing"],
    expected: /^L2: .* while provers were free/,
  },
  "window-too-long": {
    rule: "L4: an owner has no more than its claim window",
    edits: [{ at: "window-too-long", replace: "return Math.ceil(3 * windowMs);" }],
    runs: ["dying"],
    expected: /^L4: .*\(not-claimed\) is over after/,
  },
  "lease-too-long": {
    rule: "L4: a prover that dies at work costs one lease",
    edits: [{ at: "lease-too-long", replace: "const leaseUntilMs = progressMs + 2 * task.stage.leaseMs;" }],
    runs: ["hanging"],
    expected: /^L4: .*\(no-progress\) is over after/,
  },
  "deaf-to-release": {
    rule: "RELEASE-2: what is given back is over at once",
    edits: [{ at: "deaf-to-release", remove: true }],
    runs: ["hanging"],
    expected: /^L4: .*\(released\) is over after/,
  },
  "end-by-arrival": {
    rule: "FAIL-1: of a prover's statements that end an attempt the first by its feed counts",
    edits: [
      {
        at: "end-by-arrival",
        replace: "if (!ends.has(signed.author)) keepFact(block, ends, { ...signed, code, logical });",
      },
    ],
    runs: ["regretful"],
    expected: /^S6: .* has the ends of /,
  },
};
