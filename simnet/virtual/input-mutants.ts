/** Mutants of the rules about what operators hand in. */
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 4, attesters: 4, blocks: 6, shards: 1, handedIn: 8 } as const;

export const INPUT_RUNS: Readonly<Record<string, VirtualOptions>> = {
  "handed-in": { ...base, seed: 44, crashEveryMs: 150, crashSites: 1, damage: "torn" },
};

export const INPUT_MUTANTS: Readonly<Record<string, Mutant>> = {
  "acknowledge-early": {
    rule: "INPUT-1: a block that is handed in is acknowledged once its announcement is durable",
    edits: [{ at: "acknowledge-early", replace: "acknowledge();" }],
    runs: ["handed-in"],
    expected: /^S5: .* lacks the announcement of height .* handed in/,
  },
};
