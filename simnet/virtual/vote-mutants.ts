/** Mutants of the rules about claims, votes and barriers. */
import type { Mutant } from "./mutant.ts";

const ATTESTER = "src/core/attester.ts";
const MAKERS = "src/core/makers.ts";
const BARRIER = "src/core/barrier.ts";

export const VOTE_MUTANTS: Readonly<Record<string, Mutant>> = {
  "claim-unowned": {
    rule: "claim: only by the owner",
    edits: [
      {
        file: "src/core/dispatcher.ts",
        from: "if (ownerOfAttempt(state, task, attempt.number) !== self || attempt.ends.has(self)) return false;",
        to: "if (attempt.ends.has(self)) return false;",
      },
    ],
    runs: ["quiet"],
    expected: /^S1: .* claimed .* which it does not own/,
  },
  "claim-unfounded": {
    rule: "claim: with the timeout certificate of the attempt before",
    edits: [
      {
        file: "src/core/dispatcher.ts",
        from: "timeouts: before.map(show) });",
        to: "timeouts: before.slice(1).map(show) });",
      },
    ],
    runs: ["droppers", "rough"],
    expected: /^S1: .* showed no timeout certificate/,
  },
  "grant-again": {
    rule: "grant: once per (task, attempt)",
    edits: [
      {
        file: ATTESTER,
        from: "attempt.own.granted !== null || attempt.own.timedOut ||",
        to: "attempt.own.timedOut ||",
      },
    ],
    runs: ["quiet", "rough"],
    expected: /^S4: .* granted .* twice/,
  },
  "grant-anybody": {
    rule: "grant: only to the owner",
    edits: [
      {
        file: ATTESTER,
        from: "const owner = ownerOfAttempt(state, task, attempt.number);\n  // Where our view",
        to: "const owner = [...attempt.claims.keys()].at(-1) ?? null;\n  // Where our view",
      },
    ],
    runs: ["greedy"],
    expected: /^S1: .* which does not own it/,
  },
  "grant-closed": {
    rule: "grant: only while the attempt is open",
    edits: [
      {
        file: ATTESTER,
        from: "  considerGrant(state, task, open);\n",
        to: "  for (const each of task.attempts.values()) considerGrant(state, task, each);\n",
      },
    ],
    runs: ["hoard"],
    expected: /^S1: .* granted .* before the timeout certificate/,
  },
  "grant-after-timeout": {
    rule: "grant: never after the own timeout",
    edits: [{ file: ATTESTER, from: "!== null || attempt.own.timedOut || owner", to: "!== null || owner" }],
    runs: ["late", "rough", "split"],
    expected: /^S4: .* granted .* after its own timeout/,
  },
  "grant-beyond-capacity": {
    rule: "grant: only within the owner's capacity",
    edits: [
      {
        file: ATTESTER,
        from: "if (isFull(state, openClaims(state), claimant, task.block.chain)) {",
        to: "if (state.nowMs < 0) {",
      },
    ],
    runs: ["hoard"],
    expected: /^R1: .* claim \d+ tasks/,
  },
  "attest-invalid": {
    rule: "attest: only a proof that verifies",
    edits: [{ file: ATTESTER, from: 'proof.verdict = "invalid";', to: 'proof.verdict = "valid";' }],
    runs: ["wrong"],
    expected: /^S2: .* vouched for a proof/,
  },
  "attest-unassigned": {
    rule: "attest: only for the prover that the assignment certificate names",
    edits: [
      { file: ATTESTER, from: "if (assignedTo(state, attempt) === prover) {", to: "if (attempt.claims.has(prover)) {" },
    ],
    runs: ["rough", "split", "late"],
    expected: /^S1: .* attested .* no assignment certificate/,
  },
  "attest-again": {
    rule: "attest: once per (task, attempt)",
    edits: [
      {
        file: ATTESTER,
        from: "if (attempt.own.attested !== null || attempt.own.timedOut || attempt.number <= task.barred) continue;",
        to: "if (attempt.own.timedOut || attempt.number <= task.barred) continue;",
      },
    ],
    runs: ["quiet", "rough"],
    expected: /^S4: .* attested .* twice/,
  },
  "attest-after-timeout": {
    rule: "attest: never after the own timeout",
    edits: [
      {
        file: ATTESTER,
        from: "if (attempt.own.attested !== null || attempt.own.timedOut || attempt.number <= task.barred) continue;",
        to: "if (attempt.own.attested !== null || attempt.number <= task.barred) continue;",
      },
    ],
    runs: ["rough", "late", "split"],
    expected: /^S4: .* attested .* after its own timeout/,
  },
  "timeout-after-attest": {
    rule: "timeout: never after the own attest",
    edits: [
      {
        file: ATTESTER,
        from: "attempt.own.attested !== null || knowsValid(state, task)) return;\n  if (over.code",
        to: "state.nowMs < 0) return;\n  if (over.code",
      },
    ],
    runs: ["rough", "split", "late"],
    expected: /^S4: .* timed out .* after its own attest/,
  },
  "timeout-despite-proof": {
    rule: "timeout: never when a valid proof is known",
    edits: [
      {
        file: ATTESTER,
        from: "attempt.own.attested !== null || knowsValid(state, task)) return;\n  if (over.code",
        to: "attempt.own.attested !== null) return;\n  if (over.code",
      },
    ],
    runs: ["split", "late", "rough"],
    expected: /^S4: .* timed out .* valid proof/,
  },
  "reject-sound": {
    rule: "reject: only what does not verify",
    edits: [
      {
        file: ATTESTER,
        from: "const fault = unsound(task, proof, receipt) ?? proof.fault;",
        to: 'const fault = unsound(task, proof, receipt) ?? proof.fault ?? "proof.equation";',
      },
    ],
    runs: ["quiet"],
    expected: /^S2: .* rejected a true proof/,
  },
  "quorum-too-small": {
    rule: "a quorum is more than two thirds of the weight",
    edits: [
      {
        file: "src/protocol/partition.ts",
        from: "quorum: Math.floor((2 * weight) / 3) + 1,",
        to: "quorum: Math.floor(weight / 2),",
      },
    ],
    runs: ["rough", "crashes"],
    expected: /^S[123]: /,
  },
  "one-honest-too-small": {
    rule: "others' timeouts count once one of them must be honest",
    edits: [
      { file: "src/protocol/partition.ts", from: "oneHonest: Math.floor((weight - 1) / 3) + 1,", to: "oneHonest: 1," },
    ],
    runs: ["rash"],
    expected: /^L4: .* on the word of too few/,
  },
  "open-too-soon": {
    rule: "an attempt opens with the timeout certificate of the one before",
    edits: [
      {
        file: MAKERS,
        from: "if (attempt.timeouts.size === 0 || !isQuorum(state, attempt.timeouts.keys())) return attempt;",
        to: "if (attempt.timeouts.size === 0) return attempt;",
      },
    ],
    runs: ["rash", "late"],
    expected: /^S1: .* before the timeout certificate/,
  },
  "assigned-too-soon": {
    rule: "a quorum of grants assigns",
    edits: [
      {
        file: MAKERS,
        from: "for (const [prover, votes] of attempt.grants) if (isQuorum(state, votes.keys())) return prover;",
        to: "for (const prover of attempt.grants.keys()) return prover;",
      },
    ],
    runs: ["rough", "split", "late"],
    expected: /^S1: .* attested .* no assignment certificate/,
  },
  "complete-too-soon": {
    rule: "a quorum that vouches for one proof completes a task",
    edits: [
      {
        file: MAKERS,
        from: "return isQuorum(state, proof.vouchers.keys());",
        to: "return proof.vouchers.size > 0;",
      },
    ],
    runs: ["quiet", "rough"],
    expected: /^S2: .* was not complete/,
  },
  "barrier-with-holes": {
    rule: "barrier: only when every task is complete",
    edits: [
      {
        file: BARRIER,
        from: "&& isBlockDone(block) && isParentClosed(state, block)) {",
        to: "&& block.tasks.some((task) => task.completeMs !== null) && isParentClosed(state, block)) {",
      },
      { file: BARRIER, from: "if (chosenOf === null) return null;", to: "if (chosenOf === null) continue;" },
    ],
    runs: ["quiet"],
    expected: /^S2: .* was not complete/,
  },
  "barrier-before-parent": {
    rule: "barrier: not before the parent's",
    edits: [
      {
        file: BARRIER,
        from: "&& isBlockDone(block) && isParentClosed(state, block)) {",
        to: "&& isBlockDone(block)) {",
      },
      {
        file: ATTESTER,
        from: "return isParentCertified(state, block) || (parentOf",
        to: "return state.nowMs >= 0 || isParentCertified(state, block) || (parentOf",
      },
    ],
    runs: ["late", "rough", "droppers"],
    expected: /^S3: /,
  },
};
