/** Certified blocks of a chain that nobody proved: what a sink and the proposer look at is real. */
import { readContent, encodeCertificate } from "../../src/protocol/certificate.ts";
import { artefactHash, blockId, type Hash } from "../../src/protocol/ids.ts";
import type { CertifiedBlock, Store } from "../../src/ports.ts";
import { memoryStore } from "../../src/storage/memory.ts";
import { valueOf } from "../compliance/completion.ts";
import { hashOf } from "../protocol/fixtures.ts";

export const NETWORK: Hash = hashOf("a network of sinks");
export const CHAIN = 31_337;

export function proofOf(height: number): Buffer {
  return Buffer.from(`the proof of ${height}`);
}

/** The block at a height of a branch; below `fork` all branches are one. */
export function certified(height: number, branch: string = "", fork: number = 1, first: number = 1): CertifiedBlock {
  const named = (at: number): Hash => hashOf(`block ${at}${at >= fork ? branch : ""}`);
  const proof = proofOf(height);
  const task = { system: "mock", key: hashOf("key"), attempt: 0, prover: hashOf("prover"), credited: true };
  const artefact = { artefact: artefactHash(proof), bytes: proof.length };
  const content = {
    network: NETWORK,
    chain: CHAIN,
    height,
    hash: named(height),
    parent: named(height - 1),
    start: height === first,
    workflow: "block",
    items: 2,
    payload: hashOf("payload"),
    before: "00",
    after: "01",
    format: 1 as const,
    lost: [],
    tasks: [
      { stage: "shard", index: 0, ...task, ...artefact },
      { stage: "aggregate", index: 0, ...task, ...artefact },
    ],
  };
  const bytes = encodeCertificate(content, []);
  const read = readContent(bytes);
  if (read === null) throw new Error("the certificate cannot be read");
  return { chain: CHAIN, height, block: blockId(NETWORK, content), bytes, ...read };
}

export function chainOf(from: number, count: number): readonly CertifiedBlock[] {
  return Array.from({ length: count }, (_, index) => certified(from + index));
}

export async function storeOf(...blocks: readonly CertifiedBlock[]): Promise<Store> {
  const store = memoryStore({ defer: queueMicrotask });
  await valueOf<void>((done) => store.write({ certificates: blocks }, done));
  return store;
}
