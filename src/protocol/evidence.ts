/**
 * Evidence: what proves that a key broke a rule, to anybody and with nothing but the network's id.
 *
 * It shows what the offender itself has signed: two votes that exclude each other, two receipts that say different
 * things of one proof, two batch heads that are not one feed, or one vote for a proof that does not verify. The last is proven by verifying that proof; everything else by
 * the signatures alone.
 *
 * The offence has a place in the offender's feed, and everything from that batch on counts for nothing: the batch that
 * completes the offence is part of it. Where a feed forks, the fork's own number is that place, because nobody can say
 * which of the two batches came first. What was said before stands, so no fact is taken away that any order of arrival
 * would have kept.
 */
import {
  continues,
  openHead,
  openVote,
  numberBefore,
  readHead,
  readVote,
  type BatchHead,
  type ShownVote,
} from "./batch.ts";
import type { Hash, Key } from "./ids.ts";
import { type Entry, type EntryOf, encodeEntry, equalBytes, type Vote } from "./messages.ts";
import type { Equation } from "./signing.ts";

export type Offence =
  | "two-batches"
  | "two-grants"
  | "grant-after-timeout"
  | "two-attests"
  | "two-seals"
  | "attest-and-timeout"
  | "two-receipts"
  | "false-proof";

/** Offences of any member of a network; the others are about votes, which only attesters have. */
const BY_ANY_MEMBER: ReadonlySet<string> = new Set<Offence>(["two-batches", "two-receipts"]);

export interface Evidence {
  readonly offender: Key;
  readonly offence: Offence;
  /** Number of the first batch of the offender that no longer counts. */
  readonly from: number;
  /** What the votes are about; `null` for a feed that forks. */
  readonly about: {
    readonly block: Hash;
    readonly stage: string;
    readonly index: number;
    readonly attempt: number | null;
  } | null;
  /** The proof that has to be verified before anybody believes it; `null` where the signatures say it all. */
  readonly artefact: Hash | null;
  /** Whose proof the vote says that it is; `null` where there is none to verify. */
  readonly maker: Key | null;
}

type HeadShown = BatchHead & { readonly hash: Hash };

/** What the evidence says, with every signature checked; `null` where it proves nothing. */
export function openEvidence(network: Hash, shown: readonly Vote[], equation: Equation): Evidence | null {
  const read = readEvidence(shown);
  if (read === null) return null;
  for (const vote of shown) {
    const holds = isHeadOnly(vote) ? openHead(network, vote, equation) : openVote(network, vote, equation);
    if (holds === null) return null;
  }
  return read;
}

/** What the evidence says if its signatures hold. Each offence has one form: the earlier statement comes first. */
export function readEvidence(shown: readonly Vote[]): Evidence | null {
  const [first, second] = shown;
  if (first === undefined || shown.length > 2) return null;
  if (second === undefined) return isHeadOnly(first) ? null : falseProof(readVote(first));
  if (isHeadOnly(first) !== isHeadOnly(second)) return null;
  if (isHeadOnly(first)) return twoBatches(readHead(first.head), readHead(second.head));
  const [a, b] = [readVote(first), readVote(second)];
  if (a === null || b === null || a.author !== b.author || !isBefore(a, b)) return null;
  const offence = conflictOf(a.entry, b.entry);
  if (offence === null) return null;
  return { offender: a.author, offence, from: b.number, about: aboutOf(b.entry), artefact: null, maker: null };
}

/** Whether only an attester can commit the offence. */
export function isAttesterOffence(offence: string): boolean {
  return !BY_ANY_MEMBER.has(offence);
}

/** The rule that two statements of one key break together, said in this order; `null` where both may stand. */
export function conflictOf(before: Entry, after: Entry): Offence | null {
  const [one, other] = [aboutOf(before), aboutOf(after)];
  if (one === null || other === null || one.attempt === null) return null;
  if (one.block !== other.block || one.stage !== other.stage || one.index !== other.index) return null;
  if (before.kind === "receipt" && after.kind === "receipt") return contradicts(before, after) ? "two-receipts" : null;
  if (one.attempt !== other.attempt) return null;
  if (before.kind === "grant" && after.kind === "grant") return before.prover === after.prover ? null : "two-grants";
  // A timeout after a grant is how an attempt ends; the other way round nothing may begin.
  if (before.kind === "timeout" && after.kind === "grant") return "grant-after-timeout";
  if (before.kind === "attest" && after.kind === "attest") {
    return before.prover === after.prover && before.artefact === after.artefact ? null : "two-attests";
  }
  if (before.kind === "seal" && after.kind === "seal")
    return before.prover === after.prover && before.hash === after.hash ? null : "two-seals";
  const kinds = [before.kind, after.kind];
  return kinds.includes("attest") && kinds.includes("timeout") ? "attest-and-timeout" : null;
}

/**
 * Whether two receipts of one author for one task exclude each other: they name the same artefact with other public
 * values or another length. An artefact has one length and a task one set of values, in whichever attempt they are
 * named, so one of the two receipts is false, and a node signs only values that it derived itself and a length that it
 * measured. The same holds for the hash that shows that the author holds the proof. Another artefact is another proof, which many systems make each time they run. The time that proving took
 * and whether the proof travels in the receipt are no part of the fact: both differ where a node proves again after it
 * crashed before the first receipt was durable.
 */
function contradicts(before: EntryOf<"receipt">, after: EntryOf<"receipt">): boolean {
  if (before.artefact !== after.artefact) return false;
  if (before.bytes !== after.bytes || !equalBytes(before.values, after.values)) return true;
  return !equalBytes(before.possession, after.possession);
}

/** A batch's head as evidence shows it. */
export function showHead({ head, signature }: Pick<Vote, "head" | "signature">): Vote {
  return { head, signature, index: 0, path: [], entry: new Uint8Array() };
}

/** Whether it shows a head and none of its entries, in the one form of it. */
function isHeadOnly({ entry, index, path }: Vote): boolean {
  return entry.length === 0 && index === 0 && path.length === 0;
}

/** One author, one number and two hashes; or a batch that does not continue the author's own before it. */
function twoBatches(a: HeadShown | null, b: HeadShown | null): Evidence | null {
  if (a === null || b === null || a.author !== b.author) return null;
  const forks = a.number === b.number && a.hash < b.hash;
  const breaks = numberBefore(b) === a.number && !continues(b, a);
  if (!forks && !breaks) return null;
  return { offender: a.author, offence: "two-batches", from: a.number, about: null, artefact: null, maker: null };
}

function falseProof(vote: ShownVote | null): Evidence | null {
  if (vote === null || (vote.entry.kind !== "attest" && vote.entry.kind !== "complete")) return null;
  const { author, entry, number } = vote;
  const { artefact, prover: maker } = entry;
  return { offender: author, offence: "false-proof", from: number, about: aboutOf(entry), artefact, maker };
}

function isBefore(a: ShownVote, b: ShownVote): boolean {
  return a.number === b.number ? a.index < b.index : a.number < b.number;
}

/** Kinds of which two may exclude each other. */
const ABOUT_ATTEMPT: ReadonlySet<string> = new Set<Entry["kind"]>(["grant", "timeout", "attest", "seal", "receipt"]);

function aboutOf(entry: Entry): Evidence["about"] {
  if (entry.kind === "complete") return { block: entry.block, stage: entry.stage, index: entry.index, attempt: null };
  if (!ABOUT_ATTEMPT.has(entry.kind) || !("attempt" in entry)) return null;
  return { block: entry.block, stage: entry.stage, index: entry.index, attempt: entry.attempt };
}

/** Whether two nodes show the same. */
export function isSameEvidence(a: readonly Vote[], b: readonly Vote[]): boolean {
  return equalBytes(encodeEntry({ kind: "evidence", shown: a }), encodeEntry({ kind: "evidence", shown: b }));
}
