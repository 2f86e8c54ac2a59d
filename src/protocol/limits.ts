/** Hard limits of the protocol. Equal on every node, because what one refuses no other may rest a decision on. */

/** A batch as sent. Gossip frames must stay far below libp2p's 4 MiB or two honest nodes part for good. */
export const MESSAGE_BYTES_MAX: number = 64 * 1024;
/** Entries in one batch; a busy node sends the next batch a moment later. */
export const BATCH_ENTRIES_MAX = 256;
/** Proofs up to this size travel inside the receipt: one round trip less for every attester. */
export const INLINE_BYTES_MAX = 2 * 1024;
/** A hash of a proof and its maker (`payee.ts`). */
export const POSSESSION_BYTES = 32;
/** Random bytes of an opening: without them a result of few possible values could be guessed from its commitment. */
export const NONCE_BYTES = 32;
/** Public values of one task. */
export const VALUES_BYTES_MAX = 4 * 1024;
/** An entry that evidence shows: the longest is a receipt, whose other fields have at most 512 bytes. */
export const SHOWN_ENTRY_BYTES_MAX: number = INLINE_BYTES_MAX + VALUES_BYTES_MAX + 512;
/** A block's payload. Ethereum's gossip limit for a block is 10 MiB. */
export const PAYLOAD_BYTES_MAX: number = 16 * 1024 * 1024;
/** Blocks that are proven together at most. */
export const RANGE_BLOCKS_MAX = 1024;
/** The payload of a range of blocks, where they are proven together (`range.ts`). */
export const RANGE_BYTES_MAX: number = 64 * 1024 * 1024;
/** A file that peers pass on. Witnesses of full blocks have hundreds of megabytes. */
export const ARTEFACT_BYTES_MAX: number = 1024 * 1024 * 1024;
/** Votes that a claim carries, and attesters that a manifest may name: a quorum of them must fit a message. */
export const ATTESTERS_MAX = 100;
/** Partitions that a manifest may name: each is a core, a topic and a directory of every node that takes part in all. */
export const PARTITIONS_MAX = 16;
/** Tasks of one block: its certificate names each of them and must stay a file of at most CERTIFICATE_BYTES_MAX. */
export const BLOCK_TASKS_MAX = 2048;
/** Tasks that one beat covers. */
export const BEAT_TASKS_MAX = 64;
/** Feeds and chains that one frontier names. */
export const FRONTIER_MAX = 4096;
/** Certificates that one question names; whoever lacks more asks again. */
export const WANTED_MAX = 64;
/** Runs of batches behind gaps that one frontier names, all feeds together. */
export const FRONTIER_SPANS_MAX = 256;
/** A frontier of that many feeds (45 bytes each), chains (20 bytes), block ids (34 bytes) and runs (19 with their framing). */
export const FRONTIER_BYTES_MAX: number = FRONTIER_MAX * 83 + WANTED_MAX * 34 + FRONTIER_SPANS_MAX * 19 + 1024;
/** Rounds of a block: each begins when a chain goes back to it. */
export const ROUNDS_MAX = 64;
/** Depth of a batch's Merkle tree: BATCH_ENTRIES_MAX is 2^8. */
export const PATH_MAX = 8;
/** Proofs that count of those that one prover names in one attempt of a task: its first ones, by the order of its feed. */
export const PROOFS_PER_ATTEMPT_MAX = 2;
/** Lost attempts that a certificate names: the first of the block. */
export const LOST_MAX = 512;
/** A certificate file; the content of a block with thousands of tasks stays below it. */
export const CERTIFICATE_BYTES_MAX: number = 1024 * 1024;
/** A certificate that is told to all at once; a larger one, of a block with over 500 tasks, waits to be asked for. */
export const CERTIFICATE_GOSSIP_BYTES_MAX: number = 256 * 1024;
export const MANIFEST_BYTES_MAX: number = 1024 * 1024;
