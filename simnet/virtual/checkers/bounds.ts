/**
 * R1: what a node keeps is bounded under any input. Each line is a limit that follows from the manifest and the
 * protocol's own constants, whatever the peers say.
 */
import { accountOf } from "../../../src/core/account.ts";
import { ATTEMPTS_AHEAD_MAX, UNRECEIPTED_MAX } from "../../../src/core/collector.ts";
import { parentOf } from "../../../src/core/ancestry.ts";
import { claimOf } from "../../../src/core/attempts.ts";
import { openAttempt } from "../../../src/core/makers.ts";
import { ownerOfAttempt } from "../../../src/core/standing.ts";
import type { Attempt, Block, State, Task } from "../../../src/core/state.ts";

const STANDING_MAX = 4096;
const BLOCKS_MAX = 4096;
const ROUNDS_MAX = 64;
/** A reorganisation may announce as many again, and a cancelled block may be back. */
const SIBLINGS_MAX = 16;
/** Contents that one attester may sign of one block while logs converge. */
const CONTENTS_MAX = 8;
/** Proofs that one prover may hand in, and one attester may vouch for, of one task. */
const PROOFS_MAX = 8;
/** Blocks that admission proofs may be of, beside two windows: five epochs. */
const BASES_MAX = 80;
/** Admission proofs that one drawing has verified. */
const VERIFIED_MAX = 64;

export function checkBounds(node: string, state: State): string[] {
  const found: string[] = [];
  const within = (what: string, size: number, most: number) => {
    // BATCH-14, BATCH-16, ENTRY-3, ENTRY-6, ENTRY-7.
    if (size > most) found.push(`R1: ${node} keeps ${size} ${what}; allowed: ${most}`);
  };
  within("feeds", [...state.log.feeds()].length, state.limits.feedsMax);
  within("admissions", state.admissions.size, STANDING_MAX);
  within("benches", state.benches.size, STANDING_MAX);
  within("blocks", state.blocks.size, BLOCKS_MAX);
  within("effects", state.effects.length + state.outbox.length, 0);
  for (const { author, cost } of state.log.feeds()) {
    if (author === state.options.self) continue;
    const { bytesMax } = accountOf(state, author);
    // Blocks that are let go of by now have made the account larger, so twice of what it is may be there for a while.
    within(`bytes of ${author.slice(0, 8)}`, cost, 2 * bytesMax);
  }
  within("accounts", state.accounts.size, state.limits.feedsMax);
  checkAdmission(state, within);
  // BATCH-15.
  for (const [author, { checks }] of state.accounts)
    within(
      `signature checks of ${author.slice(0, 8)} unpaid`,
      checks.spent,
      state.limits.authorChecksPerSecond * state.limits.checksSeconds,
    );
  checkAnnounced(state, within);
  for (const block of state.blocks.values()) checkBlock(state, block, within);
  return found;
}

type Within = (what: string, size: number, most: number) => void;

/** An attester keeps and verifies a limited number of newcomers' proofs. */
function checkAdmission(state: State, within: Within): void {
  const { chains, workflows } = state.manifest.json;
  within("candidates", state.candidates.size, state.limits.feedsMax);
  for (const { id, bases, drawing } of state.chains.values()) {
    const workflow = chains.find((chain) => chain.id === id)?.workflow ?? "";
    within("base blocks", bases.size, BASES_MAX + 2 * (workflows[workflow]?.window ?? 1));
    // ADMIT-12.
    within("admission proofs that one drawing has verified", drawing?.asked ?? 0, VERIFIED_MAX);
  }
}

/** Uncertified blocks of each source: few of one height. */
function checkAnnounced(state: State, within: Within): void {
  const counts = new Map<string, number>();
  for (const { chain, height, certificate, state: is, announcers } of state.blocks.values()) {
    if (certificate !== null || is === "cancelled") continue;
    for (const author of announcers.keys()) {
      const name = `uncertified blocks of ${author.slice(0, 8)} at ${chain}/${height}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  for (const [name, count] of counts) within(name, count, SIBLINGS_MAX);
}

function checkBlock(state: State, block: Block, within: Within): void {
  const attesters = state.manifest.weights.size;
  checkHeight(state, block, within);
  // ANNOUNCE-4.
  within("rounds of a block", Math.max(-1, ...block.rounds.keys()) + 1, ROUNDS_MAX);
  // BARRIER-4.
  for (const key of state.manifest.weights.keys()) {
    const signed = [...block.votes.values()].filter((votes) => votes.has(key)).length;
    within(`contents of ${key.slice(0, 8)} for a block`, signed, CONTENTS_MAX);
  }
  within("barrier contents of a block", block.votes.size, attesters * CONTENTS_MAX);
  if (block.prepared === null && block.certificate === null)
    within("tasks of a block whose payload it has not read", block.tasks.length, 0);
  for (const task of block.tasks) checkTask(state, task, within);
}

// BATCH-9, ANNOUNCE-11.
function checkHeight(state: State, block: Block, within: Within): void {
  const rule = state.manifest.json.chains.find(({ id }) => id === block.chain);
  const chain = state.chains.get(block.chain);
  const isForeign = !block.announcers.has(state.options.self) && !block.told && block.certificate === null;
  if (isForeign && typeof rule?.start === "number" && chain !== undefined)
    within(
      "blocks above the highest certified one, far above,",
      block.height - Math.max(chain.certified, rule.start),
      2 * state.limits.blockAheadMax,
    );
  // Blocks that an excluded key's votes had closed are open again.
  if (block.state !== "open" || state.out.size > 0) return;
  let [behind, at] = [1, parentOf(state, block)];
  for (; at?.state === "open"; at = parentOf(state, at)) behind++;
  // A certificate may come behind a reorg, and a proof may lose its receipt.
  within("blocks open behind each other", behind, 2 * (state.manifest.json.workflows[block.workflow]?.window ?? 1));
}

function checkTask(state: State, task: Task, within: Within): void {
  const voices = state.manifest.weights.size + state.roster.size;
  within("attempts of a task", task.attempts.size, openAttempt(state, task).number + 1 + ATTEMPTS_AHEAD_MAX);
  within("proofs of a task", task.proofs.size, voices * PROOFS_MAX);
  const handedIn = [...task.proofs.values()].filter(({ receipts }) => receipts.size > 0).length;
  // What an attester named may have lost its receipt since.
  const named = state.manifest.weights.size * 2 * UNRECEIPTED_MAX;
  within("proofs of a task that nobody has handed in", task.proofs.size - handedIn, named);
  for (const attempt of task.attempts.values()) checkAttempt(state, task, attempt, within);
}

/** Claims of provers that nothing rests on: neither the owner's, nor the node's own, nor of one with a grant. */
function foreignClaims(state: State, task: Task, attempt: Attempt): number {
  const { number, claims, grants } = attempt;
  const parties = [claimOf(attempt)?.claimant, state.options.self, ownerOfAttempt(state, task, number)];
  return [...claims.keys()].filter((key) => !parties.includes(key) && !grants.has(key)).length;
}

function checkAttempt(state: State, task: Task, attempt: Attempt, within: Within): void {
  const voices = state.manifest.weights.size + state.roster.size;
  within("claims of an attempt", attempt.claims.size, state.roster.size);
  // PACE-6.
  // The owner of an attempt may have been another one when it ended.
  within(
    "claims of an attempt that is over",
    attempt.number < task.overTo ? foreignClaims(state, task, attempt) : 0,
    1,
  );
  within("grantees of an attempt", attempt.grants.size, voices * PROOFS_MAX);
  within("attested provers of an attempt", attempt.attests.size, voices * PROOFS_MAX);
}
