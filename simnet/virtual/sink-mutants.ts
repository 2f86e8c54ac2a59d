/** Mutants of the rules by which certified blocks are handed to sinks. */
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 5, attesters: 4, blocks: 12, shards: 2 } as const;

export const SINK_RUNS: Readonly<Record<string, VirtualOptions>> = {
  sinks: { ...base, seed: 41, sinkEveryMs: 150 },
  "sinks-in-bursts": { ...base, seed: 5, blocks: 10, shards: 1, blockMs: 100 },
  "sinks-that-go-back": { ...base, seed: 2, blocks: 25, shards: 1, sinkEveryMs: 500 },
  "sinks-of-the-dying": { ...base, seed: 42, crashEveryMs: 900, crashSites: 0.8, damage: "empty", sinkEveryMs: 900 },
  "sinks-of-forks": { ...base, seed: 43, blocks: 20, reorgEveryMs: 3_000, reorgDepth: 4, sinkEveryMs: 3_000 },
};

export const SINK_MUTANTS: Readonly<Record<string, Mutant>> = {
  "position-before-answer": {
    rule: "SINK-1, S9: the position moves only where the place has acknowledged the block",
    edits: [
      {
        at: "position-before-answer",
        replace:
          "return { outcome: { kind: 'arrived', block, how: 'delivered' }, move: { kind: 'deliver', block: (lane.last = block) } };",
      },
    ],
    runs: ["sinks"],
    expected: /^S9: .* takes height .* for handed over/,
  },
  "pass-over-refused": {
    rule: "SINK-2: a block that the place refuses is tried again",
    edits: [{ at: "pass-over-refused", remove: true }],
    runs: ["sinks"],
    expected: /^S9: .* takes height .* for handed over/,
  },
  "hand-over-unasked": {
    rule: "SINK-3: the place is asked before a block is handed over",
    edits: [{ at: "hand-over-unasked", replace: "return take(lane, nowMs);" }],
    runs: ["sinks"],
    expected: /^S9: .* which has not said that it lacks it/,
  },
  "follow-any-branch": {
    rule: "SINK-4: a block follows its parent",
    edits: [{ at: "follow-any-branch", replace: "return block.height === parent.height + 1;" }],
    runs: ["sinks-of-forks"],
    expected: /^(S9: .* which lacks its parent|L5: )/,
  },
  "start-anywhere": {
    rule: "SINK-4: the first block that is handed over starts a run",
    edits: [{ at: "start-anywhere", replace: "return found.at(-1);" }],
    runs: ["sinks-of-the-dying"],
    expected: /^(S9: .* which lacks its parent|L5: )/,
  },
  "never-rewind": {
    rule: "SINK-5, L5: a place that has lost blocks gets them again",
    edits: [{ at: "never-rewind", remove: true }],
    runs: ["sinks-that-go-back"],
    expected: /^L5: the sink ledger lacks/,
  },
  "hand-over-out-of-turn": {
    rule: "SINK-6: nodes that serve one place take turns",
    edits: [{ at: "hand-over-out-of-turn", remove: true }],
    runs: ["sinks"],
    expected: /^S9: .* for its turn/,
  },
  "miss-certificates": {
    rule: "SINK-7: a certificate that comes while the lane is busy is looked for afterwards",
    edits: [{ at: "miss-certificates", remove: true }],
    runs: ["sinks-in-bursts"],
    expected: /^L5: /,
  },
};
