/**
 * Names of things: keys, hashes and the ids derived from them.
 *
 * Inside the node an id is lower-case hex (it is a map key and it is printed); on the wire it is bytes.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, hexToBytes, concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";

/** 32 bytes as 64 lower-case hex digits. */
export type Hash = string;
/** An Ed25519 public key as 64 lower-case hex digits. The same key is the node's libp2p peer id. */
export type Key = string;

export const ZERO_HASH: Hash = "0".repeat(64);

const HEX_32 = /^[0-9a-f]{64}$/;

export function isHash(text: string): boolean {
  return HEX_32.test(text);
}

/** SHA-256 with a domain in front: no two kinds of hash can be taken for one another. */
export function domainHash(domain: string, ...parts: readonly Uint8Array[]): Hash {
  return bytesToHex(domainDigest(domain, ...parts));
}

export function domainDigest(domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return sha256(concatBytes(prefixOf(domain), ...parts));
}

/** Domains are the literals of this program: a handful, and each is met for every hash. */
const PREFIXES = new Map<string, Uint8Array>();

function prefixOf(domain: string): Uint8Array {
  const known = PREFIXES.get(domain);
  if (known !== undefined) return known;
  const prefix = utf8ToBytes(`proofmesh/${domain}/1\0`);
  PREFIXES.set(domain, prefix);
  return prefix;
}

/** The name of an artefact: plain SHA-256, so that any tool can check the file. */
export function artefactHash(bytes: Uint8Array): Hash {
  return bytesToHex(sha256(bytes));
}

/** What an announcement says of a block: all that its tasks follow from. */
export interface Announced {
  readonly chain: number;
  readonly height: number;
  /** As the chain names the block and its parent. */
  readonly hash: Hash;
  readonly parent: Hash;
  /** Starts a run of blocks: no barrier of its parent is needed. */
  readonly start: boolean;
  readonly workflow: string;
  readonly items: number;
  /** SHA-256 of the block's own bytes. */
  readonly payload: Hash;
}

/** A block as programs outside of the network know it. */
export interface BlockPlace {
  /** What the chain's own nodes answer to `eth_chainId`. */
  readonly chainId: number;
  readonly height: number;
  readonly hash: Hash;
  readonly parent: Hash;
}

/**
 * A block is its hash, never its height: a reorg is two blocks with one parent. Its id commits to everything else that an
 * announcement says, too: whoever announces a true hash falsely has announced another block, one that its payload
 * will prove wrong, and takes nothing from the true one. The network is in it so that a task, which is a block, a stage
 * and an index, is one of this network only.
 */
export function blockId(network: Hash, announced: Announced): Hash {
  const { chain, height, hash, parent, start, workflow, items, payload } = announced;
  const [own, above, bytes] = [hash, parent, payload].map(hexToBytes) as [Uint8Array, Uint8Array, Uint8Array];
  const numbers = [u64(chain), u64(height), u64(items), Uint8Array.of(start ? 1 : 0)];
  return domainHash("block", hexToBytes(network), own, above, bytes, ...numbers, utf8ToBytes(workflow));
}

/** Big-endian 64 bits of a safe non-negative integer. */
export function u64(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a safe non-negative integer: ${value}`);
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(value / 2 ** 32));
  view.setUint32(4, value % 2 ** 32);
  return bytes;
}
