/**
 * What votes certify beside the barrier, as files that anybody checks with nothing but the manifest: who was assigned an
 * attempt, that an attempt is over, who is paid for a task; and what a key has signed that breaks a rule.
 *
 * Each has one legal form, like the barrier certificate. The content repeats what the votes say, so that a person can
 * read it, and names the block by all that its id commits to.
 */
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { z } from "zod";
import { openVote } from "./batch.ts";
import { bytes, type CertificateFault, count, hash, readCanonical, text } from "./certificate.ts";
import { type Evidence, isAttesterOffence, openEvidence } from "./evidence.ts";
import { blockId, type Key } from "./ids.ts";
import { ATTESTERS_MAX } from "./limits.ts";
import type { Manifest } from "./manifest.ts";
import type { Entry, Vote } from "./messages.ts";
import { canonicalJson } from "./shape.ts";
import type { Equation } from "./signing.ts";

/** By the kind of vote that a quorum of makes it. */
const VOTES = { assignment: "grant", timeout: "timeout", credit: "attest" } as const;
export type VoteKind = keyof typeof VOTES;
export const VOTE_KINDS = Object.keys(VOTES) as readonly VoteKind[];

const VOTE = z.strictObject({ head: bytes, index: count, path: z.array(hash), signature: bytes, entry: bytes });

const CONTENT = z.strictObject({
  network: hash,
  /** The block, as it was announced. */
  chain: count,
  height: count,
  hash,
  parent: hash,
  start: z.boolean("true or false"),
  workflow: text,
  items: count,
  payload: hash,
  stage: text,
  index: count,
  attempt: count,
  /** Who was assigned the attempt, or is paid; nobody where it timed out. */
  prover: z.nullable(hash),
});

const FILE = z.strictObject({
  kind: z.enum(["assignment", "timeout", "credit"], '"assignment", "timeout" or "credit"'),
  version: z.literal(1, "1"),
  content: CONTENT,
  votes: z.array(VOTE).max(ATTESTERS_MAX, `at most ${ATTESTERS_MAX} votes`),
});

const EVIDENCE = z.strictObject({
  kind: z.literal("evidence", '"evidence"'),
  version: z.literal(1, "1"),
  network: hash,
  offender: hash,
  offence: text,
  /** Number of the first batch of the offender that no longer counts. */
  from: count,
  shown: z.array(VOTE).max(2, "at most 2 votes"),
});

export type VoteContent = z.infer<typeof CONTENT>;

export interface VoteCertificate {
  readonly kind: VoteKind;
  readonly content: VoteContent;
  readonly signers: readonly Key[];
}

type Refused = {
  readonly ok: false;
  readonly code: CertificateFault | "certificate.evidence";
  readonly message: string;
};
export type Checked<T> = { readonly ok: true; readonly value: T } | Refused;

export function isVoteKind(kind: string | null): kind is VoteKind {
  return kind !== null && Object.hasOwn(VOTES, kind);
}

/** The file's bytes, with the votes in the order of their heads. */
export function encodeVotes(kind: VoteKind, content: VoteContent, votes: readonly Vote[]): Uint8Array {
  const shown = votes.map(inHex).sort((a, b) => (a.head < b.head ? -1 : 1));
  return utf8ToBytes(`${canonicalJson({ kind, version: 1, content, votes: shown })}\n`);
}

/** Reads and checks such a file against the manifest alone. */
export function checkVotes(manifest: Manifest, file: Uint8Array, equation: Equation): Checked<VoteCertificate> {
  const read = readCanonical(FILE, file);
  if (!read.ok) return read;
  const { kind, content, votes } = read.value;
  if (content.network !== manifest.network) return otherNetwork(content.network, manifest);
  if ((content.prover === null) !== (kind === "timeout"))
    return no("certificate.malformed", `a prover belongs into an assignment or a credit, not into a timeout`);
  const workflow = manifest.json.chains.find(({ id }) => id === content.chain)?.workflow ?? "";
  if (!manifest.json.workflows[workflow]?.stages.some(({ name }) => name === content.stage))
    return no("certificate.tasks", `the manifest has no stage "${content.stage}" for chain ${content.chain}`);
  const signers: Key[] = [];
  let before = "";
  for (const [at, vote] of votes.entries()) {
    const opened = openVote(manifest.network, fromHex(vote), equation);
    if (opened === null || !says(opened.entry, kind, manifest, content))
      return no("certificate.signature", `votes[${at}] does not sign this content`);
    if (!manifest.weights.has(opened.author) || signers.includes(opened.author)) {
      const why = signers.includes(opened.author) ? "has signed before" : "is no attester of this network";
      return no("certificate.signer", `votes[${at}]: ${opened.author} ${why}`);
    }
    if (vote.head <= before) return no("certificate.not-canonical", `votes[${at}] is out of order`);
    before = vote.head;
    signers.push(opened.author);
  }
  const weight = signers.reduce((sum, key) => sum + (manifest.weights.get(key) ?? 0), 0);
  if (weight < manifest.quorum)
    return no("certificate.quorum", `signed by weight ${weight}; a quorum is ${manifest.quorum}`);
  return { ok: true, value: { kind, content, signers } };
}

/** Whether a vote is for exactly this. Why an attempt is over, and which proof is paid for, each signer says itself. */
function says(entry: Entry, kind: VoteKind, { network }: Manifest, content: VoteContent): boolean {
  if (entry.kind !== "grant" && entry.kind !== "timeout" && entry.kind !== "attest") return false;
  if (entry.kind !== VOTES[kind] || entry.block !== blockId(network, content)) return false;
  if (entry.stage !== content.stage || entry.index !== content.index || entry.attempt !== content.attempt) return false;
  return entry.kind === "timeout" || entry.prover === content.prover;
}

export function encodeEvidence(network: string, evidence: Evidence, shown: readonly Vote[]): Uint8Array {
  const { offender, offence, from } = evidence;
  const file = { kind: "evidence", version: 1, network, offender, offence, from, shown: shown.map(inHex) };
  return utf8ToBytes(`${canonicalJson(file)}\n`);
}

/** What the file proves by its signatures; a `false-proof` still has to be verified by whoever has the proof. */
export function checkEvidence(manifest: Manifest, file: Uint8Array, equation: Equation): Checked<Evidence> {
  const read = readCanonical(EVIDENCE, file);
  if (!read.ok) return read;
  const { network, offender, offence, from, shown } = read.value;
  if (network !== manifest.network) return otherNetwork(network, manifest);
  const evidence = openEvidence(network, shown.map(fromHex), equation);
  if (evidence === null) return no("certificate.signature", "what it shows excludes nothing, or is not signed");
  if (evidence.offender !== offender || evidence.offence !== offence || evidence.from !== from) {
    const { offender: who, offence: what, from: where } = evidence;
    return no("certificate.evidence", `it shows ${what} of ${who} from batch ${where} on`);
  }
  if (isAttesterOffence(offence) && !manifest.weights.has(offender))
    return no("certificate.signer", `${offender} is no attester of this network: its votes are nothing`);
  return { ok: true, value: evidence };
}

function otherNetwork(network: string, manifest: Manifest): Refused {
  return no("certificate.other-network", `it is of network ${network}; the manifest is ${manifest.network}`);
}

function no(code: Refused["code"], message: string): Refused {
  return { ok: false, code, message };
}

function inHex(vote: Vote): z.infer<typeof VOTE> {
  return {
    head: bytesToHex(vote.head),
    index: vote.index,
    path: vote.path.map((sibling) => bytesToHex(sibling)),
    signature: bytesToHex(vote.signature),
    entry: bytesToHex(vote.entry),
  };
}

function fromHex(vote: z.infer<typeof VOTE>): Vote {
  return {
    head: hexToBytes(vote.head),
    index: vote.index,
    path: vote.path.map((sibling) => hexToBytes(sibling)),
    signature: hexToBytes(vote.signature),
    entry: hexToBytes(vote.entry),
  };
}
