/** Proves shards with Barretenberg and Noir, in WebAssembly that cannot be stopped in the middle. */
import { existsSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Prover } from "../../ports.ts";
import { createProgramProver } from "../../provers/program/host.ts";

export interface UltraHonkOptions {
  /** How many programs prove at once; each uses one core and 300 MB. */
  readonly slots: number;
  /** Where shard.noir.json, shard.crs and shard.honk.vkey are. */
  readonly keysDir: string;
  readonly timeoutMs: number;
  readonly memoryBytesMax?: number;
}

const PROGRAM = fileURLToPath(new URL(`program${extname(import.meta.url)}`, import.meta.url));

export function createUltraHonkProver(options: UltraHonkOptions): Prover {
  for (const name of ["shard.noir.json", "shard.crs", "shard.honk.vkey"]) {
    if (!existsSync(join(options.keysDir, name))) throw new Error(`no ${name} in ${options.keysDir}`);
  }
  const program = { system: "ultrahonk-shard", name: "ultrahonk", program: PROGRAM, args: [options.keysDir] };
  return createProgramProver({ ...options, ...program });
}
