/**
 * Proves shards with Kimchi and merges their proofs, two by two, by true recursion: the only proof that a block then has
 * verifies all others inside. No setup; it takes much time and memory.
 */
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Prover } from "../../ports.ts";
import { createProgramProver } from "../../provers/program/host.ts";

export interface PicklesProverOptions {
  /** Where shard.pickles.json is. */
  readonly keysDir: string;
  readonly timeoutMs: number;
  readonly memoryBytesMax?: number;
}

/** Both systems are proven by one program, a task at a time: it takes 3 GB and all cores. */
export const PICKLES_SYSTEMS = ["pickles-shard", "pickles-merge"] as const;

const HEAP_MIB_MAX = 2048;
const MEMORY_BYTES_MAX: number = 4 * 1024 ** 3;
const PROGRAM = fileURLToPath(new URL(`program${extname(import.meta.url)}`, import.meta.url));

/** One for each system, before the same program; closing one closes it. */
export function createPicklesProvers(options: PicklesProverOptions): Prover[] {
  const shared = createProgramProver({
    system: "pickles",
    name: "pickles",
    slots: 1,
    program: PROGRAM,
    args: [options.keysDir],
    timeoutMs: options.timeoutMs,
    heapMiBMax: HEAP_MIB_MAX,
    memoryBytesMax: options.memoryBytesMax ?? MEMORY_BYTES_MAX,
  });
  return PICKLES_SYSTEMS.map((system) => ({ ...shared, system }));
}
