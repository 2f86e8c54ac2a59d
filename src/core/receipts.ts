/**
 * Receipts are facts: written once, bound to their author, and never replaced by what comes later.
 *
 * A receipt's fact is (author, task, attempt, artefact) with the public values and the length that it names. Said twice,
 * the first by the author's own feed order stands, whatever the order of arrival. Two receipts of one author that say
 * different things of one artefact are evidence (`protocol/evidence.ts`).
 *
 * All of them are kept, one small record for each that the log keeps. Which of them count is a view: of the proofs that
 * an author names in one attempt the first two by the order of its feed, and any proof that an honest attester has
 * vouched for. So a receipt that was signed earlier and arrives later takes nothing away from a proof that attesters
 * have verified, and a prover that was wrong in one attempt has all its room in the next.
 */
import type { Hash, Key } from "../protocol/ids.ts";
import { PROOFS_PER_ATTEMPT_MAX } from "../protocol/limits.ts";
import type { EntryOf } from "../protocol/messages.ts";
import { conflictOf } from "../protocol/evidence.ts";
import { commitmentOf } from "../protocol/opening.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { isByAgreement, openedReceipts, opensSealed } from "./commitments.ts";
import {
  type Facts,
  isEarlier,
  keepReceipts,
  type ProofFacts,
  type Receipt,
  type Receipts,
  type Signed,
  type TaskFacts,
  weightOf,
} from "./facts.ts";
import type { Block, Proof, State, Task } from "./state.ts";
import { factsChanged } from "./changes.ts";

/** Writes a receipt down. The code says why it is no news, or does not count as long as nobody vouches for its proof. */
export function keepReceipt(state: State, task: Task, signed: Signed, entry: EntryOf<"receipt">): Refusal | null {
  const own = task.receipts.get(signed.author) ?? { byArtefact: new Map<Hash, Receipt[]>(), first: new Map() };
  task.receipts.set(signed.author, own);
  const named = own.byArtefact.get(entry.artefact) ?? [];
  own.byArtefact.set(entry.artefact, named);
  indexArtefact(state, task, entry.artefact);
  const commitment = commitmentOf({ ...entry, prover: signed.author });
  const receipt: Receipt = { ...entry, signed, commitment };
  // EVIDENCE-7.
  // mutant: contradictions-unseen
  noteContradiction(state, named, receipt);
  const at = named.findIndex(({ attempt }) => attempt === entry.attempt);
  const known = named[at];
  // RECEIPT-4.
  // mutant: receipt-replaced
  if (known !== undefined && !isEarlier(signed, known.signed)) return "receipt.replayed";
  if (known === undefined) named.push(receipt);
  else named[at] = receipt;
  const proof = findProof(task, entry.artefact, signed.author);
  if (proof !== undefined) keepReceipts(proof, signed.author, named);
  const dropped = rankFirst(own, receipt, known);
  if (own.first.get(entry.attempt)?.includes(receipt)) proofOf(task, entry.artefact, signed.author);
  if (dropped !== undefined) dropBare(state, task, dropped, signed.author);
  factsChanged(task.block);
  if (known !== undefined) return "receipt.replayed";
  return dropped === entry.artefact ? "receipt.too-many" : null;
}

function indexArtefact({ namedArtefacts }: State, task: Task, artefact: Hash): void {
  const tasks = namedArtefacts.get(artefact) ?? new Set<Task>();
  namedArtefacts.set(artefact, tasks.add(task));
}

/** Lets go of what the index of artefacts has of a block that is not kept any more. */
export function unindexArtefacts({ namedArtefacts }: State, { tasks }: Block): void {
  for (const task of tasks)
    for (const { byArtefact } of task.receipts.values())
      for (const artefact of byArtefact.keys()) {
        const known = namedArtefacts.get(artefact);
        known?.delete(task);
        if (known?.size === 0) namedArtefacts.delete(artefact);
      }
}

/**
 * Of the receipts that contradict the new one the earliest shows the offence best: the offence has its place where the
 * later of the two was said, and the author's very first receipt for the artefact is among those that are kept.
 */
function noteContradiction(state: State, named: readonly Receipt[], receipt: Receipt): void {
  const [first] = named
    .filter((other) => conflictOf(other, receipt) !== null)
    .sort((a, b) => (isEarlier(a.signed, b.signed) ? -1 : 1));
  if (first !== undefined) state.conflicts.push([receipt.signed, first.signed]);
}

/** Puts the receipt among the first ones of its attempt, in feed order. Returns the artefact that is not among them. */
function rankFirst({ first }: Receipts, receipt: Receipt, known: Receipt | undefined): Hash | undefined {
  // mutant: receipts-for-ever
  const { attempt } = receipt;
  const others = (first.get(attempt) ?? []).filter((other) => other !== known);
  const ranked = [...others, receipt].sort((a, b) => (isEarlier(a.signed, b.signed) ? -1 : 1));
  first.set(attempt, ranked.slice(0, PROOFS_PER_ATTEMPT_MAX));
  return ranked[PROOFS_PER_ATTEMPT_MAX]?.artefact;
}

/** A proof that nobody names any more among the first, and that no attester has said anything of, takes no room. */
function dropBare(state: State, task: Task, artefact: Hash, author: Key): void {
  const proof = findProof(task, artefact, author);
  if (proof === undefined || proof.vouched || receiptsOf(state, task, proof).length > 0) return;
  if ([proof.vouchers, proof.rejects, proof.accused].every(({ size }) => size === 0))
    task.proofs.delete(nameOf(artefact, proof.maker));
}

/** The receipts of a proof that count. An author that names it in several attempts has one for each. */
export function receiptsOf(state: Facts, task: TaskFacts, proof: ProofFacts): (readonly [Key, Receipt])[] {
  // RECEIPT-5.
  // mutant: receipts-dropped
  const isVouched = weightOf(state, proof.vouchers.keys()) >= state.manifest.oneHonest;
  const counted = [...proof.receipts].flatMap(([author, named]) => {
    const first = task.receipts.get(author)?.first;
    const own = named.filter((receipt) => isVouched || first?.get(receipt.attempt)?.includes(receipt) === true);
    return own.map((receipt) => [author, receipt] as const);
  });
  return isByAgreement(task) ? withOpened(state, task, proof, counted) : counted;
}

/** In an `agree` stage a result counts that its prover had committed to, whether it is published or only opened here. */
function withOpened(
  state: Facts,
  task: TaskFacts,
  proof: ProofFacts,
  receipts: readonly (readonly [Key, Receipt])[],
): (readonly [Key, Receipt])[] {
  // mutant: uncommitted-receipts
  const published = receipts.filter(([author, receipt]) => opensSealed(state, task, author, receipt));
  const opened = openedReceipts(state, task, proof).filter(
    ([author, { attempt }]) => !published.some(([other, receipt]) => other === author && receipt.attempt === attempt),
  );
  return [...published, ...opened];
}

/** Whether the prover has handed a proof in for this attempt, or committed to one. */
export function hasHandedIn(task: TaskFacts, prover: Key, attempt: number): boolean {
  if (task.attempts.get(attempt)?.commits.has(prover) === true) return true;
  return task.receipts.get(prover)?.first.has(attempt) === true;
}

/** Whether the task takes proofs that do not name their maker. */
export function isAnonymous({ stage, variant }: TaskFacts): boolean {
  return stage.verify === "key" && variant.payee === "none";
}

/** Who the proof has to be by; results without a proof are the same for all provers. */
function makerOf({ stage }: TaskFacts, prover: Key): Key | null {
  return stage.verify === "key" ? prover : null;
}

/** An artefact is one proof for each prover that it is said to be by, since it may verify for one and not for another. */
function nameOf(artefact: Hash, maker: Key | null): string {
  return maker === null ? artefact : `${artefact} ${maker}`;
}

/** The artefact as a proof by this prover. */
export function findProof(task: Task, artefact: Hash, prover: Key): Proof | undefined {
  return task.proofs.get(nameOf(artefact, makerOf(task, prover)));
}

/** The artefact as a proof by this prover, made when first heard of, with all receipts that name it so. */
export function proofOf(task: Task, artefact: Hash, prover: Key): Proof {
  const known = findProof(task, artefact, prover);
  if (known !== undefined) return known;
  const maker = makerOf(task, prover);
  const receipts = new Map<Key, readonly Receipt[]>();
  for (const [author, { byArtefact }] of task.receipts) {
    const named = byArtefact.get(artefact);
    if (named !== undefined && (maker === null || author === maker)) receipts.set(author, named);
  }
  const proof: Proof = {
    artefact,
    maker,
    values: null,
    receipts,
    rejected: new Set(),
    rejects: new Map(),
    vouchers: new Map(),
    accused: new Map(),
    verdict: "unknown",
    asked: false,
    askers: 0,
    payers: 0,
    bytes: null,
    possession: new Uint8Array(),
    fault: null,
    validMs: null,
    tries: 0,
    retryMs: null,
    vouched: false,
  };
  task.proofs.set(nameOf(artefact, maker), proof);
  return proof;
}

/** A small proof's bytes, which the receipts that are still kept carry in them. */
export function inlineProof(state: State, artefact: Hash): Uint8Array | null {
  for (const { receipts } of state.namedArtefacts.get(artefact) ?? []) {
    const named = [...receipts.values()].flatMap(({ byArtefact }) => byArtefact.get(artefact) ?? []);
    for (const { inline } of named) if (inline.length > 0) return inline;
  }
  return null;
}

/**
 * Whether a file is a proof that only attesters may have for now: the proof does not name its maker, and its task is
 * not complete. A prover that had the proof could hand it in as its own in an attempt that it holds.
 */
export function isReserved(state: State, artefact: Hash): boolean {
  // RECEIPT-10.
  const tasks = [...(state.namedArtefacts.get(artefact) ?? [])];
  return tasks.some((task) => state.live.has(task.block) && task.completeMs === null && isAnonymous(task));
}
