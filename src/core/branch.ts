/**
 * The branch that the own source follows: its blocks are announced, those that it gives up retracted and cancelled, and
 * those that come back announced again.
 */
import type { Hash } from "../protocol/ids.ts";
import { ROUNDS_MAX } from "../protocol/limits.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { announcedAs, closedAs } from "./ancestry.ts";
import { announcementOf, contradictsSource, isKnownPlace, placeOf, settleRounds, touch } from "./blocks.ts";
import { type Block, type Chain, report, type Seen, type Signed, type State, say } from "./state.ts";

/**
 * Where a source goes on after a restart: after the highest block that is certified, or that this node has announced
 * itself and whose ancestors are all here, down to a certified one or the start. What others announce may be on no chain,
 * or far above its head; a block told twice is a repetition. Nothing above a cancelled block is passed over, since that
 * may be back, nor above a block that is missing, since nobody else may announce it.
 */
export function sourceResumes(state: State, chain: number): { readonly height: number; readonly hash: Hash } | null {
  const blocks = [...state.blocks.values()].filter((block) => block.chain === chain);
  const certified = state.chains.get(chain)?.certified ?? -1;
  const gone = blocks.filter(({ state: is, height }) => is === "cancelled" && height > certified);
  const below = Math.min(...gone.map(({ height }) => height));
  const candidates: { readonly height: number; readonly hash: Hash }[] = [];
  const whole = new Set<Hash>();
  for (const closed of state.closed.values()) if (closed.chain === chain) candidates.push(closed);
  for (const block of blocks.toSorted((a, b) => a.height - b.height)) {
    const { start, parent, hash, height, announcers } = block;
    if (height >= below || !(start || whole.has(parent) || closedAs(state, chain, parent) !== undefined)) continue;
    whole.add(hash);
    if (announcers.has(state.options.self)) candidates.push(block);
  }
  let last: { readonly height: number; readonly hash: Hash } | null = null;
  for (const { height, hash } of candidates) if (last === null || height > last.height) last = { height, hash };
  return last;
}

/** The own source has a block: announced unless somebody already did, and remembered to check what others say. */
export function sourceBlock(state: State, seen: Seen): void {
  const chain = state.chains.get(seen.chain);
  const json = state.manifest.json.chains.find(({ id }) => id === seen.chain);
  if (chain === undefined || json === undefined) return;
  // Runs of blocks come in any order and need not be one chain.
  if (json.start !== "any") rememberCanonical(state, chain, seen);
  for (const other of state.blocks.values()) {
    if (other.chain !== seen.chain || other.height < seen.height) continue;
    touch(state, other);
    // Opened on the word of others, or before a restart during which the chain gave it up.
    if (other.state === "open" && contradictsSource(state, other)) giveUp(state, other);
  }
  const known = announcedAs(state, seen.chain, seen.hash).find((block) => isSame(block, seen));
  if (known === undefined && closedAs(state, seen.chain, seen.hash) !== undefined) return;
  if (known !== undefined) return announceReturn(state, known);
  if (!state.manifest.sources.has(state.options.self)) return;
  const isFirst =
    announcedAs(state, seen.chain, seen.parent).length === 0 && closedAs(state, seen.chain, seen.parent) === undefined;
  const start = json.start === "any" ? isFirst : seen.height === json.start;
  say(state, { ...seen, kind: "announce", start, workflow: json.workflow, round: 0 });
}

/**
 * A block may be cancelled by votes from before it was back on the branch. Whoever sees it there announces it again,
 * or nobody would: its source has told of it already. In the same way a block is cancelled again where somebody has
 * announced it in a new round, and the own source still sees another.
 */
export function settleReturn(state: State, block: Block): void {
  const seen = state.chains.get(block.chain)?.canonical.get(block.height);
  // mutant: cancel-alone/return
  if (seen !== undefined && isSame(block, seen)) announceReturn(state, block);
  const isGone = block.state === "open" && contradictsSource(state, block);
  if (isGone && state.options.roles.attester && block.certificate === null) cancel(state, block);
}

function announceReturn(state: State, block: Block): void {
  if (block.state !== "cancelled" || block.ownReturn === block.round || state.mute !== null || state.replaying) return;
  if (!state.manifest.sources.has(state.options.self) || block.round + 1 >= ROUNDS_MAX) return;
  block.ownReturn = block.round;
  say(state, { kind: "announce", ...announcementOf(block), round: block.round + 1 });
}

/** Whether it was announced as the own source sees it; where a run starts is the announcer's word. */
function isSame(block: Block, { height, hash, parent, items, payload }: Seen): boolean {
  return (
    block.height === height &&
    block.hash === hash &&
    block.parent === parent &&
    block.items === items &&
    block.payload === payload
  );
}

function rememberCanonical(state: State, chain: Chain, seen: Seen): void {
  const { height } = seen;
  chain.canonical.set(height, seen);
  chain.sourceTip = height;
  for (const above of [...chain.canonical.keys()].filter((key) => key > height)) chain.canonical.delete(above);
  chain.canonical.delete(height - state.limits.canonicalMax);
}

export function sourceRetract(state: State, chainId: number, hash: Hash): void {
  const chain = state.chains.get(chainId);
  if (chain === undefined) return;
  for (const [height, seen] of chain.canonical) if (seen.hash === hash) chain.canonical.delete(height);
  for (const block of announcedAs(state, chainId, hash)) giveUp(state, block);
}

function giveUp(state: State, block: Block): void {
  if (block.certificate !== null) return;
  if (state.manifest.sources.has(state.options.self))
    say(state, { kind: "retract", block: block.id, round: block.round });
  if (state.options.roles.attester) cancel(state, block);
}

export function applyRetract(state: State, signed: Signed, entry: EntryOf<"retract">): Refusal | null {
  const block = state.blocks.get(entry.block);
  if (block === undefined) return "block.unknown";
  if (entry.round < block.round || block.certificate !== null) return null;
  block.retracts.add(signed.author);
  // An attester that follows the chain itself believes its own source and nobody else's, also before that has said
  // anything: a liar would else have each cancel a block that has just come back from a restart.
  const chain = state.chains.get(block.chain);
  const sees = state.manifest.sources.has(state.options.self) || (chain !== undefined && chain.sourceTip >= 0);
  if (state.options.roles.attester && !sees) cancel(state, block);
  return null;
}

function cancel(state: State, block: Block): void {
  if (block.ownCancel === block.round || state.mute !== null || state.replaying) return;
  block.ownCancel = block.round;
  say(state, { kind: "cancel", block: block.id, round: block.round });
}

export function applyCancel(state: State, signed: Signed, entry: EntryOf<"cancel">): Refusal | null {
  const block = state.blocks.get(entry.block);
  if (block === undefined) return "block.unknown";
  if (signed.author === state.options.self) block.ownCancel = Math.max(block.ownCancel ?? 0, entry.round);
  const { round } = entry;
  const known = block.cancels.get(signed.author);
  const isLater = known === undefined || round > known.round;
  if (isLater || (round === known.round && !isKnownPlace(known, signed)))
    block.cancels.set(signed.author, { ...placeOf(signed), round });
  const { state: before } = block;
  settleRounds(state, block);
  if (before !== "cancelled" && block.state === "cancelled") {
    report(state, "block.cancelled", { chain: block.chain, height: block.height, hash: block.hash });
    touch(state, block);
  }
  return null;
}
