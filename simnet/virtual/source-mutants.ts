/** Mutants of the rules about sources: which block a node acts on. */
import type { Mutant } from "./mutant.ts";

export const SOURCE_MUTANTS: Readonly<Record<string, Mutant>> = {
  "believe-announcements": {
    rule: "ANNOUNCE-10, S8: a node acts on a block only once its own source has told it",
    edits: [{ at: "believe-announcements", replace: "return !contradictsSource(state, block);" }],
    runs: ["fakes"],
    expected: /^S8: .* on no chain/,
  },
  "believe-one-source": {
    rule: "ANNOUNCE-13: a node without a source waits for more than a third of the sources",
    edits: [{ at: "believe-one-source", replace: "return announcers.size > 0 && manifest.oneHonestSource > 0;" }],
    runs: ["fakes-away"],
    expected: /^S8: .* on no chain/,
  },
  "ids-by-hash": {
    rule: "ANNOUNCE-10: a block is compared with the own source's by all that its announcement says",
    edits: [{ at: "ids-by-hash", replace: "return block.hash === hash;" }],
    runs: ["second-ids"],
    expected: /^S1: .* under (two ids|a second id)/,
  },
  "reorg-retired": {
    rule: "ANNOUNCE-6: a block counts at a height that is compacted, because a reorg may be that deep",
    edits: [
      {
        at: "reorg-retired",
        after: 'if (json.start !== "any" && entry.height <= chain.retired) return "block.unknown";',
      },
    ],
    runs: ["deep-reorg"],
    expected: /^L1: /,
  },
  "return-unasked": {
    rule: "ANNOUNCE-15: after a restart only the own source says that a block is back which the node has given up",
    edits: [{ at: "return-unasked", remove: true }],
    runs: ["given-up"],
    expected: /^S8: .* again, which its chain has given up/,
  },
};
