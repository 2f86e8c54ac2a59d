/**
 * How the attempts of a task have ended.
 *
 * Everything counted here is a signed fact, so nodes with the same log count the same (S6). Failures of machines are
 * counted apart from logical ones, which say that the input itself cannot be proven. An attempt that nobody claimed says
 * nothing about the task, and one that was given back is no failure at all.
 */
import type { LostAttempt } from "../protocol/certificate.ts";
import type { Key } from "../protocol/ids.ts";
import { assignedTo, openNumber } from "./makers.ts";
import { JOINED, NOT_REVEALED, RELEASED } from "./ends.ts";
import { ownerOfAttempt } from "./standing.ts";
import { type AttemptFacts, type Facts, type TaskFacts, weightOf } from "./facts.ts";

export type FailureKind = "infrastructure" | "logical" | "not-claimed" | "released";

/** An attempt that a timeout certificate ended, and whose it was. */
export interface Failure {
  readonly attempt: number;
  readonly prover: Key | null;
  readonly kind: FailureKind;
  readonly code: string;
}

/** The attempts from this one on that are over, the first first. */
export function failuresFrom(state: Facts, task: TaskFacts, first: number): readonly Failure[] {
  const open = openNumber(state, task);
  const failures: Failure[] = [];
  for (let number = first; number < open; number++) {
    const attempt = task.attempts.get(number);
    if (attempt !== undefined) failures.push(failureOf(state, task, attempt));
  }
  return failures;
}

function failureOf(state: Facts, task: TaskFacts, attempt: AttemptFacts): Failure {
  const prover = assignedTo(state, attempt) ?? ownerOfAttempt(state, task, attempt.number);
  const { code, weight } = heaviestCode(state, attempt);
  // One honest attester at least has seen it so.
  const certain = weight >= state.manifest.oneHonest;
  const end = prover === null ? undefined : attempt.ends.get(prover);
  // FAIL-3.
  // mutant: logical-alone
  const logical = certain && end !== undefined && end.logical && end.code === code;
  const plain = certain && (code === RELEASED || code === "not-claimed") ? code : "infrastructure";
  return { attempt: attempt.number, prover, kind: logical ? "logical" : plain, code };
}

/** What most of the weight gives as the reason; the first by name among equals, so that all nodes choose the same. */
export function heaviestCode(state: Facts, attempt: AttemptFacts): { readonly code: string; readonly weight: number } {
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
export function endCode(state: Facts, attempt: AttemptFacts): string | null {
  const { code, weight } = heaviestCode(state, attempt);
  return weight >= state.manifest.oneHonest ? code : null;
}

export function isCounted({ kind }: Failure): boolean {
  return kind === "infrastructure" || kind === "logical";
}

export function countFailures(failures: readonly Failure[]): Readonly<Record<FailureKind, number>> {
  const counts = { infrastructure: 0, logical: 0, "not-claimed": 0, released: 0 };
  for (const { kind } of failures) counts[kind]++;
  return counts;
}

/** How an attempt ends whose owner had it and did not prove. */
const LOST: ReadonlySet<string> = new Set(["not-claimed", "no-progress", "limit", NOT_REVEALED]);

/**
 * The attempts of a task below this one that their owners lost. Only a quorum's grant names an owner here: views of the
 * roster differ for a while, and contents that rest on them would find no quorum.
 */
export function lostBefore(state: Facts, task: TaskFacts, credited: number): LostAttempt[] {
  return Array.from({ length: credited }, (_, number) => number).flatMap((number) => {
    // BARRIER-8.
    // mutant: griefing-uncounted
    const attempt = task.attempts.get(number);
    if (attempt === undefined || !LOST.has(endCode(state, attempt) ?? "")) return [];
    const owner = assignedTo(state, attempt);
    return owner === null ? [] : [{ stage: task.stage.name, index: task.index, attempt: number, owner }];
  });
}
