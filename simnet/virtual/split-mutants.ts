/** Mutants of the rules about blocks that are proven in pieces, and the workflow that allows it. */
import type { Fragment } from "../../src/protocol/fragment.ts";
import type { Mutant } from "./mutant.ts";

const stage = { system: "sim", key: "sim", leaseMs: 2000, limitMs: 20_000 } as const;

/** Whole, or in two pieces where it is too large. */
export const SPLIT: Fragment = {
  workflows: {
    block: {
      window: 4,
      stages: [
        { name: "piece", ...stage, tasks: { split: [1, 2] } },
        { name: "whole", ...stage, tasks: { takes: "piece" } },
      ],
    },
  },
};

export const SPLIT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "never-split": {
    rule: "L1: a block whose piece is in quarantine is proven in more of them",
    edits: [{ at: "never-split", remove: true }],
    runs: ["pieces"],
    expected: /^L1: /,
  },
  "split-unasked": {
    rule: "a block is whole until provers give a piece up",
    edits: [{ at: "split-unasked", remove: true }],
    runs: ["pieces"],
    expected: /^S1: .* a piece of what provers have not given up/,
  },
};
