/** Proves shards with snarkjs, which does not end by itself, cannot be stopped in the middle, and is GPL-3. */
import { existsSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Prover } from "../../ports.ts";
import { createProgramProver } from "../../provers/program/host.ts";

export interface Groth16Options {
  /** How many programs prove at once; each uses up to two cores and 300 MB. */
  readonly slots: number;
  /** Where shard.wasm and shard.zkey are. */
  readonly keysDir: string;
  readonly timeoutMs: number;
  readonly memoryBytesMax?: number;
}

/** What a node says in its log when it proves with the keys that come with the package. */
export const ONE_PARTY_SETUP =
  "The proving keys were made by one party from random secrets that it forgot. Whoever doubts that runs a ceremony " +
  "of their own: node scripts/circuit.ts --help, node scripts/ultrahonk.ts --help";

const PROGRAM = fileURLToPath(new URL(`program${extname(import.meta.url)}`, import.meta.url));

export function createGroth16Prover(options: Groth16Options): Prover {
  for (const name of ["shard.wasm", "shard.zkey"]) {
    if (!existsSync(join(options.keysDir, name))) throw new Error(`no ${name} in ${options.keysDir}`);
  }
  const program = { system: "groth16-shard", name: "groth16", program: PROGRAM, args: [options.keysDir] };
  return createProgramProver({ ...options, ...program });
}
