/** Mutants of the rules about claims, votes and barriers. */
import type { Mutant } from "./mutant.ts";

export const VOTE_MUTANTS: Readonly<Record<string, Mutant>> = {
  "latest-counts": {
    rule: "ENTRY-5: of an author's votes about one thing the earliest by its feed counts, and not the latest that arrived",
    edits: [{ at: "latest-counts", remove: true }],
    runs: ["repeated"],
    expected: /^S6: .* has the timeouts of /,
  },
  "claim-unowned": {
    rule: "CLAIM-4: only by the owner",
    edits: [{ at: "claim-unowned", remove: true }],
    runs: ["quiet"],
    expected: /^S1: .* claimed .* which it does not own/,
  },
  "claim-unfounded": {
    rule: "CLAIM-1: with the timeout certificate of the attempt before",
    edits: [{ at: "claim-unfounded", after: "before.shift();" }],
    runs: ["droppers", "rough"],
    expected: /^S1: .* showed no timeout certificate/,
  },
  "grant-again": {
    rule: "GRANT-1: once per (task, attempt)",
    edits: [
      { at: "grant-again/unchecked", remove: true },
      { at: "grant-again", remove: true },
    ],
    runs: ["quiet", "rough"],
    expected: /^S4: .* granted .* twice/,
  },
  "grant-anybody": {
    rule: "GRANT-2: only to the owner",
    edits: [{ at: "grant-anybody", replace: "const owner = [...attempt.claims.keys()].at(-1) ?? null;" }],
    runs: ["greedy"],
    expected: /^S1: .* which does not own it/,
  },
  "grant-closed": {
    rule: "GRANT-3: only while the attempt is open",
    edits: [
      { at: "grant-closed/unchecked", remove: true },
      { at: "grant-closed", replace: "for (const each of task.attempts.values()) considerGrant(state, task, each);" },
    ],
    runs: ["hoard"],
    expected: /^S1: .* granted .* before the timeout certificate/,
  },
  "grant-after-timeout": {
    rule: "GRANT-5: never after the own timeout",
    edits: [
      { at: "grant-after-timeout/unchecked", remove: true },
      { at: "grant-after-timeout", remove: true },
    ],
    runs: ["late", "rough", "split"],
    expected: /^S4: .* granted .* after its own timeout/,
  },
  "grant-beyond-capacity": {
    rule: "GRANT-4: only within the owner's capacity",
    edits: [{ at: "grant-beyond-capacity", remove: true }],
    runs: ["hoard"],
    expected: /^R1: .* claim \d+ tasks/,
  },
  "attest-invalid": {
    rule: "ATTEST-2: only a proof that verifies",
    edits: [{ at: "attest-invalid", replace: 'proof.verdict = "valid";' }],
    runs: ["wrong"],
    expected: /^S2: .* vouched for a proof/,
  },
  "attest-unassigned": {
    rule: "ATTEST-3: only for the prover that the assignment certificate names",
    edits: [
      { at: "attest-unassigned/unchecked", remove: true },
      { at: "attest-unassigned", replace: "const isAssigned = attempt.claims.has(prover);" },
    ],
    runs: ["rough", "split", "late"],
    expected: /^S1: .* attested .* no assignment certificate/,
  },
  "attest-again": {
    rule: "ATTEST-1: once per (task, attempt)",
    edits: [
      { at: "attest-again/unchecked", remove: true },
      { at: "attest-again", remove: true },
    ],
    runs: ["quiet", "rough"],
    expected: /^S4: .* attested .* twice/,
  },
  "attest-after-timeout": {
    rule: "ATTEST-4: never after the own timeout",
    edits: [
      { at: "attest-after-timeout/unchecked", remove: true },
      { at: "attest-after-timeout", remove: true },
    ],
    runs: ["rough", "late", "split"],
    expected: /^S4: .* attested .* after its own timeout/,
  },
  "timeout-after-attest": {
    rule: "TIMEOUT-3: never after the own attest",
    edits: [
      { at: "timeout-after-attest/unchecked", remove: true },
      { at: "timeout-after-attest", remove: true },
      { at: "timeout-after-attest/valid", remove: true },
    ],
    runs: ["crashes", "rough", "split", "late"],
    expected: /^S4: .* timed out .* after its own attest/,
  },
  "timeout-despite-proof": {
    rule: "TIMEOUT-3: never when a valid proof is known",
    edits: [{ at: "timeout-despite-proof", remove: true }],
    runs: ["split", "late", "rough"],
    expected: /^S4: .* timed out .* valid proof/,
  },
  "reject-sound": {
    rule: "REJECT-1: only what does not verify",
    edits: [{ at: "reject-sound", replace: 'const fault = "proof.equation";' }],
    runs: ["quiet"],
    expected: /^S2: .* rejected a true proof/,
  },
  "quorum-too-small": {
    rule: "a quorum is more than two thirds of the weight",
    edits: [{ at: "quorum-too-small", replace: "quorum: Math.floor(weight / 2)" }],
    runs: ["rough", "crashes"],
    expected: /^S[123]: /,
  },
  "one-honest-too-small": {
    rule: "TIMEOUT-2: others' timeouts count once one of them must be honest",
    edits: [{ at: "one-honest-too-small", replace: "oneHonest: 1" }],
    runs: ["rash"],
    expected: /^L4: .* on the word of too few/,
  },
  "open-too-soon": {
    rule: "TIMEOUT-6: an attempt opens with the timeout certificate of the one before",
    edits: [
      { at: "open-too-soon/unchecked", remove: true },
      { at: "open-too-soon", remove: true },
    ],
    runs: ["rash", "late"],
    expected: /^S1: .* before the timeout certificate/,
  },
  "assigned-too-soon": {
    rule: "GRANT-8: a quorum of grants assigns",
    edits: [
      { at: "assigned-too-soon/unchecked", remove: true },
      { at: "assigned-too-soon", replace: "for (const prover of attempt.grants.keys()) return prover;" },
    ],
    runs: ["rough", "split", "late"],
    expected: /^S1: .* attested .* no assignment certificate/,
  },
  "complete-too-soon": {
    rule: "COMPLETE-3: a quorum that vouches for one proof completes a task",
    edits: [
      { at: "complete-too-soon/unchecked", remove: true },
      { at: "complete-too-soon", replace: "return proof.vouchers.size > 0;" },
    ],
    runs: ["quiet", "rough"],
    expected: /^S2: .* was not complete/,
  },
  "barrier-with-holes": {
    rule: "BARRIER-1: only when every task is complete",
    edits: [
      { at: "barrier-with-holes", replace: "block.tasks.some((task) => task.completeMs !== null)" },
      { at: "barrier-with-holes/content", replace: "if (chosenOf === null) continue;" },
    ],
    runs: ["quiet"],
    expected: /^S2: .* was not complete/,
  },
  "barrier-before-parent": {
    rule: "BARRIER-1, S3: not before the parent's",
    edits: [
      { at: "barrier-before-parent/unchecked", remove: true },
      { at: "barrier-before-parent", remove: true },
      { at: "barrier-before-parent/vote", replace: "return true;" },
    ],
    runs: ["late", "rough", "droppers"],
    expected: /^S3: /,
  },
};
