/** Mutants of the rules that say how often a node signs a statement, and for whom it gives up a block. */
import type { Mutant } from "./mutant.ts";

export const REPEAT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "retract-again": {
    rule: "RETRACT-4: once a block",
    edits: [{ at: "retract-again", replace: "const isNews = block.announcers.size > 0;" }],
    runs: ["given-up"],
    expected: /^R1: .* signed the same retract twice/,
  },
  "cancel-again": {
    rule: "CANCEL-4: once a round",
    edits: [{ at: "cancel-again", remove: true }],
    runs: ["given-up"],
    expected: /^R1: .* signed the same cancel twice/,
  },
  "reject-again": {
    rule: "REJECT-1: once for each prover",
    edits: [{ at: "reject-again", remove: true }],
    runs: ["wrong"],
    expected: /^R1: .* signed the same reject twice/,
  },
  "complete-again": {
    rule: "COMPLETE-1: once for each proof",
    edits: [{ at: "complete-again", remove: true }],
    runs: ["late", "rough"],
    expected: /^R1: .* signed the same complete twice/,
  },
  "fail-again": {
    rule: "CLAIM-5: no attempt again that has failed here",
    edits: [{ at: "fail-again", remove: true }],
    runs: ["failing", "late"],
    expected: /^R1: .* signed the same fail twice/,
  },
  "beat-always": {
    rule: "BEAT-2: every `heartbeatMs` while working, otherwise once a lease",
    edits: [{ at: "beat-always", remove: true }],
    runs: ["quiet"],
    expected: /^R1: .* signed beat \d+ times in/,
  },
  "join-again": {
    rule: "JOIN-5: again after twice `syncMs`",
    edits: [{ at: "join-again", remove: true }],
    runs: ["joins", "aged"],
    expected: /^R1: .* signed join 1 \d+ times in/,
  },
  "foreign-retracts": {
    rule: "RETRACT-2: a node whose source answers believes that source alone",
    edits: [
      { at: "foreign-retracts", remove: true },
      { at: "foreign-retracts/alone", replace: "return now.length > 0 && manifest.oneHonestSource > 0;" },
    ],
    runs: ["cancels"],
    expected: /^S8: .* cancelled height .*, which its chain has/,
  },
  "retract-alone": {
    rule: "RETRACT-3: a node without a source waits for more than a third of the sources",
    edits: [{ at: "retract-alone", replace: "return now.length > 0 && manifest.oneHonestSource > 0;" }],
    runs: ["cancels-away"],
    expected: /^S8: .* cancelled height .*, which its chain has/,
  },
  "certify-alone": {
    rule: "BARRIER-5: a quorum for one content",
    edits: [{ at: "certify-alone", remove: true }],
    runs: ["quiet"],
    expected: /^(S7: .* keeps a certificate that is none|crash: )/,
  },
  "never-compare": {
    rule: "L3: logs are compared in turn with each peer",
    edits: [{ at: "never-compare", remove: true }],
    runs: ["rough", "apart"],
    expected: /^L[13]: /,
  },
  "counter-reused": {
    rule: "START-1: no start reuses a counter",
    edits: [{ at: "counter-reused", replace: "const counter = Math.max(before?.counter ?? 0, 1);" }],
    runs: ["crashes", "given-up"],
    expected: /^(L1: |crash: )/,
  },
};
