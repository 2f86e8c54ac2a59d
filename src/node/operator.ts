/** What the operator asks of the node, over its HTTP endpoint. */
import { type ApiServer, openApi } from "../api/http.ts";
import type { NodeConfig } from "../config.ts";
import { bundleOf, findNamed, type TaskName } from "../core/bundle.ts";
import { certificateOf, evidenceOf } from "../core/certified.ts";
import { quarantineOf, roundOf } from "../core/failures.ts";
import { blockStatus, taskStatus, type TaskStatus } from "../core/lifecycle.ts";
import { type State, type Task, weightOf } from "../core/state.ts";
import type { Artefacts, SourceBlock, Store, StoredCertificate } from "../ports.ts";
import { blockId, type Hash } from "../protocol/ids.ts";
import { PAYLOAD_BYTES_MAX } from "../protocol/limits.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { NodeFault, settled } from "./fault.ts";
import type { NodeStatus } from "./status.ts";

export async function openNodeApi(
  config: NodeConfig,
  node: { readonly manifest: Manifest; status(): NodeStatus },
  runtime: Runtime,
  { store, artefacts }: { readonly store: Store; readonly artefacts: Artefacts },
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
        settled<readonly StoredCertificate[]>((done) => store.certificates(chain, height, 16, done)).then((found) =>
          found.filter((certificate) => certificate.height === height),
        ),
      certificates: (chain, from, countMax) =>
        settled<readonly StoredCertificate[]>((done) => store.certificates(chain, from, countMax, done)),
      files: withLogged(artefacts, runtime),
      fetch: (hash) => settled<void>((done) => runtime.fetchArtefact(hash, done)),
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

/** What a disk has lost in a power cut, or not taken yet, is put back where the log or memory has it. */
function withLogged(artefacts: Artefacts, runtime: Runtime): Pick<Artefacts, "size" | "readPart" | "receive"> {
  return {
    readPart: (...asked) => artefacts.readPart(...asked),
    receive: (...asked) => artefacts.receive(...asked),
    size: (hash, done) =>
      artefacts.size(hash, (known) => {
        if (!known.ok || known.value !== null) return done(known);
        runtime.artefact(hash, PAYLOAD_BYTES_MAX, (found) => {
          if (!found.ok || found.value === null) return done(found.ok ? known : found);
          artefacts.keep(found.value, (kept) => (kept.ok ? artefacts.size(hash, done) : done(kept)));
        });
      }),
  };
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
