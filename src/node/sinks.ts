/** Where certified blocks are handed on to: the node's own directory of certificates, and what the configuration names. */
import { join } from "node:path";
import type { NodeConfig, SecretConfig, SinkConfig } from "../config.ts";
import { chosenProof } from "../core/makers.ts";
import type { State } from "../core/state.ts";
import type { Signer, Sink, Verifier } from "../ports.ts";
import type { Hash } from "../protocol/ids.ts";
import type { BarrierContent, BarrierTask } from "../protocol/certificate.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { type Partition, partitionOfChain } from "../protocol/partition.ts";
import { valuesBefore } from "../protocol/statement.ts";
import { type Stage, stagesOf, variantOf } from "../protocol/workflow.ts";
import type { SinkLine } from "../runtime/proposer.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Prove } from "../sinks/call.ts";
import { ethproofsSink, type Reported } from "../sinks/ethproofs.ts";
import { fileSink } from "../sinks/file.ts";
import { relaySink } from "../sinks/relay.ts";
import { ProvingTimes } from "../sinks/times.ts";
import type { TransactionOptions } from "../sinks/transactions.ts";
import { webhookSink } from "../sinks/webhook.ts";
import { openCursor } from "../storage/cursor.ts";
import type { DataDirectory } from "../storage/directory.ts";
import { readAccount, readSecret } from "./accounts.ts";
import { NodeFault } from "./fault.ts";
import { guardedSink } from "./guard.ts";
import { provenBy } from "./proven.ts";

interface Parts {
  readonly config: NodeConfig;
  readonly manifest: Manifest;
  readonly directory: DataDirectory;
  readonly signer: Signer;
  /** Of a chain's partition, if this node takes part in it. Asked when a sink needs it: sinks are opened before there is one. */
  readonly runtime: (chain: number) => Runtime | null;
  readonly verifier: Verifier;
  readonly environment: NodeJS.ProcessEnv;
}

/** The sink that every node has: its certificates as files. */
const OWN = "certificates";

const TAKEOVER_MS: Readonly<Record<SinkConfig["kind"], number>> = {
  file: 15_000,
  webhook: 15_000,
  // A transaction takes a block or two.
  contract: 60_000,
  call: 60_000,
  relay: 15_000,
  ethproofs: 60_000,
};
const TIMEOUT_MS = 10_000;
const ETHPROOFS_URL = "https://ethproofs.org/api/v0";
/** Of 60 a minute: others may use the key. */
const ETHPROOFS_PER_MINUTE = 50;
const STUCK_MS = 60_000;
const GAS_GWEI_MAX = 500;
const POLL_MS = 1_000;

type OpenSink = Omit<SinkLine, "cursor">;

export async function openSinks(parts: Parts, closers: (() => Promise<void> | void)[]): Promise<readonly OpenSink[]> {
  const { config, directory, manifest } = parts;
  const own: SinkConfig = { kind: "file", name: OWN, path: join(directory.dir, OWN) };
  const lines: OpenSink[] = [];
  for (const each of [own, ...config.sinks]) {
    const name = each.name ?? each.kind;
    if (lines.some((line) => line.name === name)) {
      throw new NodeFault("config.sink", `two sinks are named ${name}; allowed: a name of its own for each`);
    }
    const chains = chainsOf(each, manifest, name);
    const sink = guardedSink(await openSink(each, name, parts));
    closers.push(() => sink.close());
    const { key } = parts.signer;
    const nodes = [...new Set([...(each.nodes ?? []), key])];
    const takeoverMs = each.takeoverMs ?? TAKEOVER_MS[each.kind];
    lines.push({ name, sink, chains, from: each.from ?? null, nodes, takeoverMs });
  }
  return lines;
}

/** What the sinks get of one partition, each with a cursor of its own for it: partitions go on without each other. */
export function sinkLines(
  sinks: readonly OpenSink[],
  { name: partition, manifest }: Partition<Manifest>,
  directory: DataDirectory,
  closers: (() => Promise<void> | void)[],
): readonly SinkLine[] {
  return sinks.flatMap((sink) => {
    const chains = sink.chains.filter((chain) => manifest.json.chains.some(({ id }) => id === chain));
    if (chains.length === 0) return [];
    const file = partition === null ? `${sink.name}.json` : `${sink.name}@${partition}.json`;
    const cursor = openCursor(join(directory.dir, "sinks", file));
    closers.push(() => cursor.close());
    return [{ ...sink, chains, cursor }];
  });
}

function chainsOf(sink: SinkConfig, manifest: Manifest, name: string): readonly number[] {
  const all = manifest.json.chains.map(({ id }) => id);
  const wanted = sink.kind === "ethproofs" ? [sink.chain] : (sink.chains ?? all);
  const unknown = wanted.find((id) => !all.includes(id));
  const ranged = manifest.json.chains.find(
    ({ id, workflow }) => wanted.includes(id) && manifest.json.workflows[workflow]?.range !== undefined,
  );
  if (sink.kind === "ethproofs" && ranged !== undefined)
    throw new NodeFault(
      "config.chain",
      `sink ${name} is of chain ${ranged.id}, which proves ranges; Ethproofs takes blocks`,
    );
  if (unknown === undefined) return [...new Set(wanted)];
  throw new NodeFault("config.chain", `sink ${name} is of chain ${unknown}; the manifest allows ${all.join(", ")}`);
}

async function openSink(sink: SinkConfig, name: string, parts: Parts): Promise<Sink> {
  const { network } = parts.manifest;
  const secret = (from: SecretConfig): string => readSecret(from, `sink ${name}`, parts.environment);
  switch (sink.kind) {
    case "file":
      return fileSink({ directory: sink.path });
    case "webhook": {
      const { url, lookup = null, timeoutMs = TIMEOUT_MS } = sink;
      const shared = sink.secret === undefined ? null : secret(sink.secret);
      return webhookSink({ url, lookup, timeoutMs, secret: shared }, { signer: parts.signer });
    }
    case "contract": {
      // Loaded where it is used: its client is the slowest import of all.
      const { contractSink } = await import("../sinks/contract.ts");
      return contractSink({ network, ...transactionsOf(sink, name, parts) });
    }
    case "call": {
      const { callSink } = await import("../sinks/call.ts");
      const { call, done } = sink;
      try {
        return callSink({ call, done, ...transactionsOf(sink, name, parts) }, provenIn(parts));
      } catch (error) {
        throw new NodeFault("config.sink", `sink ${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    case "relay": {
      const { url, proofType, stage = null, system = null, timeoutMs = 3 * TIMEOUT_MS } = sink;
      const token = sink.token === undefined ? null : secret(sink.token);
      return relaySink({ url, proofType, stage, system, token, timeoutMs }, provenIn(parts));
    }
    case "ethproofs": {
      const { cluster, every = 1, stage = null, system = null, url = ETHPROOFS_URL } = sink;
      const { requestsPerMinute = ETHPROOFS_PER_MINUTE, timeoutMs = 3 * TIMEOUT_MS } = sink;
      // Blocks are named by their partition's id.
      const own = partitionOfChain(parts.manifest, sink.chain)?.manifest.network ?? network;
      const options = { network: own, url, cluster, stage, system, every, requestsPerMinute, timeoutMs };
      return ethproofsSink(
        { ...options, apiKey: secret(sink.apiKey) },
        {
          times: new ProvingTimes(join(parts.directory.dir, "sinks", `${name}.times`)),
          provingMs: (block, which) => {
            const runtime = parts.runtime(sink.chain);
            return runtime === null ? null : provingMs(runtime.state, block, which);
          },
          proof: artefactsOf(parts, sink.chain),
          valuesBefore: (content, task) => valuesIn(parts.manifest, content, task),
        },
      );
    }
  }
}

type TransactionConfig = Extract<SinkConfig, { readonly kind: "contract" | "call" }>;

function transactionsOf(sink: TransactionConfig, name: string, { environment }: Parts): TransactionOptions {
  return {
    rpc: typeof sink.rpc === "string" ? sink.rpc : readSecret(sink.rpc, `sink ${name}`, environment),
    evmChain: sink.evmChain,
    address: sink.address as `0x${string}`,
    account: readAccount(sink.account, `sink ${name}`, environment),
    confirmations: sink.confirmations ?? 1,
    stuckMs: sink.stuckMs ?? STUCK_MS,
    gasPriceWeiMax: BigInt(Math.round((sink.gasPriceGweiMax ?? GAS_GWEI_MAX) * 1e9)),
    pollMs: POLL_MS,
    timeoutMs: sink.timeoutMs ?? TIMEOUT_MS,
  };
}

/** What tasks have proven, from the block's bytes and the artefacts that this node has or fetches. */
function provenIn(parts: Parts): Prove {
  const { manifest, verifier } = parts;
  return (block, task) => {
    const own = partitionOfChain(manifest, block.chain)?.manifest ?? manifest;
    return provenBy({ manifest: own, verifier, artefact: artefactsOf(parts, block.chain) }, block, task);
  };
}

/** The artefacts of a chain's partition, from here or from peers. */
function artefactsOf({ runtime }: Parts, chain: number): Runtime["getArtefact"] {
  return (artefact, bytesMax, done) => {
    const here = runtime(chain);
    if (here !== null) return here.getArtefact(artefact, bytesMax, done);
    const message = `this node takes no part in the partition of chain ${chain}`;
    done({ ok: false, fault: { code: "artefact.unavailable", message } });
  };
}

/** How many bytes of public values stand before the proof in a task's artefact. */
function valuesIn(manifest: Manifest, { workflow, items }: BarrierContent, { stage, index }: BarrierTask): number {
  const found = stagesOf(manifest, workflow, items)?.find(({ name }) => name === stage);
  return found === undefined ? 0 : valuesBefore(variantOf(found, index).statement);
}

/**
 * How long a block took to prove up to a stage: of each stage on the way the proof that took longest. `null` where this
 * node's log does not tell, or does not any more.
 */
function provingMs(state: State, id: Hash, { stage: last, system }: Reported): number | null {
  const block = state.blocks.get(id);
  if (block === undefined) return null;
  const named = (name: string) => block.stages.find((stage) => stage.name === name);
  const upTo = (stage: Stage | undefined, of: string | null): number => {
    const tasks = block.tasks.filter((task) => task.stage === stage && (of === null || task.variant.system === of));
    const times = tasks.flatMap((task) => chosenProof(state, task)?.made.provingMs ?? []);
    const before = stage?.takes.map((taken) => upTo(named(taken.stage), null)) ?? [];
    return Math.max(...times) + Math.max(0, ...before);
  };
  const ms = upTo(
    block.stages.findLast(({ name }) => last === null || name === last),
    system,
  );
  return Number.isFinite(ms) ? ms : null;
}
