/**
 * Nodes that break one rule each, to show that a checker would notice.
 *
 * A mutant is a few changed fragments of the node's own source, put in while it is loaded (`mutation.ts`): there is no
 * second core that could grow old. Each fragment must be found exactly once, or the run ends at once.
 */
import { LATE_MUTANTS } from "./late-mutants.ts";
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 6, attesters: 4, blocks: 5, shards: 3 } as const;
const rough = { loss: 0.3, delayMs: 400 } as const;
const one = { byzantineAttesters: 1, byzantineProvers: 1 } as const;

/** Runs in which honest nodes break no rule; the mutants are sent through the same. */
export const RUNS: Readonly<Record<string, VirtualOptions>> = {
  quiet: { ...base, seed: 1 },
  rough: { ...base, ...rough, seed: 2 },
  late: { ...base, seed: 3, loss: 0.2, delayMs: 1200, failing: 0.2 },
  split: { ...base, ...rough, ...one, seed: 4, behaviours: ["withhold-votes", "steal"] },
  crashes: { ...base, ...rough, seed: 5, nodes: 4, blocks: 8, crashEveryMs: 400, failing: 0.3 },
  "lost-disks": { ...base, seed: 23, nodes: 4, blocks: 8, delayMs: 50, crashEveryMs: 2000, damage: "empty" },
  wrong: { ...base, seed: 7, wrong: 0.4 },
  greedy: { ...base, ...one, seed: 8, behaviours: ["claim-all"] },
  hoard: { ...base, seed: 9, nodes: 5, shards: 40, blocks: 4, byzantineProvers: 1, behaviours: ["hoard"] },
  rash: { ...base, ...one, seed: 10, behaviours: ["rash-timeout", "withhold-receipts"] },
  forgers: { ...base, ...one, seed: 11, loss: 0.3, behaviours: ["forge", "forge-answers"] },
  cancels: { ...base, ...one, seed: 12, behaviours: ["cancel-all"] },
  benches: { ...base, ...one, seed: 13, behaviours: ["bench-all", "claim-and-drop"] },
  endless: { ...base, ...one, seed: 14, blocks: 6, behaviours: ["beat-forever"] },
  droppers: { ...base, ...one, seed: 15, behaviours: ["claim-and-drop"] },
  failing: { ...base, seed: 16, failing: 0.5 },
  dying: { ...base, seed: 25, nodes: 9, blocks: 12, crashEveryMs: 2500 },
  hanging: { ...base, seed: 16, nodes: 9, blocks: 8, shards: 8, slowEveryMs: 1500 },
};

const ATTESTER = "src/core/attester.ts";
const COLLECTOR = "src/core/collector.ts";

export const MUTANTS: Readonly<Record<string, Mutant>> = {
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
        file: COLLECTOR,
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
        file: COLLECTOR,
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
        file: COLLECTOR,
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
        file: COLLECTOR,
        from: "&& isBlockDone(block) && isParentClosed(state, block)) {",
        to: "&& block.tasks.some((task) => task.completeMs !== null) && isParentClosed(state, block)) {",
      },
      { file: COLLECTOR, from: "if (rests === null) return null;", to: "if (rests === null) continue;" },
    ],
    runs: ["quiet"],
    expected: /^S2: .* was not complete/,
  },
  "barrier-before-parent": {
    rule: "barrier: not before the parent's",
    edits: [
      {
        file: COLLECTOR,
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
  "send-before-journal": {
    rule: "durable before sent",
    edits: [
      {
        file: "src/runtime/sealer.ts",
        from: "map((part) => this.#seal(part));\n",
        to: "map((part) => this.#seal(part));\n    for (const batch of batches) this.#durable(batch);\n",
      },
      {
        file: "src/runtime/sealer.ts",
        from: "    for (const batch of batches) this.#durable(batch);\n    for (const group",
        to: "    for (const group",
      },
    ],
    runs: ["quiet", "crashes"],
    expected: /^S5: .* had not acknowledged/,
  },
  "speak-unasked": {
    rule: "peers are asked for the own feed before the first word",
    edits: [{ file: "src/core/step.ts", from: "  ownFeed.askBeforeSigning(state);\n", to: "" }],
    runs: ["lost-disks"],
    expected: /^S4: .* signed two batches/,
  },
  "forget-grants": {
    rule: "what was granted is known after a restart",
    edits: [
      {
        file: COLLECTOR,
        from: "if (signed.author === state.options.self) found.attempt.own.granted = entry.prover;",
        to: "",
      },
    ],
    runs: ["crashes"],
    expected: /^S4: .* granted .* twice/,
  },
  "forget-timeouts": {
    rule: "the own timeouts are known after a restart",
    edits: [
      { file: COLLECTOR, from: "if (signed.author === state.options.self) found.attempt.own.timedOut = true;", to: "" },
    ],
    runs: ["crashes"],
    expected: /^S4: .* after its own timeout/,
  },
  "believe-signatures": {
    rule: "every signature is checked",
    edits: [
      {
        file: "src/runtime/ingress.ts",
        from: "if (!verify(state.manifest.network, batch, equation)) {",
        to: "if (!verify(state.manifest.network, batch, equation) && state.nowMs < 0) {",
      },
    ],
    runs: ["forgers"],
    expected: /^S7: .*(which it never signed|signature that is none)/,
  },
  "lax-signatures": {
    rule: "one strict rule says which signatures are valid",
    edits: [
      {
        file: "src/protocol/signing.ts",
        from: "|| !lessThan(s, ORDER)) return false;",
        to: "|| s.length !== ORDER.length) return false;",
      },
    ],
    runs: ["forgers"],
    expected: /^S7: .* signature that is none/,
  },
  "other-owners": {
    rule: "all compute the same owner",
    edits: [{ file: "src/protocol/owner.ts", from: "a.score > b.score ? -1 : 1", to: "a.score < b.score ? -1 : 1" }],
    runs: ["quiet"],
    expected: /^S1: .* which does not own it/,
  },
  "owners-without-bound": {
    rule: "nobody is dealt more than its share",
    edits: [
      {
        file: "src/protocol/owner.ts",
        from: "ranked.findIndex((key) => (room.get(key) ?? 0) > 0)",
        to: "ranked.findIndex((key) => room.has(key))",
      },
    ],
    runs: ["quiet"],
    expected: /^S1: .* which does not own it/,
  },
  "cancel-alone": {
    rule: "a quorum cancels a block",
    edits: [
      {
        file: "src/core/blocks.ts",
        from: "return isQuorum(state, voters);",
        to: "return voters.length > 0;",
      },
      // Or it is back before anybody looks.
      {
        file: "src/core/branch.ts",
        from: "if (seen !== undefined && isSame(block, seen)) announceReturn",
        to: "if (state.nowMs < 0) announceReturn",
      },
    ],
    runs: ["cancels"],
    expected: /^S1: .* to be cancelled, and no quorum does/,
  },
  "bench-alone": {
    rule: "a quorum benches a prover",
    edits: [
      {
        file: "src/core/standing.ts",
        from: "if (weight >= state.manifest.quorum) return height;",
        to: "if (weight > 0) return height;",
      },
    ],
    runs: ["benches"],
    expected: /^S1: .* which does not own it/,
  },
  ...LATE_MUTANTS,
};
