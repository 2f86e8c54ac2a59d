import { utf8ToBytes } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { sealBatch, voteOf } from "../../src/protocol/batch.ts";
import { checkCertificate, kindOf } from "../../src/protocol/certificate.ts";
import { readEvidence, showHead } from "../../src/protocol/evidence.ts";
import { blockId, ZERO_HASH } from "../../src/protocol/ids.ts";
import { encodeEntry, type Entry, type EntryOf, type Vote } from "../../src/protocol/messages.ts";
import { INLINE_BYTES_MAX, MESSAGE_BYTES_MAX, VALUES_BYTES_MAX } from "../../src/protocol/limits.ts";
import { canonicalJson } from "../../src/protocol/shape.ts";
import {
  checkEvidence,
  checkVotes,
  encodeEvidence,
  encodeVotes,
  isVoteKind,
  VOTE_KINDS,
  type VoteContent,
  type VoteKind,
} from "../../src/protocol/votes.ts";
import { nativeEquation } from "../../src/storage/keystore.ts";
import { hashOf, manifestOf, remembering, type Signer, signerNamed } from "./fixtures.ts";

const attesters = ["a", "b", "c", "d"].map(signerNamed);
const manifest = manifestOf(attesters.map(({ key }) => key));
const prover = hashOf("prover");
const announced = {
  chain: 1,
  height: 7,
  hash: hashOf("block"),
  parent: hashOf("parent"),
  start: false,
  workflow: "block",
  items: 0,
  payload: hashOf("payload"),
};
const block = blockId(manifest.network, announced);
const attempt = { block, stage: "shard", index: 1, attempt: 2 };

function said(kind: VoteKind, change: object = {}): Entry {
  const entries: Record<VoteKind, Entry> = {
    assignment: { kind: "grant", ...attempt, prover, ...change },
    timeout: { kind: "timeout", ...attempt, code: "no-progress", ...change },
    credit: { kind: "attest", ...attempt, prover, artefact: hashOf("proof"), ...change },
  };
  return entries[kind];
}

function receipt(change: Partial<EntryOf<"receipt">> = {}): EntryOf<"receipt"> {
  const what = { system: "mock", key: hashOf("mock"), artefact: hashOf("proof"), bytes: 100, provingMs: 1 };
  const empty = { inline: new Uint8Array(), possession: new Uint8Array(), nonce: new Uint8Array() };
  return { kind: "receipt", ...attempt, ...what, values: new Uint8Array(32), ...empty, ...change };
}

function voteBy(signer: Signer, entry: Entry, number = 3): Vote {
  const beat: Entry = { kind: "beat", tasks: [] };
  const feed = { author: signer.key, number, previous: ZERO_HASH };
  return voteOf(sealBatch(manifest.network, feed, [beat, entry, beat], signer.sign), 1);
}

function contentOf(kind: VoteKind, change: Partial<VoteContent> = {}): VoteContent {
  const { stage, index } = attempt;
  const of = { network: manifest.network, ...announced, stage, index, attempt: attempt.attempt };
  return { ...of, prover: kind === "timeout" ? null : prover, ...change };
}

function fileOf(kind: VoteKind, signers: readonly Signer[] = attesters, change: object = {}): Uint8Array {
  return encodeVotes(
    kind,
    contentOf(kind),
    signers.map((signer) => voteBy(signer, said(kind, change))),
  );
}

function codeOf(file: Uint8Array, equation = nativeEquation): string {
  const kind = kindOf(file);
  if (kind === "evidence") {
    const checked = checkEvidence(manifest, file, equation);
    return checked.ok ? "ok" : checked.code;
  }
  const checked = isVoteKind(kind) ? checkVotes(manifest, file, equation) : checkCertificate(manifest, file, equation);
  return checked.ok ? "ok" : checked.code;
}

/** Whether no change of one byte is accepted. */
function unshaken(file: Uint8Array): string[] {
  const accepted: string[] = [];
  const equation = remembering(nativeEquation);
  for (const [at, byte] of file.entries()) {
    const changed = Uint8Array.from(file);
    changed[at] = byte ^ 1;
    if (codeOf(changed, equation) === "ok") accepted.push(`byte ${at}`);
    const cut = new Uint8Array([...file.subarray(0, at), ...file.subarray(at + 1)]);
    if (at % 7 === 0 && codeOf(cut, equation) === "ok") accepted.push(`without byte ${at}`);
  }
  return accepted;
}

const two = attesters.slice(0, 3);
const batches = [attesters[0] as Signer, attesters[0] as Signer].map((signer, at) =>
  sealBatch(
    manifest.network,
    { author: signer.key, number: 7, previous: ZERO_HASH },
    Array.from({ length: at + 1 }, (): Entry => ({ kind: "beat", tasks: [] })),
    signer.sign,
  ),
);

function evidenceFile(shown: readonly Vote[]): Uint8Array {
  const evidence = readEvidence(shown);
  if (evidence === null) throw new Error("shows nothing");
  return encodeEvidence(manifest.network, evidence, shown);
}

const [author] = attesters;
if (author === undefined) throw new Error("no attester");
const EVIDENCE = {
  "two-grants": [
    voteBy(author, said("assignment")),
    voteBy(author, said("assignment", { prover: hashOf("other") }), 5),
  ],
  "two-receipts": [voteBy(author, receipt()), voteBy(author, receipt({ attempt: 5, bytes: 99 }), 5)],
  "two-batches": batches
    .toSorted((one, other) => (one.hash < other.hash ? -1 : 1))
    .map(({ headBytes, signature }) => showHead({ head: headBytes, signature })),
};

describe("a certificate of votes", () => {
  for (const kind of VOTE_KINDS) {
    it(`of kind ${kind} says what a quorum has signed, and is one file in whatever order the votes came`, () => {
      const checked = checkVotes(manifest, fileOf(kind, two), nativeEquation);
      if (!checked.ok) throw new Error(checked.message);
      expect(checked.value).toMatchObject({ kind, content: contentOf(kind) });
      expect([...checked.value.signers].sort()).toEqual(two.map(({ key }) => key).sort());
      expect(fileOf(kind, two.toReversed())).toEqual(fileOf(kind, two));
    });

    it(`of kind ${kind} is refused after the change of any single byte, and with one left out`, () => {
      expect(unshaken(fileOf(kind, two))).toEqual([]);
    });

    it(`of kind ${kind} is refused for another task, attempt, chain, block or prover, one vote short, and with a stranger`, () => {
      const votes = two.map((signer) => voteBy(signer, said(kind)));
      const changes: Partial<VoteContent>[] = [
        { index: 0 },
        { attempt: 1 },
        { hash: hashOf("x") },
        { stage: "aggregate" },
      ];
      if (kind !== "timeout") changes.push({ prover: hashOf("x") });
      for (const change of changes)
        expect(codeOf(encodeVotes(kind, contentOf(kind, change), votes))).toBe("certificate.signature");
      expect(codeOf(encodeVotes(kind, contentOf(kind, { chain: 2 }), votes))).toBe("certificate.tasks");
      expect(codeOf(encodeVotes(kind, contentOf(kind, { network: hashOf("x") }), votes))).toBe(
        "certificate.other-network",
      );
      const nobody = kind === "timeout" ? prover : null;
      expect(codeOf(encodeVotes(kind, contentOf(kind, { prover: nobody }), votes))).toBe("certificate.malformed");
      expect(codeOf(fileOf(kind, two.slice(1)))).toBe("certificate.quorum");
      expect(codeOf(fileOf(kind, [...two, signerNamed("stranger")]))).toBe("certificate.signer");
      const [first] = two;
      if (first === undefined) throw new Error("no signer");
      const again = [...votes, voteBy(first, said(kind), 4)];
      expect(codeOf(encodeVotes(kind, contentOf(kind), again))).toBe("certificate.signer");
    });
  }

  it("is not one of another kind", () => {
    const votes = two.map((signer) => voteBy(signer, said("credit")));
    expect(codeOf(encodeVotes("assignment", contentOf("assignment"), votes))).toBe("certificate.signature");
  });

  it("of timeouts holds though its signers give other reasons, and a credit though they name other proofs", () => {
    const timeouts = two.map((signer, at) => voteBy(signer, said("timeout", { code: `reason-${at}` })));
    expect(codeOf(encodeVotes("timeout", contentOf("timeout"), timeouts))).toBe("ok");
    const attests = two.map((signer, at) => voteBy(signer, said("credit", { artefact: hashOf(`proof ${at}`) })));
    expect(codeOf(encodeVotes("credit", contentOf("credit"), attests))).toBe("ok");
  });

  it("is refused where it is spaced otherwise", () => {
    const json = JSON.parse(new TextDecoder().decode(fileOf("credit"))) as object;
    expect(codeOf(utf8ToBytes(`${JSON.stringify(json, null, 1)}\n`))).toBe("certificate.not-canonical");
    expect(codeOf(utf8ToBytes(`${canonicalJson(json)}\n`))).toBe("ok");
  });
});

describe("an evidence file", () => {
  for (const [offence, shown] of Object.entries(EVIDENCE)) {
    it(`of ${offence} says who broke which rule, and is refused after the change of any single byte`, () => {
      const file = evidenceFile(shown);
      const checked = checkEvidence(manifest, file, nativeEquation);
      expect(checked).toMatchObject({ ok: true, value: { offender: author.key, offence } });
      expect(unshaken(file)).toEqual([]);
    });
  }

  it("is refused with certificate.evidence where it names another key, offence or place than it shows", () => {
    const shown = EVIDENCE["two-grants"];
    const evidence = readEvidence(shown);
    if (evidence === null) throw new Error("shows nothing");
    for (const change of [{ from: 6 }, { offender: hashOf("x") }, { offence: "two-attests" as const }])
      expect(codeOf(encodeEvidence(manifest.network, { ...evidence, ...change }, shown))).toBe("certificate.evidence");
    expect(codeOf(encodeEvidence(hashOf("x"), evidence, shown))).toBe("certificate.other-network");
  });

  it("of two receipts is held against a prover that does not attest", () => {
    const stranger = signerNamed("stranger");
    const shown = [voteBy(stranger, receipt()), voteBy(stranger, receipt({ values: new Uint8Array(31) }), 5)];
    const checked = checkEvidence(manifest, evidenceFile(shown), nativeEquation);
    expect(checked).toMatchObject({ ok: true, value: { offender: stranger.key, offence: "two-receipts", from: 5 } });
  });

  it("shows nothing in two receipts of another proof, with another time, or with the proof left out", () => {
    const inline = new Uint8Array(100);
    for (const change of [{ artefact: hashOf("another"), bytes: 99 }, { provingMs: 2 }, { inline }, { attempt: 9 }]) {
      const shown = [voteBy(author, receipt()), voteBy(author, receipt(change), 5)];
      expect(readEvidence(shown)).toBe(null);
    }
  });

  it("of the two longest receipts fits into an entry and a batch", () => {
    const longest = { values: new Uint8Array(VALUES_BYTES_MAX), inline: new Uint8Array(INLINE_BYTES_MAX) };
    const shown = [voteBy(author, receipt(longest)), voteBy(author, receipt({ ...longest, bytes: 99 }), 5)];
    expect(encodeEntry({ kind: "evidence", shown }).length).toBeLessThan(MESSAGE_BYTES_MAX / 2);
  });

  it("says nothing about the votes of somebody who is no attester", () => {
    const stranger = signerNamed("stranger");
    const shown = ["one", "two"].map((name, at) => voteBy(stranger, said("assignment", { prover: hashOf(name) }), at));
    expect(codeOf(evidenceFile(shown))).toBe("certificate.signer");
  });
});
