/**
 * The dispatcher: which of the tasks that this node owns it claims, and what its provers work on.
 *
 * Leaderless: every node decides for itself, from the same owner function. Proving starts with the claim; the grants
 * follow while the prover already works. What is owned beyond the free slots is claimed ahead, so that coordination
 * hides behind proving even where a proof takes no time.
 */
import { BEAT_TASKS_MAX, INLINE_BYTES_MAX } from "../protocol/limits.ts";
import { equalBytes } from "../protocol/messages.ts";
import type { Stage } from "../protocol/workflow.ts";
import { maySign } from "./attester.ts";
import { claimableMs, pausedUntilMs } from "./attempts.ts";
import { isAble, isAbleTo, straggler, yieldable } from "./balance.ts";
import { impliedValues, openAttempt, where } from "./makers.ts";
import { isByAgreement } from "./commitments.ts";
import { isDecided, wouldCount } from "./copies.ts";
import { isConfirmed } from "./own-source.ts";
import { endOf, foundEnd, RELEASED } from "./ends.ts";
import type { MadeProof } from "./event.ts";
import { hasRivals, isNeeded, isVoid } from "./graph.ts";
import { jobOf } from "./job.ts";
import { hasTimedOut } from "./locks.ts";
import { hasHandedIn } from "./receipts.ts";
import { commit } from "./reveals.ts";
import { orderOf, ownerOfAttempt } from "./standing.ts";
import { show } from "./facts.ts";
import type { OwnFailure } from "./soft.ts";
import { attemptOf, report, type State, say, type Task } from "./state.ts";
import { ref } from "./verifying.ts";
import { quotaOf } from "./quota.ts";
import { claimWindowMs } from "./reclaim.ts";

export function proves(state: State): boolean {
  return state.options.roles.prover && state.options.slots > 0;
}

/** Claims, starts and stops work. Called once a step, after all facts are in. */
export function settleWork(state: State): void {
  if (!proves(state)) return;
  for (const task of state.working) dropIfOver(state, task);
  if (!maySign(state)) return;
  // RELEASE-3.
  // mutant: unable-keeps
  releaseUnable(state);
  const claimsMax = state.options.slots * state.manifest.json.limits.claimsPerSlotMax;
  if (state.working.size < claimsMax) claimOwned(state, claimsMax);
  if (state.working.size === 0) return hedge(state);
  for (const task of state.working) claimHedged(state, task);
  startQueued(state);
  yieldTail(state, claimsMax);
}

/** A node with nothing else to do begins what its owner takes too long for; one task at a time, and at its own risk. */
function hedge(state: State): void {
  // CLAIM-7.
  const next = straggler(state);
  if (next === null) return;
  const { task, attempt } = next;
  take(state, task, attempt, true);
  if (!start(state, task)) return forgetWork(state, task);
  report(state, "task.hedged", { ...where(task), attempt });
}

/** The attempt before is over: what was begun at this node's own risk is its task by now. */
function claimHedged(state: State, task: Task): void {
  const { work } = task;
  const { number } = openAttempt(state, task);
  if (work === null || !work.hedge || number !== work.attempt || !isConfirmed(state, task.block)) return;
  if (ownerOfAttempt(state, task, number) !== state.options.self) return;
  work.hedge = false;
  sayClaim(state, task, number);
}

/**
 * What waits here for longer than a claim takes, or cannot even be claimed, goes back where the next owner stands idle.
 */
function yieldTail(state: State, claimsMax: number): void {
  const { claimWindowMs: waitMs } = state.manifest.json.timing;
  if (state.nowMs < state.yieldMs) return;
  state.yieldMs = state.nowMs + waitMs / 2;
  const queued = [...state.working].filter(
    ({ work }) => work?.state === "queued" && state.nowMs - work.claimedMs >= waitMs,
  );
  const room = roomOf(state);
  const unclaimed = claimable(state).filter(
    (task) => state.working.size >= claimsFor(state, task, claimsMax) || room(task.block.chain) <= 0,
  );
  const tail = [...queued.sort(byPriority(state)), ...unclaimed].reverse();
  for (const task of yieldable(state, tail)) {
    // RELEASE-3.
    report(state, "task.yielded", { ...where(task), attempt: openAttempt(state, task).number });
    release(state, task);
  }
}

/** Gives the open attempt of a task back. Our own word comes back only once it is durable; until then nothing claims it again. */
function release(state: State, task: Task): void {
  const attempt = openAttempt(state, task);
  const { number } = attempt;
  say(state, { ...ref(task), kind: "release", attempt: number });
  foundEnd(attempt, state.options.self, RELEASED);
  forgetWork(state, task);
}

/**
 * The owner function does not know who can prove what. Who owns a task that it cannot prove gives it on at once, in the
 * first round of the task's order only: where nobody can, the claim windows keep the log quiet.
 */
function releaseUnable(state: State): void {
  for (const block of state.live) {
    const isAbleToAll = (stage: Stage) =>
      stage.distinct !== "provers" && stage.variants.every((variant) => isAbleTo(state, stage, variant));
    if (block.state !== "open" || !isConfirmed(state, block) || block.stages.every(isAbleToAll)) continue;
    for (const task of block.tasks) {
      if (isAble(state, task) || !mayClaim(state, task)) continue;
      if (openAttempt(state, task).number < orderOf(state, task).length) release(state, task);
    }
  }
}

/** What was claimed for a prover and has not begun goes on to the next owner when the prover turns out not to work. */
export function applyAbility(state: State, executor: string, works: boolean): void {
  if (works) return void state.unable.delete(executor);
  state.unable.add(executor);
  for (const task of state.working)
    if (task.variant.executor === executor && task.work?.state === "queued" && maySign(state)) release(state, task);
}

function claimOwned(state: State, claimsMax: number): void {
  const room = roomOf(state);
  for (const task of claimable(state)) {
    if (state.working.size >= claimsFor(state, task, claimsMax)) return;
    // CLAIM-6.
    // Of two copies the second does not count any more once the first is claimed.
    const isOfUse =
      room(task.block.chain) > 0 &&
      // mutant: claim-copies
      wouldCount(state, task, state.options.self);
    if (isOfUse) claim(state, task);
  }
}

/** Where blocks are proven again, claims are left for what comes up meanwhile: as many as can run at once. */
function claimsFor(state: State, task: Task, claimsMax: number): number {
  return isReproof(state, task) ? Math.max(claimsMax - state.options.slots, 1) : claimsMax;
}

function isReproof({ manifest }: State, { block }: Task): boolean {
  return manifest.json.chains.some(({ id, reproves }) => id === block.chain && reproves !== undefined);
}

/** How many more tasks of a chain this node may claim: the attesters grant no more than its quota. */
function roomOf(state: State): (chain: number) => number {
  const quotas = new Map<number, number>();
  return (chain) => {
    const quota = quotas.get(chain) ?? quotaOf(state, state.options.self, chain);
    quotas.set(chain, quota);
    return quota - [...state.working].filter(({ block }) => block.chain === chain).length;
  };
}

/** Tasks that this node owns and has not claimed, in the order of their priority. */
function claimable(state: State): Task[] {
  const tasks: Task[] = [];
  for (const block of state.live) {
    if (block.state !== "open" || !isConfirmed(state, block)) continue;
    for (const task of block.tasks) if (mayClaim(state, task) && isAble(state, task)) tasks.push(task);
  }
  return tasks.sort(byPriority(state));
}

/** Whether the open attempt of the task is this node's and nobody works on it yet. */
function mayClaim(state: State, task: Task): boolean {
  const { self } = state.options;
  if (task.completeMs !== null || task.readyMs === null || task.work !== null) return false;
  const attempt = openAttempt(state, task);
  // CLAIM-4.
  // mutant: claim-unowned
  if (ownerOfAttempt(state, task, attempt.number) !== self) return false;
  // CLAIM-5.
  // L2.
  // mutant: retries-unclaimed
  if (endOf(attempt, self) !== null) return false;
  if ((pausedUntilMs(attempt) ?? 0) > state.nowMs) return false;
  if (isByAgreement(task) && isDecided(state, task)) return false;
  // After a restart the receipt is in the log, and its proof was durable before it.
  return !hasTimedOut(state, task, attempt.number) && !tooLate(state, task) && !hasHandedIn(task, self, attempt.number);
}

/** A claim made now would meet timeouts that are already signed: better to wait for the next attempt. */
function tooLate(state: State, task: Task): boolean {
  const attempt = openAttempt(state, task);
  const fromMs = claimableMs(attempt);
  return (
    fromMs !== null &&
    state.nowMs - fromMs > 4 * claimWindowMs(state, attempt.number, state.options.self) &&
    !attempt.claims.has(state.options.self)
  );
}

/** What is proven for the first time, what its block waits for, height, what the manifest says, then attempt (a retried task is late already), then longest remaining path, then index. */
function byPriority(state: State): (a: Task, b: Task) => number {
  return (a, b) =>
    Number(isReproof(state, a)) - Number(isReproof(state, b)) ||
    Number(isNeeded(state, b)) - Number(isNeeded(state, a)) ||
    a.block.height - b.block.height ||
    b.stage.priority - a.stage.priority ||
    openAttempt(state, b).number - openAttempt(state, a).number ||
    b.stage.pathLength - a.stage.pathLength ||
    a.index - b.index;
}

function claim(state: State, task: Task): void {
  const { self } = state.options;
  const attempt = openAttempt(state, task);
  take(state, task, attempt.number, false);
  report(state, "task.claimed", { ...where(task), attempt: attempt.number });
  // A claim that is in the log already was made before a restart: the work goes on under it.
  if (attempt.claims.has(self)) return;
  sayClaim(state, task, attempt.number);
}

function take(state: State, task: Task, attempt: number, isHedge: boolean): void {
  const work = { state: "queued", units: 0, baseUnits: 0, claimedMs: state.nowMs, startedMs: null } as const;
  task.work = { ...work, attempt, hedge: isHedge };
  state.working.add(task);
}

function sayClaim(state: State, task: Task, attempt: number): void {
  // mutant: claim-unfounded
  const before = attempt === 0 ? [] : [...attemptOf(task, attempt - 1).timeouts.values()];
  say(state, { ...ref(task), kind: "claim", attempt, timeouts: before.map(show) });
}

function startQueued(state: State): void {
  let running = [...state.working].filter((task) => task.work?.state === "running").length;
  const queued = [...state.working].filter((task) => task.work?.state === "queued").sort(byPriority(state));
  for (const task of queued) {
    if (running >= state.options.slots) return;
    if (start(state, task)) running++;
  }
}

function start(state: State, task: Task): boolean {
  const { work } = task;
  const job = work === null ? null : jobOf(state, task, work.attempt);
  if (work === null || job === null) return false;
  work.state = "running";
  work.startedMs = state.nowMs;
  work.baseUnits = state.workUnits;
  report(state, "task.started", {
    ...where(task),
    attempt: work.attempt,
    // What the network cost, without what the task waited for a slot of ours.
    idleMs: state.nowMs - Math.max(task.readyMs ?? state.nowMs, state.slotFreeMs),
  });
  state.effects.push({ kind: "prove", ...job });
  return true;
}

/** A task that is complete, or whose block is gone or cut into other pieces, stops everybody who works on it. */
function dropIfOver(state: State, task: Task): void {
  const { work, block } = task;
  if (work === null) {
    state.working.delete(task);
    return;
  }
  const isDone = block.certificate !== null && !mayComeLate(state, task);
  // Nobody seals a commitment that is made now.
  const isTooLate = isByAgreement(task) && work.state !== "done" && isDecided(state, task);
  const over = task.completeMs !== null || block.state === "cancelled" || isVoid(task) || isDone || isTooLate;
  if (!over) {
    // The attempt is somebody else's by now. What runs goes on: a late proof is as good as any.
    const taken = work.state !== "running" && openAttempt(state, task).number > work.attempt;
    if (taken) forgetWork(state, task);
    return;
  }
  if (work.state === "running") {
    state.effects.push({ kind: "cancel", task: ref(task) });
    const ms = state.nowMs - (work.startedMs ?? state.nowMs);
    report(state, "task.wasted", { ...where(task), attempt: work.attempt, ms, hedge: work.hedge });
  }
  forgetWork(state, task);
}

/** What the barrier does without is still proven where it has begun, within the time of an attempt. */
function mayComeLate(state: State, task: Task): boolean {
  const { block, stage, work } = task;
  if (!hasRivals(task) || !state.blocks.has(block.id) || work?.state !== "running" || work.hedge) return false;
  return state.nowMs - (work.startedMs ?? state.nowMs) < stage.limitMs;
}

function forgetWork(state: State, task: Task): void {
  if (task.work?.state === "running") state.slotFreeMs = state.nowMs;
  task.work = null;
  state.working.delete(task);
}

export function applyProgress(state: State, task: Task, attempt: number, units: number): void {
  if (task.work?.attempt !== attempt || units <= task.work.units) return;
  state.workUnits += units - task.work.units;
  task.work.units = units;
}

export function applyProved(state: State, task: Task, attempt: number, made: MadeProof): void {
  if (task.work?.attempt !== attempt || task.work.state !== "running") return;
  // Made again once this node may speak: nobody else knows of it.
  if (!maySign(state)) return forgetWork(state, task);
  state.slotFreeMs = state.nowMs;
  const implied = impliedValues(task, state.options.self);
  if (implied === null || !equalBytes(implied, made.values)) {
    // RECEIPT-7.
    // Attesters would reject such a receipt, and a later one for the same proof would contradict it.
    const message = "The prover's public values are not those that the block implies for the task.";
    return applyProveFailed(state, task, { attempt, code: "receipt.wrong-values", logical: false, message });
  }
  if (isByAgreement(task) && !commit(state, task, attempt, made)) {
    const message = "The result came without the nonce of its opening, so nobody could open a commitment to it.";
    return applyProveFailed(state, task, { attempt, code: "opening.missing", logical: false, message });
  }
  task.work.state = "done";
  const possession = task.stage.verify === "key" ? made.possession : new Uint8Array();
  report(state, "task.proved", { ...where(task), attempt, provingMs: made.provingMs, bytes: made.bytes });
  if (isByAgreement(task)) return;
  say(state, {
    ...ref(task),
    kind: "receipt",
    attempt,
    system: task.variant.system,
    key: task.variant.key,
    artefact: made.artefact,
    bytes: made.bytes,
    values: made.values,
    provingMs: made.provingMs,
    inline: made.inline.length <= INLINE_BYTES_MAX && possession.length === 0 ? made.inline : new Uint8Array(),
    possession,
    nonce: new Uint8Array(),
  });
}

export function applyProveFailed(state: State, task: Task, failed: OwnFailure): void {
  const { attempt, code, logical, message } = failed;
  if (task.work?.attempt !== attempt) return;
  report(state, "task.failed", { ...where(task), attempt, code, logical, message });
  task.ownFailure = { attempt, code, logical, message };
  forgetWork(state, task);
  if (!maySign(state)) return;
  // Our own word comes back only once it is durable; until then nothing may claim the attempt again.
  // mutant: fail-again
  foundEnd(attemptOf(task, attempt), state.options.self, code);
  say(state, { ...ref(task), kind: "fail", attempt, code, logical });
}

/** One message for all that this node works on; also a sign of life when there is nothing. */
export function settleBeat(state: State): void {
  if (!beats(state)) return;
  const { heartbeatMs, leaseMs } = state.manifest.json.timing;
  const active = [...state.working].filter((task) => task.work !== null && task.work.state !== "done");
  // BEAT-2.
  const everyMs = active.length > 0 ? heartbeatMs : leaseMs;
  // mutant: beat-always
  if (state.nowMs < state.beatMs + everyMs) return;
  state.beatMs = state.nowMs;
  const tasks = active.slice(0, BEAT_TASKS_MAX).map((task) => ({
    ...ref(task),
    attempt: task.work?.attempt ?? 0,
    // A queued task moves as long as the node's work moves.
    units: task.work?.state === "running" ? task.work.baseUnits + task.work.units : state.workUnits,
  }));
  say(state, { kind: "beat", tasks });
}

/** A stranger's beat is taken in by nobody, nor is a batch that it is part of: not even a newcomer's wish to join. */
export function beats(state: State): boolean {
  return proves(state) && maySign(state) && state.roster.has(state.options.self);
}

export function nextBeatMs(state: State): number {
  const { heartbeatMs, leaseMs } = state.manifest.json.timing;
  const active = [...state.working].some((task) => task.work !== null && task.work.state !== "done");
  return state.beatMs + (active ? heartbeatMs : leaseMs);
}

/** The operator stops the node: what is not finished goes back at once, so that the next owner starts three hops later. */
export function releaseAll(state: State): void {
  for (const task of state.working) {
    const { work } = task;
    if (work === null || work.state === "done") continue;
    if (!work.hedge) say(state, { ...ref(task), kind: "release", attempt: work.attempt });
    if (work.state === "running") state.effects.push({ kind: "cancel", task: ref(task) });
    foundEnd(attemptOf(task, work.attempt), state.options.self, RELEASED);
    forgetWork(state, task);
  }
}
