/**
 * The limits of what a node keeps. Production uses `CORE_LIMITS`. A run of the simulator passes smaller numbers, so that
 * it reaches each limit many times within minutes.
 */
import { LOG_LIMITS, type LogLimits } from "../log/limits.ts";

export interface CoreLimits extends LogLimits {
  /** How far above the certified height announcements are taken in. */
  readonly blockAheadMax: number;
  /** Bytes of heap, by the estimate of `log/cost.ts`, of one attester, source or member of the roster. */
  readonly authorBytes: number;
  /** The same of all sources and members of the roster together, attesters left out. */
  readonly membersBytes: number;
  readonly strangerBytes: number;
  readonly strangersBytes: number;
  /** What each author may keep beside that for each task that is prepared here. */
  readonly taskBytes: number;
  /** A stranger that was silent for so long makes room in the log for another one. */
  readonly strangerKeptMs: number;
  /** Signature checks for one attester, source or member of the roster. */
  readonly authorChecksPerSecond: number;
  /** Signature checks for all sources and members of the roster together, attesters left out. */
  readonly membersChecksPerSecond: number;
  readonly strangersChecksPerSecond: number;
  /** For how many seconds unused checks are saved up. */
  readonly checksSeconds: number;
  /** Saved-up checks that each member has for itself, however many the others use. */
  readonly memberChecksMin: number;
  /** Milliseconds of a verifier in each second for proofs of one author that are wrong or too many. */
  readonly verifyMsPerSecond: number;
  /** The same for all authors together that have shown no valid proof yet, or a wrong one since. */
  readonly doubtedVerifyMsPerSecond: number;
  /** The same for all strangers together. */
  readonly strangersVerifyMsPerSecond: number;
  /** For how many seconds unused verification is saved up. */
  readonly verifySeconds: number;
  /** Proofs that are verified at once, and of those at most so many for authors in doubt. */
  readonly verifyingMax: number;
  readonly doubtedVerifyingMax: number;
  /** Proofs that are fetched at once for one author. */
  readonly fetchingMax: number;
  /** Proofs of one author that wait to be fetched or verified. The core asks again for others. */
  readonly unverifiedMax: number;
  /** Bytes on disk of proofs that are fetched for one author and not judged, or wrong. */
  readonly authorDiskBytes: number;
  /** Bytes on disk of payloads that are fetched for one source, of blocks that are not certified. */
  readonly sourceDiskBytes: number;
  /** The same of all authors together. */
  readonly authorsDiskBytes: number;
  /** Uncertified blocks of one source. */
  readonly announcedMax: number;
  /** Those of one height. */
  readonly siblingsMax: number;
  /** Certified blocks remembered for their children and against re-announcement. */
  readonly closedMax: number;
  /** Heights of the own source's chain that are remembered. */
  readonly canonicalMax: number;
  /** After so long without an answer the own source counts as none. */
  readonly sourceDownMs: number;
  /** How far below the highest certified height a missing certificate is asked for. */
  readonly holeDepthMax: number;
  /** Members of the roster that have not left, those that the manifest lists included. */
  readonly rosterMax: number;
  /** Members that have left and are kept beside those. */
  readonly leftMax: number;
  /** Newcomers that attesters admit to a chain in one drawing; all attesters have to use the same number. */
  readonly newcomersMax: number;
  /** A journal of more bytes than this is written anew with what is still kept. */
  readonly journalBytes: number;
  /** Strangers whose start record is kept. */
  readonly strangerStartsMax: number;
}

export const CORE_LIMITS: CoreLimits = Object.freeze({
  ...LOG_LIMITS,
  // An announcement costs the tasks of its block. The rest stays with the peers until this node is there.
  blockAheadMax: 1024,
  authorBytes: 32 << 20,
  membersBytes: 128 << 20,
  // A newcomer signs that it wants to join, again and again until it is admitted: 80 times.
  strangerBytes: 256 << 10,
  strangersBytes: 48 << 20,
  // A newcomer asks every few seconds. With every feed taken, 34 others a second can come.
  strangerKeptMs: 60_000,
  // Four votes, a claim and two receipts with inline proofs and public values of 4 KiB.
  taskBytes: 48 << 10,
  // A check takes 86 us: 13 % of a core for one author, and a second of it when logs are compared.
  authorChecksPerSecond: 1_500,
  membersChecksPerSecond: 3_000,
  strangersChecksPerSecond: 500,
  checksSeconds: 8,
  memberChecksMin: 500,
  // One prover gets a fifth of a core at most, all those in doubt as much together, and all strangers a tenth.
  verifyMsPerSecond: 200,
  doubtedVerifyMsPerSecond: 200,
  strangersVerifyMsPerSecond: 100,
  verifySeconds: 2,
  // Verifiers outside this process answer after a second; the threads of this one have a queue of their own.
  verifyingMax: 16,
  doubtedVerifyingMax: 2,
  // A peer that sends slowly holds its own places alone.
  fetchingMax: 4,
  // Twice as many as a block has tasks.
  unverifiedMax: 4096,
  // 64 proofs of the size that `init` allows.
  authorDiskBytes: 64 << 20,
  // 32 payloads of the largest size of one block, and 8 of the largest range.
  sourceDiskBytes: 512 << 20,
  authorsDiskBytes: 2 ** 31,
  // As many as `blockAheadMax` allows on a chain with heights, and a batch of them.
  announcedMax: 1_280,
  // More than a chain that turns back and forth has at a height.
  siblingsMax: 8,
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
  // A crowd that left takes no room from newcomers for half a day of 12 s blocks.
  leftMax: 4096,
  // One a block on average: a crowd of keys takes half a day of 12 s blocks to fill the roster.
  newcomersMax: 16,
  journalBytes: 16 << 20,
  // As many as the roster holds. Attesters, sources and the roster are limited themselves, and always have room.
  strangerStartsMax: 4096,
});
