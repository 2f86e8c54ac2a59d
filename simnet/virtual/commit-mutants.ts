/** Mutants of the rules about results that provers commit to, and the runs in which they are made. */
import type { Fragment } from "../../src/protocol/fragment.ts";
import { AGREED } from "./copy-mutants.ts";
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

/** A stage behind the copies keeps the block open, so whoever comes too late with a copy has all the time. */
const FOLLOWED: Fragment = {
  workflows: {
    block: {
      window: 4,
      stages: [
        ...(AGREED.workflows["block"]?.stages ?? []),
        { name: "prove", system: "sim", key: "sim", tasks: { takes: "copied" }, leaseMs: 2000, limitMs: 20_000 },
      ],
    },
  },
};

const base = { nodes: 7, attesters: 4, blocks: 6, shards: 1, workflow: FOLLOWED, byzantineProvers: 2 } as const;

export const COMMIT_RUNS: Readonly<Record<string, VirtualOptions>> = {
  echoes: { ...base, seed: 1, wrong: 0.3, behaviours: ["echo"] },
  "echoes-late": { ...base, seed: 2, blocks: 12, delayMs: 100, behaviours: ["echo"] },
  "commit-copies": { ...base, seed: 1, behaviours: ["commit-copy"] },
  "commits-of-others": { ...base, seed: 1, behaviours: ["commit-all"] },
  hiders: { ...base, seed: 1, blocks: 3, byzantineProvers: 3, behaviours: ["commit-and-hide"] },
  "commit-crashes": { ...base, seed: 1, byzantineProvers: 0, blocks: 8, crashEveryMs: 500, loss: 0.2, wrong: 0.3 },
};

export const COMMIT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "uncommitted-receipts": {
    rule: "RECEIPT-11: a result that provers have to agree on counts if its prover has committed to it",
    edits: [{ at: "uncommitted-receipts", replace: "const published = receipts;" }],
    runs: ["echoes", "echoes-late"],
    expected: /^S[12]: .* attested .* for /,
  },
  "sealed-too-soon": {
    rule: "SEAL-1: a commitment counts once a quorum has sealed it",
    edits: [{ at: "sealed-too-soon", replace: "for (const { commitment } of voters.values()) return commitment;" }],
    runs: ["echoes-late", "echoes"],
    expected: /^S2: .* (showed an opening|no quorum had sealed)/,
  },
  "seal-again": {
    rule: "SEAL-1: seal: once per (task, attempt)",
    edits: [{ at: "seal-again", remove: true }],
    runs: ["echoes"],
    expected: /^crash: .*invariant\.S4: .* the lock seal/,
  },
  "forget-seals": {
    rule: "what was sealed is known after a restart",
    edits: [{ at: "forget-seals", remove: true }],
    runs: ["commit-crashes"],
    expected: /^S4: .* had sealed it before/,
  },
  "seal-unassigned": {
    rule: "SEAL-1: seal: only for the prover that the attempt was granted to",
    edits: [{ at: "seal-unassigned", replace: "const prover = [...attempt.commits.keys()].at(-1) ?? null;" }],
    runs: ["commits-of-others"],
    expected: /^S1: .* which nobody had granted it/,
  },
  "seal-after-reveal": {
    rule: "SEAL-2: seal: never once a result of the group is public",
    edits: [{ at: "seal-after-reveal", remove: true }],
    runs: ["echoes", "echoes-late"],
    expected: /^S2: .* after it had attested a result/,
  },
  "reveal-early": {
    rule: "REVEAL-1: an opening is due once as many commitments are sealed as have to agree",
    edits: [{ at: "reveal-early", replace: "return makers.some((maker) => maker !== null);" }],
    runs: ["echoes"],
    expected: /^S2: .* showed an opening .* before/,
  },
  "reveal-to-all": {
    rule: "REVEAL-2: an opening goes to attesters alone",
    edits: [{ at: "reveal-to-all", remove: true }],
    runs: ["echoes"],
    expected: /^S2: .* which is no attester/,
  },
  "receipt-early": {
    rule: "RECEIPT-11: a result is published once enough provers agree on it",
    edits: [{ at: "receipt-early", remove: true }],
    runs: ["echoes"],
    expected: /^S2: .* published its result/,
  },
  "opened-by-others": {
    rule: "REVEAL-3: a commitment opens for the prover that its opening names",
    edits: [{ at: "opened-by-others", replace: "if (opening === false) return;" }],
    runs: ["commit-copies"],
    expected: /^S1: .* which has not made the proof/,
  },
  "reveal-never-due": {
    rule: "REVEAL-3: who does not reveal within a lease loses the attempt",
    edits: [{ at: "reveal-never-due", replace: "return { wakeMs: Number.POSITIVE_INFINITY };" }],
    runs: ["hiders"],
    expected: /^L[12]: /,
  },
};
