/** Mutants of the rules about lost disks. */
import { restoredUnheard, restoredWhileProving, restoredWithoutWitness } from "./lost-disks.ts";
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 4, attesters: 4, blocks: 10, shards: 3, delayMs: 20 } as const;

/** Runs in which a disk is lost at the worst moment. */
export const DISK_RUNS: Readonly<Record<string, VirtualOptions>> = {
  unheard: { ...base, seed: 1, script: restoredUnheard("old") },
  proving: { ...base, seed: 1, script: restoredWhileProving("old") },
  "without-witness": { ...base, seed: 1, script: restoredWithoutWitness("old") },
};

export const DISK_MUTANTS: Readonly<Record<string, Mutant>> = {
  "trust-an-old-journal": {
    rule: "LOST-1: a journal that is older than the signing state is lost",
    edits: [{ at: "trust-an-old-journal", replace: "if (state.next > journal.next) return null;" }],
    runs: ["unheard"],
    expected: /^S4: .* signed two batches/,
  },
  "recover-alone": {
    rule: "LOST-2: a quorum of the others answers a node that has lost its disk",
    edits: [
      { at: "recover-alone", remove: true },
      { at: "recover-alone/bar", remove: true },
    ],
    runs: ["without-witness"],
    expected: /^S4: /,
  },
  "bar-nothing": {
    rule: "LOST-3: no lock is taken in what was open when the disk was lost",
    edits: [
      { at: "bar-nothing", remove: true },
      { at: "bar-nothing/unknown", replace: "const barred = -1;" },
    ],
    runs: ["proving"],
    expected: /^S4: .*(twice|after its own)/,
  },
  "reuse-numbers": {
    rule: "LOST-4: numbers that may have been signed are left out",
    edits: [{ at: "reuse-numbers", replace: "const number = this.#next;" }],
    runs: ["unheard"],
    expected: /^S4: .* signed two batches/,
  },
};
