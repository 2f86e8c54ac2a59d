/**
 * The composition root: the only file that knows every adapter.
 *
 * A node is opened in the order in which it may fail cheaply: configuration, manifest, data directory, key, disk, sockets.
 * It is closed in the reverse order, so that nothing is written after the lock is gone.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ApiServer, openApi } from "./api/http.ts";
import type { NodeConfig } from "./config.ts";
import { bundleOf, findNamed, type ReplayBundle, type TaskName } from "./core/bundle.ts";
import { certificateOf, evidenceOf } from "./core/certified.ts";
import { quarantineOf, roundOf } from "./core/failures.ts";
import { type BlockStatus, blockStatus, taskStatus, type TaskStatus, whereOut } from "./core/lifecycle.ts";
import { quotaOf } from "./core/quota.ts";
import { headOf, isIn } from "./core/standing.ts";
import { type Closed, type CoreOptions, type State, type Task, weightOf } from "./core/state.ts";
import { openManifest } from "./manifests.ts";
import { createNetwork, type Network } from "./network/node.ts";
import type {
  Clock,
  Done,
  Fault,
  Prover,
  Sink,
  Source,
  SourceBlock,
  StoredCertificate,
  TransportHandler,
  Verifier,
} from "./ports.ts";
import { artefactHash, blockId, type Hash, type Key } from "./protocol/ids.ts";
import { MESSAGE_BYTES_MAX } from "./protocol/limits.ts";
import { decodeBase64, type Manifest } from "./protocol/manifest.ts";
import { createBatchProver } from "./provers/groth16/batch.ts";
import { createGroth16Prover, ONE_PARTY_SETUP } from "./provers/groth16/prover.ts";
import { hasKey, type KeyBytes } from "./provers/keys.ts";
import { createMockProver } from "./provers/mock.ts";
import { createProcessProver, PLACEHOLDERS, unknownPlaceholder } from "./provers/process.ts";
import { createVerifier } from "./provers/verifier.ts";
import { Runtime } from "./runtime/runtime.ts";
import { fileSink } from "./sinks/file.ts";
import type { DevChain } from "./sources/devchain.ts";
import { fileSource } from "./sources/file.ts";
import { openArtefacts } from "./storage/artefacts.ts";
import { type DataDirectory, openDirectory } from "./storage/directory.ts";
import { type FileJournal, openJournal } from "./storage/journal.ts";
import { createKey, loadKey, nativeEquation, type NodeKey, nodeSigner } from "./storage/keystore.ts";
import { type LevelStore, openLevelStore } from "./storage/level.ts";
import { PACKAGE_KEYS, PROVING_FILES } from "./genesis.ts";
import { createTelemetry, type NodeTelemetry } from "./telemetry.ts";

/** What a start could not get past, or what ended a node: `code` and `message` as in `Fault`. */
export class NodeFault extends Error implements Fault {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export interface NodeStatus {
  readonly key: Key;
  readonly network: { readonly id: Hash; readonly name: string };
  readonly roles: readonly string[];
  readonly addresses: readonly string[];
  readonly peers: readonly Key[];
  /** Why the node signs nothing, or `null` while it does. */
  readonly mute: string | null;
  readonly chains: readonly { readonly id: number; readonly certified: number; readonly source: string | null }[];
  /** `quota`: what it may have claimed at once, on the chain where that is least. */
  readonly provers: readonly {
    readonly key: Key;
    readonly slots: number;
    readonly quota: number;
    readonly benched: boolean;
  }[];
  /** Keys that broke a rule, and how. */
  readonly out: readonly { readonly key: Key; readonly offence: string; readonly where: string }[];
  readonly blocks: readonly BlockStatus[];
  /** `frontier` names how far the log reaches: equal where two nodes have the same. */
  readonly log: { readonly feeds: number; readonly gaps: number; readonly frontier: Hash };
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

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

const CLOCK: Clock = {
  now: () => performance.now(),
  wall: () => performance.timeOrigin + performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

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
  const disk = await openDisk(config, directory, nodeKey, telemetry, closers);
  const roles = rolesOf(config, manifest, nodeKey.key);
  const { verifier, provers } = openWorkers(config, manifest, roles.prover, closers);
  // Embedded networks say how far their proofs may be believed.
  const ownSetup = config.provers.some((prover) => prover.kind === "groth16" && prover.keys === undefined);
  if (ownSetup && provers.some(({ system }) => system === "groth16-shard"))
    telemetry.emit("prover.setup", { note: ONE_PARTY_SETUP });
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
  const sinks: Sink[] = [fileSink({ directory: join(directory.dir, "certificates") })];
  for (const sink of sinks) closers.push(() => sink.close());
  const signer = nodeSigner(nodeKey.seed);
  const runtime = new Runtime(
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
  closers: (() => Promise<void> | void)[],
): Promise<Disk> {
  const journal = openJournal({ dir: directory.journal, key: nodeKey.key });
  closers.push(() => new Promise<void>((resolve) => journal.close(resolve)));
  if (journal.repaired.length > 0) telemetry.emit("journal.repaired", { copies: journal.repaired });
  const { store, report } = await openLevelStore({ dir: directory.level }, { clock: CLOCK, telemetry });
  closers.push(() => store.close());
  if (report.replaced !== null) telemetry.emit("store.replaced", report.replaced);
  // The quota is far above what open blocks need, and the oldest go first.
  const artefacts = openArtefacts(
    { dir: directory.artefacts, bytesMax: config.artefactBytesMax },
    { telemetry, pinned: () => false },
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

function openWorkers(
  config: NodeConfig,
  manifest: Manifest,
  proves: boolean,
  closers: (() => Promise<void> | void)[],
): { readonly verifier: Verifier; readonly provers: Prover[] } {
  const verifier = openVerifier(manifest, config.verifierThreads);
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
  const stages = Object.values(manifest.json.workflows).flatMap((workflow) =>
    workflow.stages.map(({ name, system, tasks }) => ({
      name,
      system,
      ...("takes" in tasks ? { aggregates: tasks.takes } : {}),
    })),
  );
  const keys = new Map<Hash, KeyBytes>();
  for (const [name, { system, verifyingKey }] of Object.entries(manifest.json.keys)) {
    if (hasKey(system)) keys.set(manifest.keyHashes.get(name) ?? "", { system, bytes: decodeBase64(verifyingKey) });
  }
  try {
    return createVerifier({ stages, keys, size: threads });
  } catch (error) {
    throw new NodeFault("keys.unsound", `manifest: ${error instanceof Error ? error.message : String(error)}`);
  }
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
      const { seed = "mock", provingMs, infrastructure = 0, logical = 0, wrong = 0 } = prover;
      return [createMockProver({ clock: CLOCK, seed, slots, provingMs, infrastructure, logical, wrong })];
    }
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

async function openSources(
  config: NodeConfig,
  manifest: Manifest,
  runtime: Runtime,
  directory: DataDirectory,
  telemetry: NodeTelemetry,
  closers: (() => Promise<void> | void)[],
): Promise<{ readonly chainUrl: string | null }> {
  let chainUrl: string | null = null;
  if (config.sources.length === 0) return { chainUrl };
  // Loaded where there is a chain to follow: its client is the slowest import of all.
  const { chainSource } = await import("./sources/chain.ts");
  for (const source of config.sources) {
    const devChain = source.kind === "dev" ? await openDevChain(source, directory, telemetry, closers) : null;
    const chain = devChain?.chain ?? (source.kind === "dev" ? 0 : source.chain);
    const json = manifest.json.chains.find(({ id }) => id === chain);
    if (json === undefined) {
      const allowed = manifest.json.chains.map(({ id }) => id).join(", ");
      throw new NodeFault("config.chain", `a source follows chain ${chain}; the manifest allows ${allowed}`);
    }
    if (source.kind === "rpc" || devChain !== null)
      chainUrl = devChain?.url ?? (source.kind === "rpc" ? source.url : null);
    const start = json.start === "any" ? "latest" : json.start;
    const opened: Source =
      source.kind === "file"
        ? fileSource({ chain, path: source.path })
        : chainSource({
            chain,
            url: chainUrl ?? "",
            start,
            confirmations: json.confirmations,
            ...(devChain === null ? {} : { pollMs: 200 }),
          });
    closers.push(() => opened.close());
    runtime.follow(opened, lastOf(runtime, chain));
  }
  return { chainUrl };
}

async function openDevChain(
  source: Extract<NodeConfig["sources"][number], { kind: "dev" }>,
  directory: DataDirectory,
  telemetry: NodeTelemetry,
  closers: (() => Promise<void> | void)[],
): Promise<DevChain> {
  const { startDevChain } = await import("./sources/devchain.ts");
  const started = await startDevChain({ ...source, stateFile: join(directory.dir, "devchain.json") });
  if (!started.ok) throw new NodeFault(started.fault.code, started.fault.message);
  closers.push(() => started.value.close());
  telemetry.emit("devchain.started", { url: started.value.url, blockTimeS: source.blockTimeS });
  return started.value;
}

/** Where a source goes on: after the highest block of the chain that this node knows and nobody has retracted. */
function lastOf(runtime: Runtime, chain: number): { readonly height: number; readonly hash: Hash } | null {
  const known = [...runtime.state.blocks.values()].filter((block) => block.state !== "cancelled");
  const all: readonly Pick<Closed, "chain" | "height" | "hash">[] = [...runtime.state.closed.values(), ...known];
  const last = all
    .filter((block) => block.chain === chain)
    .reduce((best, block) => (block.height > best.height ? block : best), { chain, height: -1, hash: "" });
  return last.height < 0 ? null : { height: last.height, hash: last.hash };
}

function statusOf(
  manifest: Manifest,
  runtime: Runtime,
  network: Network,
  telemetry: NodeTelemetry,
  roles: CoreOptions["roles"],
): NodeStatus {
  const { state } = runtime;
  const blocks = [...state.blocks.values()].sort((a, b) => a.chain - b.chain || a.height - b.height);
  return {
    key: state.options.self,
    network: { id: manifest.network, name: manifest.json.name },
    roles: Object.entries(roles).flatMap(([role, on]) => (on ? [role] : [])),
    addresses: network.addresses(),
    peers: network.peers(),
    mute: state.mute,
    chains: [...state.chains.values()].map(({ id, certified, sourceFault }) => ({
      id,
      certified,
      source: sourceFault,
    })),
    provers: [...state.roster.values()].map((member) => ({
      key: member.key,
      slots: member.slots,
      quota: Math.min(...[...state.chains.keys()].map((chain) => quotaOf(state, member.key, chain))),
      benched: ![...state.chains.keys()].some((chain) => isIn(state, member, chain, headOf(state, chain))),
    })),
    out: [...state.out.values()].map((out) => ({
      key: out.offender,
      offence: out.offence,
      where: whereOut(state, out),
    })),
    blocks: blocks.map((block) => blockStatus(state, block)),
    log: {
      feeds: state.log.frontier().size,
      gaps: state.log.gaps,
      frontier: state.log.frontierHash(),
    },
    counters: telemetry.counters(),
  };
}

async function openNodeApi(
  config: NodeConfig,
  node: Pick<ProofmeshNode, "status" | "manifest">,
  runtime: Runtime,
  disk: Disk,
): Promise<ApiServer | null> {
  if (config.http === "off") return null;
  const [, host = "", port = ""] = /^(.+):(\d+)$/.exec(config.http) ?? [];
  return openApi(
    { host, port: Number(port) },
    {
      manifest: node.manifest.bytes,
      status: () => node.status(),
      health: () => runtime.state.mute,
      batches: () => [...runtime.state.log.feeds()].flatMap((feed) => feed.kept()),
      certificate: (chain, height) =>
        settled<readonly StoredCertificate[]>((done) => disk.store.certificates(chain, height, 16, done)).then(
          (found) => found.filter((certificate) => certificate.height === height),
        ),
      certificates: (chain, from, countMax) =>
        settled<readonly StoredCertificate[]>((done) => disk.store.certificates(chain, from, countMax, done)),
      artefact: (hash, bytesMax) => settled<Uint8Array | null>((done) => runtime.artefact(hash, bytesMax, done)),
      submit: (block) => submit(runtime, block),
      tasks: () => openTasks(runtime.state),
      task: (name) => bundleOf(runtime.state, taskNamed(runtime.state, name)),
      requeue: (name) => requeue(runtime, name),
      voteCertificate: (name, kind, attempt) =>
        certificateOf(runtime.state, taskNamed(runtime.state, name), kind, attempt),
      evidence: (key) => evidenceOf(runtime.state, key),
    },
  );
}

/** A task that is not complete, with its block. */
export type OpenTask = TaskStatus & { readonly chain: number; readonly height: number; readonly hash: Hash };

function openTasks(state: State): OpenTask[] {
  const blocks = [...state.live].sort((a, b) => a.chain - b.chain || a.height - b.height);
  return blocks.flatMap((block) => {
    const { chain, height, hash, tasks } = blockStatus(state, block);
    return tasks.filter((task) => task.state !== "complete").map((task) => ({ chain, height, hash, ...task }));
  });
}

function taskNamed(state: State, name: TaskName): Task {
  const task = findNamed(state, name);
  if (task !== null) return task;
  const { chain, height, stage, index } = name;
  throw new NodeFault(
    "tasks.unknown",
    `task ${chain}/${height}/${stage}/${index} is none of a block that this node keeps; allowed: those of proofmesh tasks, and of blocks certified lately`,
  );
}

/** What an operator's request has come to. */
export interface Requeued {
  /** `voted`: this node's vote is out; `requeued`: with it or with others a quorum has begun a new round. */
  readonly state: "voted" | "requeued";
  readonly round: number;
  readonly weight: number;
  /** With f+1 the other attesters follow by themselves. */
  readonly oneHonest: number;
}

async function requeue(runtime: Runtime, name: TaskName): Promise<Requeued> {
  const { state } = runtime;
  const task = taskNamed(state, name);
  const round = roundOf(state, task);
  if (!state.options.roles.attester) {
    throw new NodeFault(
      "tasks.not-attester",
      `node ${state.options.self} has no vote on tasks; ask the operators of attesters, whose nodes have`,
    );
  }
  if (task.completeMs !== null || quarantineOf(state, task) === null) {
    const { chain, height, stage, index } = name;
    throw new NodeFault(
      "tasks.not-quarantined",
      `task ${chain}/${height}/${stage}/${index} is ${taskStatus(state, task).state}; allowed: one in quarantine`,
    );
  }
  await settled<void>((done) =>
    runtime.requeue({ block: task.block.id, stage: task.stage.name, index: task.index }, done),
  );
  const voters = task.requeues.get(round)?.keys() ?? [];
  return {
    state: roundOf(state, task) > round ? "requeued" : "voted",
    round,
    weight: weightOf(state, voters),
    oneHonest: state.manifest.oneHonest,
  };
}

/** Announces a block for an operator; resolves when the announcement is durable. */
async function submit(runtime: Runtime, block: SourceBlock): Promise<void> {
  const { state } = runtime;
  const { manifest, options } = state;
  if (!manifest.sources.has(options.self)) {
    throw new NodeFault(
      "submit.not-a-source",
      `node ${options.self} may not announce blocks; the manifest's sources may`,
    );
  }
  const chain = manifest.json.chains.find(({ id }) => id === block.chain);
  if (chain === undefined) {
    const allowed = manifest.json.chains.map(({ id }) => id).join(", ");
    throw new NodeFault("submit.chain", `the block is of chain ${block.chain}; the manifest allows ${allowed}`);
  }
  const known = state.closed.has(blockId(manifest.network, block.chain, block.hash));
  if (!known) await settled<void>((done) => runtime.submit(block, done));
}

/** A port's completion as a promise; a fault rejects. */
function settled<T>(run: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((result) =>
      result.ok ? resolve(result.value) : reject(new NodeFault(result.fault.code, result.fault.message)),
    );
  });
}

export { genesis, type GenesisOptions } from "./genesis.ts";
export { discoverChain, readManifestFile } from "./manifests.ts";
export { createKey, loadKey, nativeEquation } from "./storage/keystore.ts";
export { readBlocks } from "./sources/file.ts";
export { type BlockStatus, type ReplayBundle, type TaskName };
