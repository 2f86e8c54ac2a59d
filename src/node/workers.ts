/** Who proves and who verifies, as the configuration and the manifest name them. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeConfig } from "../config.ts";
import { PACKAGE_KEYS, PROVING_FILES } from "../genesis.ts";
import type { Prover, Verifier } from "../ports.ts";
import { artefactHash, type Hash } from "../protocol/ids.ts";
import { decodeBase64, type Manifest } from "../protocol/manifest.ts";
import { createBatchProver } from "../provers/groth16/batch.ts";
import { createEreProver } from "../provers/ere/prover.ts";
import { createEreVerifier } from "../provers/ere/verifier.ts";
import { createGroth16Prover } from "../provers/groth16/prover.ts";
import { hasKey, type KeyBytes } from "../provers/keys.ts";
import { createMockProver } from "../provers/mock.ts";
import { type OutsideVerifier, withOutside } from "../provers/outside.ts";
import { createProcessProver, PLACEHOLDERS, unknownPlaceholder } from "../provers/process.ts";
import { createVerifier } from "../provers/verifier.ts";
import { createZkboostProver, createZkboostVerifier } from "../provers/zkboost/prover.ts";
import { CLOCK } from "./clock.ts";
import { NodeFault } from "./fault.ts";

export function openWorkers(
  config: NodeConfig,
  manifest: Manifest,
  proves: boolean,
  closers: (() => Promise<void> | void)[],
): { readonly verifier: Verifier; readonly provers: Prover[] } {
  const verifier = withOutside(openVerifier(manifest, config.verifierThreads), config.verifiers.map(openOutside));
  // At once: a prover that cannot be opened must not leave the verifier's threads behind.
  closers.push(() => verifier.close());
  const provers: Prover[] = [];
  for (const options of proves ? config.provers : []) {
    const opened = openProver(options, config.slots, manifest);
    for (const prover of opened) closers.push(() => prover.close());
    provers.push(...opened);
  }
  return { verifier, provers };
}

/** The verifier that a manifest asks for; also what checks certificates offline. */
export function openVerifier(manifest: Manifest, threads: number): Verifier {
  const keys = new Map<Hash, KeyBytes>();
  for (const [name, { system, verifyingKey }] of Object.entries(manifest.json.keys)) {
    if (hasKey(system)) keys.set(manifest.keyHashes.get(name) ?? "", { system, bytes: decodeBase64(verifyingKey) });
  }
  try {
    return createVerifier({ keys, size: threads });
  } catch (error) {
    throw new NodeFault("keys.unsound", `manifest: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function openOutside(verifier: NodeConfig["verifiers"][number]): OutsideVerifier {
  return verifier.kind === "ere" ? createEreVerifier(verifier) : createZkboostVerifier(verifier);
}

/** The provers that one entry of the configuration stands for. */
export function openProver(prover: NodeConfig["provers"][number], slots: number, manifest: Manifest): Prover[] {
  switch (prover.kind) {
    case "groth16": {
      if (!Object.values(manifest.json.keys).some(({ system }) => system === "groth16-shard")) return [];
      const keysDir = prover.keys ?? PACKAGE_KEYS;
      checkProvingKeys(manifest, keysDir);
      return [createGroth16Prover({ slots, keysDir, timeoutMs: prover.timeoutMs }), createBatchProver({ slots })];
    }
    case "mock": {
      const { system = "mock", seed = "mock", provingMs, infrastructure = 0, logical = 0, wrong = 0 } = prover;
      return [createMockProver({ clock: CLOCK, system, seed, slots, provingMs, infrastructure, logical, wrong })];
    }
    case "ere":
      return [createEreProver(prover)];
    case "zkboost":
      return [createZkboostProver(prover)];
    case "process": {
      const {
        system,
        command,
        timeoutMs,
        args = [],
        form = "json",
        memoryBytesMax,
        directory,
        environment = {},
      } = prover;
      checkArguments(args, form);
      return [
        createProcessProver({
          system,
          slots,
          command,
          args,
          form,
          timeoutMs,
          environment,
          ...(memoryBytesMax === undefined ? {} : { memoryBytesMax }),
          ...(directory === undefined ? {} : { directory }),
        }),
      ];
    }
  }
}

function checkArguments(args: readonly string[], form: "json" | "raw"): void {
  const allowed = PLACEHOLDERS.map((name) => `{${name}}`).join(" ");
  for (const [at, argument] of args.entries()) {
    const unknown = unknownPlaceholder(argument);
    if (unknown !== null)
      throw new NodeFault("config.invalid", `provers: args[${at}] names {${unknown}}; allowed: ${allowed}`);
  }
  if (form === "raw" && !args.some((argument) => argument.includes("{output}")))
    throw new NodeFault("config.invalid", "provers: args of the raw form have to name {output}, where the proof goes");
}

/** Proofs under other keys than the manifest's would all be refused: better to say so at the start. */
function checkProvingKeys(manifest: Manifest, keysDir: string): void {
  const entry = Object.values(manifest.json.keys).find(({ system }) => system === "groth16-shard");
  for (const name of PROVING_FILES) {
    const wanted = entry?.files[name]?.hash;
    const file = join(keysDir, name);
    if (!existsSync(file))
      throw new NodeFault("keys.missing", `${file} is not there; the manifest names it with SHA-256 ${wanted ?? "?"}`);
    const found = artefactHash(readFileSync(file));
    if (found !== wanted)
      throw new NodeFault("keys.mismatch", `${file} has SHA-256 ${found}; the manifest allows ${wanted ?? "none"}`);
  }
}
