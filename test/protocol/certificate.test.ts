import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { sealBatch, voteOf } from "../../src/protocol/batch.ts";
import {
  type BarrierContent,
  checkCertificate,
  contentHash,
  encodeCertificate,
} from "../../src/protocol/certificate.ts";
import { blockId, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Vote } from "../../src/protocol/messages.ts";
import { canonicalJson } from "../../src/protocol/shape.ts";
import { nativeEquation } from "../../src/storage/keystore.ts";
import { hashOf, manifestOf, remembering, type Signer, signerNamed } from "./fixtures.ts";

const attesters = ["a", "b", "c", "d"].map(signerNamed);
const manifest = manifestOf(attesters.map(({ key }) => key));

const content: BarrierContent = {
  format: 1,
  lost: [],
  network: manifest.network,
  chain: 1,
  height: 7,
  hash: hashOf("block"),
  parent: hashOf("parent"),
  start: false,
  workflow: "block",
  items: 3,
  payload: hashOf("payload"),
  before: bytesToHex(utf8ToBytes("before")),
  after: bytesToHex(utf8ToBytes("after")),
  tasks: [
    ["shard", 0],
    ["shard", 1],
    ["aggregate", 0],
  ].map(([stage, index]) => ({
    stage: String(stage),
    index: Number(index),
    system: "mock",
    key: hashOf("mock"),
    attempt: 0,
    prover: attesters[Number(index)]?.key ?? "",
    credited: true,
    artefact: hashOf(`${stage} ${index}`),
    bytes: 128,
  })),
};

/** A barrier vote as an attester makes it: one entry of a batch with others. */
function voteBy(signer: Signer, said: BarrierContent, network = manifest.network): Vote {
  const block = blockId(said.network, said);
  const barrier = { kind: "barrier", block, content: contentHash(said) } as const;
  const other = { kind: "retract", block, round: 0 } as const;
  const feed = { author: signer.key, number: 3, previous: ZERO_HASH };
  return voteOf(sealBatch(network, feed, [other, barrier, other], signer.sign), 1);
}

function fileOf(said: BarrierContent, signers: readonly Signer[] = attesters): Uint8Array {
  return encodeCertificate(
    said,
    signers.map((signer) => voteBy(signer, said)),
  );
}

function codeOf(file: Uint8Array, equation = nativeEquation): string {
  const checked = checkCertificate(manifest, file, equation);
  return checked.ok ? "ok" : checked.code;
}

const file = fileOf(content);

describe("a certificate", () => {
  it("of a quorum is accepted, and says who signed what (CERT-1)", () => {
    for (const signers of [attesters, attesters.slice(1)]) {
      const checked = checkCertificate(manifest, fileOf(content, signers), nativeEquation);
      if (!checked.ok) throw new Error(checked.message);
      expect(checked.value.content).toEqual(content);
      expect(checked.value.contentHash).toBe(contentHash(content));
      expect(checked.value.block).toBe(blockId(manifest.network, content));
      expect([...checked.value.signers].sort()).toEqual(signers.map(({ key }) => key).sort());
    }
  });

  it("is one file, in whatever order the votes came", () => {
    expect(fileOf(content, [...attesters].reverse())).toEqual(file);
  });

  it("is refused after the change of any single byte", () => {
    const accepted: string[] = [];
    const smallest = fileOf(content, attesters.slice(1));
    const equation = remembering(nativeEquation);
    for (const [at, byte] of smallest.entries()) {
      // Near neighbours, in turn: what stands is ASCII, so digits mostly become digits and letters letters.
      const other = byte ^ ((at % 2) + 1);
      const changed = Uint8Array.from(smallest);
      changed[at] = other;
      if (codeOf(changed, equation) === "ok") accepted.push(`byte ${at}: ${byte} -> ${other}`);
    }
    expect(accepted).toEqual([]);
  });

  it("is refused with a byte left out or put in, and cut off anywhere", () => {
    const equation = remembering(nativeEquation);
    for (let at = 0; at <= file.length; at += 5) {
      const [before, after] = [file.subarray(0, at), file.subarray(at)];
      expect(codeOf(new Uint8Array([...before, 0x30, ...after]), equation), `in at ${at}`).not.toBe("ok");
      if (at === file.length) continue;
      expect(codeOf(before, equation), `cut at ${at}`).not.toBe("ok");
      expect(codeOf(new Uint8Array([...before, ...after.subarray(1)]), equation), `out at ${at}`).not.toBe("ok");
    }
  });
});

describe("a certificate is refused with the code", () => {
  it("certificate.too-large above a megabyte, and certificate.malformed for what is none", () => {
    expect(codeOf(new Uint8Array(1024 * 1024 + 1))).toBe("certificate.too-large");
    for (const text of ["", "null", "{}", "[]", '{"kind":"barrier"}', "\u0000", "[".repeat(100_000)]) {
      expect(codeOf(utf8ToBytes(text)), text.slice(0, 20)).toBe("certificate.malformed");
    }
  });

  it("certificate.not-canonical for other spaces, another order of keys or of votes", () => {
    const json = JSON.parse(new TextDecoder().decode(file)) as { votes: unknown[] };
    expect(codeOf(utf8ToBytes(`${JSON.stringify(json, null, 1)}\n`))).toBe("certificate.not-canonical");
    expect(codeOf(utf8ToBytes(`${JSON.stringify(Object.fromEntries(Object.entries(json).reverse()))}\n`))).toBe(
      "certificate.not-canonical",
    );
    expect(codeOf(utf8ToBytes(`${canonicalJson({ ...json, votes: [...json.votes].reverse() })}\n`))).toBe(
      "certificate.not-canonical",
    );
  });

  it("certificate.quorum one vote short of it", () => {
    expect(codeOf(fileOf(content, attesters.slice(0, 2)))).toBe("certificate.quorum");
    expect(codeOf(fileOf(content, []))).toBe("certificate.quorum");
  });

  it("certificate.signer for one attester twice, and for a stranger", () => {
    const [first, second] = attesters;
    if (first === undefined || second === undefined) throw new Error("no attesters");
    expect(codeOf(fileOf(content, [first, first, second]))).toBe("certificate.signer");
    expect(codeOf(fileOf(content, [...attesters, signerNamed("stranger")]))).toBe("certificate.signer");
  });

  it("certificate.signature for a vote on another content, or made for another network", () => {
    const votes = attesters.map((signer) => voteBy(signer, content));
    expect(codeOf(encodeCertificate({ ...content, items: 4 }, votes))).toBe("certificate.signature");
    const elsewhere = attesters.map((signer) => voteBy(signer, content, hashOf("other network")));
    expect(codeOf(encodeCertificate(content, elsewhere))).toBe("certificate.signature");
  });

  it("certificate.other-network where it says that it is of one", () => {
    expect(codeOf(fileOf({ ...content, network: hashOf("other network") }))).toBe("certificate.other-network");
  });

  it("certificate.tasks where a task is missing, extra, out of place or under another key", () => {
    const { tasks } = content;
    const [first, second, third] = tasks;
    if (first === undefined || second === undefined || third === undefined) throw new Error("no tasks");
    const wrong: BarrierContent["tasks"][] = [
      [],
      [first, second],
      [...tasks, third],
      [second, first, third],
      [first, first, third],
      [first, second, { ...third, key: hashOf("other") }],
      [first, second, { ...third, system: "other" }],
      [first, second, { ...third, prover: null }],
    ];
    for (const each of wrong) expect(codeOf(fileOf({ ...content, tasks: each }))).toBe("certificate.tasks");
    expect(codeOf(fileOf({ ...content, workflow: "other" }))).toBe("certificate.tasks");
    // The proof names its maker, and is verified under the values for it, whether it is credited or not.
    const unknown = { ...third, prover: null, credited: false };
    expect(codeOf(fileOf({ ...content, tasks: [first, second, unknown] }))).toBe("certificate.tasks");
    expect(codeOf(fileOf({ ...content, tasks: [first, second, { ...third, credited: false }] }))).toBe("ok");
    // Nine items need a second shard of eight, which two shards have; seventeen need a third.
    expect(codeOf(fileOf({ ...content, items: 9 }))).toBe("ok");
    expect(codeOf(fileOf({ ...content, items: 17 }))).toBe("certificate.tasks");
    expect(codeOf(fileOf({ ...content, items: Number.MAX_SAFE_INTEGER }))).toBe("certificate.tasks");
  });
});
