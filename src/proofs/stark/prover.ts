/** Proves shards with a transparent STARK: no setup, and no secret that anybody could have kept. Experimental. */
import { existsSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Prover } from "../../ports.ts";
import { createProgramProver } from "../../provers/program/host.ts";

export interface StarkProverOptions {
  /** How many programs prove at once; each uses one core and 200 MB. */
  readonly slots: number;
  /** Where shard.stark.json is. */
  readonly keysDir: string;
  readonly timeoutMs: number;
  readonly memoryBytesMax?: number;
}

/** What a node says in its log when it proves or verifies with it. */
export const EXPERIMENTAL =
  "STARKs are made and verified by genSTARK 0.7.6, whose authors call it research and not for production. Let a block " +
  "depend on them only beside a proof of another family.";

const PROGRAM = fileURLToPath(new URL(`program${extname(import.meta.url)}`, import.meta.url));

export function createStarkProver(options: StarkProverOptions): Prover {
  if (!existsSync(join(options.keysDir, "shard.stark.json")))
    throw new Error(`no shard.stark.json in ${options.keysDir}`);
  const program = { system: "stark-shard", name: "stark", program: PROGRAM, args: [options.keysDir] };
  return createProgramProver({ ...options, ...program });
}
