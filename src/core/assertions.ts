/**
 * Assertions that stay on: each step checks S1 to S4 and S6 over what it touched (S5 is checked by `runtime/runtime.ts`).
 *
 * A failed assertion throws, and the runtime ends the node before it signs anything more. Only a fault of this program or
 * of its machine may fail one. The votes of keys that are out, or that must be out, can break S1 where they have more than
 * f of the weight: the node then reports `invariant.broken` and goes on, because its own votes are still right.
 */
import { NOBODY } from "../protocol/payee.ts";
import { findProof } from "./receipts.ts";
import type { BarrierContent } from "../protocol/certificate.ts";
import type { Key } from "../protocol/ids.ts";
import { isParentCertified, parentOf } from "./ancestry.ts";
import { classOf } from "./classes.ts";
import { broken, type Invariant } from "./invariant.ts";
import { isLocked, isLockedVote } from "./locks.ts";
import { isQuorum, weightOf } from "./facts.ts";
import { type Block, report, type State, type Task } from "./state.ts";
import { checkViews } from "./views.ts";

/** What a step has looked at. */
export interface Touched {
  readonly tasks: Set<Task>;
  readonly blocks: Set<Block>;
}

/** Each view is compared in one step of so many: to compute it anew costs what the memo saves. */
const VIEW_STEPS = 64;
/** Different reports of a broken invariant; more of them tell an operator nothing new. */
const REPORTS_MAX = 64;

/** S1: the attempt before is over for a quorum. */
export function assertGrant(state: State, task: Task, attempt: number): void {
  const before = task.attempts.get(attempt - 1);
  if (attempt > 0 && !isQuorum(state, before?.timeouts.keys() ?? []))
    broken("S1", `${nameOf(task)}#${attempt} shall be granted, and no quorum of timeouts ended attempt ${attempt - 1}`);
}

/** S1: a quorum has granted the attempt to the prover that the attest pays. */
export function assertAttest(state: State, task: Task, attempt: number, prover: Key): void {
  const grants = task.attempts.get(attempt)?.grants.get(prover)?.keys() ?? [];
  if (!isQuorum(state, grants))
    broken("S1", `${nameOf(task)}#${attempt} shall be attested for ${prover}, to whom no quorum has granted it`);
}

// S2.
/** S2 and S3: what a barrier vote names was verified here or by a quorum, and barriers are signed in chain order. */
export function assertBarrier(state: State, block: Block, content: BarrierContent): void {
  for (const { stage, index, artefact, prover } of content.tasks) {
    const task = block.tasksByStage.get(stage)?.[index];
    const proof = task === undefined ? undefined : findProof(task, artefact, prover ?? NOBODY);
    if (proof === undefined || (proof.verdict !== "valid" && !isQuorum(state, proof.vouchers.keys())))
      broken(
        "S2",
        `the barrier of block ${block.id} names proof ${artefact} of ${stage}/${index}, which nobody verified`,
      );
  }
  if (!isParentCertified(state, block) && (parentOf(state, block)?.ownContent ?? null) === null)
    broken("S3", `the barrier of block ${block.id} shall be signed before that of its parent ${block.parent}`);
}

/** Called when a step has settled, before anything that it decided is signed. */
export function assertStep(state: State, touched: Touched): void {
  const { checks, options } = state;
  checks.steps++;
  const isWhole = options.checkAllEvery !== undefined && checks.steps % options.checkAllEvery === 0;
  assertOutbox(state);
  const blocks = isWhole ? state.blocks.values() : touched.blocks;
  const tasks = isWhole ? [...state.blocks.values()].flatMap((block) => block.tasks) : touched.tasks;
  for (const task of tasks) assertTask(state, task);
  if (isWhole) assertCounters(state);
  if (!isWhole && checks.steps % VIEW_STEPS !== 0) return;
  for (const block of blocks) assertViews(state, block, isWhole);
}

/** S4: each vote that is about to be signed has its lock. */
function assertOutbox(state: State): void {
  for (const entry of state.outbox) {
    if (isLockedVote(entry) && !isLocked(state, entry))
      broken(
        "S4",
        `${entry.kind} of ${entry.stage}/${entry.index}#${entry.attempt} of block ${entry.block} has no lock`,
      );
  }
}

/** S1: an attempt has one prover, and a task pays once. */
function assertTask(state: State, task: Task): void {
  let paid: string | null = null;
  for (const attempt of task.attempts.values()) {
    // What is certified keeps the votes of keys that are out.
    if (attempt.grants.size > 1 && task.block.certificate === null && countQuorums(state, attempt.grants) > 1)
      violated(state, "S1", `quorums granted ${nameOf(task)}#${attempt.number} to two provers`);
    for (const [prover, votes] of attempt.attests) {
      if (!isQuorum(state, votes.keys())) continue;
      // Attesters that vote out of turn show no evidence, so more than f of them may do this and not be out.
      if (paid !== null) reportBroken(state, "S1", `quorums credit ${nameOf(task)} to ${paid} and to ${prover}`);
      paid = prover;
    }
  }
}

function countQuorums(state: State, votes: ReadonlyMap<Key, ReadonlyMap<Key, unknown>>): number {
  return [...votes.values()].filter((voters) => isQuorum(state, voters.keys())).length;
}

/** S6: a counter says what is counted anew. Otherwise an account would be larger or smaller than its rule. */
function assertCounters(state: State): void {
  const tasks = [...state.blocks.values()].reduce((sum, block) => sum + block.tasks.length, 0);
  if (tasks !== state.taskCount) broken("S6", `the counter of tasks is ${state.taskCount}; counted: ${tasks}`);
  const named = [...state.blocks.values()].reduce((sum, block) => sum + countNamed(block.tasks), 0);
  const indexed = [...state.namedArtefacts.values()].reduce((sum, each) => sum + each.size, 0);
  if (named !== indexed) broken("S6", `the index of artefacts has ${indexed} entries; counted: ${named}`);
  for (const name of ["attester", "member", "stranger"] as const) {
    const feeds = [...state.log.feeds()].filter(({ author }) => classOf(state, author) === name);
    const cost = feeds.reduce((sum, feed) => sum + feed.cost, 0);
    const sum = state.log.sumOf(name, state.changes.roster);
    if (sum.cost !== cost || sum.feeds !== feeds.length)
      broken("S6", `${sum.feeds} feeds of class ${name} cost ${sum.cost}; counted: ${feeds.length} and ${cost}`);
  }
}

/** How many artefacts the receipts of each task name, in sum. */
function countNamed(tasks: readonly Task[]): number {
  return tasks.reduce((sum, { receipts }) => {
    const artefacts = [...receipts.values()].flatMap(({ byArtefact }) => [...byArtefact.keys()]);
    return sum + new Set(artefacts).size;
  }, 0);
}

// S6.
/** S6: a memo says what is computed anew. A certified block keeps what it was certified with. */
function assertViews(state: State, block: Block, isWhole: boolean): void {
  if (block.certificate !== null || !state.blocks.has(block.id)) return;
  const [stale] = checkViews(state, block, isWhole);
  if (stale !== undefined) broken("S6", `the memo of ${stale} of block ${block.id} is not what its facts say`);
}

/** Throws, unless keys of more than f of the weight are out. */
function violated(state: State, invariant: Invariant, message: string): void {
  if (weightOf(state, state.out.keys()) < state.manifest.oneHonest) broken(invariant, message);
  reportBroken(state, invariant, message);
}

function reportBroken(state: State, invariant: Invariant, message: string): void {
  const { reported } = state.checks;
  if (reported.size >= REPORTS_MAX || reported.has(message)) return;
  reported.add(message);
  report(state, "invariant.broken", { invariant, message });
}

function nameOf({ block, stage, index }: Task): string {
  return `${stage.name}/${index} of block ${block.id}`;
}
