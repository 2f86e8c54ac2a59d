/** Mutants of the rules about receipts. */
import type { Mutant } from "./mutant.ts";

export const RECEIPT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "contradictions-unseen": {
    rule: "EVIDENCE-7: two receipts of one prover that exclude each other are noticed",
    edits: [{ at: "contradictions-unseen", remove: true }],
    runs: ["contradicting"],
    expected: /^L3: .* does not exclude .* two-receipts/,
  },
  "receipts-for-ever": {
    rule: "RECEIPT-5: a prover has room for its proofs in each attempt",
    edits: [{ at: "receipts-for-ever", replace: "const attempt = 0;" }],
    runs: ["mended"],
    expected: /^L1: /,
  },
  "receipts-dropped": {
    rule: "RECEIPT-5, COMPLETE-3: a proof that attesters have verified stands, whatever its prover signed before it",
    edits: [
      { at: "receipts-dropped", replace: "const isVouched = state.nowMs < 0;" },
      // Each of these alone keeps the chain going.
      { at: "receipts-dropped/attests", replace: "const attested: ReturnType<typeof attestedMakers> = [];" },
      { at: "receipts-dropped/complete", remove: true },
    ],
    runs: ["junk-first"],
    expected: /^L1: /,
  },
  "payee-ignored": {
    rule: "RECEIPT-8: a proof that verifies for its maker verifies for nobody else",
    edits: [
      {
        at: "payee-ignored",
        replace:
          "const twins = [...task.proofs.values()].filter(({ artefact }) => artefact === proof.artefact);" +
          'const values = provenValues(task, twins.find(({ verdict }) => verdict === "valid") ?? proof);',
      },
    ],
    runs: ["thief", "thieves"],
    expected:
      /^(S1: .* attested .* which has not made the proof|S2: .* vouched for a proof of .* that does not verify)/,
  },
  "possession-ignored": {
    rule: "RECEIPT-9: a proof that does not name its maker pays only a prover that shows that it holds the proof",
    edits: [{ at: "possession-ignored", replace: "return null;" }],
    runs: ["anonymous"],
    expected: /^S1: .* attested .* which has not made the proof/,
  },
  "reserved-served": {
    rule: "RECEIPT-10: a proof that does not name its maker goes to attesters alone until its task is complete",
    edits: [{ at: "reserved-served", replace: "return false;" }],
    runs: ["anonymous-near"],
    expected: /^S1: .* attested .* which has not made the proof/,
  },
  "copies-paid": {
    rule: "ATTEST-6: an attester that vouches for an anonymous proof attests nobody else's proof of the task",
    edits: [{ at: "copies-paid", replace: "return false;" }],
    runs: ["anonymous-far"],
    expected: /^S1: .* attested .* which has not made the proof/,
  },
  "attempt-by-receipt": {
    rule: "BARRIER-7: the credit names the attempt that is paid",
    edits: [{ at: "attempt-by-receipt", replace: "const { attempt } = made;" }],
    runs: ["renamed"],
    expected: /^S1: the certificate of .* pays .* which no quorum did/,
  },
};
