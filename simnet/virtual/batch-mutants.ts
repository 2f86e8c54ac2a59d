/** Mutants of the rules about batches and entries. */
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 6, attesters: 4, blocks: 5, shards: 3, byzantineAttesters: 1 } as const;

export const BATCH_RUNS: Readonly<Record<string, VirtualOptions>> = {
  invented: { ...base, seed: 1, behaviours: ["invent-blocks"] },
  "broken-chains": { ...base, seed: 1, behaviours: ["break-chain"] },
  "falling-starts": { ...base, seed: 1, behaviours: ["start-again"] },
  "many-proofs": {
    ...base,
    seed: 1,
    nodes: 7,
    byzantineAttesters: 0,
    attestersOnlyAttest: true,
    byzantineProvers: 1,
    shards: 6,
    behaviours: ["flood-disk"],
  },
  accusers: {
    ...base,
    seed: 1,
    byzantineProvers: 1,
    behaviours: ["flood-evidence"],
    limits: { authorChecksPerSecond: 100 },
  },
};

export const BATCH_MUTANTS: Readonly<Record<string, Mutant>> = {
  "follow-too-far": {
    rule: "BATCH-9: what announces a block far above the certified ones stays with the peers",
    edits: [{ at: "follow-too-far", replace: "return false;" }],
    runs: ["invented"],
    expected: /^R1: .* far above/,
  },
  "forks-unseen": {
    rule: "BATCH-12: two batches of one number exclude their author",
    edits: [{ at: "forks-unseen", replace: 'if (known !== undefined) return "known";' }],
    runs: ["feeds-of-one"],
    expected: /^F3: not excluded .* second batch/,
  },
  "chain-unchecked": {
    rule: "BATCH-13: a batch follows the one before",
    edits: [{ at: "chain-unchecked", remove: true }],
    runs: ["broken-chains"],
    expected: /^S7: .* does not follow/,
  },
  "starts-fall": {
    rule: "BATCH-17: the counter of starts does not fall",
    edits: [{ at: "starts-fall", replace: "return true;" }],
    runs: ["falling-starts"],
    expected: /^S7: .* does not follow/,
  },
  "checks-unbounded": {
    rule: "BATCH-15: an author has a number of signature checks a second",
    edits: [{ at: "checks-unbounded", replace: "return null;" }],
    runs: ["accusers"],
    expected: /^R1: .* signature checks of/,
  },
  "roles-unchecked": {
    rule: "ENTRY-1, S7: an author signs only what its role allows",
    edits: [{ at: "roles-unchecked", remove: true }],
    runs: ["trespassers"],
    expected: /^S7: .* counts .* that it may not sign/,
  },
  "verified-for-nothing": {
    rule: "VERIFY-1: the author of a receipt pays for the verification",
    edits: [{ at: "verified-for-nothing", replace: "return [];" }],
    runs: ["wrong-proofs"],
    expected: /^R1: .* ms on wrong proofs/,
  },
  "first-price": {
    rule: "VERIFY-2: a verification costs what verifications of its system took",
    edits: [{ at: "first-price", replace: "return FIRST_MS;" }],
    runs: ["shares"],
    expected: /^V1: the price is/,
  },
  "doubted-apart": {
    rule: "VERIFY-4: authors that have shown no valid proof share their time",
    edits: [{ at: "doubted-apart", replace: "if (nowMs >= 0) return own;" }],
    runs: ["shares"],
    expected: /^V1: authors in doubt/,
  },
  "strangers-apart": {
    rule: "VERIFY-5: all strangers share one turn",
    edits: [{ at: "strangers-apart", replace: "return author;" }],
    runs: ["shares"],
    expected: /^V1: strangers/,
  },
  "fetches-unbounded": {
    rule: "VERIFY-7: a node fetches at most four proofs of one author at once",
    edits: [
      {
        at: "fetches-unbounded",
        replace: 'return this.#ledger.hasRoom(line, "proofs", effect.bytes, placeOf(effect));',
      },
    ],
    runs: ["many-proofs"],
    expected: /^R1: .* fetches \d+ proofs of one author/,
  },
};
