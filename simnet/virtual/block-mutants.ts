/** Mutants of the rules about announcements, retracts and cancels. */
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 6, attesters: 4, blocks: 5, shards: 3 } as const;

export const BLOCK_RUNS: Readonly<Record<string, VirtualOptions>> = {
  rounds: { ...base, seed: 1, byzantineAttesters: 1, behaviours: ["announce-rounds"] },
  "old-blocks": {
    ...base,
    seed: 1,
    blocks: 40,
    shards: 1,
    blockMs: 500,
    byzantineAttesters: 1,
    behaviours: ["old-block-again"],
    limits: { retentionBlocks: 4, closedMax: 8 },
  },
  followers: { ...base, seed: 1, nodes: 7, attestersOnlyAttest: true, sourcesAway: 3, sourcesAwayMs: 3000 },
  hasty: { ...base, seed: 1, blocks: 24, blockMs: 60 },
  "two-starts": { ...base, seed: 1, anyStart: true, byzantineAttesters: 1, behaviours: ["poison-blocks"], blocks: 12 },
};

export const BLOCK_MUTANTS: Readonly<Record<string, Mutant>> = {
  "rounds-unbounded": {
    rule: "ANNOUNCE-4: a block has at most 64 rounds",
    edits: [{ at: "rounds-unbounded", remove: true }],
    runs: ["rounds"],
    expected: /^R1: .* rounds of a block/,
  },
  "certified-again": {
    rule: "ANNOUNCE-5: nothing else is announced under the hash of a certified block",
    edits: [{ at: "certified-again", remove: true }],
    runs: ["old-blocks"],
    expected: /^S4: .* granted .* twice/,
  },
  "announce-first-only": {
    rule: "ANNOUNCE-9: so many sources announce a block that one of them is honest",
    edits: [{ at: "announce-first-only", replace: "return;" }],
    runs: ["followers"],
    expected: /^L1: /,
  },
  "window-unbounded": {
    rule: "ANNOUNCE-11: a limited number of blocks is open",
    edits: [{ at: "window-unbounded", replace: 'if (parent.state !== "open") return false;' }],
    runs: ["hasty"],
    expected: /^R1: .* blocks open behind each other/,
  },
  "two-starts": {
    rule: "ANNOUNCE-14: one id of a block counts",
    edits: [{ at: "two-starts", replace: "return true;" }],
    runs: ["two-starts"],
    expected: /^S1: .* is credited under two ids/,
  },
  "round-unheard": {
    rule: "ANNOUNCE-8: a later round reopens a cancelled block",
    edits: [{ at: "round-unheard", remove: true }],
    runs: ["rounds-of-one"],
    expected: /^F1: /,
  },
  "old-retracts-count": {
    rule: "RETRACT-1: a retract of an earlier round is ignored",
    edits: [{ at: "old-retracts-count", replace: "const now = [...retracts.keys()];" }],
    runs: ["rounds-of-one"],
    expected: /^F1: /,
  },
  "retracts-again": {
    rule: "RETRACT-5: a source's first retract of a block counts",
    edits: [
      { at: "retracts-again", remove: true },
      {
        at: "retracts-again/kept",
        replace: "replaceVote(block.retracts, signed.author, { ...placeOf(signed), round: entry.round });",
      },
    ],
    runs: ["rounds-of-one"],
    expected: /^F1: /,
  },
  "first-cancel-counts": {
    rule: "CANCEL-1: the latest round of each attester counts",
    edits: [{ at: "first-cancel-counts", replace: "const isLater = known === undefined;" }],
    runs: ["rounds-of-one"],
    expected: /^F1: /,
  },
  "never-reopened": {
    rule: "CANCEL-3: an announcement in the next round reopens a cancelled block",
    edits: [{ at: "never-reopened", remove: true }],
    runs: ["rounds-of-one"],
    expected: /^F1: /,
  },
  "false-payload-again": {
    rule: "ANNOUNCE-12: a payload that does not match the announcement makes the block invalid",
    edits: [{ at: "false-payload-again", remove: true }],
    runs: ["rounds-of-one"],
    expected: /^F1: the node asks/,
  },
};
