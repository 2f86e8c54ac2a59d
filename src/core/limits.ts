/**
 * The limits of what a node keeps. Production uses `CORE_LIMITS`. A run of the simulator passes smaller numbers, so that
 * it reaches each limit many times within minutes.
 */
import { LOG_LIMITS, type LogLimits } from "../log/limits.ts";

/** Signature checks that a node makes for somebody: a bucket of tokens. */
export interface CheckLimits {
  readonly perSecond: number;
  readonly burst: number;
}

/** Bytes of heap by the estimate of `log/cost.ts`, and signature checks. */
export interface AccountLimits {
  /** An attester, a source or a member of the roster. */
  readonly authorBytes: number;
  /** Sources and members of the roster in sum, attesters left out. */
  readonly membersBytes: number;
  readonly strangerBytes: number;
  readonly strangersBytes: number;
  /** What each author may keep beside that for each task that is prepared here. */
  readonly taskBytes: number;
  readonly author: CheckLimits;
  readonly members: CheckLimits;
  readonly strangers: CheckLimits;
  /** Checks that a member has for itself, however many the others use. */
  readonly share: number;
}

export interface CoreLimits extends LogLimits {
  /** How far above the certified height announcements are taken in. */
  readonly blockAheadMax: number;
  readonly accounts: AccountLimits;
  /** Uncertified blocks of one source. */
  readonly announcedMax: number;
  /** Certified blocks remembered for their children and against re-announcement. */
  readonly closedMax: number;
  /** Heights of the own source's chain that are remembered. */
  readonly canonicalMax: number;
  /** How far below the highest certified height a missing certificate is asked for. */
  readonly holeDepthMax: number;
  /** Members of the roster, those that the manifest lists included. */
  readonly rosterMax: number;
}

export const CORE_LIMITS: CoreLimits = Object.freeze({
  ...LOG_LIMITS,
  // An announcement costs the tasks of its block. The rest stays with the peers until this node is there.
  blockAheadMax: 1024,
  accounts: Object.freeze({
    authorBytes: 32 << 20,
    membersBytes: 128 << 20,
    // A newcomer says that it wants to join, again and again until it is admitted: 80 times.
    strangerBytes: 256 << 10,
    strangersBytes: 48 << 20,
    // Four votes, a claim and two receipts with inline proofs and public values of 4 KiB.
    taskBytes: 48 << 10,
    // A check takes 86 us: 13 % of a core, and a second of it when logs are compared.
    author: Object.freeze({ perSecond: 1_500, burst: 12_000 }),
    members: Object.freeze({ perSecond: 3_000, burst: 24_000 }),
    strangers: Object.freeze({ perSecond: 500, burst: 4_000 }),
    share: 500,
  }),
  // As many as `blockAheadMax` allows on a chain with heights, and a batch of them.
  announcedMax: 1_280,
  // Hours of blocks, at some 200 bytes each: under 1 MiB.
  closedMax: 4096,
  // More than a chain gives up: Ethereum finalizes within 64 to 96 slots.
  canonicalMax: 512,
  // Older certificates may be archived everywhere.
  holeDepthMax: 512,
  // Ordering the owners of a block costs time by the member. Newcomers above it wait for a new manifest.
  rosterMax: 4096,
});
