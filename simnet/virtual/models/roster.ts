/**
 * The roster: votes to suspend and to admit, and joins of members and of newcomers, heard in an order that the seed draws. The
 * judge works out from the statements whose turn has ended, who has a turn, and whom the node may vote to admit.
 */
import { orderOf } from "../../../src/core/standing.ts";
import { blockId, type Key } from "../../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../../src/protocol/messages.ts";
import { CHAIN } from "../manifest.ts";
import { Chance } from "../world.ts";
import { Rig, type Said, shuffled } from "./rig.ts";

const STORIES = 80;
const STATEMENTS = 70;
const NEWCOMERS = ["newcomer 0", "newcomer 1"];
const NEWCOMER_SLOTS_MAX = 4;
const VIOLATIONS_MAX = 4;
/** Strangers whose feeds a log holds, and how long a silent one keeps its place. */
const STRANGERS_MAX = 4;
const KEPT_MS = 1_000;

export function fuzzRoster(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/roster");
  const found: string[] = [];
  for (let story = 0; story < STORIES && found.length < VIOLATIONS_MAX; story++)
    found.push(...(story % 4 === 0 ? crowd(chance) : tell(chance)).slice(0, 1));
  return found;
}

function tell(chance: Chance): readonly string[] {
  const isOpen = chance.next() < 0.7;
  const rig = new Rig({ joiners: isOpen ? 1 : 0, others: NEWCOMERS });
  for (const source of rig.attesters.slice(1, 3)) rig.hear(rig.sign(source, rig.announcement()));
  const others = rig.attesters.filter((key) => key !== rig.self);
  // Heights to which votes suspend: 0 and 1 are those of a chain that has nobody to prove its first block.
  const lastHeight = [null, 1, 3][chance.between(0, 2)] ?? null;
  const said = Array.from({ length: STATEMENTS }, () => statement(rig, others, lastHeight, chance));
  const signed = said.map(([author, entry]) => rig.sign(author, entry));
  const found: string[] = [];
  for (const batch of shuffled(signed, () => chance.next())) {
    const before = rig.said.length;
    const standing = standingOf(rig, batch.head.author);
    rig.hear(batch);
    const votes = rig.said.slice(before).filter((entry) => entry.kind === "admit");
    const [entry] = batch.entries;
    if (entry?.kind === "join") found.push(...judgeVotes(rig, isOpen, standing, entry, votes));
    found.push(...judgeRoster(rig));
  }
  return found;
}

function statement(rig: Rig, others: readonly Key[], lastHeight: number | null, chance: Chance): [Key, Entry] {
  const pick = <T>(list: readonly T[], or: T): T => list[chance.between(0, list.length - 1)] ?? or;
  const newcomers = rig.keys.slice(-NEWCOMERS.length);
  const what = chance.next();
  if (what < (lastHeight === null ? 0.1 : 0.6)) {
    const height = chance.between(0, lastHeight ?? 3);
    return [pick(others, ""), { kind: "bench", prover: pick(rig.provers, ""), chain: CHAIN, height, turn: 0 }];
  }
  if (what < 0.8) {
    const [prover, slots] = [pick(newcomers, ""), chance.between(1, 2)];
    return [pick(others, ""), { kind: "admit", prover, chain: CHAIN, height: 16, slots }];
  }
  const joiner = pick([...newcomers, ...rig.provers], "");
  return [joiner, { kind: "join", chain: CHAIN, slots: chance.between(0, 9), proofs: [] }];
}

/** BENCH-2. From which height on a quorum has ended the prover's first turn, by each attester's earliest vote. */
function endOf(rig: Rig, prover: Key): number {
  const votes = new Map<Key, Said & { readonly entry: EntryOf<"bench"> }>();
  for (const each of rig.heard) {
    const { entry, author } = each;
    if (entry.kind !== "bench" || entry.prover !== prover) continue;
    const known = votes.get(author);
    if (known === undefined || each.number < known.number) votes.set(author, { ...each, entry });
  }
  const heights = [...votes.values()].map(({ entry }) => entry.height).sort((a, b) => a - b);
  return heights[2] ?? Number.POSITIVE_INFINITY;
}

/** ADMIT-1. Whether a quorum of equal votes admits the key. */
function isAdmitted(rig: Rig, prover: Key): boolean {
  const voters = new Map<number, Set<Key>>();
  for (const { author, entry } of rig.heard)
    if (entry.kind === "admit" && entry.prover === prover && entry.height === 16)
      voters.set(entry.slots, (voters.get(entry.slots) ?? new Set<Key>()).add(author));
  return [...voters.values()].some((keys) => keys.size >= 3);
}

interface Standing {
  readonly author: Key;
  readonly isListed: boolean;
  readonly hasTurn: boolean;
  /** Whether anybody may prove. */
  readonly hasProver: boolean;
}

/** How the author of a join stands before the join. */
function standingOf(rig: Rig, author: Key): Standing {
  const isListed = rig.provers.includes(author);
  const ends = rig.provers.map((key) => endOf(rig, key));
  const isFree = (end: number) => end === Number.POSITIVE_INFINITY;
  const hasTurn = isListed ? isFree(endOf(rig, author)) : isAdmitted(rig, author);
  const hasNewcomer = rig.keys.slice(-NEWCOMERS.length).some((key) => isAdmitted(rig, key));
  return { author, isListed, hasTurn, hasProver: ends.some(isFree) || hasNewcomer };
}

// JOIN-1, JOIN-3, JOIN-4, ADMIT-3.
/** What the node signs because of one join. */
function judgeVotes(
  rig: Rig,
  isOpen: boolean,
  { author, isListed, hasTurn, hasProver }: Standing,
  join: EntryOf<"join">,
  votes: readonly EntryOf<"admit">[],
): string[] {
  if (votes.length === 0) {
    const isAtOnce = !hasTurn && (isListed || (isOpen && !hasProver));
    const hasVoted = rig.said.some((entry) => entry.kind === "admit" && entry.prover === author);
    return isAtOnce && !hasVoted ? ["N1: the node does not admit at once whom it has to admit"] : [];
  }
  if (!isOpen && !isListed) return ["N1: the node admits a stranger where admission is a list"];
  if (hasTurn) return ["N1: the node admits a prover that has a turn"];
  if (!isListed && hasProver) return ["N1: the node admits a newcomer without a drawing"];
  const listed = rig.manifest.json.provers.list.find(({ key }) => key === author)?.slots;
  const slots = listed ?? Math.min(Math.max(join.slots, 1), NEWCOMER_SLOTS_MAX);
  return votes.every((vote) => vote.slots === slots) ? [] : [`N1: the node admits with other slots than ${slots}`];
}

// ADMIT-1, ADMIT-7, BENCH-1, BENCH-2.
function judgeRoster(rig: Rig): string[] {
  const { state } = rig;
  const newcomers = rig.keys.slice(-NEWCOMERS.length);
  const admitted = newcomers.filter((key) => isAdmitted(rig, key));
  const known = newcomers.filter((key) => state.roster.get(key)?.turns.get(CHAIN)?.includes(16) === true);
  if (known.join() !== admitted.join())
    return [`N1: ${known.length} newcomers have a turn; a quorum has admitted ${admitted.length}`];
  const task = rig.block(blockId(rig.manifest.network, rig.announcement()))?.tasks[0];
  if (task === undefined) return [];
  const order = orderOf(state, task);
  // The block has height 1.
  const able = rig.provers.filter((key) => endOf(rig, key) > 1);
  const owners = newcomers.filter((key) => order.includes(key));
  const due = able.length > 0 ? [] : admitted;
  if (owners.join() !== due.join())
    return [`N1: ${owners.length} newcomers own tasks below their turn; by the votes ${due.length} do`];
  const first = order.slice(0, able.length);
  return able.every((key) => first.includes(key)) ? [] : ["N1: a suspended prover owns before one that is not"];
}

// JOIN-6.
/** Strangers come one after the other; those that are silent for long make room. */
function crowd(chance: Chance): readonly string[] {
  const names = Array.from({ length: 12 }, (_, at) => `stranger ${at}`);
  const limits = { strangerFeedsMax: STRANGERS_MAX, strangerKeptMs: KEPT_MS };
  const rig = new Rig({ joiners: 1, others: names, limits });
  const strangers = rig.keys.slice(-names.length);
  const heardMs = new Map<Key, number>();
  for (let turn = 0; turn < 40; turn++) {
    rig.pass(chance.between(50, 400));
    const author = strangers[chance.between(0, strangers.length - 1)] ?? "";
    const oldest = [...heardMs].sort(([, a], [, b]) => a - b)[0];
    const isFull = heardMs.size >= STRANGERS_MAX;
    const mayStay = oldest !== undefined && rig.nowMs - oldest[1] < KEPT_MS;
    if (!heardMs.has(author) && isFull && mayStay) continue;
    rig.forgetFeed(author, !heardMs.has(author));
    rig.hear(rig.sign(author, { kind: "join", chain: CHAIN, slots: 1, proofs: [] }));
    if (!heardMs.has(author) && isFull && oldest !== undefined) heardMs.delete(oldest[0]);
    heardMs.set(author, rig.nowMs);
    const kept = strangers.filter((key) => rig.state.log.feed(key) !== undefined);
    const due = strangers.filter((key) => heardMs.has(key));
    if (kept.join() !== due.join())
      return [`N1: the log has feeds of ${kept.length} strangers; those of ${due.length} others are due`];
  }
  return [];
}
