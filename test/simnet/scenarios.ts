/** Runs of the virtual cluster, each with other faults. A failure replays from its line. */
import type { VirtualOptions } from "../../simnet/virtual/options.ts";

const base = { nodes: 4, blocks: 12, shards: 3 } as const;

export const SCENARIOS: Readonly<Record<string, VirtualOptions>> = {
  "a quiet network": { ...base, seed: 1 },
  "nodes that die all the time": { ...base, seed: 3, nodes: 5, loss: 0.1, crashEveryMs: 400 },
  "sinks that fail": { ...base, seed: 13, blocks: 16, shards: 1, sinkEveryMs: 300, crashEveryMs: 1500 },
  "a node alone": { ...base, seed: 7, nodes: 1, blocks: 20, crashEveryMs: 2000 },
};

/** Those of the long suite, which take a second or a few each. */
export const SLOW_SCENARIOS: Readonly<Record<string, VirtualOptions>> = {
  "a network that loses a third of its messages": { ...base, seed: 2, loss: 0.33, delayMs: 200 },
  "provers that hand in wrong proofs": { ...base, seed: 4, nodes: 5, wrong: 0.3, loss: 0.1 },
  "provers whose machines fail": { ...base, seed: 5, nodes: 7, shards: 6, failing: 0.3, delayMs: 100 },
  "everything at once": {
    ...base,
    seed: 6,
    nodes: 7,
    loss: 0.2,
    delayMs: 200,
    crashEveryMs: 1000,
    wrong: 0.2,
    failing: 0.2,
  },
  "nodes that come back with an empty disk": {
    ...base,
    seed: 10,
    nodes: 7,
    blocks: 20,
    crashEveryMs: 1500,
    damage: "empty",
  },
  "three proof systems of which two are enough, and none that every node has": {
    ...base,
    seed: 12,
    nodes: 6,
    families: true,
    failing: 0.2,
    loss: 0.1,
    delayMs: 100,
    crashEveryMs: 1500,
  },
};
