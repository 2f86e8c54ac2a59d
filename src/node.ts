/**
 * The composition root: the only place that knows every adapter (`node/` has its parts).
 *
 * A node is opened in the order in which it may fail cheaply: configuration, data directory, key, manifest, disk, sockets.
 * The lock on the data directory comes first, because a second process must not touch what is in it.
 * It is closed in the reverse order, so that nothing is written after the lock is gone.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { NodeConfig } from "./config.ts";
import { artefactsNeeded } from "./core/lifecycle.ts";
import { openManifest } from "./manifests.ts";
import type { Network } from "./network/node.ts";
import { CLOCK } from "./node/clock.ts";
import { openSelects } from "./node/collectors.ts";
import { membershipsOf } from "./node/membership.ts";
import { openNodeApi } from "./node/operator.ts";
import type { Closers, Shared } from "./node/partition.ts";
import { type NodeParts, openParts } from "./node/parts.ts";
import { openSources } from "./node/sources.ts";
import { type NodeStatus, statusOf } from "./node/status.ts";
import type { Fault } from "./ports.ts";
import type { Hash, Key } from "./protocol/ids.ts";
import { CERTIFICATE_GOSSIP_BYTES_MAX, MESSAGE_BYTES_MAX } from "./protocol/limits.ts";
import type { Manifest } from "./protocol/manifest.ts";
import { openArtefacts } from "./storage/artefacts.ts";
import { bindDirectory, openDirectory } from "./storage/directory.ts";
import { loadKey, type NodeKey } from "./storage/keystore.ts";
import { createKeys, keyFileIn, lockKeys } from "./storage/signing.ts";
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
  const closers: Closers = [];
  try {
    return await open(config, write, closers);
  } catch (error) {
    // Why the node cannot start says more than what fails on the way out.
    await closeAll(closers);
    throw error;
  }
}

async function open(config: NodeConfig, write: (line: string) => void, closers: Closers): Promise<ProofmeshNode> {
  const form = config.log === "auto" ? (process.stdout.isTTY ? "pretty" : "json") : config.log;
  const telemetry = createTelemetry({ form, write }, { clock: CLOCK });
  const directory = await openDirectory(config.data);
  closers.push(() => directory.lock.release());
  const keysLock = await lockKeys(config.keys);
  closers.push(() => keysLock.release());
  const nodeKey = openKey(config);
  const manifest = await openManifest(config, nodeKey.key, telemetry);
  const selects = openSelects(manifest, config, telemetry);
  bindDirectory(directory, manifest.network);
  const memberships = membershipsOf(config, manifest, nodeKey.key);
  let needed = (): ReadonlySet<Hash> => new Set();
  const artefacts = openArtefacts(
    { dir: directory.artefacts, bytesMax: config.artefactBytesMax },
    { telemetry, needed: () => needed() },
  );
  let fail: (fault: Fault) => void = () => {};
  const failed = new Promise<Fault>((resolve) => {
    fail = resolve;
  });
  const instance = randomBytes(16).toString("hex");
  const { keys } = config;
  const fatal = (fault: Fault) => fail(fault);
  const shared: Shared = { instance, nodeKey, keys, selects, directory, artefacts, telemetry, fatal };
  const parts = await openParts(config, manifest, memberships, shared, closers);
  const { moduleFiles } = parts.workers.modules;
  needed = () =>
    new Set([...moduleFiles, ...parts.partitions.flatMap(({ runtime }) => [...artefactsNeeded(runtime.state)])]);
  const network = await connect(config, manifest, parts, shared);
  closers.push(() => network.close());
  for (const { manifest: own, runtime } of parts.partitions)
    runtime.connect(parts.certificates === null ? network : network.partition(own.network));
  parts.certificates?.connect(network);
  const sources = await openSources(config, manifest, parts, directory, telemetry, closers);
  const node: Omit<ProofmeshNode, "http" | "close"> = {
    manifest,
    key: nodeKey.key,
    addresses: network.addresses(),
    chainUrl: sources.chainUrl,
    telemetry,
    failed,
    status: () => statusOf(nodeKey.key, manifest, parts, network, telemetry),
  };
  const api = await openNodeApi(config, node, parts, artefacts);
  if (api !== null) closers.push(() => api.close());
  return { ...node, http: api?.address ?? null, close: () => closeNode(parts, closers) };
}

async function closeNode({ partitions }: NodeParts, closers: Closers): Promise<void> {
  // A journal that no longer answers must not keep an operator waiting.
  await Promise.race([
    Promise.all(partitions.map(({ runtime }) => new Promise<void>((resolve) => runtime.drain(resolve)))),
    new Promise((resolve) => setTimeout(resolve, 1_500)),
  ]);
  for (const { runtime } of partitions) runtime.close();
  const failure = await closeAll(closers);
  if (failure !== null) throw failure;
}

/** Closes what was opened, the last first. One that fails keeps none of the others open; the first failure is returned. */
async function closeAll(closers: Readonly<Closers>): Promise<Error | null> {
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
  const file = keyFileIn(config.keys);
  return existsSync(file) ? loadKey(file) : createKeys(config.keys);
}

/** An undivided network has the one partition on the topic that all share; a divided one has certificates there. */
async function connect(
  config: NodeConfig,
  manifest: Manifest,
  { partitions, certificates }: NodeParts,
  { nodeKey, directory, artefacts, telemetry }: Shared,
): Promise<Network> {
  // Half of all that a node loads, and no command but the node itself needs it.
  const { createNetwork } = await import("./network/node.ts");
  const members = new Set([
    ...manifest.weights.keys(),
    ...manifest.sources,
    ...manifest.json.provers.list.map(({ key }) => key),
  ]);
  members.delete(nodeKey.key);
  const joined = config.join?.slice(65);
  const admitted = (key: Key): boolean => partitions.some(({ runtime }) => runtime.state.roster.has(key));
  const attests = (key: Key): boolean => manifest.weights.has(key);
  const modules = { artefacts, clock: CLOCK, telemetry, admitted, attests };
  const options = {
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
  };
  const [only] = partitions;
  if (certificates === null) {
    if (only === undefined) throw new Error("an undivided network without its partition");
    return createNetwork(options, { handler: only.runtime, ...modules });
  }
  const parts = partitions.map(({ name, manifest: { network }, runtime }) => {
    return { name: name ?? "", network, messageBytesMax: MESSAGE_BYTES_MAX, handler: runtime };
  });
  return createNetwork(
    { ...options, messageBytesMax: CERTIFICATE_GOSSIP_BYTES_MAX },
    { handler: certificates, partitions: parts, ...modules },
  );
}

export { genesis, PROOF_BYTES, type GenesisOptions, SYSTEM_NAMES, type SystemName } from "./genesis.ts";
export {
  createManifestFile,
  discoverChain,
  followsDevChain,
  readFragmentFile,
  readManifestFile,
  readWorkflows,
  type WorkflowFile,
} from "./manifests.ts";
export { openSelects } from "./node/collectors.ts";
export { prepareJobOf } from "./node/proven.ts";
export { actOnRegistry, deployRegistry, openAccount } from "./node/accounts.ts";
export { NodeFault } from "./node/fault.ts";
export { type Requeued } from "./node/operator.ts";
export { type NodeStatus, type PartitionStatus } from "./node/status.ts";
export { qualifying, qualifyingBlock, refusesChanged, startId } from "./node/trials.ts";
export {
  listIn,
  type Made,
  nameOf,
  outputOf,
  type Prepared,
  type ProvenBlock,
  withTaken,
  type Workbench,
} from "./node/workbench.ts";
export { findIn } from "./node/modules.ts";
export { checkVerifiers } from "./node/verifier-checks.ts";
export { openDevices, openVerifier, openWorkbench } from "./node/workers.ts";
export { whyNotPublic } from "./node/reach.ts";
export { writeFileDurably } from "./storage/files.ts";
export { createKey, loadKey, nativeEquation } from "./storage/keystore.ts";
export { createKeys, keyFileIn } from "./storage/signing.ts";
export { rangeOf } from "./protocol/range.ts";
export { readBlocks } from "./sources/file.ts";
export { type BlockStatus, type OpenTask } from "./core/lifecycle.ts";
export { type ReplayBundle, type TaskName } from "./core/bundle.ts";
