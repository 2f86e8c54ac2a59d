/**
 * Drawings: which of the candidates an attester votes to admit.
 *
 * Each epoch of a chain has one drawing, at its first certified block. The attester goes through the candidates in the
 * order of their tickets, has their admission proofs verified, and votes for those whose proofs hold. So an honest
 * attester votes for nobody whose proof it has not verified, and a crowd of keys costs it a limited number of
 * verifications. A drawing is soft state: its votes are in the log, and a restart ends it.
 */
import { hexToBytes } from "@noble/hashes/utils.js";
import { admissionPayee } from "../protocol/admission.ts";
import { domainHash, type Hash, type Key } from "../protocol/ids.ts";
import { valuesFor } from "../protocol/payee.ts";
import { type Stage, variantOf } from "../protocol/workflow.ts";
import { epochAbove, forgetCandidate, headOf, isEpoch, knownOf, mayVote, vote } from "./admission.ts";
import { admissionStage, ageMaxOf, ageOf, type Rule, ruleOf, windowOf } from "./admission-proof.ts";
import type { Event } from "./event.ts";
import type { Certified, Drawing, Newcomer, ShownProof } from "./soft.ts";
import { report, type State } from "./state.ts";

/**
 * Where the hashes of blocks are known before their announcement, a key is known for so many certified blocks before it
 * owns tasks. A new key can otherwise be chosen to own a block that is about to be announced.
 */
const KNOWN_BLOCKS = 64;
/** A candidate that was silent for so many times `syncMs` is drawn no more. */
const CANDIDATE_SYNCS = 128;
/** Admission proofs that one drawing has verified: four for each place. */
const VERIFIED_MAX = 64;
/** A proof that is not judged after so long keeps no place from the next candidate. It counts if its verdict comes in time. */
const PLACE_MS = 2_000;

/** A block is certified that this node did not know as certified before. */
export function noteCertified(state: State, { chain, height, hash }: Omit<Certified, "content">, content: Hash): void {
  if (!state.replaying) state.certified.push({ chain, height, hash, content });
}

/** Holds the drawings of the blocks that were certified in this step, and goes on with earlier ones. */
export function settleDrawings(state: State): void {
  const certified = state.certified.splice(0);
  if (!mayVote(state)) return;
  for (const block of certified) {
    const rule = ruleOf(state, block.chain);
    if (rule !== undefined && state.candidates.size > 0 && isDrawing(rule, block)) draw(state, rule, block);
  }
  for (const { id, drawing } of state.chains.values()) {
    const rule = ruleOf(state, id);
    if (rule !== undefined && drawing !== null) goOn(state, rule, drawing);
  }
}

/** The first block of an epoch. On an `any` chain each block is one with a chance of one in so many. */
function isDrawing({ start }: Rule, { height, content }: Certified): boolean {
  return isEpoch(start === "any" ? Number.parseInt(content.slice(-8), 16) : height);
}

function isKnownBefore({ start, reproves }: Rule): boolean {
  return start === "any" || reproves !== undefined;
}

function draw(state: State, rule: Rule, { height, hash, content }: Certified): void {
  const chain = state.chains.get(rule.id);
  const turn = turnAfter(state, rule, height);
  if (chain === undefined || isTooLate(state, rule, turn)) return;
  // Where hashes are known beforehand, the content is not: it names proofs.
  const seed = isKnownBefore(rule) ? content : hash;
  const stage = admissionStage(state, rule);
  const waiting = [...state.candidates].flatMap(([prover, chains]) => {
    const candidate = chains.get(rule.id);
    if (candidate === undefined || !mayBeDrawn(state, rule, stage, candidate, height)) return [];
    return [{ prover, ticket: domainHash("drawing", hexToBytes(prover), hexToBytes(seed)) }];
  });
  // ADMIT-9.
  // mutant: drawn-by-arrival
  waiting.sort((a, b) => (a.ticket < b.ticket ? -1 : 1));
  const keys = waiting.map(({ prover }) => prover);
  chain.drawing = { turn, waiting: keys, asking: new Map(), asked: 0, admitted: 0 };
}

/** This node has dealt blocks of that epoch. The candidates wait for the next drawing. */
function isTooLate(state: State, rule: Rule, turn: number): boolean {
  return turn !== 0 && turn <= headOf(state, rule.id) + windowOf(state, rule);
}

/** Where the turn of whoever is drawn begins: in the first epoch of which attesters have dealt no block by then. */
function turnAfter(state: State, rule: Rule, height: number): number {
  if (rule.start === "any") return 0;
  // ADMIT-6.
  // mutant: known-at-once
  const known = isKnownBefore(rule) ? KNOWN_BLOCKS : 0;
  return epochAbove(height + 2 * windowOf(state, rule) - 1 + known);
}

function mayBeDrawn(state: State, rule: Rule, stage: Stage | null, candidate: Newcomer, height: number): boolean {
  const { since, heardMs, proof } = candidate;
  // ADMIT-9: whoever has stopped asking is gone.
  if (state.nowMs - heardMs > CANDIDATE_SYNCS * state.manifest.json.timing.syncMs) return false;
  // ADMIT-10.
  // mutant: admission-unproven
  if (stage !== null && (proof === null || !isBaseYoung(state, rule, proof, height))) return false;
  // mutant: drawn-by-first-join
  const knownSince = proof?.since ?? since;
  // ADMIT-8.
  // mutant: drawn-by-known-block
  if (rule.start !== "any") return knownSince < height;
  // ADMIT-6.
  // mutant: known-at-once/any
  return knownOf(state, rule) >= since + KNOWN_BLOCKS;
}

// ADMIT-11.
/** Whether the base block is certified here and not too old for a drawing of this height. */
function isBaseYoung(state: State, rule: Rule, { base: id }: ShownProof, height: number): boolean {
  const base = state.chains.get(rule.id)?.bases.get(id);
  if (base === undefined) return false;
  // mutant: admission-unaged
  return ageOf(state, rule, base, height) <= ageMaxOf(state, rule);
}

/** Votes for those whose proofs hold, and has the next proofs verified, as long as there are places. */
function goOn(state: State, rule: Rule, drawing: Drawing): void {
  const chain = state.chains.get(rule.id);
  if (chain === undefined) return;
  const stage = admissionStage(state, rule);
  const hasPlace = () => drawing.admitted + placesTaken(state, drawing) < state.limits.newcomersMax;
  while (!isTooLate(state, rule, drawing.turn)) {
    // ADMIT-9.
    // mutant: newcomers-unbounded
    if (!hasPlace()) return;
    const prover = drawing.waiting.shift();
    if (prover === undefined) {
      if (drawing.asking.size === 0) chain.drawing = null;
      return;
    }
    const candidate = state.candidates.get(prover)?.get(rule.id);
    if (candidate === undefined) continue;
    // ADMIT-10.
    // mutant: admission-unproven/elected
    if (stage === null || candidate.proof?.isValid === true) elect(state, rule, drawing, prover, candidate);
    if (stage !== null && candidate.proof?.isValid === false) ask(state, rule, drawing, stage, prover, candidate.proof);
  }
  chain.drawing = null;
}

function placesTaken({ nowMs }: State, { asking }: Drawing): number {
  return [...asking.values()].filter(({ askedMs }) => nowMs - askedMs < PLACE_MS).length;
}

/** When a place is free again though no verdict has come. */
export function nextPlaceMs({ chains, nowMs }: State): number {
  const asked = [...chains.values()].flatMap(({ drawing }) =>
    drawing === null || drawing.waiting.length === 0 ? [] : [...drawing.asking.values()],
  );
  return Math.min(...asked.map(({ askedMs }) => askedMs + PLACE_MS).filter((ms) => ms > nowMs));
}

function elect(state: State, rule: Rule, drawing: Drawing, prover: Key, { slots }: Newcomer): void {
  drawing.admitted++;
  vote(state, prover, rule.id, drawing.turn, slots);
}

function ask(state: State, rule: Rule, drawing: Drawing, stage: Stage, prover: Key, proof: ShownProof): void {
  const { base, index, artefact, bytes, inline } = proof;
  const known = state.chains.get(rule.id)?.bases.get(base);
  const values = known?.values.get(index);
  // ADMIT-12.
  if (known === undefined || values === undefined || drawing.asked >= VERIFIED_MAX) return;
  const { system, key, statement, payee: names } = variantOf(stage, index);
  const payee = admissionPayee(state.manifest.network, rule.id, prover, base);
  drawing.asked++;
  drawing.asking.set(payee, { prover, artefact, askedMs: state.nowMs });
  state.effects.push({
    kind: "verify",
    task: { block: base, stage: stage.name, index },
    artefact,
    maker: payee,
    candidate: prover,
    bytes,
    inline,
    system,
    key,
    values: valuesFor(names, values, payee),
    statement,
    payee: names,
    about: known.about,
    parts: [],
    holders: [prover],
    payers: prover === state.options.self ? [] : [prover],
    recompute: null,
    isProven: true,
    itemsMax: 0,
  });
}

type Verified = Pick<Extract<Event, { kind: "verified" }>, "artefact" | "maker" | "verdict">;

/** Whether an admission proof is still being judged here, by its payee. */
export function isAdmissionAsked(state: Pick<State, "chains">, payee: Key, artefact?: Hash): boolean {
  return [...state.chains.values()].some(({ drawing }) => {
    const asked = drawing?.asking.get(payee);
    return asked !== undefined && (artefact === undefined || asked.artefact === artefact);
  });
}

/** The verdict on a candidate's admission proof. What cannot be had is neither valid nor wrong: the next candidate is taken. */
export function applyAdmissionVerdict(state: State, { artefact, maker, verdict }: Verified): void {
  for (const { id, drawing } of state.chains.values()) {
    const asked = maker === null ? undefined : drawing?.asking.get(maker);
    const rule = ruleOf(state, id);
    if (asked?.artefact !== artefact || maker === null || drawing === null || rule === undefined) continue;
    // ADMIT-12.
    // mutant: admission-place-kept
    drawing.asking.delete(maker);
    const { prover } = asked;
    const candidate = state.candidates.get(prover)?.get(id);
    // The candidate may have shown another proof meanwhile, or the same for another base.
    if (candidate?.proof?.artefact !== artefact) return;
    if (admissionPayee(state.manifest.network, id, prover, candidate.proof.base) !== maker) return;
    // mutant: admission-unverified
    candidate.proof.isValid = verdict.kind === "valid";
    if (verdict.kind === "invalid") {
      // Anybody can name a wrong proof: it is no evidence against the key.
      forgetCandidate(state, prover, id);
      report(state, "admission.wrong-proof", { prover, chain: id, base: candidate.proof.base, code: verdict.code });
    } else if (verdict.kind === "unavailable") {
      report(state, "admission.proof-unavailable", { prover, chain: id, artefact, code: verdict.code });
    }
    const isFull = drawing.admitted >= state.limits.newcomersMax || isTooLate(state, rule, drawing.turn);
    if (candidate.proof.isValid && !isFull && mayVote(state)) elect(state, rule, drawing, prover, candidate);
    return;
  }
}
