/** Statements without sense or right, and the words that hostile nodes build them from. */
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { type Batch, sealBatch } from "../../src/protocol/batch.ts";
import { domainDigest, type Hash, type Key, u64 } from "../../src/protocol/ids.ts";
import type { Task } from "../../src/core/state.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import type { Hostile } from "./byzantine.ts";
import { CHAIN } from "./manifest.ts";

export type AttemptRef = {
  readonly block: Hash;
  readonly stage: string;
  readonly index: number;
  readonly attempt: number;
};

export function taskOf({ block, stage, index }: Omit<AttemptRef, "attempt">): Omit<AttemptRef, "attempt"> {
  return { block, stage, index };
}

export function attemptOf(entry: AttemptRef): AttemptRef {
  return { ...taskOf(entry), attempt: entry.attempt };
}

export function taskAt(node: Hostile, at: Omit<AttemptRef, "attempt">): Task | undefined {
  const block = node.blocks().find(({ id }) => id === at.block);
  return block?.tasks.find(({ stage, index }) => stage.name === at.stage && index === at.index);
}

export function provers(node: Hostile): readonly Key[] {
  return node.options.manifest.json.provers.list.map(({ key }) => key);
}

export function noise(node: Hostile): Hash {
  return bytesToHex(domainDigest("sim-noise", u64(node.chance.between(0, 2 ** 31)), hexToBytes(node.key)));
}

export function forge(node: Hostile): void {
  const batch = node.pick(node.heard);
  if (batch === undefined) return;
  const { network } = node.options.manifest;
  const { author, number } = batch.head;
  const next = { author, number: number + 1, previous: batch.hash };
  const claim: Entry = { ...somewhere(node), kind: "timeout", attempt: 0, code: "forged" };
  // Somebody else's word under this node's signature, and under none at all.
  node.send(sealBatch(network, next, [claim], (message) => node.sign(message)).bytes);
  node.send(sealBatch(network, next, [claim], () => new Uint8Array(64)).bytes);
  // Votes that only an attester may cast, and proofs that nobody made.
  node.say([chatter(node, true)]);
}

/** The same batch under a signature whose S is beyond the group's order: some verifiers take it, ours never may. */
export function malleated(node: Hostile, batch: Batch): Uint8Array {
  const { author, number, previous } = batch.head;
  const signature = Uint8Array.from(batch.signature);
  signature[63] = 0xff;
  return sealBatch(node.options.manifest.network, { author, number, previous }, batch.entries, () => signature).bytes;
}

function somewhere(node: Hostile): Omit<AttemptRef, "attempt"> {
  const block = node.pick(node.blocks().filter(({ certificate }) => certificate === null));
  const task = block === undefined ? undefined : node.pick(block.tasks);
  if (block === undefined || task === undefined) return { block: noise(node), stage: "shard", index: 0 };
  return { block: block.id, stage: task.stage.name, index: task.index };
}

/** Something of no use: true in form, and about anything. */
export function chatter(node: Hostile, votesOnly = false): Entry {
  const task = node.chance.next() < 0.1 ? { block: noise(node), stage: "shard", index: 0 } : somewhere(node);
  const at = { ...task, attempt: node.chance.between(0, 3) ** 3 };
  const [prover, artefact] = [node.pick([noise(node), ...provers(node)]) ?? node.key, noise(node)];
  const votes: readonly Entry[] = [
    { ...at, kind: "grant", prover },
    { ...at, kind: "attest", prover, artefact },
    { ...at, kind: "seal", prover, hash: artefact },
    { ...task, kind: "complete", prover, artefact },
    { ...task, kind: "reject", prover, artefact, code: "chatter" },
    { ...at, attempt: node.chance.between(2, 900), kind: "timeout", code: "chatter" },
    { kind: "barrier", block: task.block, content: artefact },
    { kind: "bench", prover, chain: CHAIN, height: node.chance.between(0, 99), turn: node.chance.between(0, 99) },
    { kind: "admit", prover, chain: CHAIN, height: node.chance.between(0, 99), slots: node.chance.between(0, 99) },
  ];
  const words: readonly Entry[] = [
    { ...at, kind: "claim", timeouts: [] },
    { ...at, kind: "release" },
    { ...at, kind: "commit", hash: artefact },
    { ...at, kind: "fail", code: "chatter", logical: true },
    { kind: "beat", tasks: [{ ...at, units: node.chance.between(0, 2 ** 31) }] },
    { kind: "join", slots: 3, chain: CHAIN, proofs: [] },
    receiptFor(node, at, artefact),
  ];
  return node.pick(votesOnly ? votes : [...votes, ...words]) ?? { ...at, kind: "release" };
}

function receiptFor(node: Hostile, at: AttemptRef, artefact: Hash): EntryOf<"receipt"> {
  const { keyHashes } = node.options.manifest;
  const base = { system: "sim", key: keyHashes.get("sim") ?? artefact, bytes: 32, provingMs: 1 };
  const empty = { inline: new Uint8Array(), possession: new Uint8Array(), nonce: new Uint8Array() };
  return { ...at, ...base, kind: "receipt", artefact, values: new Uint8Array(32), ...empty };
}
