/**
 * The account of each author: how much of it a node keeps, and how much work it does for it.
 *
 * Limits by container would bound each list and not their sum, and one author could fill what all need. So a batch is
 * charged to its author before it enters the log. A batch that is over the account stays with the peers and is not
 * forwarded. It is asked for again with the next comparison of logs, and enters once compaction has made room, so a full
 * account stops its author alone and loses nothing.
 *
 * An account grows with the work that the network has prepared here: an author may keep what honest work on those tasks
 * needs, whatever the size of the blocks.
 */
import { checksOf, costOf } from "../log/cost.ts";
import type { Batch } from "../protocol/batch.ts";
import { blockId, type Hash, type Key } from "../protocol/ids.ts";
import type { EntryOf } from "../protocol/messages.ts";
import type { Refusal } from "../protocol/verdict.ts";
import { type AuthorClass, classOf } from "./classes.ts";
import type { Bucket } from "./soft.ts";
import { report, type State } from "./state.ts";

/** Why the batch does not enter the log now, or `null`. Changes nothing. */
export function refusalOf(state: State, batch: Batch): Refusal | null {
  const { author } = batch.head;
  if (state.replaying || author === state.options.self) return null;
  // BATCH-16.
  if (isOverBlocks(state, batch)) return "block.too-many";
  // BATCH-14, R1.
  // mutant: account-unbounded
  if (!hasRoom(state, author, costOf(batch))) return "account.full";
  // BATCH-15.
  // mutant: checks-unbounded
  return hasChecks(state, author, checksOf(batch)) ? null : "account.busy";
}

/** Charges the batch to its author, or says why it cannot. */
export function charge(state: State, batch: Batch): Refusal | null {
  const { author } = batch.head;
  const code = refusalOf(state, batch);
  noteFull(state, author, code === "account.full");
  if (code === null && !state.replaying && author !== state.options.self) spend(state, author, checksOf(batch));
  return code;
}

/** How full the account is, for a status: bytes of heap at most, and how many are allowed. */
export function accountOf(state: State, author: Key): { readonly bytes: number; readonly bytesMax: number } {
  return { bytes: state.log.feed(author)?.cost ?? 0, bytesMax: roomOf(state, classOf(state, author)).one };
}

interface Room {
  readonly one: number;
  /** Of the whole class; above it only authors with less than their share may keep more. */
  readonly all: number;
}

function roomOf(state: State, kind: AuthorClass): Room {
  const { limits } = state;
  if (kind === "stranger") return { one: limits.strangerBytes, all: limits.strangersBytes };
  const work = state.taskCount * limits.taskBytes;
  const one = limits.authorBytes + work;
  // Each task may have been tried by several provers.
  return { one, all: kind === "attester" ? Number.POSITIVE_INFINITY : limits.membersBytes + 2 * work };
}

function hasRoom(state: State, author: Key, cost: number): boolean {
  const kind = classOf(state, author);
  const { one, all } = roomOf(state, kind);
  const own = (state.log.feed(author)?.cost ?? 0) + cost;
  if (own > one) return false;
  if (all === Number.POSITIVE_INFINITY) return true;
  const others = state.log.sumOf(kind, state.changes.roster);
  return others.cost + cost <= all || own <= all / (others.feeds + 1);
}

function hasChecks(state: State, author: Key, checks: number): boolean {
  const { authorChecksPerSecond, membersChecksPerSecond, strangersChecksPerSecond, memberChecksMin } = state.limits;
  const kind = classOf(state, author);
  if (kind === "stranger") return tokensOf(state, state.strangersChecks, strangersChecksPerSecond) >= checks;
  const own = tokensOf(state, state.accounts.get(author)?.checks, authorChecksPerSecond);
  if (own < checks || kind === "attester") return own >= checks;
  if (tokensOf(state, state.membersChecks, membersChecksPerSecond) >= checks) return true;
  // A crowd of members cannot use up what each has for itself.
  const spent = burstOf(state, authorChecksPerSecond) - own;
  return spent + checks <= memberChecksMin;
}

function spend(state: State, author: Key, checks: number): void {
  const { authorChecksPerSecond, membersChecksPerSecond, strangersChecksPerSecond } = state.limits;
  const kind = classOf(state, author);
  if (kind === "stranger") return take(state, state.strangersChecks, strangersChecksPerSecond, checks);
  if (kind === "member") take(state, state.membersChecks, membersChecksPerSecond, checks);
  const account = state.accounts.get(author) ?? { checks: { spent: 0, atMs: 0 }, isFull: false };
  state.accounts.set(author, account);
  take(state, account.checks, authorChecksPerSecond, checks);
}

function burstOf({ limits }: State, perSecond: number): number {
  return perSecond * limits.checksSeconds;
}

/** How many checks are left: all that are saved up, where there is no bucket yet. */
function tokensOf(state: State, bucket: Bucket | undefined, perSecond: number): number {
  const { spent, atMs } = bucket ?? { spent: 0, atMs: 0 };
  const refilled = ((state.nowMs - atMs) * perSecond) / 1000;
  return burstOf(state, perSecond) - Math.max(spent - refilled, 0);
}

function take(state: State, bucket: Bucket, perSecond: number, checks: number): void {
  bucket.spent = burstOf(state, perSecond) - tokensOf(state, bucket, perSecond) + checks;
  bucket.atMs = state.nowMs;
}

/** A source may announce as many uncertified blocks as this node looks ahead, and few of one height. */
function isOverBlocks(state: State, { head, entries }: Batch): boolean {
  const announced = entries.filter((entry): entry is EntryOf<"announce"> => entry.kind === "announce");
  const fresh = new Map<Hash, string>();
  for (const entry of announced) {
    const id = blockId(state.manifest.network, entry);
    if (!state.blocks.has(id) && !state.closed.has(id)) fresh.set(id, `${entry.chain}/${entry.height}`);
  }
  if (fresh.size === 0) return false;
  const counts = new Map<string, number>();
  const count = (height: string) => counts.set(height, (counts.get(height) ?? 0) + 1);
  for (const { chain, height, certificate, state: is, announcers } of state.blocks.values())
    if (certificate === null && is !== "cancelled" && announcers.has(head.author)) count(`${chain}/${height}`);
  for (const height of fresh.values()) count(height);
  let total = 0;
  for (const siblings of counts.values()) total += siblings;
  // mutant: siblings-unbounded
  return total > state.limits.announcedMax || Math.max(...counts.values()) > state.limits.siblingsMax;
}

/** Reports once that an author's account is full, and which block has the most of its entries. */
function noteFull(state: State, author: Key, isFull: boolean): void {
  const account = state.accounts.get(author);
  if (account === undefined || account.isFull === isFull) return;
  account.isFull = isFull;
  const { bytes, bytesMax } = accountOf(state, author);
  if (isFull) report(state, "account.full", { author, bytes, bytesMax, block: fullestBlock(state, author) });
  else report(state, "account.open", { author, bytes, bytesMax });
}

function fullestBlock(state: State, author: Key): Hash | null {
  const counts = new Map<Hash, number>();
  for (const { entries } of state.log.feed(author)?.kept() ?? []) {
    for (const entry of entries) if ("block" in entry) counts.set(entry.block, (counts.get(entry.block) ?? 0) + 1);
  }
  let fullest: [Hash, number] | null = null;
  for (const each of counts) if (fullest === null || each[1] > fullest[1]) fullest = each;
  return fullest?.[0] ?? null;
}
