/**
 * Admission: how a prover that has no turn gets one.
 *
 * The prover signs `join`, and attesters sign `admit`. The attesters set the height of the turn, because a joiner that
 * chose it could choose its key as well, to own blocks whose hashes it knows.
 *
 * A newcomer becomes a candidate. Each epoch has one drawing, at its first certified block (`drawing.ts`): of the
 * candidates whose join came before anybody could know that block, attesters admit those with the lowest hashes of key
 * and block. So nobody can choose a key that is drawn, and a crowd of keys grows the roster by a few members an epoch.
 * Each candidate pays with an admission proof under its own key (`protocol/admission.ts`). A suspended member is admitted
 * at once, and so is a newcomer where nobody may prove.
 */
import { admissionTasksOf, EPOCH_BLOCKS } from "../protocol/admission.ts";
import { artefactHash, type Key } from "../protocol/ids.ts";
import type { AdmissionProof, EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { admissionStage, type Rule, unreadBase, windowOf } from "./admission-proof.ts";
import { prepare } from "./blocks.ts";
import { hasLeft, isIn, isRosterFull, rosterChanged } from "./standing.ts";
import { isEarlier, isQuorum, type Signed } from "./facts.ts";
import type { Newcomer } from "./soft.ts";
import { type Member, report, type State, say } from "./state.ts";

/** Above every height: whether a turn will end is asked with it. */
export const FOR_EVER = Number.MAX_SAFE_INTEGER;
/** What a newcomer may claim at once, whatever it says of itself. */
export const NEWCOMER_SLOTS_MAX = 4;

/**
 * The highest block of a chain that is certified, or that this node has prepared. A block that somebody merely announced
 * does not count, because it may be on no chain.
 */
export function headOf(state: State, chain: number): number {
  let head = Math.max(state.chains.get(chain)?.certified ?? 0, 0);
  for (const block of state.blocks.values())
    if (block.chain === chain && block.prepared !== null) head = Math.max(head, block.height);
  return head;
}

/**
 * The height that this node's vote names where nobody is drawn: where the first epoch begins that no node has dealt a
 * block of. The joiner has no say in it, because it could choose its key to own blocks whose hashes it knows.
 */
function nextHeight(state: State, rule: Rule, prover: Key): number {
  // ADMIT-4, BENCH-4: heights mean nothing where runs of blocks come in any order. The turns of a member have numbers there.
  if (rule.start === "any") {
    const last = state.roster.get(prover)?.turns.get(rule.id)?.at(-1);
    // mutant: suspended-for-ever
    return last === undefined ? 0 : last + EPOCH_BLOCKS;
  }
  return epochAbove(headOf(state, rule.id) + rule.confirmations + windowOf(state, rule));
}

/** Whether an epoch begins with this number. */
export function isEpoch(number: number): boolean {
  return number % EPOCH_BLOCKS === 0;
}

export function epochAbove(height: number): number {
  // ADMIT-4.
  // mutant: admitted-at-once
  return (Math.floor(height / EPOCH_BLOCKS) + 1) * EPOCH_BLOCKS;
}

/** Whether anybody may prove on the chain, now or later. */
export function hasProver(state: State, chain: number): boolean {
  return [...state.roster.values()].some(
    (member) => !state.out.has(member.key) && isIn(state, member, chain, FOR_EVER),
  );
}

export function applyJoin(state: State, signed: Signed, entry: EntryOf<"join">): Refusal | null {
  const member = state.roster.get(signed.author);
  // JOIN-1.
  // mutant: strangers-admitted
  if (member === undefined && state.manifest.json.provers.admission !== "open") return "author.unknown";
  // JOIN-2.
  const rule = state.manifest.json.chains.find(({ id }) => id === entry.chain);
  if (rule === undefined) return "block.chain-unknown";
  if (member === undefined && isRosterFull(state, entry.chain)) return "roster.full";
  const [proof] = entry.proofs;
  const fault = proof === undefined ? null : faultOf(state, rule, proof);
  if (fault !== null) return fault;
  if (!mayVote(state)) return null;
  // LEAVE-2.
  const isGone = member !== undefined && hasLeft(state, member, entry.chain);
  // JOIN-3.
  // mutant: admitted-beside-turn
  if (member !== undefined && isIn(state, member, entry.chain, FOR_EVER) && !isGone) return null;
  // JOIN-4.
  // mutant: slots-as-asked
  const slots = member?.slots ?? Math.min(Math.max(entry.slots, 1), NEWCOMER_SLOTS_MAX);
  // ADMIT-8.
  // mutant: admitted-undrawn
  if (isDrawn(state, signed.author, entry.chain)) {
    noteCandidate(state, signed.author, rule, slots, proof);
    return null;
  }
  // Votes that split over the beginning of an epoch are cast again: the prover asks again until it is admitted.
  if (mayReturn(state, rule, signed.author))
    vote(state, signed.author, entry.chain, nextHeight(state, rule, signed.author), slots);
  return null;
}

/**
 * Whether a suspended prover may have its next turn. A height says when that begins; where heights mean nothing, the
 * attester waits until as many blocks more are certified as may lie before such a height.
 */
function mayReturn(state: State, rule: Rule, prover: Key): boolean {
  const chain = state.chains.get(rule.id);
  if (chain === undefined || rule.start !== "any" || !hasProver(state, rule.id)) return true;
  const since = chain.returning.get(prover) ?? chain.certifiedCount;
  chain.returning.set(prover, since);
  // BENCH-4.
  // mutant: returns-at-once
  return chain.certifiedCount >= since + EPOCH_BLOCKS + rule.confirmations + windowOf(state, rule);
}

/** Whether the prover is admitted by a drawing: a newcomer, or a member that has left. Where nobody may prove, all are needed. */
export function isDrawn(state: State, prover: Key, chain: number): boolean {
  const member = state.roster.get(prover);
  const isNew = member === undefined || hasLeft(state, member, chain) || (member.turns.get(chain) ?? []).length === 0;
  return isNew && hasProver(state, chain);
}

// JOIN-7.
/** What is wrong with the proof that a join names, as far as the join alone shows it. */
function faultOf(state: State, rule: Rule, { index, artefact, bytes, inline }: AdmissionProof): Refusal | null {
  const stage = admissionStage(state, rule);
  if (stage === null || !admissionTasksOf(stage).includes(index)) return "task.unknown";
  if (bytes > state.manifest.json.limits.proofBytesMax) return "message.too-large";
  const isWhole = inline.length === 0 || (inline.length === bytes && artefactHash(inline) === artefact);
  return isWhole ? null : "receipt.inline-mismatch";
}

export function mayVote(state: State): boolean {
  // VERIFY-8.
  if (state.unverifiable !== null) return false;
  return state.options.roles.attester && state.mute === null && !state.replaying;
}

export function vote(state: State, prover: Key, chain: number, height: number, slots: number): void {
  const voted = state.ownAdmissions.get(`${prover}/${chain}`) ?? -1;
  // ADMIT-5.
  // mutant: admissions-unbounded
  if (voted >= height) return;
  noteOwnAdmission(state, prover, chain, height);
  // ADMIT-3.
  // mutant: slots-forgotten
  say(state, { kind: "admit", prover, chain, height, slots });
}

function noteCandidate(state: State, prover: Key, rule: Rule, slots: number, shown: AdmissionProof | undefined): void {
  const chains = state.candidates.get(prover) ?? new Map<number, Newcomer>();
  state.candidates.set(prover, chains);
  const candidate = chains.get(rule.id) ?? { slots, since: knownOf(state, rule), heardMs: state.nowMs, proof: null };
  candidate.slots = slots;
  candidate.heardMs = state.nowMs;
  chains.set(rule.id, candidate);
  if (shown === undefined) return;
  const unread = unreadBase(state, shown.base);
  if (unread !== null) prepare(state, unread);
  const { proof } = candidate;
  const isKnown = proof?.base === shown.base && proof.index === shown.index && proof.artefact === shown.artefact;
  // ADMIT-8.
  // A proof that comes once the tickets are known would be made for keys that are drawn only.
  if (!isKnown) candidate.proof = { ...shown, since: knownOf(state, rule), isValid: false };
}

/** The height up to which hashes of blocks may be known now; on an `any` chain how many blocks are certified. */
export function knownOf(state: State, rule: Rule): number {
  const { certifiedCount = 0, sourceTip = -1 } = state.chains.get(rule.id) ?? {};
  if (rule.start === "any") return certifiedCount;
  return Math.max(headOf(state, rule.id) + windowOf(state, rule), sourceTip) + rule.confirmations;
}

function noteOwnAdmission(state: State, prover: Key, chain: number, height: number): void {
  const name = `${prover}/${chain}`;
  state.ownAdmissions.set(name, Math.max(height, state.ownAdmissions.get(name) ?? 0));
}

export function applyAdmit(state: State, signed: Signed, entry: EntryOf<"admit">): Refusal | null {
  const name = admissionName(entry.prover, entry.chain, entry.height, entry.slots);
  const { prover, chain, height, slots } = entry;
  const admission = state.admissions.get(name) ?? { prover, chain, height, slots, voters: new Map() };
  const { voters } = admission;
  const known = voters.get(signed.author);
  // ADMIT-2.
  // mutant: admits-trimmed
  if (known === undefined || isEarlier(signed, known))
    voters.set(signed.author, { number: signed.number, index: signed.index });
  state.admissions.set(name, admission);
  if (signed.author === state.options.self) noteOwnAdmission(state, prover, chain, height);
  // ADMIT-1.
  // mutant: admitted-by-one
  if (!isQuorum(state, voters.keys())) return null;
  const member: Member = state.roster.get(prover) ?? {
    key: prover,
    weight: 1,
    slots,
    turns: new Map(),
    lost: 0,
    heardMs: state.nowMs,
    claimDelay: null,
  };
  const turns = member.turns.get(entry.chain) ?? [];
  if (turns.includes(entry.height)) return null;
  turns.push(entry.height);
  turns.sort((a, b) => a - b);
  member.turns.set(entry.chain, turns);
  state.roster.set(prover, member);
  forgetCandidate(state, prover, entry.chain);
  state.chains.get(entry.chain)?.returning.delete(prover);
  rosterChanged(state);
  report(state, "prover.admitted", { prover, chain: entry.chain, height: entry.height, slots });
  return null;
}

/** A candidate is admitted, or its admission proof is wrong. */
export function forgetCandidate(state: State, prover: Key, chain: number): void {
  const chains = state.candidates.get(prover);
  chains?.delete(chain);
  if (chains?.size === 0) state.candidates.delete(prover);
}

function admissionName(prover: Key, chain: number, height: number, slots: number): string {
  return `${prover}/${chain}/${height}/${slots}`;
}
