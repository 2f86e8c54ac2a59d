/** What the operator asks of the node, over its HTTP endpoint. */
import { type ApiServer, openApi } from "../api/http.ts";
import type { NodeConfig } from "../config.ts";
import { closedAs } from "../core/ancestry.ts";
import { bundleOf, findNamed, type TaskName } from "../core/bundle.ts";
import { certificateOf, evidenceOf } from "../core/certified.ts";
import { openTasks, taskStatus } from "../core/lifecycle.ts";
import { openAttempt } from "../core/makers.ts";
import { baseOf, quarantineOf } from "../core/quarantine.ts";
import { weightOf } from "../core/facts.ts";
import type { State, Task } from "../core/state.ts";
import type { Artefacts, Result, SourceBlock, Store, StoredCertificate } from "../ports.ts";
import type { Batch } from "../protocol/batch.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import { PAYLOAD_BYTES_MAX } from "../protocol/limits.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { PayloadForm } from "../protocol/statement.ts";
import { payloadForm } from "../protocol/workflow.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { NodeFault, settled } from "./fault.ts";
import type { NodePartition } from "./partition.ts";
import { type NodeParts, partitionFor } from "./parts.ts";
import { muteOf, type NodeStatus } from "./status.ts";

interface Identity {
  readonly manifest: Manifest;
  readonly key: Key;
}

export async function openNodeApi(
  config: NodeConfig,
  node: Identity & { status(): NodeStatus },
  parts: NodeParts,
  artefacts: Artefacts,
): Promise<ApiServer | null> {
  if (config.http === "off") return null;
  const [, host = "", port = ""] = /^(.+):(\d+)$/.exec(config.http) ?? [];
  const certificates = (chain: number, from: number, countMax: number): Promise<readonly StoredCertificate[]> => {
    const store = storeFor(parts, chain);
    return store === null ? Promise.resolve([]) : settled((done) => store.certificates(chain, from, countMax, done));
  };
  return openApi(
    { host, port: Number(port) },
    {
      manifest: node.manifest.bytes,
      status: () => node.status(),
      health: () => muteOf(parts.partitions),
      batches: () => parts.partitions.map(batchesOf),
      certificate: (chain, height) =>
        certificates(chain, height, 16).then((found) => found.filter((certificate) => certificate.height === height)),
      certificates,
      files: withLogged(artefacts, parts),
      fetch: (hash) => fetchFile(parts, hash),
      submit: (block) => submit(node, parts, block),
      formOf: (chain) => formOf(node.manifest, chain),
      tasks: () => parts.partitions.flatMap(({ runtime }) => openTasks(runtime.state)),
      task: (name) => withTask(parts, name, (state, task) => bundleOf(state, task)),
      requeue: (name) => requeue(parts, name),
      voteCertificate: (name, kind, attempt) =>
        withTask(parts, name, (state, task) => certificateOf(state, task, kind, attempt)),
      evidence: (key, partition) => evidenceIn(parts, key, partition),
    },
  );
}

function batchesOf({ name, runtime }: NodePartition): { readonly partition: string | null; readonly batches: Batch[] } {
  return { partition: name, batches: [...runtime.state.log.feeds()].flatMap((feed) => feed.kept()) };
}

/** Certificates of partitions that the node takes no part in are elsewhere. */
function storeFor(parts: NodeParts, chain: number): Store | null {
  return partitionFor(parts, chain)?.store ?? parts.certificates?.storeOf(chain) ?? null;
}

type Files = Pick<Artefacts, "size" | "readPart" | "receive">;

/** What a disk has lost in a power cut, or not taken yet, is put back where a log or memory has it. */
function withLogged(artefacts: Artefacts, { partitions }: NodeParts): Files {
  return partitions.reduce<Files>((files, { runtime }) => withLog(files, artefacts, runtime), artefacts);
}

function withLog(files: Files, artefacts: Artefacts, runtime: Runtime): Files {
  return {
    readPart: (...asked) => files.readPart(...asked),
    receive: (...asked) => files.receive(...asked),
    size: (hash, done) =>
      files.size(hash, (known) => {
        if (!known.ok || known.value !== null) return done(known);
        runtime.artefact(hash, PAYLOAD_BYTES_MAX, (found) => {
          if (!found.ok || found.value === null) return done(found.ok ? known : found);
          artefacts.keep(found.value, (kept) => (kept.ok ? files.size(hash, done) : done(kept)));
        });
      }),
  };
}

/** From the peers of one partition after the other: nobody knows of which a file is. */
async function fetchFile({ partitions }: NodeParts, hash: Hash): Promise<void> {
  let failure = new NodeFault("artefact.unavailable", "this node takes part in no partition: no peer has files for it");
  for (const { runtime } of partitions) {
    const result = await new Promise<Result<void>>((resolve) => runtime.fetchArtefact(hash, resolve));
    if (result.ok) return;
    failure = new NodeFault(result.fault.code, result.fault.message);
  }
  throw failure;
}

/** A key may have broken a rule in several partitions; what it signed in one is nothing in another. */
function evidenceIn({ partitions }: NodeParts, key: Key, partition: string | null): Uint8Array | null {
  for (const { name, runtime } of partitions) {
    const found = partition === null || partition === name ? evidenceOf(runtime.state, key) : null;
    if (found !== null) return found;
  }
  return null;
}

function withTask<T>(parts: NodeParts, name: TaskName, run: (state: State, task: Task, runtime: Runtime) => T): T {
  const { chain, height, stage, index } = name;
  const runtime = partitionFor(parts, chain)?.runtime;
  const task = runtime === undefined ? null : findNamed(runtime.state, name);
  if (runtime !== undefined && task !== null) return run(runtime.state, task, runtime);
  throw new NodeFault(
    "tasks.unknown",
    `task ${chain}/${height}/${stage}/${index} is none of a block that this node keeps; allowed: those of proofmesh tasks, and of blocks certified lately`,
  );
}

/** The outcome of an operator's request. */
export interface Requeued {
  /** `voted`: this node has signed its vote. `requeued`: with f+1 votes the attempt is open and the pauses begin anew. */
  readonly state: "voted" | "requeued";
  readonly attempt: number;
  /** The weight of the attesters whose operators have asked so far, and the weight that it takes. */
  readonly weight: number;
  readonly oneHonest: number;
}

async function requeue(parts: NodeParts, name: TaskName): Promise<Requeued> {
  return withTask(parts, name, (state, task, runtime) => requeueTask(runtime, state, task, name));
}

async function requeueTask(runtime: Runtime, state: State, task: Task, name: TaskName): Promise<Requeued> {
  const { number: attempt } = openAttempt(state, task);
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
  const voters = [...task.requeues].flatMap(([key, vote]) => (vote.attempt >= attempt ? [key] : []));
  return {
    state: baseOf(state, task) >= attempt ? "requeued" : "voted",
    attempt,
    weight: weightOf(state, voters),
    oneHonest: state.manifest.oneHonest,
  };
}

/** Announces a block for an operator; resolves when the announcement is durable. */
/** Of a chain that the manifest does not have, any: such a block is refused anyway. */
function formOf(manifest: Manifest, chain: number): PayloadForm {
  return payloadForm(manifest, manifest.json.chains.find(({ id }) => id === chain)?.workflow ?? "");
}

async function submit({ manifest, key }: Identity, parts: NodeParts, block: SourceBlock): Promise<void> {
  if (!manifest.sources.has(key)) {
    throw new NodeFault("submit.not-a-source", `node ${key} may not announce blocks; the manifest's sources may`);
  }
  const partition = partitionFor(parts, block.chain);
  if (partition === null) {
    const isElsewhere = manifest.json.chains.some(({ id }) => id === block.chain);
    const whose = isElsewhere ? "this node takes part in the partitions of" : "the manifest allows";
    const allowed = parts.partitions.flatMap((each) => each.manifest.json.chains.map(({ id }) => id)).join(", ");
    throw new NodeFault("submit.chain", `the block is of chain ${block.chain}; ${whose} ${allowed}`);
  }
  const { json } = manifest;
  const { workflow = "" } = json.chains.find(({ id }) => id === block.chain) ?? {};
  const { range } = json.workflows[workflow] ?? {};
  if (range !== undefined)
    throw new NodeFault("submit.range", `chain ${block.chain} proves ranges of ${range} blocks, which a source tells`);
  const { runtime } = partition;
  const known = closedAs(runtime.state, block.chain, block.hash) !== undefined;
  if (!known) await settled<void>((done) => runtime.submit(block, done));
}
