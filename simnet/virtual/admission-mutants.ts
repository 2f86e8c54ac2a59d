/** Mutants of the rules about newcomers. */
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 7, attesters: 4, shards: 3, seed: 1, blockMs: 800, joiners: 1, byzantineProvers: 1 } as const;
const plain = { nodes: 6, attesters: 4, shards: 3 } as const;

/** Runs in which newcomers ask for admission, and members leave, are suspended and return. */
export const ADMISSION_RUNS: Readonly<Record<string, VirtualOptions>> = {
  // A prover is away for long enough to be suspended, and comes back.
  returning: {
    ...plain,
    seed: 38,
    nodes: 5,
    shards: 2,
    blocks: 120,
    blockMs: 700,
    anyStart: true,
    script: [{ number: 0, atMs: 2000, kind: "crash", node: 4, sites: null, damage: "intact", downMs: 15_000 }],
  },
  // So many keys that none of them owns eight tasks within the retention.
  crowded: {
    ...plain,
    seed: 34,
    nodes: 7,
    blocks: 56,
    blockMs: 800,
    joiners: 1,
    byzantineProvers: 1,
    behaviours: ["sybil-beats"],
    limits: { newcomersMax: 8, retentionBlocks: 12 },
  },
  // Few tasks for each member: some own none within the retention.
  unlucky: {
    ...plain,
    seed: 36,
    nodes: 5,
    shards: 1,
    blocks: 70,
    blockMs: 800,
    joiners: 3,
    limits: { retentionBlocks: 3 },
  },
  // Votes to admit that nobody joins, beside those for two newcomers.
  nobodies: {
    ...plain,
    seed: 36,
    blocks: 40,
    joiners: 2,
    byzantineAttesters: 1,
    behaviours: ["admit-nobody"],
  },
  bare: { ...base, blocks: 40, behaviours: ["sybil-bare"] },
  // The hostile keys would fill each drawing if they took places.
  "wrong-admissions": { ...base, blocks: 70, behaviours: ["sybil-wrong"], limits: { newcomersMax: 1 } },
  copies: { ...base, blocks: 40, behaviours: ["sybil-copies"] },
  // Blocks take longer than the picking keys wait.
  picks: {
    ...base,
    nodes: 6,
    attestersOnlyAttest: true,
    shards: 8,
    blocks: 40,
    blockMs: 1200,
    behaviours: ["sybil-picks"],
  },
  hoards: { ...base, nodes: 5, shards: 1, blocks: 86, blockMs: 400, behaviours: ["sybil-hoards"] },
};

export const ADMISSION_MUTANTS: Readonly<Record<string, Mutant>> = {
  "stranger-accuses": {
    rule: "BATCH-8: a newcomer signs nothing but joins",
    edits: [{ at: "stranger-accuses", replace: "return maySign(state);" }],
    runs: ["accusing"],
    expected: /^L3: .* still lacks entries/,
  },
  "admitted-at-once": {
    rule: "ADMIT-4: a prover begins where an epoch begins",
    edits: [{ at: "admitted-at-once", replace: "return height + 1;" }],
    runs: ["sybils"],
    expected: /^S1: .* where no epoch begins/,
  },
  "admissions-unbounded": {
    rule: "ADMIT-5: an attester votes on a newcomer at most once an epoch",
    edits: [{ at: "admissions-unbounded", remove: true }],
    runs: ["proverless"],
    expected: /^R1: .* admits .* after a vote for/,
  },
  "admits-trimmed": {
    rule: "ADMIT-2: each vote to admit counts, whatever else its author has voted for",
    edits: [
      {
        at: "admits-trimmed",
        replace:
          "if (state.admissions.size > 64 && !state.admissions.has(name)) return 'vote.too-many'; voters.set(signed.author, signed);",
      },
    ],
    runs: ["nobodies"],
    expected: /^S6: .* has (?:the turns of|the provers on duty)/,
  },
  "known-at-once": {
    rule: "ADMIT-6: a key is known for 64 certified blocks before it owns tasks of blocks whose hashes are known",
    edits: [
      { at: "known-at-once", replace: "const known = 0;" },
      { at: "known-at-once/any", replace: "return true;" },
    ],
    runs: ["known"],
    expected: /^S1: .* certified blocks after its first join/,
  },
  "admitted-undrawn": {
    rule: "ADMIT-8: a newcomer is drawn",
    edits: [{ at: "admitted-undrawn", replace: "if (state.nowMs < 0) return null;" }],
    runs: ["sybils"],
    expected: /^S1: .* before the block that draws for it is certified/,
  },
  "drawn-by-known-block": {
    rule: "ADMIT-8: a newcomer is drawn by a block that nobody knew when it first asked",
    edits: [{ at: "drawn-by-known-block", replace: "if (rule.start !== 'any') return true;" }],
    runs: ["crowd"],
    expected: /^S1: .* which first asked once the block/,
  },
  "drawn-by-first-join": {
    rule: "ADMIT-8: a proof that is made once the tickets are known takes no part in the drawing",
    edits: [{ at: "drawn-by-first-join", replace: "const knownSince = since;" }],
    runs: ["picks"],
    expected: /^S1: .* which first asked once the block/,
  },
  "newcomers-unbounded": {
    rule: "ADMIT-9: a drawing admits a limited number of newcomers",
    edits: [{ at: "newcomers-unbounded", remove: true }],
    runs: ["sybils"],
    expected: /^R1: .* one newcomer more than/,
  },
  "drawn-by-arrival": {
    rule: "ADMIT-9: those with the lowest tickets are drawn",
    edits: [{ at: "drawn-by-arrival", remove: true }],
    runs: ["sybils"],
    expected: /^S1: .* whose ticket is lower/,
  },
  "admission-unproven": {
    rule: "ADMIT-10: nobody is drawn without an admission proof",
    edits: [
      { at: "admission-unproven", remove: true },
      {
        at: "admission-unproven/elected",
        replace:
          "if (stage === null || candidate.proof?.isValid !== false) elect(state, rule, drawing, prover, candidate);",
      },
    ],
    runs: ["bare"],
    expected: /^S1: .* has shown no admission proof of its own/,
  },
  "admission-unverified": {
    rule: "ADMIT-10: an attester admits nobody whose admission proof it has not verified",
    edits: [{ at: "admission-unverified", replace: "candidate.proof.isValid = true;" }],
    runs: ["wrong-admissions"],
    expected: /^S1: .* has shown no admission proof of its own/,
  },
  "admission-of-anybody": {
    rule: "ADMIT-10: an admission proof serves one key",
    edits: [{ at: "admission-of-anybody", replace: "hexToBytes(base)" }],
    runs: ["copies"],
    expected: /^S1: .* has shown no admission proof of its own/,
  },
  "admission-unaged": {
    rule: "ADMIT-11: the base block of an admission proof is young",
    edits: [{ at: "admission-unaged", replace: "return true;" }],
    runs: ["hoards"],
    expected: /^S1: .* blocks older than its drawing/,
  },
  "admission-place-kept": {
    rule: "ADMIT-12: a candidate whose proof is wrong leaves its place to the next",
    edits: [{ at: "admission-place-kept", after: "if (verdict.kind === 'invalid') drawing.admitted++;" }],
    runs: ["wrong-admissions"],
    expected: /^L1: .* is not admitted/,
  },
  "join-unproven": {
    rule: "JOIN-8: a newcomer shows an admission proof where one is due",
    edits: [{ at: "join-unproven", replace: "if (made === null || made.height > 0) return [];" }],
    runs: ["wrong-admissions"],
    expected: /^L1: .* has shown no admission proof/,
  },
  "never-leave": {
    rule: "LEAVE-1: a newcomer that had its chance and has no credit leaves",
    edits: [{ at: "never-leave", replace: "return false;" }],
    runs: ["beaters"],
    expected: /^L4: .* and was credited for none/,
  },
  "leave-at-once": {
    rule: "LEAVE-1: a newcomer stays until it owned eight tasks on average",
    edits: [{ at: "leave-at-once", remove: true }],
    runs: ["beaters"],
    expected: /^S1: .* has not had its chance/,
  },
  "suspended-for-ever": {
    rule: "BENCH-4: a suspended prover gets its next turn where heights say nothing",
    edits: [{ at: "suspended-for-ever", replace: "return 0;" }],
    runs: ["returning"],
    expected: /^L2: .* stays suspended/,
  },
  "returns-at-once": {
    rule: "BENCH-4: a suspended prover waits for its next turn as long as elsewhere",
    edits: [{ at: "returns-at-once", replace: "return true;" }],
    runs: ["returning"],
    expected: /^S1: .* certified blocks after it first asked to return/,
  },
  "crowd-stays": {
    rule: "LEAVE-4: of a crowd those leave that had a whole retention and were credited for nothing",
    edits: [{ at: "crowd-stays", remove: true }],
    runs: ["crowded"],
    expected: /^L4: .* and was credited for none/,
  },
  "crowd-by-chance": {
    rule: "LEAVE-4: where most members prove, nobody leaves because of few tasks",
    edits: [{ at: "crowd-by-chance", replace: "return oldest;" }],
    runs: ["unlucky"],
    expected: /^S1: .* has not had its chance/,
  },
  "listed-leave": {
    rule: "LEAVE-3: a prover of the manifest never leaves",
    edits: [{ at: "listed-leave", replace: "listed.size > 0" }],
    runs: ["idle"],
    expected: /^S1: .* though the manifest lists it/,
  },
};
