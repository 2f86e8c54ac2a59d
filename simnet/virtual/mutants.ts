/**
 * Nodes that break one rule each, to show that a checker would notice.
 *
 * A mutant changes the node's own source while it is loaded (`mutation.ts`), so there is no second core that could grow
 * old. The source marks each place with a comment, `// mutant: NAME`. A row here names the marker and says what becomes
 * of the statement or operand after it: `{ at: "NAME", remove: true }`, `replace: CODE`, or `after: CODE`. A mutant with
 * a second place names it `NAME/PLACE`. Each marker has exactly one row and each row exactly one marker.
 *
 * A rule that is only a part of a condition gets a statement or a line of its own in the source, so that a marker can
 * stand before it.
 */
import { ACCOUNT_MUTANTS } from "./account-mutants.ts";
import { ADMISSION_MUTANTS, ADMISSION_RUNS } from "./admission-mutants.ts";
import { ASSERTION_MUTANTS } from "./assertion-mutants.ts";
import { ATTEMPT_MUTANTS, ATTEMPT_RUNS } from "./attempt-mutants.ts";
import { BATCH_MUTANTS, BATCH_RUNS } from "./batch-mutants.ts";
import { BLOCK_MUTANTS, BLOCK_RUNS } from "./block-mutants.ts";
import { CONTENT_MUTANTS, CONTENT_RUNS } from "./content-mutants.ts";
import { START_MUTANTS } from "./start-mutants.ts";
import { AGREED, ANONYMOUS, COPIED, COPY_MUTANTS, STATED } from "./copy-mutants.ts";
import { CHANNEL_MUTANTS, CHANNEL_RUNS } from "./channel-mutants.ts";
import { COMMIT_MUTANTS, COMMIT_RUNS } from "./commit-mutants.ts";
import { CATCH_UP_MUTANTS } from "./catchup-mutants.ts";
import { DISK_MUTANTS, DISK_RUNS } from "./disk-mutants.ts";
import { INPUT_MUTANTS, INPUT_RUNS } from "./input-mutants.ts";
import { KEEPER_MUTANTS } from "./keeper-mutants.ts";
import { LATE_MUTANTS } from "./late-mutants.ts";
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";
import { PACE_MUTANTS } from "./pace-mutants.ts";
import { RECEIPT_MUTANTS } from "./receipt-mutants.ts";
import { ROSTER_MUTANTS } from "./roster-mutants.ts";
import { SINK_MUTANTS, SINK_RUNS } from "./sink-mutants.ts";
import { SCHEDULER_MUTANTS } from "./scheduler-mutants.ts";
import { REPEAT_MUTANTS } from "./repeat-mutants.ts";
import { SOURCE_MUTANTS } from "./source-mutants.ts";
import { SPLIT, SPLIT_MUTANTS } from "./split-mutants.ts";
import { VOTE_MUTANTS } from "./vote-mutants.ts";

const base = { nodes: 6, attesters: 4, blocks: 5, shards: 3 } as const;
const rough = { loss: 0.3, delayMs: 400 } as const;
/** Four provers, of which three never prove anything and the last hardly ever, until the faults are over. */
const paused = {
  nodes: 8,
  attesters: 4,
  attestersOnlyAttest: true,
  byzantineProvers: 3,
  blocks: 20,
  shards: 2,
  failing: 0.9,
} as const;
/** A prover that proves every other of its tasks: only what it proves can show that it had the first attempt. */
const griefed = { blocks: 40, blockMs: 2000, shards: 5, byzantineProvers: 1 } as const;
/** Attesters that do not prove, and of three provers two that sign receipts too many. */
const two = { ...base, nodes: 7, attestersOnlyAttest: true, byzantineProvers: 2 } as const;
/** The chain turns back by more blocks than the nodes keep. */
export const DEEP_REORG = { reorgEveryMs: 15_000, reorgDepth: 24, limits: { retentionBlocks: 8 } } as const;
/** Slow provers, whose proofs come late, and others that only hand in what these make. */
const thief = {
  ...base,
  nodes: 7,
  attestersOnlyAttest: true,
  blocks: 12,
  slowEveryMs: 1000,
  behaviours: ["copy"],
} as const;
const anonymous = { ...thief, seed: 2, byzantineProvers: 1, workflow: ANONYMOUS } as const;
const one = { byzantineAttesters: 1, byzantineProvers: 1 } as const;

/** Runs in which honest nodes break no rule; the mutants are sent through the same. */
export const RUNS: Readonly<Record<string, VirtualOptions>> = {
  ...DISK_RUNS,
  ...ADMISSION_RUNS,
  ...SINK_RUNS,
  ...CHANNEL_RUNS,
  ...INPUT_RUNS,
  ...COMMIT_RUNS,
  ...BATCH_RUNS,
  ...BLOCK_RUNS,
  ...ATTEMPT_RUNS,
  ...CONTENT_RUNS,
  quiet: { ...base, seed: 1 },
  rough: { ...base, ...rough, seed: 2 },
  late: { ...base, seed: 3, loss: 0.2, delayMs: 1200, failing: 0.2 },
  split: { ...base, ...rough, ...one, seed: 4, behaviours: ["withhold-votes", "steal"] },
  crashes: { ...base, ...rough, seed: 5, nodes: 4, blocks: 8, crashEveryMs: 400, failing: 0.3 },
  "late-crashes": { ...base, loss: 0.3, delayMs: 800, seed: 14, nodes: 4, blocks: 8, crashEveryMs: 400, failing: 0.2 },
  "lost-disks": { ...base, seed: 23, nodes: 4, blocks: 8, delayMs: 50, crashEveryMs: 2000, damage: "empty" },
  wrong: { ...base, seed: 7, wrong: 0.4 },
  greedy: { ...base, ...one, seed: 8, behaviours: ["claim-all"] },
  hoard: { ...base, seed: 9, nodes: 5, shards: 40, blocks: 4, byzantineProvers: 1, behaviours: ["hoard"] },
  rash: { ...base, ...one, seed: 10, behaviours: ["rash-timeout", "withhold-receipts"] },
  repeated: { ...base, seed: 35, byzantineAttesters: 1, failing: 0.4, behaviours: ["timeout-twice"] },
  forgers: { ...base, ...one, seed: 11, loss: 0.3, behaviours: ["forge", "forge-answers"] },
  cancels: { ...base, ...one, seed: 12, behaviours: ["cancel-all"] },
  benches: { ...base, ...one, seed: 13, behaviours: ["bench-all", "claim-and-drop"] },
  "benched-again": {
    ...base,
    seed: 2,
    nodes: 7,
    blocks: 120,
    blockMs: 500,
    shards: 2,
    crashEveryMs: 2500,
    awayMs: 12_000,
    limits: { retentionBlocks: 4, window: 2 },
  },
  endless: { ...base, ...one, seed: 14, blocks: 6, behaviours: ["beat-forever"] },
  droppers: { ...base, ...one, seed: 15, behaviours: ["claim-and-drop"] },
  offenders: { ...base, ...one, seed: 17, behaviours: ["vote-both", "grant-twice"] },
  apart: { ...base, seed: 3, nodes: 5, shards: 2, blocks: 70, blockMs: 400, partitionEveryMs: 8000 },
  failing: { ...base, seed: 16, failing: 0.5 },
  dying: { ...base, seed: 25, nodes: 9, blocks: 12, crashEveryMs: 2500 },
  copied: { ...base, seed: 18, nodes: 3, attesters: 3, blocks: 12, failing: 0.5, workflow: COPIED },
  agreed: { ...base, seed: 19, wrong: 0.3, workflow: AGREED },
  pieces: { ...base, seed: 20, blocks: 8, tooLarge: 0.6, failing: 0.2, workflow: SPLIT },
  paused: { ...paused, seed: 26, behaviours: ["fail-logically"] },
  early: { ...paused, seed: 27, behaviours: ["fail-logically", "fail-early"] },
  requeues: { ...paused, seed: 28, behaviours: ["fail-logically", "requeue-all"], byzantineAttesters: 1 },
  griefed: { ...base, ...griefed, seed: 29, behaviours: ["lose-some"] },
  fakes: { ...base, seed: 1, byzantineAttesters: 1, blockMs: 12_000, behaviours: ["fake-tip"] },
  "fakes-away": { ...base, seed: 2, byzantineAttesters: 1, blockMs: 12_000, behaviours: ["fake-tip"], sourcesAway: 2 },
  "deep-reorg": { nodes: 5, attesters: 4, shards: 1, seed: 1, blocks: 40, ...DEEP_REORG },
  "second-ids": { ...base, seed: 1, byzantineAttesters: 1, delayMs: 400, behaviours: ["two-ids"] },
  "given-up": { ...base, seed: 1, nodes: 4, blocks: 16, crashEveryMs: 800, reorgEveryMs: 2500 },
  "cancels-away": {
    ...base,
    seed: 2,
    byzantineAttesters: 1,
    blockMs: 12_000,
    behaviours: ["cancel-all"],
    sourcesAway: 2,
  },
  contradicting: { ...two, seed: 1, behaviours: ["receipt-other-bytes"] },
  "junk-first": { ...two, seed: 1, behaviours: ["receipt-junk-first"] },
  thief: { ...thief, seed: 2, byzantineProvers: 1, delayMs: 300 },
  thieves: { ...thief, seed: 3, nodes: 8, byzantineProvers: 2, failing: 0.2 },
  anonymous: { ...anonymous, seed: 3, delayMs: 300 },
  stated: { ...anonymous, seed: 3, workflow: STATED },
  "anonymous-far": { ...anonymous, delayMs: 300, behaviours: ["copy-whole"] },
  "anonymous-near": {
    ...anonymous,
    seed: 9,
    nodes: 8,
    byzantineProvers: 2,
    delayMs: 50,
    behaviours: ["copy-whole"],
  },
  renamed: { ...two, seed: 1, failing: 0.4, behaviours: ["receipt-other-attempt"] },
  mended: { nodes: 2, attesters: 1, blocks: 1, shards: 1, seed: 1, wrongFirst: 2 },
  floods: {
    ...base,
    ...one,
    seed: 30,
    nodes: 7,
    byzantineProvers: 2,
    behaviours: ["flood-attempts", "flood-nothing", "flood-proofs", "flood-blocks"],
    limits: { authorBytes: 1 << 20, membersBytes: 2 << 20, taskBytes: 16 << 10 },
  },
  "wrong-proofs": {
    ...base,
    seed: 32,
    nodes: 7,
    attestersOnlyAttest: true,
    byzantineProvers: 1,
    blocks: 8,
    shards: 6,
    behaviours: ["flood-wrong"],
    limits: { verifyMsPerSecond: 40, doubtedVerifyMsPerSecond: 400, verifySeconds: 0.5 },
  },
  "large-proofs": {
    ...base,
    seed: 33,
    nodes: 7,
    attestersOnlyAttest: true,
    byzantineProvers: 1,
    blocks: 8,
    shards: 6,
    behaviours: ["flood-disk"],
    limits: { authorDiskBytes: 16 << 10 },
  },
  // The hostile prover is one of those that join: all others attest.
  joins: { ...base, seed: 31, nodes: 4, blocks: 20, joiners: 2, byzantineProvers: 1, behaviours: ["flood-joins"] },
  crowd: {
    ...base,
    seed: 34,
    nodes: 7,
    blocks: 40,
    blockMs: 800,
    joiners: 1,
    byzantineProvers: 1,
    behaviours: ["sybil-joins"],
  },
  proverless: {
    ...base,
    seed: 31,
    nodes: 4,
    blocks: 20,
    attestersOnlyAttest: true,
    joiners: 1,
    byzantineProvers: 1,
    behaviours: ["flood-joins"],
  },
  sybils: {
    ...base,
    seed: 34,
    nodes: 7,
    blocks: 60,
    blockMs: 800,
    joiners: 1,
    byzantineProvers: 1,
    behaviours: ["sybil-joins"],
    limits: { newcomersMax: 3 },
  },
  beaters: {
    ...base,
    seed: 34,
    nodes: 7,
    blocks: 70,
    blockMs: 800,
    joiners: 1,
    byzantineProvers: 1,
    behaviours: ["sybil-beats"],
    limits: { newcomersMax: 2, retentionBlocks: 32 },
  },
  // A prover of the manifest that is never credited.
  idle: {
    ...base,
    seed: 35,
    blocks: 40,
    blockMs: 800,
    joiners: 1,
    byzantineProvers: 1,
    behaviours: ["withhold-receipts"],
    limits: { retentionBlocks: 32 },
  },
  known: { ...base, seed: 32, nodes: 4, blocks: 90, blockMs: 400, joiners: 2, anyStart: true },
  aged: { ...base, seed: 26, blocks: 40, absent: 1, joiners: 1, limits: { batchAheadMax: 32, retentionBlocks: 4 } },
  regretful: { ...base, seed: 37, byzantineProvers: 2, behaviours: ["claim-and-release"] },
  accusing: {
    ...base,
    seed: 2,
    blocks: 12,
    joiners: 2,
    byzantineAttesters: 1,
    behaviours: ["equivocate", "vote-both"],
  },
  boasters: { ...base, ...one, seed: 28, delayMs: 5, behaviours: ["boast-frontier"] },
  forgetful: { ...base, ...rough, ...one, seed: 27, blocks: 12, behaviours: ["forget-all"] },
  // Fewer devices than slots, and machines that work on after a cancel.
  lingering: {
    ...base,
    seed: 33,
    nodes: 5,
    blocks: 8,
    shards: 6,
    gpus: 1,
    lingerMs: 1500,
    failing: 0.2,
    slowEveryMs: 1500,
  },
  unable: { ...base, seed: 34, nodes: 5, blocks: 30, unableEveryMs: 1500 },
  hanging: { ...base, seed: 16, nodes: 9, blocks: 8, shards: 8, slowEveryMs: 1500 },
};

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  ...VOTE_MUTANTS,
  ...BATCH_MUTANTS,
  ...BLOCK_MUTANTS,
  ...ATTEMPT_MUTANTS,
  ...CONTENT_MUTANTS,
  ...START_MUTANTS,
  ...DISK_MUTANTS,
  ...COPY_MUTANTS,
  ...COMMIT_MUTANTS,
  ...SPLIT_MUTANTS,
  ...PACE_MUTANTS,
  ...RECEIPT_MUTANTS,
  ...ACCOUNT_MUTANTS,
  ...ASSERTION_MUTANTS,
  "send-before-journal": {
    rule: "S5: durable before sent",
    edits: [
      { at: "send-before-journal/unchecked", remove: true },
      { at: "send-before-journal", after: "for (const batch of now) this.#durable(batch);" },
      { at: "send-before-journal/later", remove: true },
    ],
    runs: ["quiet", "crashes"],
    expected: /^S5: .* had not acknowledged/,
  },
  "speak-unasked": {
    rule: "FEED-1: peers are asked for the own feed before the first word",
    edits: [{ at: "speak-unasked", remove: true }],
    runs: ["lost-disks"],
    expected: /^S4: .* signed two batches/,
  },
  "forget-grants": {
    rule: "GRANT-1: what was granted is known after a restart",
    edits: [{ at: "forget-grants", remove: true }],
    runs: ["crashes"],
    expected: /^S4: .* granted .* twice/,
  },
  "forget-timeouts": {
    rule: "GRANT-5: the own timeouts are known after a restart",
    edits: [{ at: "forget-timeouts", remove: true }],
    runs: ["late-crashes"],
    expected: /^S4: .* after its own timeout/,
  },
  "believe-signatures": {
    rule: "BATCH-10, S7: every signature is checked",
    edits: [{ at: "believe-signatures", remove: true }],
    runs: ["forgers"],
    expected: /^S7: .*(which it never signed|signature that is none)/,
  },
  "lax-signatures": {
    rule: "BATCH-10: one strict rule says which signatures are valid",
    edits: [{ at: "lax-signatures", remove: true }],
    runs: ["forgers"],
    expected: /^S7: .* signature that is none/,
  },
  "other-owners": {
    rule: "all compute the same owner",
    edits: [{ at: "other-owners", replace: "return a.score < b.score ? -1 : 1;" }],
    runs: ["quiet"],
    expected: /^S1: .* which does not own it/,
  },
  "owners-without-bound": {
    rule: "nobody is dealt more than its share",
    edits: [{ at: "owners-without-bound", replace: "const first = ranked.findIndex((key) => room.has(key));" }],
    runs: ["quiet"],
    expected: /^S1: .* which does not own it/,
  },
  "heed-the-guilty": {
    rule: "ENTRY-2, EVIDENCE-3, BATCH-7: nothing counts that a key says from its offence on",
    edits: [
      { at: "heed-the-guilty", replace: "return true;" },
      { at: "heed-the-guilty/feed", remove: true },
    ],
    runs: ["offenders"],
    expected: /^S7: .* which is out from/,
  },
  "let-go-early": {
    rule: "L3: nothing is let go of before a quorum of attesters has it",
    edits: [{ at: "let-go-early", remove: true }],
    runs: ["apart"],
    expected: /^L3: .* still lacks entries/,
  },
  "cancel-alone": {
    rule: "CANCEL-2: a quorum cancels a block",
    edits: [
      { at: "cancel-alone", replace: "return voters.length > 0;" },
      // Otherwise the block returns before a checker looks.
      { at: "cancel-alone/return", remove: true },
    ],
    runs: ["cancels"],
    expected: /^S1: .* to be cancelled, and no quorum does/,
  },
  "older-turn-counts": {
    rule: "BENCH-1: of a prover's turns that have begun the latest counts",
    edits: [
      {
        at: "older-turn-counts",
        replace:
          "const turn = turns.find((from) => from <= height && height < endOf(state, turnName(member.key, chain, from)));",
      },
    ],
    runs: ["benched-again"],
    expected: /S6: the memo of the candidates/,
  },
  "bench-alone": {
    rule: "BENCH-1: a quorum benches a prover",
    edits: [{ at: "bench-alone", replace: "if (weight > 0) return height;" }],
    runs: ["benches"],
    expected: /^S1: .* which does not own it/,
  },
  ...ADMISSION_MUTANTS,
  ...ROSTER_MUTANTS,
  ...CATCH_UP_MUTANTS,
  ...LATE_MUTANTS,
  ...SOURCE_MUTANTS,
  ...REPEAT_MUTANTS,
  ...SINK_MUTANTS,
  ...CHANNEL_MUTANTS,
  ...SCHEDULER_MUTANTS,
  ...INPUT_MUTANTS,
  ...KEEPER_MUTANTS,
};
