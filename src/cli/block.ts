/** A block that the operator has as a file, as its chain's node returns it. */
import { artefactHash, blockId, type Hash } from "../protocol/ids.ts";
import { readBlocks } from "../node.ts";
import type { SourceBlock } from "../ports.ts";
import { CommandError } from "./exit.ts";

/** The first block of the file. Throws `usage.file`, `payload.*`. */
export async function readBlockFile(file: string): Promise<Omit<SourceBlock, "chain">> {
  try {
    for await (const block of readBlocks(file)) {
      if (!block.ok) throw new CommandError(block.fault.code, `${file}: ${block.fault.message}`);
      return block.value;
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError("usage.file", `${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw new CommandError("usage.file", `${file}: holds no block`);
}

/** The id of a block that starts a run of its own. */
export function idOf(block: Omit<SourceBlock, "chain">, network: Hash, chain: number, workflow: string): Hash {
  const { height, hash, parent, items, payload } = block;
  return blockId(network, {
    chain,
    height,
    hash,
    parent,
    start: true,
    workflow,
    items,
    payload: artefactHash(payload),
  });
}
