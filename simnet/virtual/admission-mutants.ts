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
  "known-at-once": {
    rule: "ADMIT-6: a key is known for 64 certified blocks before it owns tasks of blocks whose hashes are known",
    edits: [
      { at: "known-at-once", replace: "const known = 0;" },
      { at: "known-at-once/any", replace: "return false;" },
    ],
    runs: ["known"],
    expected: /^S1: .* certified blocks after its first join/,
  },
};
