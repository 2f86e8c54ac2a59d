/** Hostile provers that come to an open network under many keys, none of which ever proves. */
import { sealBatch } from "../../src/protocol/batch.ts";
import { type Hash, type Key, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import type { Behaviour, Hostile } from "./byzantine.ts";
import { CHAIN } from "./manifest.ts";
import { simSigner } from "./provers.ts";

const KEYS_MAX = 64;
/** New keys at a time. */
const KEYS_AT_ONCE = 2;

/** A key without a node. */
interface Sybil {
  readonly key: Key;
  readonly sign: (message: Uint8Array) => Uint8Array;
  next: number;
  previous: Hash;
}

const CROWDS = new WeakMap<Hostile, Sybil[]>();

export const SYBILS = {
  "sybil-joins": {
    who: "prover",
    says: "joins under many keys, which do nothing else",
    every: { ms: 1000, times: 60, run: joinMore },
  },
  // LEAVE-1.
  "sybil-beats": {
    who: "prover",
    says: "joins under many keys, which beat and claim nothing once they are admitted",
    every: {
      ms: 1000,
      times: 200,
      run: (node) => {
        joinMore(node);
        const { roster } = node.node.runtime?.state ?? {};
        for (const sybil of CROWDS.get(node) ?? [])
          if (roster?.has(sybil.key) === true) say(node, sybil, [{ kind: "beat", tasks: [] }]);
      },
    },
  },
} satisfies Record<string, Behaviour>;

function joinMore(node: Hostile): void {
  const crowd = CROWDS.get(node) ?? [];
  CROWDS.set(node, crowd);
  for (let added = 0; added < KEYS_AT_ONCE && crowd.length < KEYS_MAX; added++) {
    const signer = simSigner(node.chance.between(0, 2 ** 31), `sybil ${crowd.length}`);
    const sybil = { ...signer, next: 0, previous: ZERO_HASH };
    crowd.push(sybil);
    say(node, sybil, [{ kind: "join", chain: CHAIN, slots: 1 }]);
  }
}

function say(node: Hostile, sybil: Sybil, entries: readonly Entry[]): void {
  const head = { author: sybil.key, number: sybil.next, previous: sybil.previous };
  const batch = sealBatch(node.options.manifest.network, head, entries, sybil.sign);
  sybil.next++;
  sybil.previous = batch.hash;
  node.sayAs(sybil.key, batch.bytes);
}
