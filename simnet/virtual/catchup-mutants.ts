/** Mutants of the rules by which a node catches up with feeds that have gaps for good. */
import type { Mutant } from "./mutant.ts";

export const CATCH_UP_MUTANTS: Readonly<Record<string, Mutant>> = {
  "number-unseen": {
    rule: "BATCH-11: a refused batch shows how far its author has come",
    edits: [{ at: "number-unseen", remove: true }],
    runs: ["aged"],
    expected: /^L3: .* still lacks entries/,
  },
  "ask-in-a-loop": {
    rule: "R1: a peer whose answer held nothing new is not asked again at once",
    edits: [{ at: "ask-in-a-loop", replace: "if (lacks) askPeer(state, peer);" }],
    runs: ["boasters"],
    expected: /^R1: .* has asked its peers/,
  },
  "skip-alone": {
    rule: "L3: attesters of more than a third of the weight have let go of what is skipped",
    edits: [{ at: "skip-alone", replace: "const lowest = said.find(({ weight }) => (heard += weight) > 0);" }],
    runs: ["forgetful"],
    expected: /^L3: .* has skipped batch/,
  },
};
