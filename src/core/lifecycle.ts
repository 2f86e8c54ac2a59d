/** A task's states and what it waits for, in words an operator can act on. */
import type { Hash, Key } from "../protocol/ids.ts";
import { claimOf, pausedUntilMs } from "./attempts.ts";
import { isByAgreement, isDue, sealedIn } from "./commitments.ts";
import { chosenProof, openAttempt } from "./makers.ts";
import { isParentClosed, parentOf } from "./ancestry.ts";
import { endOf } from "./ends.ts";
import { countFailures, type FailureKind } from "./failures.ts";
import { hasRivals, isNeeded, isVoid, missingInput } from "./graph.ts";
import { contradictsSource, hasSource, isConfirmed } from "./own-source.ts";
import { ownProofs } from "./own-admission.ts";
import { failuresOf, type Quarantine, quarantineOf } from "./quarantine.ts";
import { ownerOfAttempt } from "./standing.ts";
import type { Out } from "./facts.ts";
import type { Attempt, Block, State, Task } from "./state.ts";

/**
 * A view of the facts, so a task moves with each fact that counts or counts no longer.
 *
 * waiting -> ready: its block is open and prepared, and its inputs are complete.
 * ready -> claimed -> proven -> complete: its owner has claimed it, somebody has handed in a proof, a quorum vouches for one.
 * claimed -> ready: a quorum of timeouts ended the attempt. An attempt is open, then over; it never opens again, unless
 * an attester whose timeout counted is out.
 * ready, claimed -> quarantined -> ready: a quorum says that it has failed too often, and later asks for another round.
 * complete -> ready: no proof stands for it any more, because whoever made or vouched for it is out.
 * optional, unused: others of its stage are enough, or its block is cut into other pieces.
 */
export type TaskState = "waiting" | "ready" | "claimed" | "proven" | "complete" | "optional" | "quarantined" | "unused";

export interface TaskStatus {
  readonly stage: string;
  readonly index: number;
  readonly state: TaskState;
  readonly attempt: number;
  readonly owner: Key | null;
  readonly prover: Key | null;
  /** Attempts that are over, since operators last requeued the task, by how they ended. */
  readonly failures: Readonly<Record<FailureKind, number>>;
  /** In how many ms the open attempt may be claimed; 0 where it may be by now. */
  readonly waitMs: number;
  readonly why: string;
}

export interface BlockStatus {
  readonly chain: number;
  readonly height: number;
  readonly hash: string;
  readonly state: string;
  readonly why: string;
  readonly items: number;
  readonly tasks: readonly TaskStatus[];
}

export function blockStatus(state: State, block: Block): BlockStatus {
  return {
    chain: block.chain,
    height: block.height,
    hash: block.hash,
    state: block.certificate === null ? block.state : "certified",
    why: whyBlock(state, block),
    items: block.items,
    tasks: block.tasks.filter((task) => !isVoid(task)).map((task) => taskStatus(state, task)),
  };
}

/** A task that is not complete, with its block. */
export type OpenTask = TaskStatus & { readonly chain: number; readonly height: number; readonly hash: Hash };

/** What is not proven yet: the tasks of open blocks, and those that a barrier did without while they are still worked on. */
export function openTasks(state: State): OpenTask[] {
  const blocks = [...state.blocks.values()].sort((a, b) => a.chain - b.chain || a.height - b.height);
  return blocks.flatMap((block) => {
    const { chain, height, hash, certificate } = block;
    const isLive = state.live.has(block);
    const open = block.tasks.filter((task) => {
      if (task.completeMs !== null || isVoid(task)) return false;
      return certificate === null ? isLive : isOwed(state, task);
    });
    return open.map((task) => ({ chain, height, hash, ...taskStatus(state, task) }));
  });
}

/** By the time of an attempt only: whether a prover has died over it nobody says of a block that is certified. */
function isOwed(state: State, task: Task): boolean {
  if (!hasRivals(task)) return false;
  return [...task.attempts.values()].some((attempt) => {
    const claim = claimOf(attempt);
    if (claim === null || endOf(attempt, claim.claimant) !== null) return false;
    return state.nowMs - claim.claimedMs < task.stage.limitMs;
  });
}

/** What a key that is out has broken a rule about. */
export function whereOut(state: State, { about, from }: Out): string {
  if (about === null) return `batch ${from} of its feed`;
  const block = state.blocks.get(about.block);
  const of = block === undefined ? `block ${about.block.slice(0, 12)}` : `${block.chain}/${block.height}`;
  const attempt = about.attempt === null ? "" : `, attempt ${about.attempt + 1}`;
  return `${about.stage} ${about.index} of ${of}${attempt}`;
}

/** What open blocks, and those certified lately, rest on: their payloads and their tasks' proofs. */
export function artefactsNeeded(state: State): ReadonlySet<Hash> {
  const needed = new Set<Hash>(ownProofs(state));
  for (const block of state.blocks.values()) {
    needed.add(block.payload);
    for (const { proofs, attempts } of block.tasks) {
      for (const artefact of proofs.keys()) needed.add(artefact);
      for (const { commits, opened, reveal } of attempts.values()) {
        for (const { hash } of commits.values()) needed.add(hash);
        for (const result of [reveal?.made, opened]) if (result != null) needed.add(result.artefact);
      }
    }
  }
  return needed;
}

function whyBlock(state: State, block: Block): string {
  if (block.certificate !== null) return "its certificate is stored";
  if (block.invalid !== null) return `its payload is not the block's (${block.invalid})`;
  switch (block.state) {
    case "cancelled":
      return "a quorum saw it leave the chain";
    case "closed":
      return "all proofs are accepted; waits for a quorum of barrier signatures";
    case "open": {
      if (block.prepared === null)
        return block.tries > 0 ? "its payload cannot be had yet" : "its payload is being fetched and checked";
      const needed = block.tasks.filter((task) => isNeeded(state, task));
      const count = block.tasks.filter((task) => !isVoid(task)).length;
      const stuck = needed.filter((task) => quarantineOf(state, task) !== null).length;
      if (stuck > 0)
        return `${stuck} of ${count} tasks are in quarantine and tried again after growing pauses: see proofmesh tasks`;
      return needed.length > 0
        ? `${needed.length} of ${count} tasks are not complete`
        : "waits for its parent's barrier";
    }
    case "waiting":
      if (contradictsSource(state, block)) return "this node's own source sees another block at this height";
      if (!isConfirmed(state, block)) return whyUnconfirmed(state, block);
      if (parentOf(state, block) === undefined && !isParentClosed(state, block))
        return "nobody has announced its parent";
      return "earlier blocks fill the window";
  }
}

function whyUnconfirmed(state: State, block: Block): string {
  const chain = state.chains.get(block.chain);
  if (chain === undefined || !hasSource(chain)) return "too few of the network's sources have announced it";
  return block.told ? "it was announced under another id" : "this node's own source has not told it yet";
}

export function taskStatus(state: State, task: Task): TaskStatus {
  const attempt = openAttempt(state, task);
  const owner = ownerOfAttempt(state, task, attempt.number);
  const chosen = task.completeMs === null ? null : chosenProof(state, task);
  const base = {
    stage: task.stage.name,
    index: task.index,
    attempt: attempt.number,
    owner,
    prover: chosen?.made.prover ?? null,
    failures: countFailures(failuresOf(state, task)),
    waitMs: Math.max(0, Math.ceil((pausedUntilMs(attempt) ?? 0) - state.nowMs)),
  };
  if (task.completeMs !== null) return { ...base, state: "complete", why: "a quorum verified its proof" };
  if (isVoid(task) && task.stage.levels.length > 0)
    return { ...base, state: "unused", why: "its block is proven in another number of pieces" };
  if (task.block.state === "open" || task.block.state === "closed") {
    if (!isNeeded(state, task))
      return { ...base, state: "optional", why: "enough others are complete; its proof is recorded if it comes" };
  }
  if (task.readyMs === null) {
    const inputs = missingInput(state, task);
    return {
      ...base,
      state: "waiting",
      why: inputs === null || task.block.state !== "open" ? "its block is not open" : `waits for stage ${inputs}`,
    };
  }
  const quarantine = quarantineOf(state, task);
  if (quarantine !== null) return { ...base, state: "quarantined", why: whyQuarantined(task, quarantine, base) };
  const committed = isByAgreement(task) ? whyCommitted(state, task, attempt) : null;
  if (committed !== null) return { ...base, state: "proven", why: committed };
  if (task.proofs.size > 0) return { ...base, state: "proven", why: "its proof waits for a quorum of attesters" };
  if (owner === null) return { ...base, state: "ready", why: "no prover of the roster can take it" };
  if (attempt.claims.has(owner)) return { ...base, state: "claimed", why: `is being proven by ${owner.slice(0, 12)}` };
  if (base.waitMs > 0)
    return { ...base, state: "ready", why: `has failed before and is tried again in ${seconds(base.waitMs)}` };
  return { ...base, state: "ready", why: `waits for its owner ${owner.slice(0, 12)} to claim it` };
}

/** How far the commitment of the open attempt is; `null` where nobody has committed. */
function whyCommitted(state: State, task: Task, attempt: Attempt): string | null {
  const { need } = task.stage;
  const sealed = sealedIn(state, attempt);
  if (sealed === null) return attempt.commits.size > 0 ? "its commitment waits for a quorum of seals" : null;
  const prover = sealed.prover.slice(0, 12);
  if (!isDue(state, task)) return `${prover} has committed to a result; waits for commitments of ${need} provers`;
  return attempt.opened === null
    ? `${prover} has to show its result to the attesters`
    : `the result of ${prover} waits for ${need} provers that agree`;
}

/** What happened, what happens next, and what to do about it. */
function whyQuarantined(
  { block, stage, index }: Task,
  { code, logical }: Quarantine,
  { attempt, waitMs }: Pick<TaskStatus, "attempt" | "waitMs">,
): string {
  const name = `${block.chain}/${block.height}/${stage.name}/${index}`;
  const what = logical ? `its input fails everywhere with ${code}` : `too many attempts failed, the last with ${code}`;
  const next = `attempt ${attempt + 1} ${waitMs > 0 ? `opens in ${seconds(waitMs)}` : "is open"}`;
  return `${what}; ${next}; see proofmesh tasks export ${name}, and to end the pause proofmesh tasks requeue ${name}`;
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`;
}
