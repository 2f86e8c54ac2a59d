/** Mutants of the rules about newcomers. */
import type { Mutant } from "./mutant.ts";

export const ADMISSION_MUTANTS: Readonly<Record<string, Mutant>> = {
  "admitted-at-once": {
    rule: "ADMIT-4: a newcomer begins where an epoch begins",
    edits: [{ at: "admitted-at-once", replace: "return dealt + 1;" }],
    runs: ["joins"],
    expected: /^S1: .* where no epoch begins/,
  },
  "admissions-unbounded": {
    rule: "ADMIT-5: an attester votes on a newcomer at most once an epoch",
    edits: [{ at: "admissions-unbounded", remove: true }],
    runs: ["joins"],
    expected: /^R1: .* admits .* after a vote for/,
  },
};
