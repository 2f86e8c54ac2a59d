/** Mutants of the rules about starts and the own feed. */
import type { Mutant } from "./mutant.ts";

export const START_MUTANTS: Readonly<Record<string, Mutant>> = {
  "unshown-counts": {
    rule: "START-3: an answer counts only if it shows this start's record",
    edits: [{ at: "unshown-counts", replace: "return true;" }],
    runs: ["own-starts"],
    expected: /^H2: /,
  },
  "copies-both-sign": {
    rule: "START-4: two starts with one counter both stop",
    edits: [{ at: "copies-both-sign", remove: true }],
    runs: ["own-starts"],
    expected: /^H2: /,
  },
  "outrun-unheeded": {
    rule: "START-5: an old copy begins again above the latest start",
    edits: [{ at: "outrun-unheeded", replace: "return;" }],
    runs: ["own-starts"],
    expected: /^H2: /,
  },
  "go-on-beside": {
    rule: "START-6: a node that is shown a batch of its key that it did not sign ends",
    edits: [{ at: "go-on-beside", replace: "if (number >= 0) return;" }],
    runs: ["own-starts"],
    expected: /^H2: /,
  },
  "own-batch-unheeded": {
    rule: "FEED-2: a node that is shown a batch of its own that its disk lacks has lost its disk",
    edits: [{ at: "own-batch-unheeded", remove: true }],
    runs: ["own-starts"],
    expected: /^H2: /,
  },
  "younger-stays": {
    rule: "FEED-3: of two processes the later one stops",
    edits: [{ at: "younger-stays", remove: true }],
    runs: ["own-starts"],
    expected: /^H2: /,
  },
  "shown-before-stored": {
    rule: "START-2: a record is durable before it is shown",
    edits: [{ at: "shown-before-stored", after: "this.#renew(author, kept); done(records);" }],
    runs: ["starts"],
    expected: /^H1: a crash lost/,
  },
  "clone-signs": {
    rule: "FEED-4: a node with two batches of one number never signs again",
    edits: [{ at: "clone-signs", remove: true }],
    runs: ["own-starts"],
    expected: /^H2: /,
  },
};
