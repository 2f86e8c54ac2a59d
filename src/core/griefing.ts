/**
 * Owners that have attempts and do not prove.
 *
 * An attempt is lost by its owner where a quorum timed it out for its claim window, lease or limit, and the task was
 * credited in a later attempt. What was given back is not lost, nor what somebody else's late proof has completed. The
 * barrier's content names the lost attempts, so that all nodes count alike: from certificates and from nothing else.
 *
 * A prover that lost more than a quarter of the last 32 attempts that it had goes to the end of every order for 32 blocks, and
 * is then first for one task of each stage, until it has proven one or lost one more. Where more than half of the provers
 * would go, none goes, because then the network was at fault.
 */
import type { BarrierContent, Closed } from "../protocol/certificate.ts";
import type { Key } from "../protocol/ids.ts";
import { announcedAs, closedAs } from "./ancestry.ts";
import type { BlockFacts, Facts, Tally } from "./facts.ts";

/** Attempts of a prover that count, the latest. */
const ATTEMPTS_COUNTED = 32;
/** Fewer lost attempts than this say nothing about their owner. */
const LOST_MIN = 3;
/** The share of lost attempts that is too large: one in so many. */
const LOST_ONE_IN = 4;
/** For so many blocks such a prover is last. */
const LAST_BLOCKS = 32;

/** How many attempts each prover had in a block, by what its certificate says. */
export function tallyOf({ tasks, lost }: Pick<BarrierContent, "tasks" | "lost">): Tally {
  const tally = new Map<Key, { proven: number; lost: number }>();
  const of = (key: Key) => {
    const known = tally.get(key) ?? { proven: 0, lost: 0 };
    tally.set(key, known);
    return known;
  };
  for (const { credited, prover } of tasks) if (credited && prover !== null) of(prover).proven++;
  for (const { owner } of lost) of(owner).lost++;
  return tally;
}

/** Provers that are last in every order of a block, and those of them that are first for one task of each stage. */
export interface Griefers {
  readonly last: ReadonlySet<Key>;
  readonly tried: ReadonlySet<Key>;
}

interface Record {
  /** Whether each of its last attempts was lost, the oldest first. */
  attempts: boolean[];
  /** Up to this height it is last; `null` where it is not. */
  untilHeight: number | null;
  isTried: boolean;
}

/** By the certificates of the block's own branch within the retention, so that a node that has just joined counts the same. */
export function griefersOf(state: Facts, block: BlockFacts, able: readonly Key[]): Griefers {
  const records = new Map<Key, Record>();
  const certified = certifiedBefore(state, block);
  for (const { id, height } of certified)
    for (const [key, counts] of state.tallies.get(id) ?? []) {
      const record = records.get(key) ?? { attempts: [], untilHeight: null, isTried: false };
      records.set(key, record);
      count(record, height, counts);
    }
  const height = certified.at(-1)?.height ?? 0;
  for (const record of records.values()) settleTrial(record, height + 1);
  const found = able.filter((key) => {
    const record = records.get(key);
    return record !== undefined && (record.untilHeight !== null || record.isTried);
  });
  if (2 * found.length > able.length) return { last: new Set(), tried: new Set() };
  return { last: new Set(found), tried: new Set(found.filter((key) => records.get(key)?.isTried === true)) };
}

function count(
  record: Record,
  height: number,
  { proven, lost }: { readonly proven: number; readonly lost: number },
): void {
  settleTrial(record, height);
  if (record.untilHeight !== null) return;
  if (record.isTried && lost === 0) {
    record.isTried = false;
    return;
  }
  const marks = [...Array<boolean>(lost).fill(true), ...Array<boolean>(proven).fill(false)];
  record.attempts = [...record.attempts, ...marks].slice(-ATTEMPTS_COUNTED);
  const all = record.attempts.filter((isLost) => isLost).length;
  const isTooMany = all >= LOST_MIN && all * LOST_ONE_IN > record.attempts.length;
  if (!record.isTried && !isTooMany) return;
  record.attempts = [];
  record.isTried = false;
  record.untilHeight = height + LAST_BLOCKS;
}

/** Its time as the last is over. */
function settleTrial(record: Record, height: number): void {
  if (record.untilHeight === null || height <= record.untilHeight) return;
  record.untilHeight = null;
  record.isTried = true;
}

/**
 * The certified blocks that count for a block, the oldest first: its ancestors beyond the window, whose certificates all nodes have
 * when the block opens, within the retention.
 */
export function certifiedBefore(state: Facts, block: BlockFacts): Closed[] {
  const window = state.manifest.json.workflows[block.workflow]?.window ?? 1;
  const furthest = window + 1 + state.manifest.json.limits.retentionBlocks;
  const found: Closed[] = [];
  let parent = block.start ? null : block.parent;
  for (let distance = 1; parent !== null && distance <= furthest; distance++) {
    const closed = closedAs(state, block.chain, parent);
    if (closed !== undefined && distance > window + 1) found.push(closed);
    const [open] = closed === undefined ? announcedAs(state, block.chain, parent) : [];
    if (closed !== undefined) parent = closed.parent;
    else parent = open === undefined || open.start ? null : open.parent;
  }
  return found.reverse();
}
