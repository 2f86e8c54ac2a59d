/**
 * What a task's failed attempts amount to: how long the next one waits, and when it is quarantined.
 *
 * Everything counted here is a signed fact, so nodes with the same log count the same (S6). Failures of machines are
 * counted apart from logical ones, which say that the input itself cannot be proven: those need one code from more than a
 * third of the provers on duty, because fewer may all be lying. An attempt that nobody claimed says nothing about the task,
 * and one that was given back is no failure at all; neither leads to quarantine, or an outage of all provers would
 * need an operator when they are back.
 */
import type { Key } from "../protocol/ids.ts";
import { ATTEMPTS_MAX, ROUNDS_MAX } from "../protocol/limits.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { assignedTo, openAttempt, where } from "./makers.ts";
import { findTask, noTask } from "./collector.ts";
import { JOINED } from "./reclaim.ts";
import { isIn, ownerOfAttempt } from "./standing.ts";
import {
  type Attempt,
  type FailureVote,
  isQuorum,
  keepVote,
  type Member,
  report,
  type RequeueVote,
  type Signed,
  type State,
  type Task,
  weightOf,
} from "./state.ts";

export type FailureKind = "infrastructure" | "logical" | "not-claimed" | "released";

/** An attempt that a timeout certificate ended, and whose it was. */
export interface Failure {
  readonly attempt: number;
  readonly prover: Key | null;
  readonly kind: FailureKind;
  readonly code: string;
}

/** Why a task is, or is about to be, in quarantine. */
export interface Reason {
  readonly code: string;
  readonly logical: boolean;
}

/** Attempts of the present round that are over, the first first. */
export function failuresOf(state: State, task: Task): readonly Failure[] {
  if (task.attempts.size < 2) return [];
  const open = openAttempt(state, task).number;
  const failures: Failure[] = [];
  for (let number = baseOf(state, task); number < open; number++) {
    const attempt = task.attempts.get(number);
    if (attempt !== undefined) failures.push(failureOf(state, task, attempt));
  }
  return failures;
}

function failureOf(state: State, task: Task, attempt: Attempt): Failure {
  const prover = assignedTo(state, attempt) ?? ownerOfAttempt(state, task, attempt.number);
  const { code, weight } = heaviestCode(state, attempt);
  // One honest attester at least has seen it so.
  const certain = weight >= state.manifest.oneHonest;
  const fail = prover === null ? undefined : attempt.fails.get(prover);
  const logical = certain && fail !== undefined && fail.logical && fail.code === code;
  const plain = certain && (code === "released" || code === "not-claimed") ? code : "infrastructure";
  return { attempt: attempt.number, prover, kind: logical ? "logical" : plain, code };
}

/** What most of the weight gives as the reason; the first by name among equals, so that all nodes choose the same. */
function heaviestCode(state: State, attempt: Attempt): { readonly code: string; readonly weight: number } {
  const voters = new Map<string, Key[]>();
  for (const [key, { code }] of attempt.timeouts) {
    if (code !== JOINED) voters.set(code, [...(voters.get(code) ?? []), key]);
  }
  let best = { code: JOINED, weight: 0 };
  for (const [code, keys] of [...voters].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const weight = weightOf(state, keys);
    if (weight > best.weight) best = { code, weight };
  }
  return best;
}

/** Why the attempt ended, where one honest attester at least has seen it so. */
export function endCode(state: State, attempt: Attempt): string | null {
  const { code, weight } = heaviestCode(state, attempt);
  return weight >= state.manifest.oneHonest ? code : null;
}

/** How long the open attempt waits before anybody claims it. A first failure costs nothing more than itself (L4). */
export function backoffMs(state: State, task: Task): number {
  const { backoffMs: base, backoffMsMax } = state.manifest.retry;
  const failed = failuresOf(state, task).filter(isCounted).length;
  return failed < 2 ? 0 : Math.min(base * 2 ** Math.min(failed - 2, 30), backoffMsMax);
}

function isCounted({ kind }: Failure): boolean {
  return kind === "infrastructure" || kind === "logical";
}

/** Whether the failures of this round are past the limit, by the facts heard so far. */
export function reasonOf(state: State, task: Task): Reason | null {
  if (openAttempt(state, task).number >= ATTEMPTS_MAX - 1) return { code: "attempts-exhausted", logical: false };
  const failed = failuresOf(state, task).filter(isCounted);
  if (failed.length === 0) return null;
  const { attempts, logicalProvers } = state.manifest.retry;
  const duty = onDuty(state, task);
  const logical = logicalCode(failed, duty, logicalProvers);
  if (logical !== null) return { code: logical, logical: true };
  // One honest prover is enough (L1), so each has its turn first, whatever the manifest says.
  if (failed.length < Math.max(task.stage.attempts ?? attempts, duty.size)) return null;
  return { code: failed.at(-1)?.code ?? JOINED, logical: false };
}

function onDuty(state: State, task: Task): ReadonlyMap<Key, Member> {
  const { chain, height } = task.block;
  const proves = ([key, member]: [Key, Member]) => !state.out.has(key) && isIn(state, member, chain, height);
  return new Map([...state.roster].filter(proves));
}

/** A code that enough provers failed with: as many as the manifest says, and one of them honest. */
function logicalCode(
  failed: readonly Failure[],
  duty: ReadonlyMap<Key, Member>,
  logicalProvers: number,
): string | null {
  const total = [...duty.values()].reduce((sum, { weight }) => sum + weight, 0);
  const oneHonest = Math.floor((total - 1) / 3) + 1;
  const provers = new Map<string, Set<Key>>();
  for (const { kind, code, prover } of failed) {
    if (kind === "logical" && prover !== null) provers.set(code, (provers.get(code) ?? new Set<Key>()).add(prover));
  }
  for (const [code, keys] of [...provers].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const weight = [...keys].reduce((sum, key) => sum + (duty.get(key)?.weight ?? 0), 0);
    if (weight >= oneHonest && keys.size >= Math.min(logicalProvers, duty.size)) return code;
  }
  return null;
}

/** How often operators have taken the task out of quarantine. */
export function roundOf(state: State, task: Task): number {
  let round = 0;
  while (isQuorum(state, task.requeues.get(round)?.keys() ?? [])) round++;
  return round;
}

/** The first attempt that counts in this round: the lowest that a quorum of requeue votes agrees on. */
function baseOf(state: State, task: Task): number {
  const votes = [...(task.requeues.get(roundOf(state, task) - 1) ?? [])];
  let weight = 0;
  for (const [key, { attempt }] of votes.sort(([, a], [, b]) => a.attempt - b.attempt)) {
    weight += state.manifest.weights.get(key) ?? 0;
    if (weight >= state.manifest.quorum) return attempt;
  }
  return 0;
}

/** Why a quorum of attesters has put the task into quarantine, or `null` where none has in this round. */
export function quarantineOf(state: State, task: Task): Reason | null {
  return votedReason(state, task, state.manifest.quorum);
}

/** Whether it was in quarantine in any round, whatever operators have wanted since. */
export function wasQuarantined(state: State, task: Task): boolean {
  return [...task.quarantines.values()].some((votes) => isQuorum(state, votes.keys()));
}

/** What attesters of this weight at least give as the reason for a quarantine. */
export function votedReason(state: State, task: Task, weightMin: number): Reason | null {
  if (task.quarantines.size === 0) return null;
  const votes = task.quarantines.get(roundOf(state, task));
  if (votes === undefined || weightOf(state, votes.keys()) < weightMin) return null;
  const codes = new Map<string, { readonly reason: Reason; weight: number }>();
  for (const [key, { code, logical }] of votes) {
    const name = `${code} ${logical}`;
    const known = codes.get(name) ?? { reason: { code, logical }, weight: 0 };
    known.weight += state.manifest.weights.get(key) ?? 0;
    codes.set(name, known);
  }
  const ranked = [...codes].sort(([a, x], [b, y]) => y.weight - x.weight || (a < b ? -1 : 1));
  return ranked[0]?.[1].reason ?? null;
}

/** Nobody claims, grants or times out a task that is in quarantine, or will be as soon as the votes are there. */
export function isPaused(state: State, task: Task): boolean {
  return quarantineOf(state, task) !== null || reasonOf(state, task) !== null;
}

export function applyQuarantine(state: State, signed: Signed, entry: EntryOf<"quarantine">): Refusal | null {
  const task = findTask(state, entry);
  if (task === undefined) return noTask(state, entry.block);
  if (entry.round >= ROUNDS_MAX) return "round.too-many";
  const votes = task.quarantines.get(entry.round) ?? new Map<Key, FailureVote>();
  const before = quarantineOf(state, task);
  const { code, logical } = entry;
  if (!keepVote(votes, { ...signed, code, logical })) return "vote.duplicate";
  task.quarantines.set(entry.round, votes);
  if (signed.author === state.options.self) task.own.quarantined = Math.max(task.own.quarantined, entry.round);
  state.dirtyTasks.add(task);
  if (task.stage.isSplit) state.dirtyBlocks.add(task.block);
  const reason = quarantineOf(state, task);
  if (before === null && reason !== null) {
    const counts = countFailures(failuresOf(state, task));
    report(state, "task.quarantined", { ...where(task), round: entry.round, code: reason.code, ...counts });
  }
  return null;
}

export function applyRequeue(state: State, signed: Signed, entry: EntryOf<"requeue">): Refusal | null {
  const task = findTask(state, entry);
  if (task === undefined) return noTask(state, entry.block);
  if (entry.round >= ROUNDS_MAX) return "round.too-many";
  const votes = task.requeues.get(entry.round) ?? new Map<Key, RequeueVote>();
  const before = roundOf(state, task);
  if (!keepVote(votes, { ...signed, attempt: entry.attempt })) return "vote.duplicate";
  task.requeues.set(entry.round, votes);
  if (signed.author === state.options.self) task.own.requeued = Math.max(task.own.requeued, entry.round);
  state.dirtyTasks.add(task);
  const round = roundOf(state, task);
  if (round > before) report(state, "task.requeued", { ...where(task), round, attempt: baseOf(state, task) });
  return null;
}

export function countFailures(failures: readonly Failure[]): Readonly<Record<FailureKind, number>> {
  const counts = { infrastructure: 0, logical: 0, "not-claimed": 0, released: 0 };
  for (const { kind } of failures) counts[kind]++;
  return counts;
}
