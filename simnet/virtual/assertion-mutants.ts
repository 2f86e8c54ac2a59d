/** Mutants that the node's own assertions notice, one for each of S1 to S6: the step that breaks the rule ends the node. */
import type { Mutant } from "./mutant.ts";

export const ASSERTION_MUTANTS: Readonly<Record<string, Mutant>> = {
  "open-early": {
    rule: "S1: an attempt is granted only once a quorum has timed out the attempt before",
    edits: [{ at: "open-early", remove: true }],
    runs: ["rash", "late"],
    expected: /^crash: .*invariant\.S1: .* no quorum of timeouts/,
  },
  "name-unverified": {
    rule: "S2: a barrier vote names only what was verified",
    edits: [{ at: "name-unverified", replace: "return proof.vouchers.size > 0;" }],
    runs: ["rough", "quiet", "wrong"],
    expected: /^crash: .*invariant\.S2: .* which nobody verified/,
  },
  "close-early": {
    rule: "S3: a block is closed only after its parent",
    edits: [{ at: "close-early", remove: true }],
    runs: ["late", "rough", "droppers"],
    expected: /^crash: .*invariant\.S3: .* its parent/,
  },
  "lock-taken-twice": {
    rule: "S4: a lock is taken once",
    edits: [{ at: "lock-taken-twice", remove: true }],
    runs: ["quiet"],
    expected: /^crash: .*invariant\.S4: .* the lock grant/,
  },
  "publish-early": {
    rule: "S5: nothing is published before the journal has it",
    edits: [{ at: "publish-early", after: "for (const batch of now) this.#durable(batch);" }],
    runs: ["quiet"],
    expected: /^crash: .*invariant\.S5: /,
  },
  "memo-kept": {
    rule: "S6: a memo goes with the facts that it rests on",
    edits: [{ at: "memo-kept", remove: true }],
    runs: ["failing", "droppers", "endless"],
    expected: /^crash: .*invariant\.S6: S6: the memo of /,
  },
};
