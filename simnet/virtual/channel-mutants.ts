/** Mutants of the rules of the channel on which partitions hear each other's certificates. */
import type { Mutant } from "./mutant.ts";
import type { VirtualOptions } from "./options.ts";

const base = { nodes: 5, attesters: 4, blocks: 14, shards: 1, outsiders: 2 } as const;

export const CHANNEL_RUNS: Readonly<Record<string, VirtualOptions>> = {
  channel: { ...base, seed: 45, loss: 0.3, crashEveryMs: 2_500, partitionEveryMs: 5_000, forgers: 1 },
  "channel-of-forks": { ...base, seed: 46, loss: 0.3, reorgEveryMs: 2_500, partitionEveryMs: 3_000 },
};

export const CHANNEL_MUTANTS: Readonly<Record<string, Mutant>> = {
  "keep-without-quorum": {
    rule: "CHANNEL-1: a certificate is kept and passed on only where a quorum of its partition has signed it",
    edits: [
      {
        at: "keep-without-quorum",
        replace: "const checked = checkCertificate({ ...manifest, quorum: 1 }, bytes, this.#modules.equation);",
      },
    ],
    runs: ["channel"],
    expected: /^S7: .* keeps a certificate that is none/,
  },
  "keep-early-certificates": {
    rule: "CHANNEL-2: a certificate is kept once that of its parent is",
    edits: [{ at: "keep-early-certificates", replace: "return true;" }],
    runs: ["channel", "channel-of-forks"],
    expected: /^R1: .* not that of its parent/,
  },
  "keep-twice": {
    rule: "CHANNEL-3: a certificate that is here is not kept again",
    edits: [{ at: "keep-twice", replace: "return false;" }],
    runs: ["channel"],
    expected: /^R1: .* twice/,
  },
  "forget-branches": {
    rule: "CHANNEL-4: where a parent is missing, certificates are asked for from its height on",
    edits: [{ at: "forget-branches", remove: true }],
    runs: ["channel-of-forks"],
    expected: /^L3: outsider/,
  },
  "all-tell": {
    rule: "CHANNEL-5: attesters of f+1 of the weight tell a certificate, in turn, and only where nobody was heard",
    edits: [
      { at: "all-tell", remove: true },
      { at: "all-tell/heard", remove: true },
    ],
    runs: ["channel"],
    expected: /^R1: attesters of weight .* tell/,
  },
};
