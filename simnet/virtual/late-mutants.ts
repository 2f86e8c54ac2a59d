/** Mutants of the rules about time: what comes too soon, too late or never. */
import type { Mutant } from "./mutant.ts";

export const LATE_MUTANTS: Readonly<Record<string, Mutant>> = {
  "hasty-timeout": {
    rule: "the owner has its claim window",
    edits: [
      {
        file: "src/core/reclaim.ts",
        from: "return state.nowMs >= untilMs ?",
        to: "return state.nowMs >= untilMs - 400 ?",
      },
    ],
    runs: ["rough", "late"],
    expected: /^L4: .*\(not-claimed\)/,
  },
  "no-lease": {
    rule: "a claim without progress ends with its lease",
    edits: [
      {
        file: "src/core/reclaim.ts",
        from: "if (state.nowMs >= leaseUntilMs) return",
        to: "if (state.nowMs >= leaseUntilMs - 1900) return",
      },
    ],
    runs: ["droppers", "rough"],
    expected: /^L4: .*\(no-progress\)/,
  },
  "beats-renew": {
    rule: "a beat renews a lease only where it tells of progress",
    edits: [{ file: "src/core/collector.ts", from: "|| beat.units <= (attempt", to: "|| beat.units < (attempt" }],
    runs: ["hanging"],
    expected: /^L4: .*\(no-progress\) is over after/,
  },
  "no-limit": {
    rule: "progress renews a lease only up to the absolute limit",
    edits: [
      { file: "src/core/reclaim.ts", from: "return state.nowMs >= limitMs ?", to: "return state.nowMs < 0 ?" },
      // Or the next owners would prove at their own risk what no quorum ends.
      {
        file: "src/core/balance.ts",
        from: "return 1 + Math.floor((state.nowMs - waitUntilMs - mostMs) / limitMs);",
        to: "return 0;",
      },
    ],
    runs: ["endless"],
    expected: /^L1: /,
  },
  "retries-unclaimed": {
    rule: "an owner claims what it owns, what has failed before as well",
    edits: [
      {
        file: "src/core/dispatcher.ts",
        from: "!== self || attempt.ends.has(self)) return false;",
        to: "!== self || attempt.ends.has(self) || attempt.number > 0) return false;",
      },
    ],
    runs: ["failing"],
    expected: /^L2: .* while provers were free/,
  },
  "window-too-long": {
    rule: "an owner has no more than its claim window",
    edits: [
      {
        file: "src/core/reclaim.ts",
        from: "return Math.ceil(Math.max(baseWindowMs(state, attempt), learnedMs));",
        to: "return Math.ceil(3 * Math.max(baseWindowMs(state, attempt), learnedMs));",
      },
    ],
    runs: ["dying"],
    expected: /^L4: .*\(not-claimed\) is over after/,
  },
  "lease-too-long": {
    rule: "a prover that dies at work costs one lease",
    edits: [
      {
        file: "src/core/reclaim.ts",
        from: "?.atMs ?? 0) + task.stage.leaseMs;",
        to: "?.atMs ?? 0) + 2 * task.stage.leaseMs;",
      },
    ],
    runs: ["hanging"],
    expected: /^L4: .*\(no-progress\) is over after/,
  },
  "deaf-to-release": {
    rule: "what is given back is over at once",
    edits: [
      {
        file: "src/core/collector.ts",
        from: "if (!attempt.ends.has(author)) attempt.ends.set(author, entry.kind",
        to: "if (state.nowMs < 0) attempt.ends.set(author, entry.kind",
      },
    ],
    runs: ["hanging"],
    expected: /^L4: .*\(released\) is over after/,
  },
};
