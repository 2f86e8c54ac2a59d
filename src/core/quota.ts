/**
 * What a prover may have claimed at once on a chain: measured, never declared.
 *
 * Each credited proof widens it by one, each rejected proof and each lost lease halves it (additive increase,
 * multiplicative decrease), block by block in the order of heights. Only the blocks of the retention count, and only
 * signed facts: a quorum's credit or timeout, or a rejection that one honest attester at least has signed. So nodes with the
 * same log have the same quotas, over restarts too. It is never below one: whoever proves again is believed again.
 */
import type { Key } from "../protocol/ids.ts";
import { assignedTo, creditOf } from "./makers.ts";
import { endCode } from "./failures.ts";
import { type BlockFacts, type Facts, isQuorum, weightOf } from "./facts.ts";
import type { Block, State } from "./state.ts";
import { see, type View } from "./views.ts";

export function quotaOf(state: State, prover: Key, chain: number): number {
  const { limits, provers } = state.manifest.json;
  const most = (state.roster.get(prover)?.slots ?? 1) * limits.claimsPerSlotMax;
  // Who is named in the manifest is known to its authors; a newcomer begins with one.
  let quota = provers.list.some(({ key }) => key === prover) ? most : 1;
  for (const block of history(state, chain)) {
    const merits = see(state, block, MERITS).get(prover);
    if (merits === undefined) continue;
    quota = Math.min(quota + merits.credits, most);
    for (let fault = 0; fault < merits.faults && quota > 1; fault++) quota = Math.floor(quota / 2);
  }
  return quota;
}

/** The blocks that count, in an order that all nodes agree on. */
function history(state: State, chain: number): Block[] {
  const known = state.chains.get(chain);
  const anyHeight = state.manifest.json.chains.find(({ id }) => id === chain)?.start === "any";
  const from = anyHeight ? 0 : (known?.certified ?? 0) - state.manifest.json.limits.retentionBlocks;
  return [...state.blocks.values()]
    .filter((block) => block.chain === chain && block.height >= from)
    .sort((a, b) => a.height - b.height || (a.id < b.id ? -1 : 1));
}

/** What a prover has made of a block's tasks. */
interface Merits {
  /** Proofs that a quorum has credited. */
  readonly credits: number;
  /** Rejected proofs and lost leases. */
  readonly faults: number;
}

/** What a block says of each prover. */
export const MERITS: View<ReadonlyMap<Key, Merits>> = {
  name: "the merits",
  inputsOf: (_, { changes }) => [changes.facts],
  compute: foldMerits,
};

function foldMerits(state: Facts, block: BlockFacts): ReadonlyMap<Key, Merits> {
  const merits = new Map<Key, { credits: number; faults: number }>();
  const of = (key: Key) => {
    const known = merits.get(key) ?? { credits: 0, faults: 0 };
    merits.set(key, known);
    return known;
  };
  for (const task of block.tasks) {
    const credit = creditOf(state, task);
    if (credit !== null) of(credit.prover).credits++;
    for (const proof of task.proofs.values()) {
      // REJECT-3.
      // mutant: rejects-alone
      for (const [prover, votes] of proof.rejects) if (isSeen(state, votes.keys())) of(prover).faults++;
    }
    for (const attempt of task.attempts.values()) {
      const lost = isQuorum(state, attempt.timeouts.keys()) && LEASE.has(endCode(state, attempt) ?? "");
      const prover = lost ? assignedTo(state, attempt) : null;
      if (prover !== null) of(prover).faults++;
    }
  }
  return merits;
}

/** How an attempt ends whose prover had it and did not prove. */
const LEASE: ReadonlySet<string> = new Set(["no-progress", "limit"]);

function isSeen(state: Facts, attesters: Iterable<Key>): boolean {
  return weightOf(state, attesters) >= state.manifest.oneHonest;
}
