import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { ProofSystem } from "../system.ts";
import type { WasmKey } from "../wasm/settings.ts";
import { readSp1Groth16Key, type Sp1Groth16Key, verifySp1Groth16 } from "./groth16.ts";
import { HYPERCUBE_FILE, HYPERCUBE_PACKAGE, HYPERCUBE_VERSION, readHypercubeKey } from "./hypercube.ts";
import { readSp1PlonkKey, type Sp1PlonkKey, verifySp1Plonk } from "./plonk.ts";

const LIBRARY = "code of our own over @noble/curves";
const BINDS = "SHA-256 or BLAKE3 of the public values, a public input of the circuit";

export const SP1_GROTH16: ProofSystem<Sp1Groth16Key> = {
  name: "sp1-groth16",
  library: LIBRARY,
  // A STARK inside, but what is verified is the Groth16 proof around it.
  family: "groth16",
  payee: "none",
  packages: [],
  binds: BINDS,
  proofBytes: 356,
  circuit: "sp1-groth16",
  readKey: readSp1Groth16Key,
  verifier: { verify: (key, { values, proof }) => verifySp1Groth16(key, values, proof) },
};

export const SP1_PLONK: ProofSystem<Sp1PlonkKey> = {
  name: "sp1-plonk",
  library: LIBRARY,
  family: "plonkish",
  payee: "none",
  packages: [],
  binds: BINDS,
  proofBytes: 964,
  circuit: "sp1-plonk",
  readKey: readSp1PlonkKey,
  verifier: { verify: (key, { values, proof }) => verifySp1Plonk(key, values, proof) },
};

export const SP1_HYPERCUBE: ProofSystem<WasmKey> = {
  name: "sp1-hypercube",
  library: `Ethproofs' module of SP1's verifier (${HYPERCUBE_PACKAGE})`,
  family: "stark",
  payee: "none",
  packages: [`${HYPERCUBE_PACKAGE}@${HYPERCUBE_VERSION}`],
  binds: "SHA-256 or BLAKE3 of the public values, at byte 244 of the proof, and the exit code 0, at byte 796",
  // The proof alone has 1,272,546 bytes; the public values and SP1's version may follow it.
  proofBytes: 1_300_000,
  circuit: "sp1-hypercube",
  readKey: readHypercubeKey,
  module: {
    keyOf: (key) => key,
    file: async () =>
      new Uint8Array(await readFile(createRequire(import.meta.url).resolve(`${HYPERCUBE_PACKAGE}/${HYPERCUBE_FILE}`))),
  },
};
