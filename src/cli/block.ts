/** A block that the operator has as a file, as its chain's node returns it. */
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
