/** Blocks that the operator has as a file, as their chain's node returns them. */
import { rangeOf, readBlocks } from "../node.ts";
import type { SourceBlock } from "../ports.ts";
import type { PayloadForm } from "../protocol/statement.ts";
import { CommandError } from "./exit.ts";

type Block = Omit<SourceBlock, "chain">;

/** The first block of the file, or the range of its first `range` blocks. Throws `usage.file`, `payload.*`. */
export async function readBlockFile(file: string, range: number, form: PayloadForm): Promise<Block> {
  const blocks: Block[] = [];
  try {
    for await (const block of readBlocks(file, undefined, form)) {
      if (!block.ok) throw new CommandError(block.fault.code, `${file}: ${block.fault.message}`);
      if (range === 1) return block.value;
      blocks.push(block.value);
      if (blocks.length === range) break;
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError("usage.file", `${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (blocks.length < range)
    throw new CommandError("usage.file", `${file}: holds ${blocks.length} blocks; allowed: ${range} at least`);
  const found = rangeOf(blocks);
  if (found.ok) return found.value;
  throw new CommandError(found.fault.code, `${file}: ${found.fault.message}`);
}
