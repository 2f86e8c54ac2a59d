/**
 * Keys that have broken a rule: noticed where two facts exclude each other, believed where they are shown, and out from
 * the offence on.
 *
 * What a key that is out says in the batch of its offence and in any after it is no vote: it is taken away where it was
 * heard first and refused where it comes later, so the order of arrival makes no difference (S6). Of several offences
 * the earliest counts. A prover that is out owns no task. Nobody is accused on hearsay: an accusation carries what the
 * offender has signed, and a proof that is said not to verify is verified here first.
 */
import type { Batch } from "../protocol/batch.ts";
import {
  type Evidence,
  isAttesterOffence,
  isSameEvidence,
  openEvidence,
  readEvidence,
  showHead,
} from "../protocol/evidence.ts";
import type { Key } from "../protocol/ids.ts";
import { equalBytes, type EntryOf, type Vote } from "../protocol/messages.ts";
import type { Equation } from "../protocol/signing.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { maySign } from "./attester.ts";
import { dropClaim, shutAgain } from "./attempts.ts";
import { settleRounds, touch } from "./blocks.ts";
import { classOf } from "./classes.ts";
import { chosenProof, openNumber, provenValues } from "./makers.ts";
import { findTask, noTask, reopen } from "./collector.ts";
import { moveBlock } from "./moves.ts";
import { askToVerify } from "./job.ts";
import { proofOf } from "./receipts.ts";
import { recountTurns, rosterChanged } from "./standing.ts";
import { isEarlier, type Out, type Place, show, type Signed, weightOf, dropVote, type Votes } from "./facts.ts";
import { type Block, type Proof, report, say, type State, type Task } from "./state.ts";
import { factsChanged } from "./changes.ts";

/**
 * An earlier offence of a key that is out already is said again, because all nodes have to hold the key out from the same
 * batch on. After so many this node says one each `syncMs`, so that an offender cannot make it sign without end.
 */
const SAID_AT_ONCE_MAX = 4;
/** A proof that is said not to verify is asked for this often; how soon again says who asks for proofs to attest. */
const FETCHES_MAX = 6;

/** What the entry just applied excludes of what its author said before. */
export function settleConflicts(state: State): void {
  for (let pair = state.conflicts.pop(); pair !== undefined; pair = state.conflicts.pop()) noticeVotes(state, ...pair);
}

function noticeVotes(state: State, one: Signed, other: Signed): void {
  // EVIDENCE-1.
  // mutant: votes-unnoticed
  const [first, second] = isEarlier(one, other) ? [show(one), show(other)] : [show(other), show(one)];
  // Places in two batches of one number have no order, and need none.
  const forked = one.number === other.number && !equalBytes(first.head, second.head);
  if (forked) noticeHeads(state, [first, second]);
  else notice(state, [first, second]);
}

/** Two batches of one author that are not one feed. */
export function noticeBatches(state: State, one: Batch, other: Batch): void {
  noticeHeads(
    state,
    [one, other].map(({ headBytes, signature }) => ({ head: headBytes, signature })),
  );
}

function noticeHeads(state: State, heads: readonly Pick<Vote, "head" | "signature">[]): boolean {
  const shown = heads.map(showHead);
  return notice(state, shown) || notice(state, shown.toReversed());
}

function notice(state: State, shown: readonly Vote[]): boolean {
  // EVIDENCE-1.
  const evidence = readEvidence(shown);
  if (evidence === null || !mayOffend(state, evidence)) return false;
  putOut(state, { ...evidence, shown, accuser: null, place: null });
  const unsaid = state.unsaid.get(evidence.offender);
  if (unsaid === undefined || evidence.from < unsaid.evidence.from)
    state.unsaid.set(evidence.offender, { evidence, shown });
  return true;
}

/** Votes are wrong only from those whose votes count, and receipts from those who may prove; strangers may say what they like. */
function mayOffend(state: State, { offender, offence }: Evidence): boolean {
  const { weights, sources } = state.manifest;
  // EVIDENCE-6.
  // mutant: anybody-offends
  if (weights.has(offender)) return true;
  return !isAttesterOffence(offence) && (sources.has(offender) || state.roster.has(offender));
}

/** Somebody shows evidence. It is checked here, whoever it is. */
export function applyEvidence(
  state: State,
  signed: Signed,
  entry: EntryOf<"evidence">,
  equation: Equation,
): Refusal | null {
  // Nobody checks signatures for an author that has accused somebody falsely before.
  const liedAt = state.discredited.get(signed.author);
  if (liedAt !== undefined && isEarlier(liedAt, signed)) return "evidence.false";
  const { offender } = readEvidence(entry.shown) ?? {};
  const known = offender === undefined ? undefined : state.out.get(offender);
  const checked =
    known !== undefined && isSameEvidence(known.shown, entry.shown)
      ? readEvidence(entry.shown)
      : openEvidence(state.manifest.network, entry.shown, equation);
  // EVIDENCE-4.
  // mutant: liars-go-free
  if (checked === null) return lied(state, signed);
  if (signed.author === state.options.self) rememberSaid(state, checked);
  // A prover's offence may be shown before its admission is known.
  if (!mayOffend(state, checked)) return isAttesterOffence(checked.offence) ? lied(state, signed) : "author.unknown";
  const accusation = { ...checked, shown: entry.shown, accuser: signed.author, place: placeOf(signed) };
  if (checked.artefact === null) {
    putOut(state, accusation);
    return null;
  }
  return doubt(state, signed, accusation);
}

function placeOf({ number, index }: Place): Place {
  return { number, index };
}

/** Whoever accuses wrongly owns tasks only after everybody else. */
function lied(state: State, signed: Signed): Refusal {
  const known = state.discredited.get(signed.author);
  if (known === undefined || isEarlier(signed, known)) state.discredited.set(signed.author, placeOf(signed));
  if (known === undefined) rosterChanged(state);
  return "evidence.false";
}

/** A proof that is said not to verify: nobody is believed before it is verified here. */
function doubt(state: State, signed: Signed, accusation: Out): Refusal | null {
  const { about, artefact, maker } = accusation;
  if (about === null || artefact === null || maker === null) return "evidence.false";
  const task = findTask(state, about);
  if (task === undefined) return noTask(state, about.block);
  // EVIDENCE-2.
  // Who made another result of it may have run another program: no signature shows that.
  if (task.stage.verify !== "key") return lied(state, signed);
  const proof = proofOf(task, artefact, maker);
  const accusers = proof.accused.get(accusation.offender) ?? new Map<Key, { signed: Signed; accusation: Out }>();
  const known = accusers.get(signed.author);
  if (known !== undefined && !isEarlier(signed, known.signed)) return "vote.duplicate";
  accusers.set(signed.author, { signed, accusation });
  proof.accused.set(accusation.offender, accusers);
  state.suspects.add(task);
  return null;
}

/** Makes the key out from this offence on, unless an earlier one is known. */
function putOut(state: State, next: Out): void {
  const { offender, from, offence, about } = next;
  const known = state.out.get(offender);
  // EVIDENCE-3.
  if (known !== undefined && known.from <= from) {
    if (known.from === from && isShownBetter(next, known)) state.out.set(offender, next);
    return;
  }
  state.out.set(offender, next);
  const task = about === null ? undefined : findTask(state, about);
  report(state, "key.out", {
    key: offender,
    offence,
    from,
    ...(about === null ? {} : { stage: about.stage, index: about.index, attempt: about.attempt }),
    ...(task === undefined ? {} : { chain: task.block.chain, height: task.block.height }),
  });
  if (offender === state.options.self && state.mute !== "key.cloned") state.mute = "key.out";
  takeBack(state, offender, from);
}

/** Of several that show the same offence one is kept, the same on every node. */
function isShownBetter(next: Out, known: Out): boolean {
  if (next.accuser === null || next.place === null) return false;
  if (known.accuser === null || known.place === null) return true;
  if (next.accuser !== known.accuser) return next.accuser < known.accuser;
  return isEarlier(next.place, known.place);
}

/** Takes what the author said from there on out of the state, and works out again what rested on it. */
function takeBack(state: State, author: Key, from: number): void {
  // They stay on disk: until the evidence is durable somewhere they are all there is of it.
  state.log.cut(author, from);
  state.changes.takenBack++;
  const isOver = (votes: Votes<Place>) => {
    if ((votes.get(author)?.number ?? -1) >= from) dropVote(votes, author);
  };
  for (const each of [...state.admissions.values(), ...state.benches.values()]) isOver(each.voters);
  recountTurns(state);
  rosterChanged(state);
  for (const block of state.blocks.values()) {
    if (block.certificate !== null) continue;
    for (const votes of block.votes.values()) isOver(votes);
    isOver(block.cancels);
    isOver(block.announcers);
    isOver(block.retracts);
    for (const said of block.rounds.values()) isOver(said);
    for (const task of block.tasks) takeBackTask(state, task, author, isOver);
    rederive(state, block);
  }
  // Something said earlier may have been hidden by what is gone.
  for (const batch of state.log.feed(author)?.kept() ?? []) state.again.push(batch);
}

function takeBackTask(state: State, task: Task, author: Key, isOver: (votes: Votes<Place>) => void): void {
  for (const attempt of task.attempts.values()) {
    const { claims, timeouts, regrants, ends, commits, seals } = attempt;
    for (const votes of [claims, timeouts, regrants, ends, commits, seals]) isOver(votes);
    for (const votes of [...attempt.grants.values(), ...attempt.attests.values()]) isOver(votes);
    if (!attempt.claims.has(author)) dropClaim(attempt, author);
  }
  isOver(task.requeues);
  task.overTo = 0;
  const open = openNumber(state, task);
  for (const attempt of task.attempts.values()) if (attempt.number >= open) shutAgain(attempt);
  // Receipts stay for the proofs in them, which attesters have vouched for, but name nobody any more.
  for (const proof of task.proofs.values()) {
    isOver(proof.vouchers);
    for (const votes of proof.rejects.values()) isOver(votes);
  }
}

/** What was settled on facts that are none any more is open again. A certificate stands: a quorum has signed it. */
function rederive(state: State, block: Block): void {
  factsChanged(block);
  for (const task of block.tasks) {
    // Where somebody else owns it now, that has all the time to claim it.
    if (task.completeMs === null || chosenProof(state, task) === null) reopen(state, task);
  }
  settleRounds(state, block);
  if (block.announcers.size === 0 && block.state !== "cancelled") {
    moveBlock(state, block, "waiting");
    state.live.delete(block);
    for (const task of block.tasks) task.readyMs = null;
  }
  touch(state, block);
}

/** Called once a step: verifies what somebody doubts, and says what this node has noticed. */
export function settleEvidence(state: State): void {
  for (const task of state.suspects) settleSuspect(state, task);
  if (!mayAccuse(state)) return;
  for (const [offender, { evidence, shown }] of state.unsaid) {
    const isTold = offender === state.options.self || !isNews(state, evidence);
    if (!isTold && saidAgainMs(state, offender) > state.nowMs) continue;
    state.unsaid.delete(offender);
    if (isTold) continue;
    rememberSaid(state, evidence);
    say(state, { kind: "evidence", shown });
  }
}

/**
 * Whether others take evidence by this node. Of a stranger they take nothing but its wish to join (BATCH-8), and nothing
 * that follows a batch that they have not taken.
 */
function mayAccuse(state: State): boolean {
  // mutant: stranger-accuses
  return maySign(state) && classOf(state, state.options.self) !== "stranger";
}

/** When this node may next sign evidence against the key. */
function saidAgainMs(state: State, offender: Key): number {
  const said = state.ownEvidence.get(offender);
  // EVIDENCE-5.
  // mutant: accuse-without-pause
  return said === undefined || said.count < SAID_AT_ONCE_MAX ? 0 : said.atMs + state.manifest.json.timing.syncMs;
}

/** Each attester says what it has verified itself, for those that cannot; anything else is said once for all. */
function isNews(state: State, evidence: Evidence): boolean {
  const said = state.ownEvidence.get(evidence.offender);
  // EVIDENCE-5.
  if (said !== undefined && said.from <= evidence.from) return false;
  const known = state.out.get(evidence.offender);
  const shownByOthers = known !== undefined && known.accuser !== null && known.from <= evidence.from;
  return !shownByOthers || (evidence.artefact !== null && state.options.roles.attester);
}

function rememberSaid(state: State, { offender, from }: Evidence): void {
  const known = state.ownEvidence.get(offender);
  if (known !== undefined && known.from <= from) return;
  state.ownEvidence.set(offender, { from, count: (known?.count ?? 0) + 1, atMs: state.nowMs });
}

function settleSuspect(state: State, task: Task): void {
  const { block } = task;
  if (state.blocks.get(block.id) !== block) {
    state.suspects.delete(task);
    return;
  }
  for (const proof of task.proofs.values()) {
    if (proof.verdict === "invalid" && task.stage.verify === "key") accuseVouchers(state, proof);
    for (const [offender, accusers] of proof.accused) {
      // EVIDENCE-2.
      // mutant: accusers-believed
      if (proof.verdict === "valid") refuseAccusers(state, accusers);
      else if (proof.verdict === "invalid" || weightOf(state, accusers.keys()) >= state.manifest.oneHonest)
        for (const { accusation } of accusers.values()) putOut(state, accusation);
      else {
        askAgain(state, task, proof, [...accusers.keys()], offender);
        continue;
      }
      proof.accused.delete(offender);
    }
  }
  if ([...task.proofs.values()].every((proof) => proof.accused.size === 0)) state.suspects.delete(task);
}

/** When a proof that somebody doubts is asked for again. */
export function nextDoubtMs(state: State): number {
  let wake = Number.POSITIVE_INFINITY;
  for (const offender of mayAccuse(state) ? state.unsaid.keys() : [])
    wake = Math.min(wake, saidAgainMs(state, offender));
  for (const task of state.suspects) {
    for (const { accused, verdict, asked, tries, retryMs } of task.proofs.values()) {
      if (accused.size > 0 && verdict === "unknown" && !asked && tries < FETCHES_MAX)
        wake = Math.min(wake, retryMs ?? wake);
    }
  }
  return wake;
}

function accuseVouchers(state: State, proof: Proof): void {
  for (const signed of proof.vouchers.values()) notice(state, [show(signed)]);
}

function refuseAccusers(state: State, accusers: ReadonlyMap<Key, { readonly signed: Signed }>): void {
  for (const [author, { signed }] of accusers) {
    const code = lied(state, signed);
    state.effects.push({ kind: "refused", code, author, entry: "evidence" });
  }
}

/** Asks for the verdict, from whoever may hold the proof; within limits, because it may be had nowhere. */
function askAgain(state: State, task: Task, proof: Proof, accusers: readonly Key[], offender: Key): void {
  const values = provenValues(task, proof);
  if (proof.verdict !== "unknown" || proof.asked || values === null || proof.tries >= FETCHES_MAX) return;
  if (proof.retryMs !== null && state.nowMs < proof.retryMs) return;
  const receipts = [...proof.receipts.values()].flat();
  const receipt = receipts.find(({ inline }) => inline.length > 0) ?? receipts[0];
  const payers = accusers.includes(state.options.self) ? [] : accusers;
  askToVerify(state, task, proof, { values, receipt, recompute: null, holders: [...accusers, offender], payers });
}
