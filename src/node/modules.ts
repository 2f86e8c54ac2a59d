/** Verifiers that are WebAssembly modules: those of the package, and those that the manifest names by their SHA-256. */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Fault } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import { HYPERCUBE_FILE, HYPERCUBE_PACKAGE } from "../proofs/sp1/hypercube.ts";
import type { WasmKey } from "../proofs/wasm/settings.ts";
import { createWasmVerifier, type FindFile, type WasmVerifier } from "../proofs/wasm/verifier.ts";
import { type KeyBytes, readKey } from "../provers/keys.ts";

export interface ModuleFiles {
  /** Gives modules and canaries that the manifest names. */
  readonly find: FindFile;
  /** Called when the verifier of a key comes into use, or goes out of it. */
  readonly changed?: (key: Hash, fault: Fault | null) => void;
}

export interface Modules {
  /** Loads what has not been loaded. Resolves with what is still missing or refused. */
  readonly loadModules: () => Promise<readonly { readonly key: Hash; readonly fault: Fault | null }[]>;
  /** Files that must stay: modules and canaries. */
  readonly moduleFiles: ReadonlySet<Hash>;
}

export const NO_FILES: ModuleFiles = {
  find: async (hash) => {
    throw new Error(`this command has no file ${hash}`);
  },
};

const SYSTEMS = ["sp1-hypercube", "wasm"] as const;

/** Throws for a key that is malformed. */
export function openModules(
  keys: ReadonlyMap<Hash, KeyBytes>,
  { find, changed }: ModuleFiles,
): {
  readonly verifiers: readonly WasmVerifier[];
  readonly load: Modules["loadModules"];
  readonly files: ReadonlySet<Hash>;
} {
  const files = new Set<Hash>();
  const verifiers = SYSTEMS.flatMap((system) => {
    const own = new Map<Hash, WasmKey>();
    for (const [hash, key] of keys) {
      const read = key.system === system ? readKey(key) : null;
      if (read?.family === "module") own.set(hash, read.key);
    }
    if (own.size === 0) return [];
    if (system === "wasm") for (const key of own.values()) for (const file of filesOf(key)) files.add(file);
    const modules = { find: system === "wasm" ? find : findHypercube, ...(changed === undefined ? {} : { changed }) };
    return [createWasmVerifier(system, own, modules)];
  });
  return {
    verifiers,
    files,
    load: async () => (await Promise.all(verifiers.map((verifier) => verifier.load()))).flat(),
  };
}

function filesOf({ module, canaries }: WasmKey): readonly Hash[] {
  const shown = [canaries?.good, canaries?.other].flatMap((canary) => (canary == null ? [] : [canary.proof]));
  return [module, ...shown];
}

async function findHypercube(): Promise<Uint8Array> {
  return new Uint8Array(readFileSync(createRequire(import.meta.url).resolve(`${HYPERCUBE_PACKAGE}/${HYPERCUBE_FILE}`)));
}

/** Looks in a directory of files named by their SHA-256, and in a node's store of artefacts. */
export function findIn(...directories: readonly string[]): FindFile {
  return async (hash) => {
    for (const directory of directories)
      for (const path of [join(directory, hash), join(directory, hash.slice(0, 2), hash)]) {
        const bytes = await readFile(path).catch(() => null);
        if (bytes !== null) return new Uint8Array(bytes);
      }
    throw new Error(`${directories.join(" and ")} have no file ${hash}`);
  };
}
