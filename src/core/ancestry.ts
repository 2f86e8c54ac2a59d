/**
 * How blocks hang together. Chains name a parent by its hash alone, while a block's id commits to all that its
 * announcement says; so several blocks may go by one name, of which at most one is what its payload says.
 */
import type { Closed } from "../protocol/certificate.ts";
import type { Hash } from "../protocol/ids.ts";
import { forgetLocks } from "./locks.ts";
import { takePending } from "./pending.ts";
import { unindexArtefacts } from "./receipts.ts";
import type { BlockFacts, Facts } from "./facts.ts";
import type { Block, State } from "./state.ts";
import { branchesChanged } from "./changes.ts";

function nameOf(chain: number, hash: Hash): string {
  return `${chain}/${hash}`;
}

/** All blocks that were announced under this hash. */
export function announcedAs<B extends BlockFacts>(
  state: { readonly named: ReadonlyMap<string, readonly B[]> },
  chain: number,
  hash: Hash,
): readonly B[] {
  return state.named.get(nameOf(chain, hash)) ?? [];
}

/** The block of this hash whose barrier is certified. */
export function closedAs(state: Pick<Facts, "closedNames">, chain: number, hash: Hash): Closed | undefined {
  return state.closedNames.get(nameOf(chain, hash));
}

export function remember(state: State, block: Block): void {
  const name = nameOf(block.chain, block.hash);
  branchesChanged(state);
  state.blocks.set(block.id, block);
  state.named.set(name, [...(state.named.get(name) ?? []), block]);
}

export function forget(state: State, block: Block): void {
  const name = nameOf(block.chain, block.hash);
  const others = announcedAs(state, block.chain, block.hash).filter((other) => other !== block);
  branchesChanged(state);
  // mutant: tasks-counted-for-ever
  if (state.blocks.delete(block.id)) state.taskCount -= block.tasks.length;
  state.live.delete(block);
  // mutant: artefacts-indexed-for-ever
  unindexArtefacts(state, block);
  forgetLocks(state, block.id);
  takePending(state, block.id);
  if (others.length > 0) state.named.set(name, others);
  else state.named.delete(name);
}

/** The parent; of several blocks that go by its name the one that has come furthest, since lies do not get far. */
export function parentOf(state: State, block: Block): Block | undefined {
  const [first, ...others] = announcedAs(state, block.chain, block.parent);
  return others.reduce((best, other) => (best === undefined || progress(other) > progress(best) ? other : best), first);
}

function progress({ state, prepared, invalid }: Block): number {
  if (prepared !== null) return state === "closed" ? 5 : state === "open" ? 4 : 3;
  if (invalid !== null) return 0;
  return state === "open" || state === "closed" ? 2 : 1;
}

export function childrenOf(state: State, block: { readonly chain: number; readonly hash: Hash }): Block[] {
  return [...state.blocks.values()].filter((child) => child.chain === block.chain && child.parent === block.hash);
}

/** What stands behind a block, through all that is open: where it closes, the window moves on for the last of them. */
export function heirsOf(state: State, block: { readonly chain: number; readonly hash: Hash }): ReadonlySet<Block> {
  const heirs = new Set(childrenOf(state, block));
  // What is added is walked, too; announced falsely, blocks may stand behind each other.
  for (const heir of heirs) if (heir.state === "open") for (const child of childrenOf(state, heir)) heirs.add(child);
  return heirs;
}

/** Whether the parent's barrier is closed here, or none is needed. */
export function isParentClosed(state: State, block: Block): boolean {
  return isParentCertified(state, block) || parentOf(state, block)?.state === "closed";
}

/** Whether the parent's barrier is certified here, or none is needed: certificates come in chain order. */
export function isParentCertified(state: State, block: Block): boolean {
  return block.start || closedAs(state, block.chain, block.parent) !== undefined;
}

export function rememberClosed(state: State, closed: Closed): void {
  const chain = state.chains.get(closed.chain);
  if (!state.closed.has(closed.id)) {
    state.certifiedCount++;
    if (chain !== undefined) chain.certifiedCount++;
  }
  branchesChanged(state);
  state.closed.set(closed.id, closed);
  state.closedNames.set(nameOf(closed.chain, closed.hash), closed);
  if (chain !== undefined) chain.certified = Math.max(chain.certified, closed.height);
}

/** How a chain names a block. */
export interface BlockName {
  readonly chain: number;
  readonly hash: Hash;
}

/**
 * Names that the disk's index of certified blocks is asked for before this node hears of a block: the block's own and
 * its parent's, where memory knows nothing of them. `closed` in memory is only the newest part of that index.
 */
export function lookUps(state: State, { chain, hash, parent }: Pick<Block, "chain" | "hash" | "parent">): BlockName[] {
  if (!state.chains.has(chain)) return [];
  const isUnknown = (name: Hash) =>
    closedAs(state, chain, name) === undefined && announcedAs(state, chain, name).length === 0;
  return [hash, parent].filter(isUnknown).map((name) => ({ chain, hash: name }));
}

/** The oldest go; the index on disk keeps them. */
export function trimClosed(state: State): void {
  for (const [id, { chain, hash }] of state.closed) {
    if (state.closed.size <= state.limits.closedMax) return;
    branchesChanged(state);
    state.closed.delete(id);
    state.tallies.delete(id);
    if (closedAs(state, chain, hash)?.id === id) state.closedNames.delete(nameOf(chain, hash));
  }
}
