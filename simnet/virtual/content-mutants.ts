/** Mutants of the rules about barriers and evidence. */
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 6, attesters: 4, blocks: 5, shards: 3 } as const;

export const CONTENT_RUNS: Readonly<Record<string, VirtualOptions>> = {
  "many-contents": { ...base, seed: 1, byzantineAttesters: 1, behaviours: ["sign-many-contents"] },
  slanderers: { ...base, seed: 1, byzantineAttesters: 1, byzantineProvers: 1, behaviours: ["accuse-the-honest"] },
  liars: { ...base, seed: 1, byzantineProvers: 1, behaviours: ["flood-evidence"] },
  "trespassers-shown": {
    ...base,
    seed: 1,
    byzantineProvers: 1,
    byzantineAttesters: 1,
    behaviours: ["vote-without-right", "show-trespasses"],
  },
  backwards: { ...base, seed: 1, byzantineAttesters: 1, behaviours: ["offend-backwards"] },
  trespassers: { ...base, seed: 1, byzantineProvers: 1, behaviours: ["vote-without-right"] },
};

export const CONTENT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "second-id-signed": {
    rule: "BARRIER-2: no barrier of a second id",
    edits: [{ at: "second-id-signed", remove: true }],
    runs: ["ids-of-one"],
    expected: /^F2: /,
  },
  "sign-again-at-once": {
    rule: "BARRIER-3: another content only once the first finds no quorum",
    edits: [{ at: "sign-again-at-once", remove: true }],
    runs: ["late", "rough"],
    expected: /^S6: .* may still/,
  },
  "contents-unbounded": {
    rule: "BARRIER-4: eight contents of an attester count",
    edits: [{ at: "contents-unbounded", replace: "return null;" }],
    runs: ["many-contents"],
    expected: /^R1: .* contents of/,
  },
  "votes-unnoticed": {
    rule: "EVIDENCE-1: votes that exclude each other exclude their author",
    edits: [{ at: "votes-unnoticed", replace: "return;" }],
    runs: ["offenders"],
    expected: /^L3: .* does not exclude/,
  },
  "accusers-believed": {
    rule: "EVIDENCE-2: a proof is verified before an accuser is believed",
    edits: [
      {
        at: "accusers-believed",
        replace:
          'for (const { accusation } of accusers.values()) putOut(state, accusation); if (proof.verdict === "valid") {}',
      },
    ],
    runs: ["slanderers"],
    expected: /^attribution: .* guilty of false-proof/,
  },
  "liars-go-free": {
    rule: "EVIDENCE-4: evidence that shows nothing discredits its author",
    edits: [{ at: "liars-go-free", replace: 'if (checked === null) return "evidence.false";' }],
    runs: ["liars"],
    expected: /^S6: .* believes .* whose evidence shows nothing/,
  },
  "accuse-without-pause": {
    rule: "EVIDENCE-5: after four pieces about one key, one each `syncMs`",
    edits: [{ at: "accuse-without-pause", replace: "return 0;" }],
    runs: ["backwards"],
    expected: /^R1: .* signed evidence/,
  },
  "anybody-offends": {
    rule: "EVIDENCE-6: votes of keys that are no attesters are no offence",
    edits: [{ at: "anybody-offends", replace: "if (weights.size > 0) return true;" }],
    runs: ["trespassers-shown"],
    expected: /^S7: .* guilty of a vote/,
  },
  "certificates-of-few": {
    rule: "CERT-1: a quorum has signed a certificate",
    edits: [{ at: "certificates-of-few", remove: true }],
    runs: ["certificates"],
    expected: /^F4: .* is accepted/,
  },
};
