/**
 * The collector: folds what was signed into certificates, completions and barriers.
 *
 * Nothing here depends on the order of arrival (S6): every function only adds a fact to a set, and what follows from the
 * sets is worked out afterwards, when the step settles.
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import { type BarrierContent, type BarrierTask, contentHash, encodeCertificate } from "../protocol/certificate.ts";
import { artefactHash, type Hash, type Key } from "../protocol/ids.ts";
import { ATTEMPTS_MAX, RECEIPTS_PER_PROVER_MAX } from "../protocol/limits.ts";
import { type EntryOf, equalBytes } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { groupCount, restsOf, type Stage, taskValues, variantOf } from "../protocol/workflow.ts";
import { heirsOf, isParentCertified, isParentClosed } from "./ancestry.ts";
import { afterOf, settleCertified, touch } from "./blocks.ts";
import { entryOf, noteConflicts } from "./conflict.ts";
import { completionChanged, followersOf, isBlockDone, tasksOf } from "./graph.ts";
import { agreeMakers, copiesOf, type Maker, matchMakers } from "./matching.ts";
import { failCode, learnClaimDelay, learnDuration } from "./reclaim.ts";
import { lost, ownerOfAttempt } from "./standing.ts";
import {
  type Attempt,
  attemptOf,
  type Block,
  isEarlier,
  isQuorum,
  keepVote,
  type Place,
  type Proof,
  type Receipt,
  report,
  show,
  type Signed,
  type State,
  type Task,
  weightOf,
} from "./state.ts";

/** Contents of one block's barrier that an attester may sign: each is one more fact that came late. */
const CONTENTS_PER_ATTESTER_MAX = 8;

export function findTask(
  state: State,
  ref: { readonly block: Hash; readonly stage: string; readonly index: number },
): Task | undefined {
  const block = state.blocks.get(ref.block);
  return block?.tasksByStage.get(ref.stage)?.[ref.index];
}

/** The task and attempt that an entry is about, or why there is none. */
function locate(
  state: State,
  entry: { readonly block: Hash; readonly stage: string; readonly index: number; readonly attempt: number },
): { readonly task: Task; readonly attempt: Attempt } | Refusal {
  const task = findTask(state, entry);
  if (task === undefined) return state.blocks.has(entry.block) ? "task.unknown" : "block.unknown";
  if (entry.attempt >= ATTEMPTS_MAX) return "attempt.too-many";
  return { task, attempt: attemptOf(task, entry.attempt) };
}

function keepLater(votes: Map<Key, Signed>, signed: Signed): void {
  const known = votes.get(signed.author);
  if (known === undefined || isEarlier(known, signed)) votes.set(signed.author, signed);
}

export function applyClaim(state: State, signed: Signed, entry: EntryOf<"claim">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { task, attempt } = found;
  if (!keepVote(attempt.claims, signed)) return "claim.duplicate";
  state.dirtyTasks.add(task);
  const isOwner = ownerOfAttempt(state, task, entry.attempt) === signed.author;
  const member = state.roster.get(signed.author);
  if (isOwner && member !== undefined && !state.replaying) {
    learnClaimDelay(state, member, attempt);
    attempt.claimHeardMs ??= state.nowMs;
  }
  if (task.completeMs !== null) return "task.complete";
  // Kept all the same: whose view of the roster is behind will be seen by the votes, not by us.
  return isOwner ? null : "claim.not-owner";
}

export function applyGrant(state: State, signed: Signed, entry: EntryOf<"grant">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  noteConflicts(state, found.attempt, signed, entry);
  const votes = found.attempt.grants.get(entry.prover) ?? new Map<Key, Signed>();
  const before = votes.get(signed.author);
  if (before !== undefined) keepLater(found.attempt.regrants, isEarlier(before, signed) ? signed : before);
  if (!keepVote(votes, signed)) return "vote.duplicate";
  found.attempt.grants.set(entry.prover, votes);
  found.task.block.merits = null;
  // Which copy a prover stands for depends on what was granted to it.
  if (found.task.stage.distinct === "provers") found.task.block.content = null;
  if (signed.author === state.options.self) found.attempt.own.granted = entry.prover;
  state.dirtyTasks.add(found.task);
  return null;
}

export function applyTimeout(state: State, signed: Signed, entry: EntryOf<"timeout">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  noteConflicts(state, found.attempt, signed, entry);
  if (!keepVote(found.attempt.timeouts, { ...signed, code: entry.code })) return "vote.duplicate";
  found.task.block.merits = null;
  found.attempt.overCode ??= entry.code;
  if (signed.author === state.options.self) found.attempt.own.timedOut = true;
  state.dirtyTasks.add(found.task);
  return null;
}

/** Whether this timeout is known already, as said there or earlier. */
export function hasTimeout(state: State, signed: Place & { readonly author: Key }, entry: EntryOf<"timeout">): boolean {
  const known = findTask(state, entry)?.attempts.get(entry.attempt)?.timeouts.get(signed.author);
  return known !== undefined && !isEarlier(signed, known);
}

export function applyBeat(state: State, signed: Signed, entry: EntryOf<"beat">): Refusal | null {
  for (const beat of entry.tasks) {
    const found = locate(state, beat);
    if (typeof found === "string") continue;
    const { attempt, task } = found;
    // Only progress renews a lease.
    const { author } = signed;
    if (!attempt.claims.has(author) || beat.units <= (attempt.progress.get(author)?.units ?? -1)) continue;
    attempt.progress.set(author, { units: beat.units, atMs: state.nowMs });
    state.dirtyTasks.add(task);
  }
  return null;
}

export function applyEnd(state: State, signed: Signed, entry: EntryOf<"release"> | EntryOf<"fail">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { attempt, task } = found;
  const { author } = signed;
  if (!attempt.ends.has(author)) attempt.ends.set(author, entry.kind === "release" ? "released" : failCode(entry.code));
  if (entry.kind === "fail") {
    keepVote(attempt.fails, { ...signed, code: failCode(entry.code), logical: entry.logical });
  }
  state.dirtyTasks.add(task);
  // Kept all the same: the claim may come later, and nobody looks at what others than the claimant say.
  return attempt.claims.has(author) || ownerOfAttempt(state, task, entry.attempt) === author ? null : "claim.not-owner";
}

export function applyReceipt(state: State, signed: Signed, entry: EntryOf<"receipt">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { task, attempt } = found;
  if (entry.system !== task.variant.system || entry.key !== task.variant.key) return "receipt.wrong-key";
  if (entry.bytes > state.manifest.json.limits.proofBytesMax) return "message.too-large";
  state.dirtyTasks.add(task);
  if (
    entry.inline.length > 0 &&
    (artefactHash(entry.inline) !== entry.artefact || entry.inline.length !== entry.bytes)
  ) {
    if (!attempt.ends.has(signed.author)) attempt.ends.set(signed.author, "receipt.inline-mismatch");
    return "receipt.inline-mismatch";
  }
  const before = task.proofs.get(entry.artefact)?.receipts.get(signed.author);
  const { number, index } = before !== undefined && isEarlier(before.place, signed) ? before.place : signed;
  // Of two receipts for one proof the later attempt's stands, whichever came first.
  const isNews = before === undefined || isLater(entry, before);
  const { receipts } = proofOf(task, entry.artefact);
  receipts.set(signed.author, { ...(isNews ? entry : before), place: { number, index } });
  task.block.content = null;
  const dropped = trimReceipts(task, signed.author);
  touchAgreeing(state, task);
  if (dropped === entry.artefact) return "receipt.too-many";
  return isNews ? null : "receipt.replayed";
}

/** What is said of one copy may be what the others have waited for. */
export function touchAgreeing(state: State, task: Task): void {
  if (task.stage.verify === "agree") for (const copy of copiesOf(task)) state.dirtyTasks.add(copy);
}

/** Of the proofs that one prover names for a task its first ones count, by the order of its feed. Returns the one that went. */
function trimReceipts(task: Task, author: Key): Hash | null {
  const said = [...task.proofs.values()].flatMap((proof) => {
    const receipt = proof.receipts.get(author);
    return receipt === undefined ? [] : [{ proof, receipt }];
  });
  if (said.length <= RECEIPTS_PER_PROVER_MAX) return null;
  const { proof } = said.reduce((last, each) => (isEarlier(last.receipt.place, each.receipt.place) ? each : last));
  proof.receipts.delete(author);
  // What nobody else has said anything of takes no room.
  const { receipts, vouchers, rejects, accused, artefact } = proof;
  if ([receipts, vouchers, rejects, accused].every(({ size }) => size === 0)) task.proofs.delete(artefact);
  return artefact;
}

function isLater(a: EntryOf<"receipt">, b: EntryOf<"receipt">): boolean {
  return a.attempt === b.attempt ? a.bytes < b.bytes : a.attempt > b.attempt;
}

/**
 * A proof's receipts without those that name other public values than the task implies, or another length than the proof
 * has, as far as this node knows them: anybody can name somebody else's proof and say something wrong of it.
 */
export function soundReceipts(task: Task, proof: Proof): (readonly [Key, Receipt])[] {
  return [...proof.receipts].filter(([, receipt]) => unsound(task, proof, receipt) === null);
}

/** What a receipt says that is not so. */
export function unsound(task: Task, proof: Proof, receipt: EntryOf<"receipt">): Refusal | null {
  const values = impliedValues(task);
  if (values !== null && !equalBytes(values, receipt.values)) return "receipt.wrong-values";
  return proof.bytes !== null && proof.bytes !== receipt.bytes ? "receipt.wrong-bytes" : null;
}

/** The public values that the block's own bytes imply for the task; `null` until they are derived. */
export function impliedValues(task: Task): Uint8Array | null {
  const { block, stage, index } = task;
  if (stage.verify !== "key") return taskValues(block.id, stage, index);
  return block.prepared?.values[stage.name]?.[index] ?? null;
}

export function applyAttest(state: State, signed: Signed, entry: EntryOf<"attest">): Refusal | null {
  const found = locate(state, entry);
  if (typeof found === "string") return found;
  const { attempt, task } = found;
  noteConflicts(state, attempt, signed, entry);
  const votes = attempt.attests.get(entry.prover) ?? new Map<Key, Signed>();
  const isNew = keepVote(votes, signed);
  attempt.attests.set(entry.prover, votes);
  // That the proof verifies is objective, whatever else its author has attested.
  vouch(state, task, entry.artefact, signed);
  if (!isNew) return "vote.duplicate";
  if (signed.author === state.options.self) attempt.own.attested = entry.artefact;
  return null;
}

export function applyComplete(state: State, signed: Signed, entry: EntryOf<"complete">): Refusal | null {
  const task = findTask(state, entry);
  if (task === undefined) return state.blocks.has(entry.block) ? "task.unknown" : "block.unknown";
  vouch(state, task, entry.artefact, signed);
  return null;
}

export function applyReject(state: State, signed: Signed, entry: EntryOf<"reject">): Refusal | null {
  const task = findTask(state, entry);
  if (task === undefined) return state.blocks.has(entry.block) ? "task.unknown" : "block.unknown";
  const proof = proofOf(task, entry.artefact);
  const votes = proof.rejects.get(entry.prover) ?? new Map<Key, Signed>();
  proof.rejects.set(entry.prover, votes);
  if (!keepVote(votes, signed)) return "vote.duplicate";
  task.block.merits = null;
  report(state, "proof.rejected", { ...where(task), prover: entry.prover, code: entry.code });
  return null;
}

function vouch(state: State, task: Task, artefact: Hash, signed: Signed): void {
  const proof = proofOf(task, artefact);
  keepVote(proof.vouchers, signed);
  if (proof.verdict === "invalid") state.suspects.add(task);
  if (signed.author === state.options.self && !proof.vouched) {
    // Said before a restart, when it had been verified.
    proof.vouched = true;
    proof.verdict = "valid";
    proof.validMs = state.nowMs;
  }
  state.dirtyTasks.add(task);
  task.block.content = null;
  task.block.merits = null;
  state.dirtyBlocks.add(task.block);
}

export function proofOf(task: Task, artefact: Hash): Proof {
  let proof = task.proofs.get(artefact);
  if (proof === undefined) {
    proof = {
      artefact,
      receipts: new Map(),
      rejected: new Set(),
      rejects: new Map(),
      vouchers: new Map(),
      accused: new Map(),
      verdict: "unknown",
      asked: false,
      bytes: null,
      fault: null,
      validMs: null,
      tries: 0,
      retryMs: null,
      vouched: false,
    };
    task.proofs.set(artefact, proof);
  }
  return proof;
}

/** A small proof's bytes, which the receipts that are still kept carry in them. */
export function inlineProof(state: State, artefact: Hash): Uint8Array | null {
  for (const block of state.blocks.values()) {
    for (const { proofs } of block.tasks) {
      for (const { inline } of proofs.get(artefact)?.receipts.values() ?? []) if (inline.length > 0) return inline;
    }
  }
  return null;
}

/** The attempt that is open: the first without a timeout certificate. */
export function openAttempt(state: State, task: Task): Attempt {
  // Asked many times in every step.
  for (let number = 0; number < ATTEMPTS_MAX; number++) {
    const attempt = attemptOf(task, number);
    if (attempt.timeouts.size === 0 || !isQuorum(state, attempt.timeouts.keys())) return attempt;
  }
  return attemptOf(task, ATTEMPTS_MAX - 1);
}

/** The prover that a quorum granted the attempt to. */
export function assignedTo(state: State, attempt: Attempt): Key | null {
  for (const [prover, votes] of attempt.grants) if (isQuorum(state, votes.keys())) return prover;
  return null;
}

/** Whose attempt it is: the prover that a quorum granted it to, else the one whose claim counts here, else the owner. */
export function claimantOf(state: State, task: Task, attempt: Attempt): Key | null {
  return assignedTo(state, attempt) ?? attempt.claimant ?? ownerOfAttempt(state, task, attempt.number);
}

/** Who is paid for the task, once a quorum has attested in one attempt. */
export function creditOf(state: State, task: Task): { readonly attempt: number; readonly prover: Key } | null {
  for (const attempt of task.attempts.values()) {
    for (const [prover, votes] of attempt.attests)
      if (isQuorum(state, votes.keys())) return { attempt: attempt.number, prover };
  }
  return null;
}

interface Made {
  readonly prover: Key | null;
  readonly attempt: number;
  /** `null` on a node that does not attest, so has not looked. */
  readonly bytes: number | null;
  readonly inline: Uint8Array;
  readonly provingMs: number;
}

/** A proof and one who made it. */
export interface MadeBy extends Maker {
  readonly proof: Proof;
  readonly made: Made;
}

/**
 * The proof that stands for a complete task: of those a quorum vouches for, the credited prover's, else that of the
 * lowest attempt, then the lowest hash. As logs converge, so does the choice. Of copies that different provers have to
 * make, each has one whose maker stands for no other.
 */
export function chosenProof(state: State, task: Task): MadeBy | null {
  const optionsFor = (each: Task) => optionsOf(state, each, (proof) => isVouchedFor(state, proof));
  if (task.stage.distinct !== "provers") return optionsFor(task)[0] ?? null;
  const copies = copiesOf(task);
  const options = copies.map(optionsFor);
  const { verify, need } = task.stage;
  return (verify === "agree" ? agreeMakers(options, need) : matchMakers(options))[copies.indexOf(task)] ?? null;
}

/** Whether a quorum says that it verifies. */
export function isVouchedFor(state: State, proof: Proof): boolean {
  return isQuorum(state, proof.vouchers.keys());
}

/** The task's proofs that are wanted, by each of their makers, what is chosen first before the others. */
export function optionsOf(state: State, task: Task, isWanted: (proof: Proof) => boolean): MadeBy[] {
  const credit = creditOf(state, task);
  const options = [...task.proofs.values()].filter(isWanted).flatMap((proof) =>
    makersOf(state, task, proof).map((made) => {
      const granted = task.attempts.get(made.attempt);
      const isMaker = (prover: Key | null | undefined) => made.prover !== null && prover === made.prover;
      const assigned = granted !== undefined && isMaker(assignedTo(state, granted));
      return { proof, made, credited: isMaker(credit?.prover), assigned };
    }),
  );
  options.sort((a, b) => {
    if (a.credited !== b.credited) return a.credited ? -1 : 1;
    if ((a.made.prover === null) !== (b.made.prover === null)) return a.made.prover === null ? 1 : -1;
    if (a.made.attempt !== b.made.attempt) return a.made.attempt - b.made.attempt;
    return order(a.proof.artefact, b.proof.artefact) || order(a.made.prover ?? "", b.made.prover ?? "");
  });
  return options;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Who made a proof, in which attempt: who handed it in and is not out; where there is none, whom attesters name of whom one is
 * honest; else nobody. Of what a key that is out has said, even before, some nodes may have heard what others never will, so
 * nothing rests on it (S6).
 */
function makersOf(state: State, task: Task, proof: Proof): readonly Made[] {
  const counted = soundReceipts(task, proof).filter(([prover]) => !state.out.has(prover));
  if (counted.length > 0) return counted.map(([prover, receipt]) => ({ ...receipt, prover }));
  // As long as nobody is out, the receipt is on its way. An attester looks at the proof first.
  const { bytes } = proof;
  if (state.out.size === 0 || (bytes === null && state.options.roles.attester)) return [];
  const unknown = { bytes, inline: new Uint8Array(), provingMs: 0 };
  const attested = attestedMakers(state, task, proof);
  if (attested.length === 0) return [{ ...unknown, prover: null, attempt: 0 }];
  return attested.map((each) => ({ ...unknown, ...each }));
}

function attestedMakers(
  state: State,
  task: Task,
  { artefact }: Proof,
): { readonly prover: Key; readonly attempt: number }[] {
  return [...task.attempts.values()].flatMap(({ number, attests }) =>
    [...attests].flatMap(([prover, votes]) => {
      const fitting = [...votes].filter(([, signed]) => {
        const entry = entryOf(signed);
        return entry?.kind === "attest" && entry.artefact === artefact;
      });
      const weight = weightOf(
        state,
        fitting.map(([key]) => key),
      );
      return weight >= state.manifest.oneHonest ? [{ prover, attempt: number }] : [];
    }),
  );
}

/** Marks a task complete when a quorum vouches for one proof, and wakes what waited for it. */
export function settleCompletion(state: State, task: Task): void {
  noteLosses(state, task);
  if (task.stage.distinct !== "provers") return complete(state, task);
  // One more maker of one copy may free that of another, or take it.
  for (const copy of copiesOf(task)) {
    if (copy.completeMs !== null && chosenProof(state, copy) === null) reopen(state, copy);
    else complete(state, copy);
  }
}

/** Not complete after all. Somebody else may own it now, and has all the time to claim it. */
export function reopen(state: State, task: Task): void {
  task.completeMs = null;
  task.output = null;
  completionChanged(task);
  for (const attempt of task.attempts.values()) attempt.openedMs = null;
  state.dirtyBlocks.add(task.block);
  state.dirtyTasks.add(task);
}

function complete(state: State, task: Task): void {
  const isNew = task.completeMs === null;
  // What a function chooses may rest on which proof stands for a task, and not on its being there alone.
  if (!isNew && task.stage.custom === null) return;
  const chosen = chosenProof(state, task);
  if (chosen === null || task.output === chosen.proof.artefact) return;
  task.output = chosen.proof.artefact;
  if (!isNew) return outputChanged(state, task);
  task.completeMs = state.nowMs;
  learnDuration(state, task, chosen.made.attempt);
  report(state, task.block.certificate === null ? "task.complete" : "task.late", {
    ...where(task),
    prover: chosen.made.prover,
    attempt: chosen.made.attempt,
    provingMs: chosen.made.provingMs,
    credited: chosen.credited,
  });
  outputChanged(state, task);
}

function outputChanged(state: State, task: Task): void {
  completionChanged(task);
  state.dirtyBlocks.add(task.block);
  for (const other of followersOf(task)) state.dirtyTasks.add(other);
}

/** Each attempt that a timeout certificate ends is held against its owner once, unless it gave the task back. */
function noteLosses(state: State, task: Task): void {
  for (const attempt of task.attempts.values()) {
    if (attempt.lossNoted || !isQuorum(state, attempt.timeouts.keys())) continue;
    attempt.lossNoted = true;
    const owner = claimantOf(state, task, attempt);
    const code = (owner === null ? undefined : attempt.ends.get(owner)) ?? attempt.overCode;
    report(state, "attempt.over", { ...where(task), attempt: attempt.number, owner, code });
    if (owner !== null && code !== "released" && task.completeMs === null) lost(state, owner, task.block);
  }
}

export function applyBarrier(state: State, signed: Signed, entry: EntryOf<"barrier">): Refusal | null {
  const block = state.blocks.get(entry.block);
  if (block === undefined) return state.closed.has(entry.block) ? null : "block.unknown";
  const votes = block.votes.get(entry.content) ?? new Map<Key, Signed>();
  if (!keepVote(votes, signed)) return "vote.duplicate";
  block.votes.set(entry.content, votes);
  const dropped = trimContents(block, signed.author);
  if (signed.author === state.options.self) {
    block.ownContent = entry.content;
    block.votedMs = state.nowMs;
  }
  state.dirtyBlocks.add(block);
  return dropped === entry.content ? "vote.too-many" : null;
}

/**
 * An attester may sign more than one true content while logs converge, but not a stream of them: its first ones count,
 * by the order of its feed. Returns the content that went, if one did.
 */
function trimContents(block: Block, author: Key): Hash | null {
  const said = [...block.votes].flatMap(([content, votes]) => {
    const vote = votes.get(author);
    return vote === undefined ? [] : [{ content, votes, vote }];
  });
  if (said.length <= CONTENTS_PER_ATTESTER_MAX) return null;
  const last = said.reduce((latest, each) => (isEarlier(latest.vote, each.vote) ? each : latest));
  last.votes.delete(author);
  if (last.votes.size === 0) block.votes.delete(last.content);
  return last.content;
}

/** Closes the block when its tasks are complete and its parent is closed; says so; assembles the certificate. */
export function settleBarrier(state: State, block: Block): void {
  if (block.certificate !== null || block.state === "cancelled") return;
  if (block.state === "open" && isBlockDone(block) && isParentClosed(state, block)) {
    block.state = "closed";
    block.closedMs = state.nowMs;
    report(state, "block.closed", { chain: block.chain, height: block.height, hash: block.hash });
    for (const heir of heirsOf(state, block)) touch(state, heir);
  }
  if (block.state !== "closed") return;
  const content = contentOf(state, block);
  if (content !== null) block.contents.set(content.hash, content.value);
  if (!isParentCertified(state, block)) return;
  for (const [hash, votes] of block.votes) {
    const known = block.contents.get(hash);
    if (known === undefined || !isQuorum(state, votes.keys())) continue;
    certify(state, block, hash, known, votes);
    return;
  }
}

function certify(
  state: State,
  block: Block,
  hash: Hash,
  content: BarrierContent,
  votes: ReadonlyMap<Key, Signed>,
): void {
  const bytes = encodeCertificate(content, [...votes.values()].map(show));
  state.effects.push({ kind: "certify", chain: block.chain, height: block.height, block: block.id, bytes });
  report(state, "block.certified", {
    chain: block.chain,
    height: block.height,
    hash: block.hash,
    content: hash,
    items: block.items,
    shards: block.stages[0]?.groups ?? 0,
    attempts: content.tasks.reduce((sum, task) => sum + task.attempt + 1, 0),
    provers: [...new Set(content.tasks.flatMap((task) => task.prover ?? []))],
    tookMs: block.openedMs === null ? 0 : Math.round(state.nowMs - block.openedMs),
  });
  settleCertified(state, block, hash, content.after);
}

/** What the barrier says, by this node's log; `null` while something is missing. */
export function contentOf(state: State, block: Block): Block["content"] {
  if (block.content !== null) return block.content;
  const value = foldContent(state, block);
  block.content = value === null ? null : { value, hash: hashOf(block, value) };
  return block.content;
}

/** Most facts that come once a block is closed change nothing, and hashing a content takes longer than comparing two. */
function hashOf(block: Block, content: BarrierContent): Hash {
  for (const [hash, known] of block.contents) if (isSameContent(known, content)) return hash;
  return contentHash(content);
}

/** Of one block, so that only what the facts say of its tasks may differ. */
function isSameContent(a: BarrierContent, b: BarrierContent): boolean {
  if (a.before !== b.before || a.after !== b.after || a.tasks.length !== b.tasks.length) return false;
  return a.tasks.every((task, at) => {
    const other = b.tasks[at];
    return (
      other !== undefined &&
      task.stage === other.stage &&
      task.index === other.index &&
      task.artefact === other.artefact &&
      task.bytes === other.bytes &&
      task.prover === other.prover &&
      task.attempt === other.attempt &&
      task.credited === other.credited
    );
  });
}

function foldContent(state: State, block: Block): BarrierContent | null {
  const after = afterOf(block);
  if (block.prepared === null || after === null) return null;
  const tasks: BarrierTask[] = [];
  for (const stage of block.stages) {
    const chosen = tasksOf(block, stage.name).map((task) => chosenProof(state, task));
    const length = groupCount(stage, block.counts);
    if (length === null || (stage.itemsMax > 0 && !block.counts.has(stage.name))) return null;
    for (const rests of restsOf(stage, length, (index) => chosen[index]?.proof.artefact ?? null)) {
      if (rests === null) return null;
      for (const index of rests) {
        const said = named(block, stage, index, chosen[index] ?? null);
        if (said === null) return null;
        tasks.push(...said);
      }
    }
  }
  return {
    network: state.manifest.network,
    chain: block.chain,
    height: block.height,
    hash: block.hash,
    parent: block.parent,
    start: block.start,
    workflow: block.workflow,
    items: block.items,
    payload: block.payload,
    before: bytesToHex(block.prepared.before),
    after,
    tasks,
  };
}

/** How the barrier names a task and the proof that stands for it; `null` where this node does not know enough of it. */
function named(
  block: Block,
  stage: Stage,
  index: number,
  chosen: ReturnType<typeof chosenProof>,
): BarrierTask[] | null {
  if (chosen === null) return [];
  const { system, key } = variantOf(stage, index);
  const { made, credited, proof } = chosen;
  const { prover, attempt, bytes } = made;
  if (bytes === null) return null;
  const items = block.counts.get(stage.name);
  const task = { stage: stage.name, index, system, key, attempt, prover, credited, artefact: proof.artefact, bytes };
  return [items === undefined ? task : { ...task, items }];
}

/** How reports name a task. */
export function where(task: Task): Readonly<Record<string, unknown>> {
  return {
    chain: task.block.chain,
    height: task.block.height,
    hash: task.block.hash,
    stage: task.stage.name,
    index: task.index,
  };
}
