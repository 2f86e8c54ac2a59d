/** Mutants of the rules about copies that different provers make, and the runs in which they are made. */
import type { Fragment } from "../../src/protocol/fragment.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import type { Mutant } from "./mutant.ts";

/** Two of three copies by different provers, verified in one way or the other. */
function copied(change: Partial<StageJson>): Fragment {
  const times = { leaseMs: 2000, limitMs: 20_000 };
  const collect = { any: 2, of: "provers" } as const;
  const stage: StageJson = { name: "copied", copies: 3, tasks: {}, collect, ...times, ...change };
  return { workflows: { block: { window: 4, stages: [stage] } } };
}

export const COPIED: Fragment = copied({ system: "sim", key: "sim" });
export const AGREED: Fragment = copied({ executor: "sim", verify: "agree" });

/** Shards in a proof system whose proofs do not name the prover. */
export const ANONYMOUS: Fragment = {
  workflows: {
    block: {
      window: 4,
      stages: [
        {
          name: "shard",
          system: "sim-anonymous",
          key: "sim-anonymous",
          tasks: { shards: 3, itemsMax: 8 },
          leaseMs: 2000,
          limitMs: 20_000,
        },
      ],
    },
  },
};

/** A stage whose proofs say which block they are about, whatever their system could say besides. */
export const STATED: Fragment = {
  workflows: {
    block: {
      window: 4,
      stages: [
        {
          name: "stated",
          system: "sim",
          key: "sim",
          statement: "block-hash",
          tasks: {},
          leaseMs: 2000,
          limitMs: 20_000,
        },
      ],
    },
  },
};

export const COPY_MUTANTS: Readonly<Record<string, Mutant>> = {
  "payee-by-system": {
    rule: "RECEIPT-8: no statement but shard-fold names a prover, whatever the proof system",
    edits: [{ at: "payee-by-system", replace: "const payee = payeeOf(system);" }],
    runs: ["stated"],
    expected: /^S2: .* vouched for a proof .* that does not verify/,
  },
  "one-maker-for-all": {
    rule: "of copies for different provers each prover stands for one",
    edits: [{ at: "one-maker-for-all", remove: true }],
    runs: ["copied"],
    expected: /^S2: .* was not complete/,
  },
  "agree-alone": {
    rule: "REVEAL-4: ATTEST-2: what provers have to agree on counts once so many have made it",
    edits: [{ at: "agree-alone", replace: "return true;" }],
    runs: ["agreed"],
    expected: /^S2: .* vouched for a proof .* that does not verify/,
  },
};
