/** Mutants of the rules about the pace of attempts, and about owners that lose them. */
import type { Mutant } from "./mutant.ts";

export const PACE_MUTANTS: Readonly<Record<string, Mutant>> = {
  "few-logical": {
    rule: "PACE-2: a task is in quarantine for its input once all able provers say so",
    edits: [{ at: "few-logical", replace: "return { code: each, logical: true, since: attempt };" }],
    runs: ["pieces"],
    expected: /^S1: .* a piece of what provers have not given up/,
  },
  "no-pause": {
    rule: "PACE-3: a failure in quarantine is followed by a pause",
    edits: [{ at: "no-pause", replace: "return 0;" }],
    runs: ["paused"],
    expected: /^L4: .* into a pause of/,
  },
  "over-in-pause": {
    rule: "PACE-4: no attempt is over before its pause is",
    edits: [{ at: "over-in-pause", remove: true }],
    runs: ["early"],
    expected: /^L4: .* timed out .* into a pause of/,
  },
  "griefing-uncounted": {
    rule: "BARRIER-8: a certificate names the attempts that their owners lost",
    edits: [{ at: "griefing-uncounted", replace: "const attempt = undefined;" }],
    runs: ["griefed"],
    expected: /^L4: .* does not name .* which its owner lost/,
  },
  "griefers-first": {
    rule: "L4: a prover that loses too many attempts goes to the end of every order",
    edits: [{ at: "griefers-first", replace: "const isBehind = (key: Key) => dealtGroups.get(key) === GROUP.last;" }],
    runs: ["griefed"],
    expected: /^L4: .* had the first attempt of .* and had lost too many/,
  },
  "requeue-alone": {
    rule: "REQUEUE-2: operators of f+1 attesters end a pause",
    edits: [{ at: "requeue-alone", replace: "return attempt;" }],
    runs: ["requeues"],
    expected: /^L4: .* into a pause of/,
  },
};
