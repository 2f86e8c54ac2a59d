/** Who proves and who verifies, as the configuration and the manifest name them. */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import type { NodeConfig } from "../config.ts";
import { PACKAGE_KEYS, SYSTEM_FILES } from "../genesis.ts";
import type { Prover, Verifier } from "../ports.ts";
import { artefactHash, type Hash } from "../protocol/ids.ts";
import { decodeBase64, type Manifest } from "../protocol/manifest.ts";
import type { Resources } from "../protocol/workflow.ts";
import { createBatchProver } from "../provers/groth16/batch.ts";
import { createCommandVerifier, VERIFIER_PLACEHOLDERS } from "../provers/command.ts";
import { createEchoProver } from "../provers/echo.ts";
import { createEreProver } from "../provers/ere/prover.ts";
import { createEreVerifier } from "../provers/ere/verifier.ts";
import { createGroth16Prover, ONE_PARTY_SETUP } from "../provers/groth16/prover.ts";
import { hasKey, type KeyBytes, missingPackages } from "../provers/keys.ts";
import { createMockProver } from "../provers/mock.ts";
import { type OutsideVerifier, withOutside } from "../provers/outside.ts";
import { createProcessProver, PLACEHOLDERS, unknownPlaceholder } from "../provers/process.ts";
import { createStarkProver, EXPERIMENTAL } from "../provers/stark/prover.ts";
import { createUltraHonkProver } from "../provers/ultrahonk/prover.ts";
import { createVerifier } from "../provers/verifier.ts";
import { createZkboostProver, createZkboostVerifier } from "../provers/zkboost/prover.ts";
import { CLOCK } from "./clock.ts";
import { NodeFault } from "./fault.ts";
import { ProverBench, sharedVerifier, Turns } from "./turns.ts";

export interface Workers {
  readonly provers: readonly Prover[];
  /** As one partition has them; `null` where the network is not divided, and all is its own. */
  for(partition: string | null): { readonly verifier: Verifier; readonly provers: readonly Prover[] };
}

export function openWorkers(
  config: NodeConfig,
  manifest: Manifest,
  roles: { readonly prover: boolean; readonly attester: boolean },
  closers: (() => Promise<void> | void)[],
): Workers {
  const threads = openVerifier(manifest, config.verifierThreads);
  // At once: a prover that cannot be opened must not leave the verifier's threads behind.
  closers.push(() => threads.close());
  const provers: Prover[] = [];
  const needed = roles.attester ? recomputedBy(manifest) : [];
  for (const options of roles.prover || needed.length > 0 ? config.provers : []) {
    const opened = openProver(options, config.slots, manifest);
    for (const prover of opened) closers.push(() => prover.close());
    provers.push(...opened);
  }
  const missing = needed.filter((executor) => !provers.some(({ system }) => system === executor));
  if (missing.length > 0)
    throw new NodeFault(
      "config.provers",
      `configuration: provers has no "${missing.join('", "')}", which this network's attesters recompute with`,
    );
  const turns = new Turns(config.verifierThreads);
  const bench = new ProverBench(provers, config.slots);
  return {
    provers,
    for(partition) {
      const inner = partition === null ? threads : sharedVerifier(threads, turns, partition);
      const verifier = withOutside(inner, config.verifiers.map(openOutside));
      closers.push(() => verifier.close());
      return { verifier, provers: partition === null ? provers : bench.for(partition) };
    },
  };
}

/** Executors that attesters have to have: they run them themselves to see whether a result is right. */
function recomputedBy({ json }: Manifest): readonly string[] {
  const stages = Object.values(json.workflows).flatMap((workflow) => workflow.stages);
  return stages.flatMap(({ verify, executor }) => (verify === "recompute" && executor !== undefined ? [executor] : []));
}

/** What this machine has. */
export function resourcesOf({ resources }: NodeConfig): Resources {
  return {
    cpus: resources?.cpus ?? availableParallelism(),
    gpus: resources?.gpus ?? 0,
    memoryBytes: resources?.memoryBytes ?? totalmem(),
  };
}

/** The verifier that a manifest asks for; also what checks certificates offline. */
export function openVerifier(manifest: Manifest, threads: number, outside: NodeConfig["verifiers"] = []): Verifier {
  const keys = new Map<Hash, KeyBytes>();
  for (const [name, { system, verifyingKey }] of Object.entries(manifest.json.keys)) {
    if (!hasKey(system)) continue;
    checkPackages(system);
    keys.set(manifest.keyHashes.get(name) ?? "", { system, bytes: decodeBase64(verifyingKey) });
  }
  try {
    return withOutside(createVerifier({ keys, size: threads }), outside.map(openOutside));
  } catch (error) {
    throw new NodeFault("keys.unsound", `manifest: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A node that could not verify what it attests would hold everybody up, and find out with the first proof. */
function checkPackages(system: string): void {
  const missing = missingPackages(system);
  if (missing.length > 0)
    throw new NodeFault("keys.verifier-missing", `proofs of ${system} need: npm install ${missing.join(" ")}`);
}

/** How far the proofs of a node's network may be believed, where that is less than it seems. */
export function notesOf(
  config: NodeConfig,
  manifest: Manifest,
  provers: readonly Prover[],
): ReadonlyMap<string, string> {
  const notes = new Map<string, string>();
  const isOurs = config.provers.some(
    (prover) => (prover.kind === "groth16" || prover.kind === "ultrahonk") && prover.keys === undefined,
  );
  if (isOurs && provers.some(({ system }) => system === "groth16-shard" || system === "ultrahonk-shard"))
    notes.set("prover.setup", ONE_PARTY_SETUP);
  if (Object.values(manifest.json.keys).some(({ system }) => system === "stark-shard"))
    notes.set("prover.experimental", EXPERIMENTAL);
  return notes;
}

function openOutside(verifier: NodeConfig["verifiers"][number]): OutsideVerifier {
  switch (verifier.kind) {
    case "ere":
      return createEreVerifier(verifier);
    case "zkboost":
      return createZkboostVerifier(verifier);
    case "process": {
      const { directory, ...options } = verifier;
      checkVerifierArguments(verifier.args);
      return createCommandVerifier({ ...options, ...(directory === undefined ? {} : { directory }) });
    }
  }
}

/** The provers that one entry of the configuration stands for. */
export function openProver(prover: NodeConfig["provers"][number], slots: number, manifest: Manifest): Prover[] {
  switch (prover.kind) {
    case "groth16":
    case "ultrahonk":
    case "stark":
      return openBuiltIn(prover, slots, manifest);
    case "mock": {
      const { system = "mock", seed = "mock", provingMs, infrastructure = 0, logical = 0, wrong = 0 } = prover;
      return [createMockProver({ clock: CLOCK, system, seed, slots, provingMs, infrastructure, logical, wrong })];
    }
    case "echo": {
      const { system, delayMs = 0, items } = prover;
      return [createEchoProver({ clock: CLOCK, system, slots, delayMs, ...(items === undefined ? {} : { items }) })];
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

type BuiltIn = Extract<NodeConfig["provers"][number], { readonly kind: "groth16" | "ultrahonk" | "stark" }>;

/** None where the manifest names no key of the system. */
function openBuiltIn(prover: BuiltIn, slots: number, manifest: Manifest): Prover[] {
  const { kind, keys: keysDir = PACKAGE_KEYS, timeoutMs, memoryBytesMax } = prover;
  if (!Object.values(manifest.json.keys).some(({ system }) => system === `${kind}-shard`)) return [];
  checkProvingKeys(manifest, `${kind}-shard`, keysDir);
  const options = { slots, keysDir, timeoutMs, ...(memoryBytesMax === undefined ? {} : { memoryBytesMax }) };
  switch (kind) {
    case "groth16":
      return [createGroth16Prover(options), createBatchProver({ slots })];
    case "ultrahonk":
      return [createUltraHonkProver(options)];
    case "stark":
      return [createStarkProver(options)];
  }
}

function checkVerifierArguments(args: readonly string[]): void {
  const names: readonly string[] = VERIFIER_PLACEHOLDERS;
  const named = args.flatMap((argument) => [...argument.matchAll(/\{([a-z]+)\}/g)].map(([, name = ""]) => name));
  const allowed = names.map((name) => `{${name}}`).join(" ");
  for (const name of named)
    if (!names.includes(name))
      throw new NodeFault("config.invalid", `verifiers: args name {${name}}; allowed: ${allowed}`);
  for (const needed of ["proof", "values"])
    if (!named.includes(needed))
      throw new NodeFault(
        "config.invalid",
        `verifiers: args have to name {${needed}}, or the proof would be of anything`,
      );
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
function checkProvingKeys(manifest: Manifest, shardSystem: string, keysDir: string): void {
  const entry = Object.values(manifest.json.keys).find(({ system }) => system === shardSystem);
  for (const name of SYSTEM_FILES[shardSystem]?.proving ?? []) {
    const wanted = entry?.files[name]?.hash;
    const file = join(keysDir, name);
    if (!existsSync(file))
      throw new NodeFault("keys.missing", `${file} is not there; the manifest names it with SHA-256 ${wanted ?? "?"}`);
    const found = artefactHash(readFileSync(file));
    if (found !== wanted)
      throw new NodeFault("keys.mismatch", `${file} has SHA-256 ${found}; the manifest allows ${wanted ?? "none"}`);
  }
}
