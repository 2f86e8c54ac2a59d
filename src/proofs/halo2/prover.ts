/** Proves shards with Halo2, in WebAssembly that cannot be stopped in the middle. Opt-in: its package is installed apart. */
import { existsSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Prover } from "../../ports.ts";
import { createProgramProver } from "../../provers/program/host.ts";

export interface Halo2ProverOptions {
  /** How many programs prove at once; each uses one core and 200 MB. */
  readonly slots: number;
  /** Where shard.crs, shard.lagrange and shard.halo2.vkey are. */
  readonly keysDir: string;
  readonly timeoutMs: number;
  readonly memoryBytesMax?: number;
}

const PROGRAM = fileURLToPath(new URL(`program${extname(import.meta.url)}`, import.meta.url));

export function createHalo2Prover(options: Halo2ProverOptions): Prover {
  for (const name of ["shard.crs", "shard.lagrange", "shard.halo2.vkey"]) {
    if (!existsSync(join(options.keysDir, name))) throw new Error(`no ${name} in ${options.keysDir}`);
  }
  const program = { system: "halo2-shard", name: "halo2", program: PROGRAM, args: [options.keysDir] };
  return createProgramProver({ ...options, ...program });
}
