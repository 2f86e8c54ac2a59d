/**
 * The roster: who may prove, and from which height to which.
 *
 * A prover that lost three attempts in a row and was silent for a lease is benched by a quorum of attesters: it goes to
 * the end of every task's order, so that a dead node costs a few claim windows and not one a task for ever. Back at
 * work it announces itself like a newcomer. All of it is signed facts with heights, so nodes with the same log name the
 * same owners, over restarts too.
 */
import type { Key } from "../protocol/ids.ts";
import type { EntryOf } from "../protocol/messages.ts";
import { type Candidate, ownerOf, ownersOf } from "../protocol/owner.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { groupCount, type Stage } from "../protocol/workflow.ts";
import {
  type BlockFacts,
  type Facts,
  isEarlier,
  isQuorum,
  type MemberFacts,
  type Signed,
  type TaskFacts,
} from "./facts.ts";
import { type Block, report, type State, say } from "./state.ts";
import { touch } from "./blocks.ts";
import { type Griefers, griefersOf } from "./griefing.ts";
import { leftOf } from "./leaving.ts";
import { rosterMoved } from "./changes.ts";
import { see, type View } from "./views.ts";

const LOST_MAX = 3;

/** Who goes last, and who owns nothing: a long roster's orders have room for each group (`owner.ts`). */
const GROUP = { first: 0, griefers: 1, last: 2, out: 3 };

export function ownerOfAttempt(state: Facts, task: TaskFacts, attempt: number): Key | null {
  return ownerOf(orderOf(state, task), attempt);
}

/**
 * The provers of a task in the order of their attempts. Everybody on the roster is dealt to; whoever is benched then
 * or has accused somebody wrongly goes to the end of each order, so that its silence moves its own tasks and nobody
 * else's; so does a prover that has lost too many attempts (`griefing.ts`); whoever is out is in none.
 */
export function orderOf(state: Facts, task: TaskFacts): readonly Key[] {
  const { block, stage } = task;
  return see(state, block, OWNERS, stage.name)[task.index] ?? [];
}

/** A member as a block's owners are computed from it. */
type Dealt = Required<Candidate>;

/** One more certificate may change who has left. */
const LEFT: View<ReadonlySet<Key>> = {
  name: "the members that left",
  inputsOf: ({ changes }) => [changes.branches, changes.roster],
  compute: (state, block, _, last) => {
    const left = leftOf(state, block, begunAt(state, block));
    return last && left.size === last.size && [...left].every((key) => last.has(key)) ? last : left;
  },
};

/** One more certificate may change who goes last. */
const GRIEFERS: View<Griefers> = {
  name: "the griefers",
  inputsOf: ({ changes }) => [changes.branches, changes.roster],
  compute: (state, block, _, last) => {
    const able = ableAt(state, block).map(({ key }) => key);
    const griefers = griefersOf(state, block, able);
    const isSame = (a: ReadonlySet<Key>, b: ReadonlySet<Key>) => a.size === b.size && [...a].every((key) => b.has(key));
    return last && isSame(last.last, griefers.last) && isSame(last.tried, griefers.tried) ? last : griefers;
  },
};

/** Most changes of the roster concern later blocks: the owners of this one stay while its candidates are the same. */
const CANDIDATES: View<readonly Dealt[]> = {
  name: "the candidates",
  inputsOf: (state, block) => [state.changes.roster, see(state, block, LEFT), see(state, block, GRIEFERS)],
  compute: (state, block, _, last) => {
    const candidates = candidatesOf(state, block);
    const isSame = (each: Dealt, at: number) => {
      const known = last?.[at];
      return known?.key === each.key && known.weight === each.weight && known.group === each.group;
    };
    return last?.length === candidates.length && candidates.every(isSame) ? last : candidates;
  },
};

/** The orders of a stage's tasks. */
export const OWNERS: View<readonly (readonly Key[])[]> = {
  name: "the owners",
  isCostly: true,
  inputsOf: (state, block, name) => [
    see(state, block, CANDIDATES),
    see(state, block, GRIEFERS),
    countOf(block, stageOf(block, name)),
  ],
  compute: (state, block, name) => {
    const stage = stageOf(block, name);
    return stage === undefined ? [] : dealOut(state, block, stage, see(state, block, CANDIDATES));
  },
};

function stageOf(block: BlockFacts, name: string): Stage | undefined {
  return block.stages.find((stage) => stage.name === name);
}

function countOf(block: BlockFacts, stage: Stage | undefined): number {
  return stage === undefined ? 0 : (groupCount(stage, block.counts) ?? 0);
}

function dealOut(
  state: Facts,
  block: BlockFacts,
  stage: Stage,
  candidates: readonly Dealt[],
): readonly (readonly Key[])[] {
  const griefers = see(state, block, GRIEFERS);
  const dealtGroups = new Map(candidates.map(({ key, group }) => [key, group]));
  const deal = state.options.ownersOf ?? ownersOf;
  const copies = stage.distinct === "provers" ? stage.variants.length : 1;
  const dealt = (name: string, groups: number) =>
    deal(state.manifest.network, block.id, name, groups * stage.variants.length, candidates, copies);
  // Each level has to be even for itself.
  const orders =
    stage.levels.length > 0
      ? stage.levels.flatMap((groups, level) => dealt(`${stage.name}/${level}`, groups))
      : dealt(stage.name, countOf(block, stage));
  // Who is tried again keeps its place in the first order that it leads.
  const first = new Map([...griefers.tried].map((key) => [key, orders.findIndex(([owner]) => owner === key)]));
  return orders.map((order, index) => {
    // mutant: griefers-first
    const isBehind = (key: Key) => {
      return dealtGroups.get(key) === GROUP.last || (griefers.last.has(key) && first.get(key) !== index);
    };
    const listed = order.filter((key) => dealtGroups.get(key) !== GROUP.out);
    return [...listed.filter((key) => !isBehind(key)), ...listed.filter(isBehind)];
  });
}

function candidatesOf(state: Facts, block: BlockFacts): Dealt[] {
  return ableAt(state, block).map((member) => {
    const { key, weight } = member;
    return { key, weight, group: groupOf(state, block, member) };
  });
}

function groupOf(state: Facts, block: BlockFacts, member: MemberFacts): number {
  const { key } = member;
  if (state.out.has(key)) return GROUP.out;
  if (state.discredited.has(key) || !isIn(state, member, block.chain, block.height)) return GROUP.last;
  return see(state, block, GRIEFERS).last.has(key) ? GROUP.griefers : GROUP.first;
}

// ADMIT-7.
/** Members whose first turn has begun. Where none of them may prove any more, all that have a turn. */
function begunAt(state: Facts, block: BlockFacts): readonly MemberFacts[] {
  const { chain, height } = block;
  const members = [...state.roster.values()];
  const begun = members.filter((member) => firstHeight(member, chain) <= height);
  // Otherwise a chain that has lost its provers never reaches the height from which a newcomer proves.
  if (begun.some((member) => mayProve(state, member, block))) return begun;
  // mutant: nobody-before-turn
  return members.filter((member) => firstHeight(member, chain) < Number.POSITIVE_INFINITY);
}

/** Those of them that have not left. Where none of these may prove any more, all. */
function ableAt(state: Facts, block: BlockFacts): readonly MemberFacts[] {
  const begun = begunAt(state, block);
  const left = see(state, block, LEFT);
  const staying = begun.filter(({ key }) => !left.has(key));
  return staying.some((member) => mayProve(state, member, block)) ? staying : begun;
}

function mayProve(state: Facts, member: MemberFacts, { chain, height }: BlockFacts): boolean {
  return !state.out.has(member.key) && isIn(state, member, chain, height);
}

/** Whether the prover has left the roster of a chain, by the highest block that is prepared here, and has no turn to come. */
export function hasLeft(state: Facts, { key, turns }: MemberFacts, chain: number): boolean {
  const newest = newestPrepared(state, chain);
  if (newest === null || (turns.get(chain)?.at(-1) ?? -1) > newest.height) return false;
  return see(state, newest, LEFT).has(key);
}

function newestPrepared(state: Facts, chain: number): BlockFacts | null {
  let newest: BlockFacts | null = null;
  for (const block of state.blocks.values())
    if (block.chain === chain && block.prepared !== null && block.height > (newest?.height ?? -1)) newest = block;
  return newest;
}

// JOIN-2.
/** Whether the roster has no room for a newcomer. Members that have left the chain have room of their own. */
export function isRosterFull(state: State, chain: number): boolean {
  const { rosterMax, leftMax } = state.limits;
  if (state.roster.size < rosterMax) return false;
  const newest = newestPrepared(state, chain);
  const left = newest === null ? 0 : see(state, newest, LEFT).size;
  return state.roster.size - Math.min(left, leftMax) >= rosterMax;
}

function firstHeight(member: MemberFacts, chain: number): number {
  return member.turns.get(chain)?.[0] ?? Number.POSITIVE_INFINITY;
}

/**
 * Whether the prover has a turn at this height. Of turns that have begun the latest counts: votes about earlier ones are
 * compacted, so a node that starts does not know that those have ended.
 */
export function isIn(state: Facts, member: MemberFacts, chain: number, height: number): boolean {
  const turns = member.turns.get(chain) ?? [];
  // BENCH-4.
  // Its turns have numbers there, and a turn ends for blocks of every height.
  if (state.benches.size > 0 && startsAnywhere(state, chain))
    return (
      endOf(state, turnName(member.key, chain, turns.at(-1) ?? 0)) === Number.POSITIVE_INFINITY && turns.length > 0
    );
  // mutant: older-turn-counts
  const turn = turns.findLast((from) => from <= height);
  if (turn === undefined) return false;
  // Asked at every step; nearly always nobody is benched.
  return state.benches.size === 0 || height < endOf(state, turnName(member.key, chain, turn));
}

function startsAnywhere({ manifest }: Facts, chain: number): boolean {
  return manifest.json.chains.find(({ id }) => id === chain)?.start === "any";
}

/** The lowest height from which on a quorum holds the turn to be over. More votes can only lower it, so nodes agree in the end. */
function endOf(state: Facts, turn: string): number {
  const votes = state.benches.get(turn)?.voters;
  if (votes === undefined) return Number.POSITIVE_INFINITY;
  let weight = 0;
  for (const [key, { height }] of [...votes].sort(([, a], [, b]) => a.height - b.height)) {
    weight += state.manifest.weights.get(key) ?? 0;
    // BENCH-1.
    // mutant: bench-alone
    if (weight >= state.manifest.quorum) return height;
  }
  return Number.POSITIVE_INFINITY;
}

function turnName(prover: Key, chain: number, turn: number): string {
  return `${prover}/${chain}/${turn}`;
}

/** A word from a prover: it is alive. */
export function alive(state: State, key: Key): void {
  const member = state.roster.get(key);
  if (member === undefined) return;
  member.lost = 0;
  member.heardMs = state.nowMs;
}

/** An attempt was taken from a prover that did not give it back. One that still speaks is slow, not gone. */
export function lost(state: State, key: Key, block: Block): void {
  const member = state.roster.get(key);
  if (member === undefined) return;
  member.lost++;
  // BENCH-3.
  // mutant: bench-at-once
  // An idle prover says that it is alive once a lease, so one silent for longer than that has missed its turn.
  if (member.lost < LOST_MAX || state.nowMs - member.heardMs < state.manifest.json.timing.leaseMs) return;
  // VERIFY-8.
  if (!state.options.roles.attester || state.mute !== null || state.unverifiable !== null) return;
  const turn = member.turns.get(block.chain)?.at(-1);
  if (turn === undefined) return;
  const name = turnName(key, block.chain, turn);
  if (state.ownBenches.has(name)) return;
  state.ownBenches.add(name);
  say(state, { kind: "bench", prover: key, chain: block.chain, height: block.height, turn });
}

export function applyBench(state: State, signed: Signed, entry: EntryOf<"bench">): Refusal | null {
  const name = turnName(entry.prover, entry.chain, entry.turn);
  if (signed.author === state.options.self) state.ownBenches.add(name);
  const { prover, chain, turn } = entry;
  const benching = state.benches.get(name) ?? { prover, chain, turn, voters: new Map() };
  const known = benching.voters.get(signed.author);
  // BENCH-2.
  // mutant: latest-bench-counts
  if (known !== undefined && !isEarlier(signed, known)) return "vote.duplicate";
  const before = endOf(state, name);
  const { number, index } = signed;
  state.benches.set(name, benching);
  benching.voters.set(signed.author, { number, index, height: entry.height });
  const after = endOf(state, name);
  if (after === before) return null;
  rosterChanged(state);
  if (before === Number.POSITIVE_INFINITY)
    report(state, "prover.benched", { prover: entry.prover, chain: entry.chain, height: after });
  return null;
}

/**
 * Lets go of what the roster no longer rests on: a turn whose successor has begun before every block that is kept, and
 * the votes about it. Named by heights, not counted, so that a node that replays what is left names the same.
 */
export function compactRoster(state: State): void {
  for (const { id, start } of state.manifest.json.chains) {
    // After a deep reorg there are blocks below what was certified and compacted before it.
    const lowest = Math.min(
      ...[...state.blocks.values()].map(({ chain, height }) => (chain === id ? height : Infinity)),
    );
    const retired = Math.min(state.chains.get(id)?.retired ?? -1, lowest - 1);
    // Heights mean nothing where runs of blocks come in any order.
    if (start === "any" || retired < 0) continue;
    for (const member of state.roster.values()) {
      const turns = member.turns.get(id) ?? [];
      while ((turns[1] ?? Number.POSITIVE_INFINITY) <= retired) turns.shift();
    }
    const isOver = (prover: Key, height: number) =>
      height < (state.roster.get(prover)?.turns.get(id)?.[0] ?? retired + 1);
    for (const [name, { prover, chain, height }] of state.admissions) {
      if (chain !== id || !isOver(prover, height)) continue;
      state.admissions.delete(name);
      const own = `${prover}/${chain}`;
      if (state.ownAdmissions.get(own) === height) state.ownAdmissions.delete(own);
    }
    for (const [name, { prover, chain, turn }] of state.benches) {
      if (chain !== id || !isOver(prover, turn)) continue;
      state.benches.delete(name);
      state.ownBenches.delete(name);
    }
  }
}

/** Turns rest on votes to admit; where votes are gone, so may be turns. */
export function recountTurns(state: State): void {
  const listed = new Set(state.manifest.json.provers.list.map(({ key }) => key));
  for (const { prover, chain, height, voters } of state.admissions.values()) {
    const member = state.roster.get(prover);
    const turns = member?.turns.get(chain) ?? [];
    if (isQuorum(state, voters.keys()) || (listed.has(prover) && height === 0) || !turns.includes(height)) continue;
    turns.splice(turns.indexOf(height), 1);
    if (member !== undefined && [...member.turns.values()].every((each) => each.length === 0))
      state.roster.delete(prover);
  }
}

export function rosterChanged(state: State): void {
  rosterMoved(state);
  for (const block of state.live) if (block.state === "open") touch(state, block);
}
