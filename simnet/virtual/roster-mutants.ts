/** Mutants of the rules about joins, and about votes on the roster. */
import type { Mutant } from "./mutant.ts";

const runs = ["roster"] as const;

export const ROSTER_MUTANTS: Readonly<Record<string, Mutant>> = {
  "strangers-admitted": {
    rule: "JOIN-1: no stranger joins where admission is a list",
    edits: [{ at: "strangers-admitted", remove: true }],
    runs,
    expected: /^N1: the node admits a stranger/,
  },
  "admitted-beside-turn": {
    rule: "JOIN-3: the join of a prover that has a turn is ignored",
    edits: [{ at: "admitted-beside-turn", remove: true }],
    runs,
    expected: /^N1: the node admits a prover that has a turn/,
  },
  "slots-as-asked": {
    rule: "JOIN-4: at most 4 slots of a newcomer count, and a suspended member keeps its own",
    edits: [{ at: "slots-as-asked", replace: "const { slots } = entry;" }],
    runs,
    expected: /^N1: the node admits with other slots/,
  },
  "newest-goes": {
    rule: "JOIN-6: the stranger that was heard longest ago makes room",
    edits: [{ at: "newest-goes", replace: "const oldest = [...state.strangers.keys()].at(-1) ?? null;" }],
    runs,
    expected: /^N1: the log has feeds/,
  },
  "admitted-by-one": {
    rule: "ADMIT-1: a quorum of equal votes gives a turn",
    edits: [{ at: "admitted-by-one", replace: "if (voters.size === 0) return null;" }],
    runs,
    expected: /^N1: \d+ newcomers have a turn/,
  },
  "slots-forgotten": {
    rule: "ADMIT-3: the vote has the slots of the join",
    edits: [{ at: "slots-forgotten", replace: 'say(state, { kind: "admit", prover, chain, height, slots: 1 });' }],
    runs,
    expected: /^N1: the node admits with other slots/,
  },
  "nobody-before-turn": {
    rule: "ADMIT-7: where nobody may prove, a newcomer owns tasks below its turn",
    edits: [{ at: "nobody-before-turn", replace: "return begun;" }],
    runs,
    expected: /^N1: \d+ newcomers own tasks below their turn/,
  },
  "latest-bench-counts": {
    rule: "BENCH-2: of one attester's votes about a turn the earliest counts",
    edits: [{ at: "latest-bench-counts", remove: true }],
    runs,
    expected: /^N1: /,
  },
};
