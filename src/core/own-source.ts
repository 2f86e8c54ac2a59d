/**
 * Which blocks this node acts on. The rule is positive confirmation: silence of a source is no consent.
 *
 * 1. A node whose own source follows the chain opens a block, and signs about it, only once that source has told this
 *    block: height, hash, parent, items and payload, and not the hash alone.
 * 2. The node waits for a source that answers and has not got that far. It obeys a source that tells another block.
 * 3. A source that has not answered for `sourceDownMs` counts as none until it answers again. Votes that were signed
 *    meanwhile stand.
 * 4. A node without a source acts on a block that more than a third of the sources' weight has announced. With fewer
 *    than four sources of equal weight one source is enough, so such a network trusts each of its sources.
 * 5. A block that the operator hands in counts as told, unless the own source tells another one.
 */
import type { BlockFacts, Facts } from "./facts.ts";
import { announcedAs, closedAs } from "./ancestry.ts";
import type { Chain, Seen } from "./soft.ts";
import { type Block, report, type State } from "./state.ts";

/** A clock that is so much late at the moment when a source goes down has slept with its machine: the wait begins anew. */
const SLEPT_MS = 5_000;

/** Whether this node may open the block and sign about it. A certificate is a quorum's word, which needs no source. */
export function isConfirmed(state: State, block: Block): boolean {
  if (block.certificate !== null) return true;
  // mutant: believe-announcements
  return !contradictsSource(state, block) && (block.told || isVouched(state, block)) && isRightStart(state, block);
}

/** Whether announcements alone confirm the block here, because no source of this node can tell it. */
function isVouched(state: State, block: Block): boolean {
  const chain = state.chains.get(block.chain);
  if (chain === undefined || !isAnnouncedEnough(state, block)) return false;
  if (!hasSource(chain)) return true;
  // A source that began in the middle of an `any` chain never tells what is below.
  return startsAnywhere(state, block.chain) && block.height < chain.sourceFrom;
}

/** Whether a source of this node follows the chain and answers. */
export function hasSource(chain: Chain): boolean {
  return chain.follows && !chain.sourceDown;
}

/** Whether so many sources have announced the block that one of them is honest. */
export function isAnnouncedEnough({ manifest }: Facts, { announcers }: BlockFacts): boolean {
  // mutant: believe-one-source
  return sourceWeight(manifest, announcers.keys()) >= manifest.oneHonestSource;
}

/** Whether sources of enough weight have taken the block back in its present round; each source counts once. */
export function isRetracted({ manifest }: Facts, { retracts, round }: BlockFacts): boolean {
  // RETRACT-1.
  // mutant: old-retracts-count
  const now = [...retracts].filter(([, said]) => said.round === round).map(([key]) => key);
  // mutant: retract-alone, foreign-retracts/alone
  return sourceWeight(manifest, now) >= manifest.oneHonestSource;
}

function sourceWeight({ sourceWeights }: State["manifest"], keys: Iterable<string>): number {
  let weight = 0;
  for (const key of keys) weight += sourceWeights.get(key) ?? 0;
  return weight;
}

/** Whether the own source tells another block at this height. */
export function contradictsSource(state: State, block: Block): boolean {
  const chain = state.chains.get(block.chain);
  if (chain === undefined || !hasSource(chain)) return false;
  const seen = chain.canonical.get(block.height);
  return seen !== undefined && !isSame(block, seen);
}

/** Whether the block was announced as the own source tells it. Where a run starts no chain says (`isRightStart`). */
export function isSame(block: Block, { height, hash, parent, items, payload }: Seen): boolean {
  // mutant: ids-by-hash
  return (
    block.height === height &&
    block.hash === hash &&
    block.parent === parent &&
    block.items === items &&
    block.payload === payload
  );
}

function startsAnywhere({ manifest }: State, chain: number): boolean {
  return manifest.json.chains.find(({ id }) => id === chain)?.start === "any";
}

/**
 * A block of an `any` chain may have been announced twice: as the start of a run, and as the child of its parent. Only
 * one of the two ids counts. A node that knows the parent prefers the child, unless enough sources began with the block.
 */
export function isRightStart(state: State, block: Block): boolean {
  // ANNOUNCE-14.
  // mutant: two-starts
  if (!startsAnywhere(state, block.chain)) return true;
  const twins = announcedAs(state, block.chain, block.hash).filter(
    (other) => other.start !== block.start && other.payload === block.payload && other.parent === block.parent,
  );
  const own = startRank(state, block);
  const other = Math.max(-1, ...twins.map((twin) => startRank(state, twin)));
  if (own !== other) return own > other && own > 0;
  return !block.start;
}

/** The higher of two counts: 4 the barrier is signed here, 3 closed, 2 a start that counts, 1 a child, 0 a false start. */
function startRank(state: State, block: Block): number {
  if (block.ownContent !== null) return 4;
  if (block.state === "closed") return 3;
  if (!block.start) return 1;
  const isOwn = block.announcers.has(state.options.self);
  return isOwn || isAnnouncedEnough(state, block) || !knowsParent(state, block) ? 2 : 0;
}

function knowsParent(state: State, { chain, height, parent }: Block): boolean {
  if (closedAs(state, chain, parent) !== undefined) return true;
  if (state.chains.get(chain)?.canonical.get(height - 1)?.hash === parent) return true;
  return announcedAs(state, chain, parent).some(({ told }) => told);
}

/** The own source has answered, whatever the answer. */
export function sourceAnswers(state: State, chain: Chain): void {
  chain.follows = true;
  chain.sourceMs = state.nowMs;
}

/** Notices sources that have stopped to answer, and those that answer again. */
export function settleSources(state: State): void {
  for (const chain of state.chains.values()) {
    if (!chain.follows) continue;
    const dueMs = chain.sourceMs + state.limits.sourceDownMs;
    if (!chain.sourceDown && state.nowMs > dueMs + SLEPT_MS) chain.sourceMs = state.nowMs;
    else if (state.nowMs >= dueMs !== chain.sourceDown) turn(state, chain);
  }
}

function turn(state: State, chain: Chain): void {
  chain.sourceDown = !chain.sourceDown;
  report(state, chain.sourceDown ? "source.down" : "source.up", { chain: chain.id });
  for (const block of state.blocks.values()) {
    if (block.chain !== chain.id || block.certificate !== null) continue;
    state.dirtyBlocks.add(block);
    for (const task of block.tasks) state.dirtyTasks.add(task);
  }
}

/** When the next source counts as none, if it does not answer before. */
export function nextSourceMs(state: State): number {
  const waiting = [...state.chains.values()].filter(hasSource);
  return Math.min(...waiting.map(({ sourceMs }) => sourceMs + state.limits.sourceDownMs), Number.POSITIVE_INFINITY);
}
