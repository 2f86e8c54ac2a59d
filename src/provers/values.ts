/** Public values as guests commit to them: some zkVMs pad them with zeros to a fixed length. */
export function paddedEqual(committed: Uint8Array, values: Uint8Array): boolean {
  return committed.length >= values.length && committed.every((byte, at) => byte === (values[at] ?? 0));
}
