/** A node's key is its peer id: the only place where one becomes the other. */
import { generateKeyPairFromSeed, publicKeyFromRaw } from "@libp2p/crypto/keys";
import type { Ed25519PrivateKey, PeerId } from "@libp2p/interface";
import { peerIdFromPublicKey, peerIdFromString } from "@libp2p/peer-id";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import type { Key } from "../protocol/ids.ts";

/** The key behind a peer id, or `null` if it is not an Ed25519 key; such peers are refused. */
export function keyOfPeer(peer: PeerId): Key | null {
  return peer.type === "Ed25519" ? bytesToHex(peer.publicKey.raw) : null;
}

export function peerOfKey(key: Key): PeerId {
  return peerIdFromPublicKey(publicKeyFromRaw(hexToBytes(key)));
}

/** The key that a `/p2p/` component names, or `null`. */
export function keyOfText(text: string): Key | null {
  try {
    return keyOfPeer(peerIdFromString(text));
  } catch {
    // A peer id that does not parse names nobody.
    return null;
  }
}

/** The private key of 32 secret bytes. */
export function privateKeyOfSeed(seed: Uint8Array): Promise<Ed25519PrivateKey> {
  return generateKeyPairFromSeed("Ed25519", seed);
}
