/**
 * The limits of what a node keeps. Production uses `CORE_LIMITS`. A run of the simulator passes smaller numbers, so that
 * it reaches each limit many times within minutes.
 */
import { LOG_LIMITS, type LogLimits } from "../log/limits.ts";

export interface CoreLimits extends LogLimits {
  /** How far above the certified height announcements are taken in. */
  readonly blockAheadMax: number;
  /** Facts kept about blocks that nobody has announced. */
  readonly heldMax: number;
  /** How long such a fact is kept once there are too many. */
  readonly heldMs: number;
  /** Certified blocks remembered for their children and against re-announcement. */
  readonly closedMax: number;
  /** Heights of the own source's chain that are remembered. */
  readonly canonicalMax: number;
  /** After so long without an answer the own source counts as none. */
  readonly sourceDownMs: number;
  /** How far below the highest certified height a missing certificate is asked for. */
  readonly holeDepthMax: number;
  /** Members of the roster, those that the manifest lists included. */
  readonly rosterMax: number;
}

export const CORE_LIMITS: CoreLimits = Object.freeze({
  ...LOG_LIMITS,
  // An announcement costs the tasks of its block. The rest stays with the peers until this node is there.
  blockAheadMax: 1024,
  // Enough for a burst of votes that overtakes its announcement: two blocks of the most tasks.
  heldMax: 4096,
  // Gossip that is late by more than a minute comes again with the next comparison of logs.
  heldMs: 60_000,
  // Hours of blocks, at some 200 bytes each: under 1 MiB.
  closedMax: 4096,
  // More than a chain gives up: Ethereum finalizes within 64 to 96 slots.
  canonicalMax: 512,
  // A source looks every second, and its longest pause between two tries is 30 s.
  sourceDownMs: 30_000,
  // Older certificates may be archived everywhere.
  holeDepthMax: 512,
  // Ordering the owners of a block costs time by the member. Newcomers above it wait for a new manifest.
  rosterMax: 4096,
});
