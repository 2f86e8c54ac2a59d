/** What commands say of the verifiers that a network's keys ask for, before a node rests on them. */
import type { Fault } from "../ports.ts";
import { artefactHash, type Hash } from "../protocol/ids.ts";
import { decodeBase64, type ManifestJson } from "../protocol/manifest.ts";
import type { KeyBytes } from "../proofs/system.ts";
import { missingPackages, systemOf } from "../proofs/table.ts";
import type { FindFile } from "../proofs/wasm/verifier.ts";
import { openModules } from "./modules.ts";

export interface KeyCheck {
  /** As the manifest calls it. */
  readonly name: string;
  readonly system: string;
  readonly library: string;
  readonly proofBytes: number | null;
  /** Whether a module verifies, which is asked its canaries. */
  readonly isModule: boolean;
  readonly fault: Fault | null;
}

/** `find` gives modules and canaries. `null`: modules are not asked anything. */
export async function checkVerifiers(
  keys: ManifestJson["keys"],
  find: FindFile | null,
  changes: "drawn" | "all",
): Promise<readonly KeyCheck[]> {
  const checks: KeyCheck[] = [];
  for (const [name, { system: systemName, verifyingKey }] of Object.entries(keys)) {
    const system = systemOf(systemName);
    if (system === undefined) continue;
    const bytes = decodeBase64(verifyingKey);
    const key = { system: systemName, bytes };
    const { library, proofBytes } = system;
    const isModule = system.module !== undefined;
    const fault = faultOfKey(key) ?? (isModule && find !== null ? await faultOfModule(key, find, changes) : null);
    checks.push({ name, system: systemName, library, proofBytes, isModule, fault });
  }
  return checks;
}

function faultOfKey({ system, bytes }: KeyBytes): Fault | null {
  const missing = missingPackages(system);
  if (missing.length > 0)
    return { code: "keys.verifier-missing", message: `proofs of ${system} need: npm install ${missing.join(" ")}` };
  try {
    systemOf(system)?.readKey(bytes);
    return null;
  } catch (error) {
    return { code: "keys.unsound", message: error instanceof Error ? error.message : String(error) };
  }
}

async function faultOfModule(key: KeyBytes, find: FindFile, changes: "drawn" | "all"): Promise<Fault | null> {
  const hash: Hash = artefactHash(key.bytes);
  const { verifiers, load } = openModules(new Map([[hash, key]]), { find, changes });
  try {
    const [loaded] = await load();
    return loaded?.fault ?? null;
  } finally {
    for (const verifier of verifiers) verifier.close();
  }
}
