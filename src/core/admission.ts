/**
 * Admission: how a prover that has no turn gets one.
 *
 * The prover signs `join`, and attesters sign `admit`. The attesters set the height of the turn, because a joiner that
 * chose it could choose its key as well, to own blocks whose hashes it knows.
 */
import type { Key } from "../protocol/ids.ts";
import type { ManifestJson } from "../protocol/manifest.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { isIn, rosterChanged, trimUndecided } from "./standing.ts";
import { type Admission, isEarlier, isQuorum, type Signed } from "./facts.ts";
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

/** Says that this node wants to prove, where it has no turn; said again until it is heard. */
export function announceSelf(state: State): void {
  const { self, roles, slots } = state.options;
  if (!roles.prover || slots === 0 || state.mute !== null || state.replaying) return;
  const member = state.roster.get(self);
  if (member === undefined && state.manifest.json.provers.admission !== "open") return;
  const missing = state.manifest.json.chains.filter(
    ({ id }) => member === undefined || !isIn(state, member, id, FOR_EVER),
  );
  if (missing.length === 0) {
    state.joinMs = null;
    return;
  }
  if (state.joinMs !== null && state.nowMs < state.joinMs) return;
  // JOIN-5.
  state.joinMs = state.nowMs + 2 * state.manifest.json.timing.syncMs;
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

function ruleOf(state: State, chain: number): ManifestJson["chains"][number] | undefined {
  return state.manifest.json.chains.find(({ id }) => id === chain);
}

/**
 * The height that this node's vote names: where the first epoch begins that no node has dealt a block of. The joiner has
 * no say in it, because it could choose its key to own blocks whose hashes it knows.
 */
function admissionHeight(state: State, chain: number, isNew: boolean): number {
  const rule = ruleOf(state, chain);
  // Heights mean nothing where runs of blocks come in any order.
  if (rule === undefined || rule.start === "any") return 0;
  const window = state.manifest.json.workflows[rule.workflow]?.window ?? 1;
  // ADMIT-6.
  // mutant: known-at-once
  const known = isNew && rule.reproves !== undefined ? KNOWN_BLOCKS : 0;
  const dealt = headOf(state, chain) + rule.confirmations + window + known;
  // ADMIT-4.
  // mutant: admitted-at-once
  return (Math.floor(dealt / EPOCH_BLOCKS) + 1) * EPOCH_BLOCKS;
}

/**
 * Whether a newcomer has to wait: on a chain that starts at `any`, until the chain has so many certified blocks more
 * than when this node first received its join. No height can say so there.
 */
function isTooNew(state: State, prover: Key, chain: number): boolean {
  if (ruleOf(state, chain)?.start !== "any" || !hasProver(state, chain)) return false;
  const certified = state.chains.get(chain)?.certifiedCount ?? 0;
  const joins = state.joins.get(prover) ?? new Map<number, number>();
  state.joins.set(prover, joins);
  const since = joins.get(chain) ?? certified;
  joins.set(chain, since);
  // mutant: known-at-once/any
  return certified < since + KNOWN_BLOCKS;
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
  if (!state.chains.has(entry.chain)) return "block.chain-unknown";
  if (member === undefined && state.roster.size >= state.limits.rosterMax) return "roster.full";
  if (!state.options.roles.attester || state.mute !== null || state.replaying) return null;
  // JOIN-3.
  if (member !== undefined && isIn(state, member, entry.chain, FOR_EVER)) return null;
  const isNew = (member?.turns.get(entry.chain) ?? []).length === 0;
  if (isNew && isTooNew(state, signed.author, entry.chain)) return null;
  const height = admissionHeight(state, entry.chain, isNew);
  // Votes that split over the beginning of an epoch are cast again: the prover asks again until it is admitted.
  const voted = state.ownAdmissions.get(`${signed.author}/${entry.chain}`) ?? -1;
  // ADMIT-5.
  // mutant: admissions-unbounded
  if (voted >= height) return null;
  // JOIN-4.
  const slots = member?.slots ?? Math.min(Math.max(entry.slots, 1), NEWCOMER_SLOTS_MAX);
  noteOwnAdmission(state, signed.author, entry.chain, height);
  // ADMIT-3.
  say(state, { kind: "admit", prover: signed.author, chain: entry.chain, height, slots });
  return null;
}

function noteOwnAdmission(state: State, prover: Key, chain: number, height: number): void {
  const name = `${prover}/${chain}`;
  state.ownAdmissions.set(name, Math.max(height, state.ownAdmissions.get(name) ?? 0));
}

export function applyAdmit(state: State, signed: Signed, entry: EntryOf<"admit">): Refusal | null {
  const name = admissionName(entry.prover, entry.chain, entry.height, entry.slots);
  const { prover, chain, height, slots } = entry;
  const admission = state.admissions.get(name) ?? { prover, chain, height, slots, voters: new Map() };
  const known = admission.voters.get(signed.author);
  if (known === undefined || isEarlier(signed, known))
    admission.voters.set(signed.author, { number: signed.number, index: signed.index });
  state.admissions.set(name, admission);
  if (signed.author === state.options.self) noteOwnAdmission(state, prover, chain, height);
  const isDecided = ({ voters }: Admission) => isQuorum(state, voters.keys());
  // ADMIT-2.
  if (trimUndecided(state, state.admissions, signed.author, isDecided)) return "vote.too-many";
  // ADMIT-1.
  if (!isDecided(admission)) return null;
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
  state.joins.get(prover)?.delete(entry.chain);
  rosterChanged(state);
  report(state, "prover.admitted", { prover, chain: entry.chain, height: entry.height, slots });
  return null;
}

function admissionName(prover: Key, chain: number, height: number, slots: number): string {
  return `${prover}/${chain}/${height}/${slots}`;
}
