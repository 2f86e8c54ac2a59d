/** Ed25519 keys from fixed seeds, signed with natively. */
import { createPrivateKey, createPublicKey, sign } from "node:crypto";

/** What comes before the 32 raw bytes in the DER form of an Ed25519 key (RFC 8410). */
const PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

export function createKeyFrom(seed: Uint8Array): {
  readonly key: string;
  readonly sign: (message: Uint8Array) => Uint8Array;
} {
  const secret = createPrivateKey({ key: Buffer.concat([PREFIX, seed]), format: "der", type: "pkcs8" });
  const key = createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(-32).toString("hex");
  return { key, sign: (message) => new Uint8Array(sign(null, message, secret)) };
}
