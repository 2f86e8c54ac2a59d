/** Verifiers that are WebAssembly modules: those of the package, and those that the manifest names by their SHA-256. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Fault } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import type { Keys } from "../proofs/system.ts";
import { SYSTEMS } from "../proofs/table.ts";
import type { WasmKey } from "../proofs/wasm/settings.ts";
import { createWasmVerifier, type FindFile, type WasmVerifier } from "../proofs/wasm/verifier.ts";

export interface ModuleFiles {
  /** Gives modules and canaries that the manifest names. */
  readonly find: FindFile;
  /** Called when the verifier of a key comes into use, or goes out of it. */
  readonly changed?: (key: Hash, fault: Fault | null) => void;
  readonly changes?: "drawn" | "all";
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

/** Throws for a key that is malformed. */
export function openModules(
  keys: Keys,
  { find, ...rest }: ModuleFiles,
): {
  readonly verifiers: readonly WasmVerifier[];
  readonly load: Modules["loadModules"];
  readonly files: ReadonlySet<Hash>;
} {
  const files = new Set<Hash>();
  const verifiers = SYSTEMS.flatMap((row) => {
    const { name, module } = row;
    if (module === undefined) return [];
    const own = new Map<Hash, WasmKey>();
    for (const [hash, { system, bytes }] of keys) if (system === name) own.set(hash, module.keyOf(row.readKey(bytes)));
    if (own.size === 0) return [];
    const { file } = module;
    if (file === undefined) for (const key of own.values()) for (const each of filesOf(key)) files.add(each);
    return [createWasmVerifier(name, own, { find: file ?? find, ...rest })];
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

/** Looks in a directory of files named by their SHA-256, and in a node's store of artefacts. */
export function findIn(...directories: readonly string[]): FindFile {
  return async (hash) => {
    for (const directory of directories)
      for (const path of [join(directory, hash), join(directory, hash.slice(0, 2), hash)]) {
        const bytes = await readFile(path).catch(() => null);
        if (bytes !== null) return new Uint8Array(bytes);
      }
    throw new Error(
      `there is no such file in ${directories.join(", ")}; verifier modules and canaries are named by their SHA-256`,
    );
  };
}
