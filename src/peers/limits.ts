/** Every number of the decisions about peers, with its reason. */
export const CROWD = {
  /** Peers beyond the members: provers that the network has admitted, and joiners, observers, provers of tomorrow. */
  roomMax: { admitted: 512, stranger: 32 },
  /** A joiner asks for the manifest in its first round trip; who asks nothing for this long may have to go. */
  idleMsMin: 2_000,
} as const;

/** A node dials strangers until it has this many connections; members are dialled without such a target. */
export const CONNECTIONS_TARGET = 16;

export const BAN = {
  firstMs: 600_000,
  longestMs: 86_400_000,
  /** Who was good for this long after its ban starts again at the first term. */
  forgetMs: 604_800_000,
  peersMax: 1_024,
} as const;

export const KEEPER = {
  everyMs: 250,
  backoffFirstMs: 1_000,
  backoffLongestMs: 30_000,
  yieldMs: 1_000,
  /** A connection that lasted this long was a good one: the next loss starts at the first backoff again. */
  steadyMs: 10_000,
  dialsMax: 8,
  /** Addresses are hearsay: a peer must not make us knock on hundreds of doors. */
  dialAddressesMax: 4,
  exchangeEveryMs: 5_000,
  exchangeMsMax: 5_000,
  exchangePeersMax: 64,
  exchangeBytesMax: 65_536,
  peersKnownMax: 512,
  addressesOwnMax: 4,
  addressesHeardMax: 4,
  /** Of one key as many peers may tell addresses. */
  tellersMax: 8,
  addressCharsMax: 128,
  /** Strangers are given up after this many failures; members and bootstrap addresses never. */
  strangerFailuresMax: 5,
} as const;
