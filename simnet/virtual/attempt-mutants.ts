/** Mutants of the rules about claims, failures, receipts and timeouts. */
import type { Fragment } from "../../src/protocol/fragment.ts";
import { ANONYMOUS, COPIED } from "./copy-mutants.ts";
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 6, attesters: 4, blocks: 5, shards: 3 } as const;

/** More tasks than all provers may claim at once. */
const WIDE: Fragment = {
  workflows: {
    block: {
      window: 4,
      stages: [
        {
          name: "shard",
          system: "sim",
          key: "sim",
          tasks: { shards: 60, itemsMax: 8 },
          leaseMs: 2000,
          limitMs: 20_000,
        },
      ],
    },
  },
};

export const ATTEMPT_RUNS: Readonly<Record<string, VirtualOptions>> = {
  meddlers: { ...base, seed: 1, byzantineProvers: 1, behaviours: ["end-others"] },
  mockers: { ...base, seed: 1, byzantineProvers: 1, behaviours: ["fail-in-their-words"] },
  latecomers: { ...base, seed: 1, nodes: 7, byzantineProvers: 2, failing: 0.5, behaviours: ["claim-what-is-over"] },
  "wrong-values": {
    ...base,
    seed: 1,
    nodes: 7,
    attestersOnlyAttest: true,
    byzantineProvers: 1,
    behaviours: ["wrong-values"],
  },
  full: { ...base, seed: 1, nodes: 5, blocks: 3, blockMs: 100, workflow: WIDE },
  "greedy-copies": {
    ...base,
    seed: 1,
    nodes: 5,
    blocks: 12,
    failing: 0.7,
    workflow: COPIED,
    byzantineProvers: 1,
    behaviours: ["claim-copies"],
  },
  opaque: { ...base, seed: 1, workflow: ANONYMOUS },
  "inline-lies": { ...base, seed: 1, byzantineProvers: 1, behaviours: ["inline-lies"] },
  unfetched: { ...base, seed: 1, byzantineProvers: 1, workflow: ANONYMOUS, behaviours: ["wrong-artefacts"] },
};

export const ATTEMPT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "claim-copies": {
    rule: "CLAIM-6: of copies for different provers a prover claims one",
    edits: [
      { at: "claim-copies", remove: true },
      { at: "claim-copies/able", replace: "return can;" },
    ],
    runs: ["copied"],
    expected: /^S1: .* beside the copy/,
  },
  "grant-copies": {
    rule: "GRANT-6: of copies for different provers a prover is granted one",
    edits: [{ at: "grant-copies", remove: true }],
    runs: ["greedy-copies"],
    expected: /^S1: .* to the maker of the copy/,
  },
  "grant-barred": {
    rule: "GRANT-7: no grant in what was open when the disk was lost",
    edits: [{ at: "grant-barred", remove: true }],
    runs: ["attempts-of-one"],
    expected: /^A1: .* was open when the disk was lost/,
  },
  "timeout-barred": {
    rule: "TIMEOUT-4: no timeout of its own in what was open when the disk was lost",
    edits: [{ at: "timeout-barred", remove: true }],
    runs: ["attempts-of-one"],
    expected: /^A1: .* was open when the disk was lost/,
  },
  "full-owner-late": {
    rule: "TIMEOUT-5: an owner whose capacity is full is not late while nobody is idle",
    edits: [{ at: "full-owner-late", remove: true }],
    runs: ["full"],
    expected: /^L4: .* whose owner is full/,
  },
  "hedge-at-once": {
    rule: "CLAIM-7: without a claim a node proves only what has lasted longer than any attempt may",
    edits: [{ at: "hedge-at-once", replace: "if (state.nowMs >= 0) return 1;" }],
    runs: ["quiet"],
    expected: /^R1: .* without a claim/,
  },
  "receipt-before-proof": {
    rule: "RECEIPT-7: the proof is durable before its receipt is signed",
    edits: [{ at: "receipt-before-proof", replace: 'post({ kind: "proved", task, attempt, proof: made });' }],
    runs: ["opaque"],
    expected: /^S5: .* a proof that its disk does not have/,
  },
  "inline-unchecked": {
    rule: "RECEIPT-3: an inline proof is the one that the receipt names",
    edits: [
      { at: "inline-unchecked", replace: "entry.inline.length < 0" },
      { at: "inline-unchecked/verified", remove: true },
    ],
    runs: ["inline-lies"],
    expected: /^S2: .* vouched for a proof/,
  },
  "deaf-to-fail": {
    rule: "FAIL-2: what has failed is over at once",
    edits: [{ at: "deaf-to-fail", replace: 'if (entry.kind === "release") keepEnd(task, attempt, signed, end);' }],
    runs: ["failing"],
    expected: /^L4: .*\(failed\) is over after/,
  },
  "fail-in-their-words": {
    rule: "FAIL-1: a prover's code is none of those that attesters use",
    edits: [{ at: "fail-in-their-words", replace: "return code;" }],
    runs: ["mockers"],
    expected: /^L4: /,
  },
  "anybody-ends": {
    rule: "RELEASE-1: only the claimant or the owner ends an attempt",
    edits: [{ at: "anybody-ends", replace: "const end = [...attempt.ends.values()][0]?.code ?? null;" }],
    runs: ["meddlers"],
    expected: /^L4: .* on the word of who has no part in it/,
  },
  "logical-alone": {
    rule: "FAIL-3: a failure is logical where one honest attester has seen its code",
    edits: [{ at: "logical-alone", replace: "const logical = end !== undefined && end.logical;" }],
    runs: ["attempts-of-one"],
    expected: /^A1: attempt \d+ is logical/,
  },
  "receipt-replaced": {
    rule: "RECEIPT-4: the first receipt by the order of the feed stands",
    edits: [{ at: "receipt-replaced", remove: true }],
    runs: ["attempts-of-one"],
    expected: /^A1: .* receipt/,
  },
  "values-unchecked": {
    rule: "RECEIPT-6: a receipt has the values that the block implies",
    edits: [{ at: "values-unchecked", remove: true }],
    runs: ["wrong-values"],
    expected: /^S2: .* attested .* with other values/,
  },
  "attest-completes-nothing": {
    rule: "ATTEST-5: an attest counts as complete",
    edits: [{ at: "attest-completes-nothing", remove: true }],
    runs: ["quiet"],
    expected: /^L2: /,
  },
  "complete-at-once": {
    rule: "COMPLETE-2: half a claim window for grants that may still arrive",
    edits: [{ at: "complete-at-once", remove: true }],
    runs: ["late", "rough"],
    expected: /^L4: .* and grants may still arrive/,
  },
  "complete-nobodys": {
    rule: "COMPLETE-5: the vote names the maker of the proof",
    edits: [
      {
        at: "complete-nobodys",
        replace: 'say(state, { ...ref(task), kind: "complete", prover: NOBODY, artefact: proof.artefact });',
      },
    ],
    runs: ["late"],
    expected: /^S2: .* vouched for a proof/,
  },
  "unavailable-invalid": {
    rule: "REJECT-2: a proof that cannot be fetched is not invalid",
    edits: [{ at: "unavailable-invalid", replace: 'proof.verdict = "invalid"; proof.fault = "proof.unavailable";' }],
    runs: ["unfetched"],
    expected: /^S2: .* rejected a true proof/,
  },
  "no-back-off": {
    rule: "PACE-1: the second failure of a machine is followed by a wait",
    edits: [{ at: "no-back-off", replace: "const restMs = 0;" }],
    runs: ["attempts-of-one"],
    expected: /^A1: attempt \d+ waits for/,
  },
  "claims-of-what-is-over": {
    rule: "PACE-6: claims of others in an attempt that is over are not kept",
    edits: [{ at: "claims-of-what-is-over", remove: true }],
    runs: ["latecomers"],
    expected: /^R1: .* claims of an attempt that is over/,
  },
  "any-proof-stands": {
    rule: "COMPLETE-4: the credited prover's proof stands, else that of the lowest attempt",
    edits: [{ at: "any-proof-stands", remove: true }],
    runs: ["attempts-of-one"],
    expected: /^A1: the node chooses/,
  },
  "credit-alone": {
    rule: "ATTEST-5: a quorum of attests pays",
    edits: [
      {
        at: "credit-alone",
        replace:
          "for (const [prover, votes] of attempt.attests) if (votes.size > 0) return { attempt: attempt.number, prover };",
      },
    ],
    runs: ["attempts-of-one"],
    expected: /^A1: the node pays/,
  },
  "rejects-alone": {
    rule: "REJECT-3: rejects count once one honest attester has signed one",
    edits: [
      {
        at: "rejects-alone",
        replace: "for (const [prover, votes] of proof.rejects) if (votes.size > 0) of(prover).faults++;",
      },
    ],
    runs: ["attempts-of-one"],
    expected: /^A1: the node counts/,
  },
  "released-at-once": {
    rule: "PACE-5: a released attempt is followed by a wait once each owner had its turn",
    edits: [{ at: "released-at-once", replace: "const isRound = attempt < 0;" }],
    runs: ["attempts-of-one"],
    expected: /^A1: attempt \d+ waits for/,
  },
  "claims-dropped": {
    rule: "CLAIM-2: a claim of a node that is not the owner is kept",
    edits: [
      {
        at: "claims-dropped",
        replace:
          "if (ownerOfAttempt(state, task, entry.attempt) !== signed.author) return 'claim.not-owner'; if (!keepFact(task.block, attempt.claims, signed)) return 'claim.duplicate';",
      },
    ],
    runs: ["attempts-of-one"],
    expected: /^A1: a claim/,
  },
  "requeue-anything": {
    rule: "REQUEUE-1: only a task in quarantine is requeued",
    edits: [{ at: "requeue-anything", replace: "if (task.completeMs !== null) return;" }],
    runs: ["attempts-of-one"],
    expected: /^A1: the node votes to requeue/,
  },
  "requeue-again": {
    rule: "REQUEUE-1: once an attempt",
    edits: [{ at: "requeue-again", remove: true }],
    runs: ["attempts-of-one"],
    expected: /^A1: the node votes twice/,
  },
  "bench-at-once": {
    rule: "BENCH-3: only a prover that lost three attempts and is silent is suspended",
    edits: [{ at: "bench-at-once", remove: true }],
    runs: ["droppers"],
    expected: /^L4: .* suspends/,
  },
  "unable-keeps": {
    rule: "RELEASE-3: a node gives back what its prover cannot prove",
    edits: [{ at: "unable-keeps", remove: true }],
    runs: ["unable"],
    expected: /^L4: .* whose owner cannot prove it and keeps it/,
  },
};
