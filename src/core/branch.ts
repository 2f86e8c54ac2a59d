/**
 * The branch that the own source follows: its blocks are announced, those that it gives up retracted and cancelled, and
 * those that come back announced again.
 */
import type { Hash } from "../protocol/ids.ts";
import { ROUNDS_MAX } from "../protocol/limits.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { announcedAs, closedAs } from "./ancestry.ts";
import { announcementOf, isKnownPlace, placeOf, settleRounds, startOf, touch } from "./blocks.ts";
import {
  contradictsSource,
  hasSource,
  isAnnouncedEnough,
  isConfirmed,
  isRetracted,
  isRightStart,
  isSame,
  settleSources,
  sourceAnswers,
} from "./own-source.ts";
import { isEarlier, type Signed, keepVote, replaceVote } from "./facts.ts";
import type { Chain, Seen } from "./soft.ts";
import { type Block, report, type State, say } from "./state.ts";

/**
 * Where a source goes on after a restart: after the highest certified block. Whatever is not certified is told again,
 * because this node signs about it only once its own source has told it, and because blocks below the last one that it
 * announced may be missing. A block told twice is a repetition. A run of an `any` chain of which nothing is certified
 * goes on with the lowest block that this node has announced; its source would begin at another height else.
 */
export function sourceResumes(state: State, chain: number): { readonly height: number; readonly hash: Hash } | null {
  let last: { readonly height: number; readonly hash: Hash } | null = null;
  for (const closed of state.closed.values())
    if (closed.chain === chain && (last === null || closed.height > last.height)) last = closed;
  if (last !== null) return { height: last.height, hash: last.hash };
  if (startOf(state, chain) !== "any") return null;
  const own = [...state.blocks.values()].filter((block) => block.chain === chain && block.ownAnnounce);
  const lowest = Math.min(...own.map(({ height }) => height));
  const first = own.find(({ height }) => height === lowest && height > 0);
  return first === undefined ? null : { height: first.height - 1, hash: first.parent };
}

/**
 * The own source tells a block. The block is remembered to check what others announce, and announced unless so many
 * sources have done so that nodes without a source act on it. `handed`: the operator hands in a block alone, which says
 * nothing of other blocks.
 */
export function sourceBlock(state: State, seen: Seen, handed: boolean): void {
  const chain = state.chains.get(seen.chain);
  const json = state.manifest.json.chains.find(({ id }) => id === seen.chain);
  if (chain === undefined || json === undefined) return;
  if (!handed) {
    sourceAnswers(state, chain);
    settleSources(state);
    rememberCanonical(state, chain, seen);
  }
  const known = announcedAs(state, seen.chain, seen.hash).filter((block) => isSame(block, seen));
  if (known.length === 0 && closedAs(state, seen.chain, seen.hash) !== undefined) return;
  for (const block of known) {
    block.told = true;
    block.isToldAnew = true;
    touch(state, block);
  }
  const right = known.find((block) => isRightStart(state, block));
  if (right !== undefined) return settleReturn(state, right);
  if (!state.manifest.sources.has(state.options.self)) return;
  const isFirst =
    announcedAs(state, seen.chain, seen.parent).length === 0 && closedAs(state, seen.chain, seen.parent) === undefined;
  const start = json.start === "any" ? isFirst : seen.height === json.start;
  say(state, { ...seen, kind: "announce", start, workflow: json.workflow, round: 0 });
}

/**
 * A block may be cancelled by votes from before it was back on the branch. A node that sees it there announces it again,
 * because its source has told it already and nobody else would. In the same way a block is cancelled again where somebody
 * has announced it in a new round, and the own source still sees another. A node without a source cancels a block that
 * enough sources take back.
 */
export function settleReturn(state: State, block: Block): void {
  if (block.certificate !== null) return;
  const chain = state.chains.get(block.chain);
  if (chain?.takenBack.delete(block.hash) === true) giveUp(state, block);
  if (block.told && isConfirmed(state, block)) {
    // mutant: cancel-alone/return
    announceReturn(state, block);
    announceToo(state, block);
  }
  if (!state.options.roles.attester) return;
  // A block that comes back was open here, and nodes without a source may open it again.
  const isBack = block.state === "waiting" && block.ownCancel !== null;
  const isGone = (block.state === "open" || isBack) && contradictsSource(state, block);
  // RETRACT-2, RETRACT-3, CANCEL-4.
  const isTakenBack =
    chain !== undefined &&
    // mutant: foreign-retracts
    !hasSource(chain) &&
    isRetracted(state, block);
  if (isGone || isTakenBack) cancel(state, block);
}

function announceReturn(state: State, block: Block): void {
  // The chain may have given the block up while this node was down.
  // ANNOUNCE-15.
  // mutant: return-unasked
  if (!block.isToldAnew) return;
  if (block.state !== "cancelled" || block.ownReturn === block.round || !mayAnnounce(state)) return;
  if (block.round + 1 >= ROUNDS_MAX) return;
  block.ownReturn = block.round;
  block.ownAnnounce = true;
  say(state, { kind: "announce", ...announcementOf(block), round: block.round + 1 });
}

/** Others were first, and too few of them for nodes that have no source. */
function announceToo(state: State, block: Block): void {
  // ANNOUNCE-9.
  // mutant: announce-first-only
  if (block.ownAnnounce || isAnnouncedEnough(state, block) || !mayAnnounce(state)) return;
  block.ownAnnounce = true;
  say(state, { kind: "announce", ...announcementOf(block), round: block.round });
}

function mayAnnounce(state: State): boolean {
  return state.mute === null && !state.replaying && state.manifest.sources.has(state.options.self);
}

function rememberCanonical(state: State, chain: Chain, seen: Seen): void {
  const { height } = seen;
  chain.takenBack.delete(seen.hash);
  dropOtherBranch(state, chain, seen);
  chain.canonical.set(height, seen);
  chain.sourceTip = height;
  chain.sourceFrom = Math.min(chain.sourceFrom, height);
  chain.canonical.delete(height - state.limits.canonicalMax);
  for (const other of state.blocks.values()) {
    if (other.chain !== chain.id || other.height < height) continue;
    touch(state, other);
    // Opened while the source did not answer, or before a restart during which the chain gave it up.
    if (other.state === "open" && contradictsSource(state, other)) giveUp(state, other);
  }
}

/** A source that tells another block at a height has turned back there, and what it told above is gone. */
function dropOtherBranch(state: State, { id, canonical }: Chain, seen: Seen): void {
  const above = canonical.get(seen.height + 1);
  const isOther = (canonical.get(seen.height)?.hash ?? seen.hash) !== seen.hash;
  if (!isOther && (above === undefined || above.parent === seen.hash)) return;
  for (const [at, before] of [...canonical].filter(([key]) => key >= seen.height)) {
    canonical.delete(at);
    for (const block of announcedAs(state, id, before.hash)) untell(block);
  }
}

function untell(block: Block): void {
  block.told = false;
  block.isToldAnew = false;
}

export function sourceRetract(state: State, chainId: number, hash: Hash): void {
  const chain = state.chains.get(chainId);
  if (chain === undefined) return;
  sourceAnswers(state, chain);
  for (const [height, seen] of chain.canonical) if (seen.hash === hash) chain.canonical.delete(height);
  const known = announcedAs(state, chainId, hash);
  for (const block of known) giveUp(state, block);
  if (known.length === 0) takeBackLater(state, chain, hash);
}

/** Its own announcement is on the way to the disk, if there is one. */
function takeBackLater({ limits }: State, { takenBack }: Chain, hash: Hash): void {
  takenBack.add(hash);
  const [oldest] = takenBack;
  if (takenBack.size > limits.canonicalMax && oldest !== undefined) takenBack.delete(oldest);
}

function giveUp(state: State, block: Block): void {
  if (block.certificate !== null) return;
  untell(block);
  touch(state, block);
  // RETRACT-4.
  // mutant: retract-again
  const isNews = !block.ownRetract && !block.retracts.has(state.options.self);
  if (isNews && mayAnnounce(state)) {
    block.ownRetract = true;
    say(state, { kind: "retract", block: block.id, round: block.round });
  }
  if (state.options.roles.attester) cancel(state, block);
}

/**
 * A source may take a block back once. A node that follows the chain believes its own source and nobody else's; others
 * cancel once enough sources take the block back (`settleReturn`).
 */
export function applyRetract(state: State, signed: Signed, entry: EntryOf<"retract">): Refusal | null {
  const block = state.blocks.get(entry.block);
  if (block === undefined) return "block.unknown";
  const known = block.retracts.get(signed.author);
  // RETRACT-5.
  // mutant: retracts-again
  if (known !== undefined && !isEarlier(signed, known)) return "retract.twice";
  // mutant: retracts-again/kept
  keepVote(block.retracts, signed.author, { ...placeOf(signed), round: entry.round });
  state.dirtyBlocks.add(block);
  return known === undefined ? null : "retract.twice";
}

function cancel(state: State, block: Block): void {
  // VERIFY-8.
  if (state.mute !== null || state.replaying || state.unverifiable !== null) return;
  // mutant: cancel-again
  if (block.ownCancel === block.round) return;
  block.ownCancel = block.round;
  say(state, { kind: "cancel", block: block.id, round: block.round });
}

export function applyCancel(state: State, signed: Signed, entry: EntryOf<"cancel">): Refusal | null {
  const block = state.blocks.get(entry.block);
  if (block === undefined) return "block.unknown";
  if (signed.author === state.options.self) block.ownCancel = Math.max(block.ownCancel ?? 0, entry.round);
  const { round } = entry;
  const known = block.cancels.get(signed.author);
  // CANCEL-1.
  // mutant: first-cancel-counts
  const isLater = known === undefined || round > known.round;
  if (isLater || (round === known.round && !isKnownPlace(known, signed)))
    replaceVote(block.cancels, signed.author, { ...placeOf(signed), round });
  const before = { state: block.state, round: block.round };
  settleRounds(state, block);
  if (before.state !== "cancelled" && block.state === "cancelled")
    report(state, "block.cancelled", { chain: block.chain, height: block.height, hash: block.hash });
  // A retract of the round that the block is in now may have come before.
  if (before.state !== block.state || before.round !== block.round) touch(state, block);
  return null;
}
