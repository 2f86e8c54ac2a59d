/** The limits of a log. A run of the simulator makes them small, so that it passes them many times. */

export interface LogLimits {
  /** How far above the first gap of a feed a batch may be. */
  readonly batchAheadMax: number;
  /** Feeds of a log. */
  readonly feedsMax: number;
  /** Feeds that a log may have before it refuses authors that nobody has named. */
  readonly strangerFeedsMax: number;
}

export const LOG_LIMITS: LogLimits = Object.freeze({
  // Without a bound a hostile author could make the list of its gaps grow for ever. 4096 batches are about 200 blocks.
  batchAheadMax: 4096,
  // As many as one frontier names (FRONTIER_MAX): a feed above it could not be compared with peers.
  feedsMax: 4096,
  // Half of them. The rest is for authors that the manifest or the roster names: made-up keys must not take their places.
  strangerFeedsMax: 2048,
});
