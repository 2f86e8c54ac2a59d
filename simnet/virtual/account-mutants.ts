/** Mutants of the rules that bound what others make a node keep. */
import type { Mutant } from "./mutant.ts";

export const ACCOUNT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "account-unbounded": {
    rule: "BATCH-14, R1: what is over an author's account does not enter the log",
    edits: [{ at: "account-unbounded", remove: true }],
    runs: ["floods"],
    expected: /^R1: .* bytes of/,
  },
  "attempts-unbounded": {
    rule: "ENTRY-6: no record is made of an attempt more than two above the open one",
    edits: [{ at: "attempts-unbounded", replace: "return attempt < 0 && openAttempt(state, task).number < 0;" }],
    runs: ["floods"],
    expected: /^R1: .* attempts of a task/,
  },
  "name-any-proof": {
    rule: "ENTRY-7: an attester names few proofs that nobody has handed in",
    edits: [{ at: "name-any-proof", replace: "return alone.length >= 0;" }],
    runs: ["floods"],
    expected: /^R1: .* proofs of a task/,
  },
  "siblings-unbounded": {
    rule: "BATCH-16: a source announces few blocks of one height",
    edits: [{ at: "siblings-unbounded", replace: "return total > state.limits.announcedMax;" }],
    runs: ["floods"],
    expected: /^R1: .* uncertified blocks of/,
  },
  "tasks-before-payload": {
    rule: "R1: an announcement alone makes no tasks",
    edits: [{ at: "tasks-before-payload", after: "makeTasks(state, block);" }],
    runs: ["invented"],
    expected: /^R1: .* tasks of a block whose payload/,
  },
  "verify-without-share": {
    rule: "VERIFY-6: an author whose share is used up waits with its proofs",
    edits: [{ at: "verify-without-share", replace: "return 0;" }],
    runs: ["wrong-proofs"],
    expected: /^R1: .* ms on wrong proofs/,
  },
  "rejects-cost-nothing": {
    rule: "VERIFY-3: a wrong proof halves its author's share",
    edits: [{ at: "rejects-cost-nothing", remove: true }],
    runs: ["wrong-proofs"],
    expected: /^R1: .* ms on wrong proofs/,
  },
  "disk-unbounded": {
    rule: "DISK-1: an author's files that are not judged, or wrong, take no more than its account of disk",
    edits: [{ at: "disk-unbounded", remove: true }],
    runs: ["large-proofs"],
    expected: /^R1: .* bytes of wrong proofs/,
  },
  "artefacts-free": {
    rule: "DISK-4: what is fetched for an author's receipt is charged to the author",
    edits: [{ at: "artefacts-free", remove: true }],
    runs: ["large-proofs"],
    expected: /^R1: .* bytes of wrong proofs/,
  },
  "sums-kept": {
    rule: "the sums of accounts are those of the roster's classes",
    edits: [{ at: "sums-kept", remove: true }],
    runs: ["joins"],
    expected: /^crash: .*invariant\.S6: .* feeds of class/,
  },
  "tasks-counted-for-ever": {
    rule: "an account shrinks with the tasks that are let go of",
    edits: [{ at: "tasks-counted-for-ever", replace: "state.blocks.delete(block.id);" }],
    runs: ["aged"],
    expected: /^crash: .*invariant\.S6: .* counter of tasks/,
  },
  "artefacts-indexed-for-ever": {
    rule: "the index of artefacts shrinks with the blocks that are let go of",
    edits: [{ at: "artefacts-indexed-for-ever", remove: true }],
    runs: ["aged"],
    expected: /^crash: .*invariant\.S6: .* index of artefacts/,
  },
  "lose-early-votes": {
    rule: "ENTRY-3: what is signed about a block before it is prepared counts once it is",
    edits: [{ at: "lose-early-votes", remove: true }],
    runs: ["rough", "late", "floods"],
    expected: /^(L1|L3|S6): /,
  },
};
