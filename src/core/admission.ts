/**
 * Admission: how a prover that has no turn gets one.
 *
 * The prover signs `join`, and attesters sign `admit`. The attesters set the height of the turn, because a joiner that
 * chose it could choose its key as well, to own blocks whose hashes it knows.
 *
 * A newcomer becomes a candidate. Each epoch has one drawing, at its first certified block: of the candidates whose join
 * came before anybody could know that block, attesters admit those with the lowest hashes of key and block. So nobody
 * can choose a key that is drawn, and a crowd of keys grows the roster by a few members an epoch. A suspended member
 * is admitted at once, and so is a newcomer where nobody may prove.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { domainHash, type Hash, type Key } from "../protocol/ids.ts";
import type { ManifestJson } from "../protocol/manifest.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { hasLeft, isIn, rosterChanged } from "./standing.ts";
import { isEarlier, isQuorum, type Signed } from "./facts.ts";
import type { Certified, Newcomer } from "./soft.ts";
import { type Member, report, type State, say } from "./state.ts";

/** Newcomers begin at heights that are multiples of this, so that attesters with different heads name one height. */
const EPOCH_BLOCKS = 16;
/**
 * Where the hashes of blocks are known before their announcement, a key is known for so many certified blocks before it
 * owns tasks. A new key can otherwise be chosen to own a block that is about to be announced.
 */
const KNOWN_BLOCKS = 64;
/** Above every height: whether a turn will end is asked with it. */
const FOR_EVER = Number.MAX_SAFE_INTEGER;
/** What a newcomer may claim at once, whatever it says of itself. */
const NEWCOMER_SLOTS_MAX = 4;
/** A newcomer asks again after pauses that grow up to so many times `syncMs`. */
const JOIN_PAUSE_SYNCS_MAX = 32;
/** A candidate that was silent for so many times `syncMs` is drawn no more. */
const CANDIDATE_SYNCS = 128;

type Rule = ManifestJson["chains"][number];

/** Says that this node wants to prove, where it has no turn; said again until it is heard, after growing pauses. */
export function announceSelf(state: State): void {
  const { self, roles, slots } = state.options;
  if (!roles.prover || slots === 0 || state.mute !== null || state.replaying) return;
  const member = state.roster.get(self);
  if (member === undefined && state.manifest.json.provers.admission !== "open") return;
  const missing = state.manifest.json.chains.filter(
    ({ id }) => member === undefined || !isIn(state, member, id, FOR_EVER) || hasLeft(state, member, id),
  );
  if (missing.length === 0) {
    state.joinMs = null;
    state.joinPauseMs = 0;
    return;
  }
  // mutant: join-again
  if (state.joinMs !== null && state.nowMs < state.joinMs) return;
  const { syncMs } = state.manifest.json.timing;
  // JOIN-5.
  state.joinPauseMs = Math.min(Math.max(2 * state.joinPauseMs, 2 * syncMs), JOIN_PAUSE_SYNCS_MAX * syncMs);
  state.joinMs = state.nowMs + state.joinPauseMs;
  for (const { id } of missing) {
    say(state, {
      kind: "join",
      chain: id,
      slots: Math.min(Math.max(slots, 1), NEWCOMER_SLOTS_MAX),
    });
  }
}

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
function nextHeight(state: State, rule: Rule): number {
  // ADMIT-4: heights mean nothing where runs of blocks come in any order.
  if (rule.start === "any") return 0;
  return epochAbove(headOf(state, rule.id) + rule.confirmations + windowOf(state, rule));
}

function epochAbove(height: number): number {
  // ADMIT-4.
  // mutant: admitted-at-once
  return (Math.floor(height / EPOCH_BLOCKS) + 1) * EPOCH_BLOCKS;
}

function windowOf(state: State, { workflow }: Rule): number {
  return state.manifest.json.workflows[workflow]?.window ?? 1;
}

function isKnownBefore({ start, reproves }: Rule): boolean {
  return start === "any" || reproves !== undefined;
}

/** Whether anybody may prove on the chain, now or later. */
function hasProver(state: State, chain: number): boolean {
  return [...state.roster.values()].some(
    (member) => !state.out.has(member.key) && isIn(state, member, chain, FOR_EVER),
  );
}

export function applyJoin(state: State, signed: Signed, entry: EntryOf<"join">): Refusal | null {
  const member = state.roster.get(signed.author);
  // JOIN-1.
  if (member === undefined && state.manifest.json.provers.admission !== "open") return "author.unknown";
  // JOIN-2.
  const rule = state.manifest.json.chains.find(({ id }) => id === entry.chain);
  if (rule === undefined) return "block.chain-unknown";
  if (member === undefined && state.roster.size >= state.limits.rosterMax) return "roster.full";
  if (!mayVote(state)) return null;
  // LEAVE-2.
  const isGone = member !== undefined && hasLeft(state, member, entry.chain);
  // JOIN-3.
  if (member !== undefined && isIn(state, member, entry.chain, FOR_EVER) && !isGone) return null;
  // JOIN-4.
  const slots = member?.slots ?? Math.min(Math.max(entry.slots, 1), NEWCOMER_SLOTS_MAX);
  const isNew = isGone || (member?.turns.get(entry.chain) ?? []).length === 0;
  // ADMIT-8.
  // mutant: admitted-undrawn
  if (isNew && hasProver(state, entry.chain)) {
    noteCandidate(state, signed.author, rule, slots);
    return null;
  }
  // Votes that split over the beginning of an epoch are cast again: the prover asks again until it is admitted.
  vote(state, signed.author, entry.chain, nextHeight(state, rule), slots);
  return null;
}

function mayVote(state: State): boolean {
  return state.options.roles.attester && state.mute === null && !state.replaying;
}

function vote(state: State, prover: Key, chain: number, height: number, slots: number): void {
  const voted = state.ownAdmissions.get(`${prover}/${chain}`) ?? -1;
  // ADMIT-5.
  // mutant: admissions-unbounded
  if (voted >= height) return;
  noteOwnAdmission(state, prover, chain, height);
  // ADMIT-3.
  say(state, { kind: "admit", prover, chain, height, slots });
}

function noteCandidate(state: State, prover: Key, rule: Rule, slots: number): void {
  const chains = state.candidates.get(prover) ?? new Map<number, Newcomer>();
  state.candidates.set(prover, chains);
  const candidate = chains.get(rule.id) ?? { slots, since: knownOf(state, rule), heardMs: state.nowMs };
  candidate.slots = slots;
  candidate.heardMs = state.nowMs;
  chains.set(rule.id, candidate);
}

/** The height up to which hashes of blocks may be known now; on an `any` chain how many blocks are certified. */
function knownOf(state: State, rule: Rule): number {
  const { certifiedCount = 0, sourceTip = -1 } = state.chains.get(rule.id) ?? {};
  if (rule.start === "any") return certifiedCount;
  return Math.max(headOf(state, rule.id) + windowOf(state, rule), sourceTip) + rule.confirmations;
}

/** A block is certified that this node did not know as certified before. */
export function noteCertified(state: State, { chain, height, hash }: Omit<Certified, "content">, content: Hash): void {
  if (!state.replaying) state.certified.push({ chain, height, hash, content });
}

/** Holds the drawings of the blocks that were certified in this step. */
export function settleDrawings(state: State): void {
  const certified = state.certified.splice(0);
  if (!mayVote(state) || state.candidates.size === 0) return;
  for (const block of certified) {
    const rule = state.manifest.json.chains.find(({ id }) => id === block.chain);
    if (rule !== undefined && isDrawing(rule, block)) draw(state, rule, block);
  }
}

/** The first block of an epoch. On an `any` chain each block is one with a chance of one in so many. */
function isDrawing({ start }: Rule, { height, content }: Certified): boolean {
  const number = start === "any" ? Number.parseInt(content.slice(-8), 16) : height;
  return number % EPOCH_BLOCKS === 0;
}

function draw(state: State, rule: Rule, { height, hash, content }: Certified): void {
  const turn = turnAfter(state, rule, height);
  // Too late: this node has dealt blocks of that epoch. The candidates wait for the next drawing.
  if (turn !== 0 && turn <= headOf(state, rule.id) + windowOf(state, rule)) return;
  // Where hashes are known beforehand, the content is not: it names proofs.
  const seed = isKnownBefore(rule) ? content : hash;
  const waiting = [...state.candidates].flatMap(([prover, chains]) => {
    const candidate = chains.get(rule.id);
    if (candidate === undefined || !mayBeDrawn(state, rule, candidate, height)) return [];
    return [{ prover, slots: candidate.slots, ticket: domainHash("drawing", hexToBytes(prover), hexToBytes(seed)) }];
  });
  // ADMIT-9.
  // mutant: drawn-by-arrival
  waiting.sort((a, b) => (a.ticket < b.ticket ? -1 : 1));
  // ADMIT-9.
  // mutant: newcomers-unbounded
  const drawn = waiting.slice(0, state.limits.newcomersMax);
  for (const { prover, slots } of drawn) vote(state, prover, rule.id, turn, slots);
}

/** Where the turn of whoever is drawn begins: in the first epoch of which attesters have dealt no block by then. */
function turnAfter(state: State, rule: Rule, height: number): number {
  if (rule.start === "any") return 0;
  // ADMIT-6.
  // mutant: known-at-once
  const known = isKnownBefore(rule) ? KNOWN_BLOCKS : 0;
  return epochAbove(height + 2 * windowOf(state, rule) - 1 + known);
}

function mayBeDrawn(state: State, rule: Rule, { since, heardMs }: Newcomer, height: number): boolean {
  // ADMIT-9: whoever has stopped asking is gone.
  if (state.nowMs - heardMs > CANDIDATE_SYNCS * state.manifest.json.timing.syncMs) return false;
  // ADMIT-8.
  // mutant: drawn-by-known-block
  if (rule.start !== "any") return since < height;
  // ADMIT-6.
  // mutant: known-at-once/any
  return knownOf(state, rule) >= since + KNOWN_BLOCKS;
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
  rosterChanged(state);
  report(state, "prover.admitted", { prover, chain: entry.chain, height: entry.height, slots });
  return null;
}

function forgetCandidate(state: State, prover: Key, chain: number): void {
  const chains = state.candidates.get(prover);
  chains?.delete(chain);
  if (chains?.size === 0) state.candidates.delete(prover);
}

function admissionName(prover: Key, chain: number, height: number, slots: number): string {
  return `${prover}/${chain}/${height}/${slots}`;
}
