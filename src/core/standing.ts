/**
 * The roster: who may prove, how much, and who is out of favour.
 *
 * A prover that lost three attempts in a row and was silent for a lease goes to the end of every task's order, so that a
 * dead node costs a few claim windows and not one a task for ever. Any message of its own brings it back. The order
 * itself always holds everybody, so two nodes that disagree about somebody's standing for a moment agree again after
 * a few attempts at the latest.
 */
import type { Key } from "../protocol/ids.ts";
import type { EntryOf } from "../protocol/messages.ts";
import { type Candidate, ownerOf, ownersOf } from "../protocol/owner.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { type Block, isQuorum, type Member, report, type Signed, type State, say, type Task } from "./state.ts";
import { touch } from "./blocks.ts";

const LOST_MAX = 3;
/** A newcomer is admitted from this many heights above the highest block known: all have heard of it by then. */
const ADMIT_AHEAD = 2;
/** Provers of an open network; past it newcomers are refused until the operators raise it with a new manifest. */
const ROSTER_MAX = 4096;
/** What a newcomer may claim at once, whatever it says of itself. */
const NEWCOMER_SLOTS_MAX = 4;

export function ownerOfAttempt(state: State, task: Task, attempt: number): Key | null {
  return ownerOf(orderOf(state, task), attempt);
}

/**
 * The provers of a task in the order of their attempts. Everybody able is dealt to; whoever is out of favour then goes
 * to the end of each order, so that its silence moves its own tasks and nobody else's.
 */
export function orderOf(state: State, task: Task): readonly Key[] {
  const { block, stage } = task;
  if (block.ownersVersion !== state.rosterVersion) {
    block.owners.clear();
    block.ownersVersion = state.rosterVersion;
  }
  let owners = block.owners.get(stage.name);
  if (owners === undefined) {
    const able = [...state.roster.values()].filter((member) => mayOwn(member, block));
    const candidates: Candidate[] = able.map(({ key, weight }) => ({ key, weight }));
    const benched = new Set(able.filter((member) => member.benched).map(({ key }) => key));
    owners = ownersOf(state.manifest.network, block.id, stage.name, stage.count, candidates).map((order) => [
      ...order.filter((key) => !benched.has(key)),
      ...order.filter((key) => benched.has(key)),
    ]);
    block.owners.set(stage.name, owners);
  }
  return owners[task.index] ?? [];
}

function mayOwn(member: Member, block: Block): boolean {
  if (member.from.size === 0) return true;
  const from = member.from.get(block.chain);
  return from !== undefined && block.height >= from;
}

/** A word from a prover: it is alive. */
export function alive(state: State, key: Key): void {
  const member = state.roster.get(key);
  if (member === undefined) return;
  member.lost = 0;
  member.heardMs = state.nowMs;
  if (!member.benched) return;
  member.benched = false;
  rosterChanged(state);
  report(state, "prover.back", { prover: key });
}

/** An attempt of its was taken from a prover that did not give it back. One that still speaks is slow, not gone. */
export function lost(state: State, key: Key): void {
  const member = state.roster.get(key);
  if (member === undefined) return;
  member.lost++;
  const silentMs = state.nowMs - member.heardMs;
  // An idle prover says that it is alive once a lease, so one silent for longer than that has missed its turn.
  if (member.benched || member.lost < LOST_MAX || silentMs < state.manifest.json.timing.leaseMs) return;
  member.benched = true;
  rosterChanged(state);
  report(state, "prover.benched", { prover: key, lost: member.lost, silentMs: Math.round(silentMs) });
}

function rosterChanged(state: State): void {
  state.rosterVersion++;
  for (const block of state.blocks.values()) if (block.state === "open") touch(state, block);
}

/** Says that this node wants to prove, where it is not on the roster yet; said again until it is heard. */
export function announceSelf(state: State): void {
  const { self, roles, slots } = state.options;
  if (!roles.prover || state.mute !== null || state.replaying) return;
  const member = state.roster.get(self);
  const missing = state.manifest.json.chains.filter(({ id }) => !mayOwnOn(member, id));
  if (missing.length === 0 || state.manifest.json.provers.admission !== "open") {
    state.joinMs = null;
    return;
  }
  if (state.joinMs !== null && state.nowMs < state.joinMs) return;
  state.joinMs = state.nowMs + 2 * state.manifest.json.timing.syncMs;
  for (const { id } of missing) {
    say(state, {
      kind: "join",
      chain: id,
      height: headOf(state, id) + ADMIT_AHEAD,
      slots: Math.min(Math.max(slots, 1), NEWCOMER_SLOTS_MAX),
    });
  }
}

function mayOwnOn(member: Member | undefined, chain: number): boolean {
  return member !== undefined && (member.from.size === 0 || member.from.has(chain));
}

/** The highest height of a chain that this node has heard of. */
export function headOf(state: State, chain: number): number {
  let head = state.chains.get(chain)?.certified ?? -1;
  for (const block of state.blocks.values()) if (block.chain === chain) head = Math.max(head, block.height);
  return Math.max(head, 0);
}

export function applyJoin(state: State, signed: Signed, entry: EntryOf<"join">): Refusal | null {
  const { admission } = state.manifest.json.provers;
  if (admission !== "open") return "author.unknown";
  if (!state.chains.has(entry.chain)) return "block.chain-unknown";
  if (mayOwnOn(state.roster.get(signed.author), entry.chain)) return null;
  if (state.roster.size >= ROSTER_MAX) return "hold.full";
  if (!state.options.roles.attester || state.mute !== null || state.replaying) return null;
  const slots = Math.min(Math.max(entry.slots, 1), NEWCOMER_SLOTS_MAX);
  // One height for all: the newcomer's, unless it would let it own blocks that are already dealt.
  const start = state.manifest.json.chains.find(({ id }) => id === entry.chain)?.start;
  if (start !== "any" && entry.height <= headOf(state, entry.chain)) return "block.retired";
  const name = admissionName(signed.author, entry.chain, entry.height, slots);
  if (state.ownAdmissions.has(name)) return null;
  state.ownAdmissions.add(name);
  say(state, {
    kind: "admit",
    prover: signed.author,
    chain: entry.chain,
    height: start === "any" ? 0 : entry.height,
    slots,
  });
  return null;
}

export function applyAdmit(state: State, signed: Signed, entry: EntryOf<"admit">): Refusal | null {
  const name = admissionName(entry.prover, entry.chain, entry.height, entry.slots);
  const voters = state.admissions.get(name) ?? new Set<Key>();
  if (voters.size === 0 && state.admissions.size >= ROSTER_MAX) return "hold.full";
  voters.add(signed.author);
  state.admissions.set(name, voters);
  if (signed.author === state.options.self) state.ownAdmissions.add(name);
  if (!isQuorum(state, voters)) return null;
  state.admissions.delete(name);
  const member: Member = state.roster.get(entry.prover) ?? {
    key: entry.prover,
    weight: 1,
    slots: entry.slots,
    from: new Map(),
    lost: 0,
    heardMs: state.nowMs,
    benched: false,
  };
  if (mayOwnOn(member, entry.chain)) return null;
  member.from.set(entry.chain, entry.height);
  state.roster.set(entry.prover, member);
  rosterChanged(state);
  report(state, "prover.admitted", {
    prover: entry.prover,
    chain: entry.chain,
    height: entry.height,
    slots: entry.slots,
  });
  return null;
}

function admissionName(prover: Key, chain: number, height: number, slots: number): string {
  return `${prover}/${chain}/${height}/${slots}`;
}
