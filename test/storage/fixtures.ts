export const journalKey: string = "ab".repeat(32);

/** A record that says which one it is, of a length that differs from one to the next. */
export function numbered(number: number): Uint8Array {
  const bytes = Buffer.alloc(4 + ((number * 37) % 700), number);
  bytes.writeUInt32BE(number);
  return bytes;
}

export function numberOf(record: Uint8Array): number {
  return Buffer.from(record.buffer, record.byteOffset, 4).readUInt32BE();
}
