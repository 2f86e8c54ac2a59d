/** Numbers and texts in the bytes of keys and proofs. */

export function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

/** Throws for a byte that is no ASCII. */
export function ascii(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    if (byte >= 0x80) throw new Error(`the byte 0x${byte.toString(16)} is not ASCII`);
    text += String.fromCodePoint(byte);
  }
  return text;
}
