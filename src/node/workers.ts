/** Who proves and who verifies, as the configuration and the manifest name them. */
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import type { NodeConfig } from "../config.ts";
import { PACKAGE_KEYS } from "../genesis.ts";
import type { Device, Fault, Prover, Verifier } from "../ports.ts";
import { artefactHash, type Hash } from "../protocol/ids.ts";
import { decodeBase64, type Manifest } from "../protocol/manifest.ts";
import type { Resources } from "../protocol/workflow.ts";
import { detectDevices, DEVICE_VARIABLES } from "../provers/devices.ts";
import { proverOfClaims, verifierOfClaims } from "../provers/claims.ts";
import { createCommandVerifier, VERIFIER_PLACEHOLDERS } from "../provers/command.ts";
import { createEchoProver } from "../provers/echo.ts";
import { createEreProver } from "../provers/ere/prover.ts";
import { createEreVerifier } from "../provers/ere/verifier.ts";
import type { KeyBytes, Proving } from "../proofs/system.ts";
import { missingPackages, PROVING_SYSTEMS, systemOf } from "../proofs/table.ts";
import { createMockProver } from "../provers/mock.ts";
import { type OutsideVerifier, withOutside } from "../provers/outside.ts";
import { createProcessProver, PLACEHOLDERS, unknownPlaceholder } from "../provers/process.ts";
import { refusingLarge } from "../provers/too-large.ts";
import { createVerifier } from "../provers/verifier.ts";
import { ProverScheduler, type ScheduledProver } from "../runtime/scheduler.ts";
import { Devices, type DeviceStatus } from "../scheduler/devices.ts";
import { CLOCK } from "./clock.ts";
import { NodeFault } from "./fault.ts";
import { findIn, type ModuleFiles, type Modules, NO_FILES, openModules } from "./modules.ts";
import { guardedProver, guardedVerifier } from "./guard.ts";
import { Qualification, type QualificationModules } from "./qualification.ts";
import { sharedVerifier, VerifierSlots } from "./shared-verifier.ts";
import { Workbench } from "./workbench.ts";

type ProverOptions = NodeConfig["provers"][number];

export interface Workers {
  readonly provers: readonly Prover[];
  /** Shared by all that is no task. */
  readonly verifier: Verifier;
  devices(): readonly DeviceStatus[];
  readonly qualification: Qualification;
  readonly modules: Modules;
  /** As one partition has them; `null` where the network is not divided, and all is its own. */
  for(partition: string | null): { readonly verifier: Verifier; readonly provers: readonly Prover[] };
}

export function openWorkers(
  config: NodeConfig,
  manifest: Manifest,
  roles: { readonly prover: boolean; readonly attester: boolean },
  devices: Devices,
  modules: Pick<QualificationModules, "telemetry" | "changed" | "fatal">,
  files: ModuleFiles,
  closers: (() => Promise<void> | void)[],
): Workers {
  const threads = openThreads(manifest, config.verifierThreads, files);
  // At once: a prover that cannot be opened must not leave the verifier's threads behind.
  closers.push(() => threads.close());
  const scheduled: (ScheduledProver & { readonly options: ProverOptions })[] = [];
  const needed = roles.attester ? recomputedBy(manifest) : [];
  for (const options of roles.prover || needed.length > 0 ? config.provers : []) {
    const opened = openScheduled(options, config.slots, manifest, devices);
    for (const { prover } of opened) closers.push(() => prover.close());
    scheduled.push(...opened.map((each) => ({ ...each, options })));
  }
  const provers = scheduled.map(({ prover }) => prover);
  const missing = needed.filter((executor) => !provers.some(({ system }) => system === executor));
  if (missing.length > 0)
    throw new NodeFault(
      "config.provers",
      `configuration: provers has no "${missing.join('", "')}", which this network's attesters recompute with`,
    );
  const verifierSlots = new VerifierSlots(config.verifierThreads);
  // Of an undivided network the core alone counts slots.
  const isDivided = manifest.json.partitions !== undefined;
  const slots = isDivided ? Math.max(config.slots, 1) : Number.POSITIVE_INFINITY;
  const scheduler = new ProverScheduler(scheduled, slots, devices);
  const own = verifierOfClaims(withOutside(threads, outsideOf(config, manifest)));
  const systems = (of: readonly ScheduledProver[]): Set<string> => new Set(of.map(({ prover }) => prover.system));
  const qualification = new Qualification(
    {
      manifest,
      untried: systems(scheduled.filter(({ options }) => isUntried(options))),
      exempt: systems(scheduled.filter(({ options: { kind } }) => !roles.prover || kind === "mock" || kind === "echo")),
    },
    { provers: scheduler.for(TRIALS), verifier: own, clock: CLOCK, ...modules },
  );
  closers.push(() => qualification.close());
  return {
    provers,
    verifier: own,
    qualification,
    modules: { loadModules: threads.loadModules, moduleFiles: threads.moduleFiles },
    devices: () => devices.status(),
    for(partition) {
      const inner = partition === null ? threads : sharedVerifier(threads, verifierSlots, partition);
      const verifier = verifierOfClaims(withOutside(inner, outsideOf(config, manifest)));
      closers.push(() => verifier.close());
      return { verifier, provers: qualification.watch(scheduler.for(partition)) };
    },
  };
}

/** The queue in which trials wait; no partition has such a name. */
const TRIALS = " trials";

function isUntried(options: ProverOptions): boolean {
  return "qualification" in options && options.qualification === "first-task";
}

/** Executors that attesters have to have: they run them themselves to see whether a result is right. */
function recomputedBy({ json }: Manifest): readonly string[] {
  const stages = Object.values(json.workflows).flatMap((workflow) => workflow.stages);
  return stages.flatMap(({ verify, executor }) => (verify === "recompute" && executor !== undefined ? [executor] : []));
}

/** What a task that asks for some of this machine may count on. */
export function resourcesOf({ resources }: NodeConfig, devices: Devices): Resources {
  return {
    cpus: resources?.cpus ?? availableParallelism(),
    gpus: resources?.gpus ?? devices.most.gpus,
    memoryBytes: resources?.memoryBytes ?? totalmem(),
  };
}

/** The devices that are configured, or those that this machine says it has, and what is odd about them. */
export async function openDevices(
  config: Pick<NodeConfig, "devices" | "resources">,
): Promise<{ readonly devices: Devices; readonly faults: readonly Fault[] }> {
  const named = config.devices?.map(({ vendor, id }): Device => {
    return { vendor, id, ...(/^\d+$/.test(id) ? { index: id } : {}), name: vendor, memoryBytes: null };
  });
  const { devices, faults } = named === undefined ? await detectDevices() : { devices: named, faults: [] };
  const { cpus = availableParallelism(), memoryBytes = totalmem() } = config.resources ?? {};
  return { devices: new Devices(devices, { cpus, memoryBytes }), faults };
}

/**
 * The provers of one entry of the configuration, and what each takes of the machine. Throws `config.resources` where a task
 * of it could never begin.
 */
function openScheduled(
  options: NodeConfig["provers"][number],
  slots: number,
  manifest: Manifest,
  devices: Devices,
): ScheduledProver[] {
  const { cpus = 0, gpus = 0, memoryBytes = 0 } = options.resources ?? {};
  const resources = { cpus, gpus, memoryBytes };
  for (const name of ["cpus", "gpus", "memoryBytes"] as const) {
    if (resources[name] <= devices.most[name]) continue;
    const why = `provers: resources.${name} of a ${options.kind} is ${resources[name]}; this machine allows up to ${devices.most[name]}`;
    throw new NodeFault("config.resources", `${why} (devices and resources in the configuration say what it has)`);
  }
  const unnumbered = devices.status().find(({ index }) => index === undefined);
  if (options.kind === "process" && options.gpuNames === "index" && unnumbered !== undefined)
    throw new NodeFault(
      "config.devices",
      `devices: ${unnumbered.id} is no index, and provers has a process with "gpuNames": "index"; name the GPU by its index`,
    );
  const server = serverOf(options);
  const counted = devices.status().length > 0;
  // A prover that throws must give back its slot and its devices like any other that fails.
  return openProver(options, slots, manifest).map((prover) => {
    const fitting = refusingLarge(proverOfClaims(prover), manifest.json.limits.proofBytesMax);
    return { prover: guardedProver(fitting), resources, server, counted };
  });
}

/** What proves one task at a time, whatever asks for it. */
function serverOf(options: ProverOptions): string | null {
  if (options.kind === "pickles") return options.kind;
  return "url" in options ? new URL(options.url).href.replace(/\/+$/, "") : null;
}

/** Provers and verifiers for commands that run tasks without a node. */
export async function openWorkbench(
  manifest: Manifest,
  config: Pick<NodeConfig, "data" | "provers" | "verifiers" | "devices" | "resources">,
): Promise<Workbench> {
  const { devices } = await openDevices(config);
  const scheduled = config.provers.flatMap((each) => openScheduled(each, 1, manifest, devices));
  const files = { find: findIn(join(config.data, "artefacts")) };
  const verifier = openVerifier(manifest, 1, config.verifiers, files);
  const closers = [verifier, ...scheduled.map(({ prover }) => prover)].map((each) => () => each.close());
  return new Workbench(new ProverScheduler(scheduled, 1, devices).for(null), verifier, closers);
}

/** The verifier that a manifest asks for; also what checks certificates offline. */
export function openVerifier(
  manifest: Manifest,
  threads: number,
  outside: NodeConfig["verifiers"],
  files: ModuleFiles = NO_FILES,
): Verifier {
  const inner = openThreads(manifest, threads, files);
  return verifierOfClaims(withOutside(inner, outsideOf({ verifiers: outside }, manifest)));
}

/** The systems that are built in, and the modules that the manifest names. */
function openThreads(manifest: Manifest, threads: number, files: ModuleFiles): Verifier & Modules {
  const keys = new Map<Hash, KeyBytes>();
  for (const [name, { system, verifyingKey }] of Object.entries(manifest.json.keys)) {
    if (systemOf(system) === undefined) continue;
    checkPackages(system);
    keys.set(manifest.keyHashes.get(name) ?? "", { system, bytes: decodeBase64(verifyingKey) });
  }
  try {
    const modules = openModules(keys, files);
    const verifier = withOutside(guardedVerifier(createVerifier({ keys, size: threads })), modules.verifiers);
    return { ...verifier, loadModules: modules.load, moduleFiles: modules.files };
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

function outsideOf({ verifiers }: Pick<NodeConfig, "verifiers">, manifest: Manifest): readonly OutsideVerifier[] {
  return verifiers.map((each) => openOutside(each, keysIn(manifest)));
}

type KeyOf = (hash: Hash) => Uint8Array | null;

/** The bytes of a manifest's verifying keys. */
function keysIn(manifest: Manifest): KeyOf {
  return (hash) => {
    const name = [...manifest.keyHashes].find(([, each]) => each === hash)?.[0];
    const key = name === undefined ? undefined : manifest.json.keys[name];
    return key === undefined ? null : decodeBase64(key.verifyingKey);
  };
}

function openOutside(verifier: NodeConfig["verifiers"][number], keyOf: KeyOf): OutsideVerifier {
  switch (verifier.kind) {
    case "ere":
      return createEreVerifier(verifier);
    case "process": {
      const { directory, verdictStatuses = [], ...options } = verifier;
      checkVerifierArguments(verifier.args);
      const rest = directory === undefined ? {} : { directory };
      return createCommandVerifier({ ...options, ...rest, verdictStatuses, keyOf });
    }
  }
}

/** The provers that one entry of the configuration stands for. */
function openProver(prover: NodeConfig["provers"][number], slots: number, manifest: Manifest): readonly Prover[] {
  switch (prover.kind) {
    case "groth16":
    case "ultrahonk":
    case "stark":
    case "halo2":
    case "pickles":
      return openBuiltIn(prover, slots, manifest);
    case "mock": {
      const { system = "mock", seed = "mock", provingMs, infrastructure = 0, logical = 0, wrong = 0 } = prover;
      const chances = { infrastructure, logical, wrong };
      const limit = prover.itemsMax === undefined ? {} : { itemsMax: prover.itemsMax };
      return [createMockProver({ clock: CLOCK, system, seed, slots, provingMs, ...chances, ...limit })];
    }
    case "echo": {
      const { system, delayMs = 0, items } = prover;
      return [createEchoProver({ clock: CLOCK, system, slots, delayMs, ...(items === undefined ? {} : { items }) })];
    }
    case "ere":
      return [createEreProver(prover)];
    case "process": {
      const {
        system,
        command,
        timeoutMs,
        args = [],
        form = "json",
        verdictStatuses = [],
        memoryBytesMax,
        directory,
        environment = {},
        progress,
        graceMs,
        gpuNames,
      } = prover;
      checkArguments(args, form);
      checkEnvironment(environment);
      return [
        createProcessProver({
          system,
          slots,
          command,
          args,
          form,
          timeoutMs,
          verdictStatuses,
          environment,
          memoryBytesMax,
          directory,
          progress,
          graceMs,
          gpuNames,
          keyOf: keysIn(manifest),
        }),
      ];
    }
  }
}

type BuiltIn = Extract<NodeConfig["provers"][number], { readonly kind: Proving["kind"] }>;

/** None where the manifest names no key of the system. */
function openBuiltIn(prover: BuiltIn, slots: number, manifest: Manifest): readonly Prover[] {
  const { kind, keys: keysDir = PACKAGE_KEYS, timeoutMs, memoryBytesMax } = prover;
  const system = PROVING_SYSTEMS.find(({ proving }) => proving.kind === kind);
  const key = Object.values(manifest.json.keys).find((each) => each.system === system?.name);
  if (system === undefined || key === undefined) return [];
  checkProvingKeys(key.files, system.proving.files, keysDir);
  return system.proving.open({
    slots,
    keysDir,
    timeoutMs,
    ...(memoryBytesMax === undefined ? {} : { memoryBytesMax }),
  });
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

/** Two masters would hand out one GPU. */
function checkEnvironment(environment: Readonly<Record<string, string>>): void {
  const named = DEVICE_VARIABLES.find((name) => name in environment);
  if (named !== undefined)
    throw new NodeFault(
      "config.invalid",
      `provers: environment sets ${named} to "${environment[named]}"; the node does, so name {"gpus": n} in resources`,
    );
}

/** Proofs under other keys than the manifest's would all be refused: better to say so at the start. */
function checkProvingKeys(
  files: Manifest["json"]["keys"][string]["files"],
  names: readonly string[],
  keysDir: string,
): void {
  for (const name of names) {
    const wanted = files[name]?.hash;
    const file = join(keysDir, name);
    if (!existsSync(file))
      throw new NodeFault("keys.missing", `${file} is not there; the manifest names it with SHA-256 ${wanted ?? "?"}`);
    const found = artefactHash(readFileSync(file));
    if (found !== wanted)
      throw new NodeFault("keys.mismatch", `${file} has SHA-256 ${found}; the manifest allows ${wanted ?? "none"}`);
  }
}
