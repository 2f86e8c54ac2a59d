/** A network small enough to read: four attesters that also prove, one workflow of shards and an aggregate. */
import { createHash } from "node:crypto";
import type { Batch } from "../../src/protocol/batch.ts";
import { sealBatch } from "../../src/protocol/batch.ts";
import { type Hash, type Key, ZERO_HASH } from "../../src/protocol/ids.ts";
import { type Manifest, type ManifestJson, readManifest } from "../../src/protocol/manifest.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import type { Equation } from "../../src/protocol/signing.ts";
import { createKeyFrom } from "../keys.ts";

export interface Signer {
  readonly key: Key;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** The same keys in every run: a failure has to replay. */
export function signerNamed(name: string): Signer {
  return createKeyFrom(createHash("sha256").update(`test key ${name}`).digest());
}

export function hashOf(text: string): Hash {
  return createHash("sha256").update(text).digest("hex");
}

/** For a file that is checked thousands of times with another byte changed: all its other signatures are checked once. */
export function remembering(equation: Equation): Equation {
  const known = new Map<string, boolean>();
  return (signature, message, key) => {
    const asked = Buffer.concat([signature, key, message]).toString("latin1");
    const answer = known.get(asked) ?? equation(signature, message, key);
    known.set(asked, answer);
    return answer;
  };
}

export function manifestJson(keys: readonly Key[], change: Partial<ManifestJson> = {}): ManifestJson {
  const stage = { system: "mock", key: "mock", leaseMs: 2000, limitMs: 20_000 };
  return {
    format: 1,
    name: "test",
    attesters: keys.map((key) => ({ key, weight: 1 })),
    sources: [...keys],
    provers: { admission: "list", list: keys.map((key) => ({ key, slots: 1, weight: 1 })) },
    chains: [{ id: 1, start: 1, confirmations: 0, workflow: "block" }],
    workflows: {
      block: {
        window: 2,
        stages: [
          { name: "shard", ...stage, tasks: { shards: 2, itemsMax: 8 } },
          { name: "aggregate", ...stage, tasks: { takes: "shard" } },
        ],
      },
    },
    keys: { mock: { system: "mock", verifyingKey: "bW9jaw==", files: {} } },
    timing: { claimWindowMs: 500, claimWindowMsMax: 4000, heartbeatMs: 500, leaseMs: 2000, syncMs: 1000 },
    limits: { proofBytesMax: 1 << 20, claimsPerSlotMax: 8, retentionBlocks: 4 },
    bootstrap: [],
    ...change,
  };
}

export function manifestOf(keys: readonly Key[], change: Partial<ManifestJson> = {}): Manifest {
  const read = readManifest(manifestJson(keys, change));
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  return read.value;
}

/** Batches of one author, each naming the one before. */
export function feedOf(network: Hash, signer: Signer, groups: readonly (readonly Entry[])[]): Batch[] {
  const batches: Batch[] = [];
  for (const entries of groups) {
    const previous = batches.at(-1)?.hash ?? ZERO_HASH;
    const feed = { author: signer.key, number: batches.length, previous };
    batches.push(sealBatch(network, feed, entries, (message) => signer.sign(message)));
  }
  return batches;
}
