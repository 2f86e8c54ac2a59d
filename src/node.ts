/**
 * The composition root: the only place that knows every adapter (`node/` has its parts).
 *
 * A node is opened in the order in which it may fail cheaply: configuration, manifest, data directory, key, disk, sockets.
 * It is closed in the reverse order, so that nothing is written after the lock is gone.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { NodeConfig } from "./config.ts";
import { artefactsNeeded } from "./core/lifecycle.ts";
import type { CoreOptions } from "./core/state.ts";
import { openManifest } from "./manifests.ts";
import { createNetwork, type Network } from "./network/node.ts";
import { CLOCK } from "./node/clock.ts";
import { settled } from "./node/fault.ts";
import { openNodeApi } from "./node/operator.ts";
import { openSinks } from "./node/sinks.ts";
import { openSources } from "./node/sources.ts";
import { type NodeStatus, statusOf } from "./node/status.ts";
import { notesOf, openWorkers } from "./node/workers.ts";
import type { Fault, TransportHandler } from "./ports.ts";
import type { Hash, Key } from "./protocol/ids.ts";
import { MESSAGE_BYTES_MAX } from "./protocol/limits.ts";
import type { Manifest } from "./protocol/manifest.ts";
import { Runtime } from "./runtime/runtime.ts";
import { openArtefacts } from "./storage/artefacts.ts";
import { type DataDirectory, openDirectory } from "./storage/directory.ts";
import { type FileJournal, openJournal } from "./storage/journal.ts";
import { createKey, loadKey, nativeEquation, type NodeKey, nodeSigner } from "./storage/keystore.ts";
import { type LevelStore, openLevelStore } from "./storage/level.ts";
import { createTelemetry, type NodeTelemetry } from "./telemetry.ts";

export interface ProofmeshNode {
  readonly manifest: Manifest;
  readonly key: Key;
  readonly addresses: readonly string[];
  readonly http: string | null;
  readonly chainUrl: string | null;
  readonly telemetry: NodeTelemetry;
  status(): NodeStatus;
  /** Resolves with the fault that ends the node, if one does. */
  readonly failed: Promise<Fault>;
  /** Gives back what is not finished, then closes everything; bounded to a few seconds. */
  close(): Promise<void>;
}

/** Opens a node. Throws a `Fault` that says what is wrong, where, and what is allowed. */
export async function openNode(config: NodeConfig, write: (line: string) => void): Promise<ProofmeshNode> {
  const closers: (() => Promise<void> | void)[] = [];
  try {
    return await open(config, write, closers);
  } catch (error) {
    // Why the node cannot start says more than what fails on the way out.
    await closeAll(closers);
    throw error;
  }
}

async function open(
  config: NodeConfig,
  write: (line: string) => void,
  closers: (() => Promise<void> | void)[],
): Promise<ProofmeshNode> {
  const form = config.log === "auto" ? (process.stdout.isTTY ? "pretty" : "json") : config.log;
  const telemetry = createTelemetry({ form, write }, { clock: CLOCK });
  const nodeKey = openKey(config);
  const manifest = await openManifest(config, nodeKey.key);
  const directory = openDirectory({ dir: config.data, network: manifest.network });
  closers.push(() => directory.lock.release());
  let needed = (): ReadonlySet<Hash> => new Set();
  const disk = await openDisk(config, directory, nodeKey, telemetry, () => needed(), closers);
  const roles = rolesOf(config, manifest, nodeKey.key);
  const { verifier, provers } = openWorkers(config, manifest, roles.prover, closers);
  for (const [event, note] of notesOf(config, manifest, provers)) telemetry.emit(event, { note });
  let fail: (fault: Fault) => void = () => {};
  const failed = new Promise<Fault>((resolve) => {
    fail = resolve;
  });
  const core: CoreOptions = {
    self: nodeKey.key,
    roles,
    slots: roles.prover ? config.slots : 0,
    systems: provers.map(({ system }) => system),
    instance: randomBytes(16).toString("hex"),
    seed: Math.floor(Math.random() * 1e6),
  };
  const signer = nodeSigner(nodeKey.seed);
  const parts = { config, manifest, directory, signer, runtime: () => runtime, environment: process.env };
  const sinks = await openSinks(parts, closers);
  const runtime: Runtime = new Runtime(
    { manifest, core },
    {
      clock: CLOCK,
      signer,
      equation: nativeEquation,
      ...disk,
      verifier,
      provers,
      sinks,
      telemetry,
      fatal: (fault) => fail(fault),
    },
  );
  needed = () => artefactsNeeded(runtime.state);
  // Its timer would keep a node that could not be opened from ending.
  closers.push(() => runtime.close());
  await settled<void>((done) => runtime.start(done));
  const network = await connect(config, manifest, nodeKey, directory, runtime, disk, telemetry);
  closers.push(() => network.close());
  runtime.connect(network);
  const sources = await openSources(config, manifest, runtime, directory, telemetry, closers);
  const node: Omit<ProofmeshNode, "http" | "close"> = {
    manifest,
    key: nodeKey.key,
    addresses: network.addresses(),
    chainUrl: sources.chainUrl,
    telemetry,
    failed,
    status: () => statusOf(manifest, runtime, network, telemetry, roles),
  };
  const api = await openNodeApi(config, node, runtime, disk);
  if (api !== null) closers.push(() => api.close());
  return { ...node, http: api?.address ?? null, close: () => closeNode(runtime, closers) };
}

async function closeNode(runtime: Runtime, closers: (() => Promise<void> | void)[]): Promise<void> {
  // A journal that no longer answers must not keep an operator waiting.
  await Promise.race([
    new Promise<void>((resolve) => runtime.drain(resolve)),
    new Promise((resolve) => setTimeout(resolve, 1_500)),
  ]);
  runtime.close();
  const failure = await closeAll(closers);
  if (failure !== null) throw failure;
}

/** Closes what was opened, the last first. One that fails keeps none of the others open; the first failure is returned. */
async function closeAll(closers: readonly (() => Promise<void> | void)[]): Promise<Error | null> {
  let failure: Error | null = null;
  for (const close of closers.toReversed()) {
    try {
      await close();
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(String(error));
    }
  }
  return failure;
}

function openKey(config: NodeConfig): NodeKey {
  const file = config.key ?? join(config.data, "key.json");
  return config.key === undefined && !existsSync(file) ? createKey(file) : loadKey(file);
}

interface Disk {
  readonly journal: FileJournal;
  readonly store: LevelStore;
  readonly artefacts: ReturnType<typeof openArtefacts>;
}

async function openDisk(
  config: NodeConfig,
  directory: DataDirectory,
  nodeKey: NodeKey,
  telemetry: NodeTelemetry,
  needed: () => ReadonlySet<Hash>,
  closers: (() => Promise<void> | void)[],
): Promise<Disk> {
  const journal = openJournal({ dir: directory.journal, key: nodeKey.key });
  closers.push(() => new Promise<void>((resolve) => journal.close(resolve)));
  if (journal.repaired.length > 0) telemetry.emit("journal.repaired", { copies: journal.repaired });
  const { store, report } = await openLevelStore({ dir: directory.level }, { clock: CLOCK, telemetry });
  closers.push(() => store.close());
  if (report.replaced !== null) telemetry.emit("store.replaced", report.replaced);
  const artefacts = openArtefacts(
    { dir: directory.artefacts, bytesMax: config.artefactBytesMax },
    { telemetry, needed },
  );
  return { journal, store, artefacts };
}

function rolesOf(config: NodeConfig, manifest: Manifest, key: Key): CoreOptions["roles"] {
  return {
    source: config.roles.includes("source") && manifest.sources.has(key),
    attester: config.roles.includes("attester") && manifest.weights.has(key),
    prover: config.roles.includes("prover") && config.slots > 0,
  };
}

async function connect(
  config: NodeConfig,
  manifest: Manifest,
  nodeKey: NodeKey,
  directory: DataDirectory,
  handler: TransportHandler,
  disk: Disk,
  telemetry: NodeTelemetry,
): Promise<Network> {
  const members = new Set([
    ...manifest.weights.keys(),
    ...manifest.sources,
    ...manifest.json.provers.list.map(({ key }) => key),
  ]);
  members.delete(nodeKey.key);
  const joined = config.join?.slice(65);
  return createNetwork(
    {
      network: manifest.network,
      seed: nodeKey.seed,
      listen: config.listen,
      announce: config.announce,
      bootstrap: [...manifest.json.bootstrap, ...config.bootstrap, ...(joined === undefined ? [] : [joined])],
      members: [...members],
      manifest: manifest.bytes,
      profile: config.profile,
      messageBytesMax: MESSAGE_BYTES_MAX,
      banFile: join(directory.dir, "bans.json"),
    },
    { handler, artefacts: disk.artefacts, clock: CLOCK, telemetry },
  );
}

export { genesis, type GenesisOptions, type SystemName } from "./genesis.ts";
export { discoverChain, readFragmentFile, readManifestFile, readWorkflows, type WorkflowFile } from "./manifests.ts";
export { NodeFault } from "./node/fault.ts";
export { type OpenTask, type Requeued } from "./node/operator.ts";
export { type NodeStatus } from "./node/status.ts";
export { openProver, openVerifier } from "./node/workers.ts";
export { createKey, loadKey, nativeEquation } from "./storage/keystore.ts";
export { readBlocks } from "./sources/file.ts";
export { type BlockStatus } from "./core/lifecycle.ts";
export { type ReplayBundle, type TaskName } from "./core/bundle.ts";
