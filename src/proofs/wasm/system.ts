import type { ProofSystem } from "../system.ts";
import { readWasmKey, type WasmKey } from "./settings.ts";

/** Any verifier as data: the key names a module. */
export const WASM: ProofSystem<WasmKey> = {
  name: "wasm",
  library: "the module that the key names",
  family: "wasm",
  payee: "none",
  packages: [],
  binds: "a digest of the public values, and zeros, where the key says that the proof has them",
  proofBytes: null,
  circuit: "wasm",
  readKey: readWasmKey,
  module: { keyOf: (key) => key },
};
