/** What the node says of itself. */
import { type BlockStatus, blockStatus, whereOut } from "../core/lifecycle.ts";
import { quotaOf } from "../core/quota.ts";
import { headOf } from "../core/admission.ts";
import { type AdmissionStatus, admissionStatus } from "../core/admission-status.ts";
import { isIn } from "../core/standing.ts";
import { weightOf } from "../core/facts.ts";
import type { Chain } from "../core/soft.ts";
import type { State } from "../core/state.ts";
import type { Network } from "../network/node.ts";
import { domainHash, type Hash, type Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { partitionsOf } from "../protocol/partition.ts";
import type { SinkStatus } from "../runtime/proposer.ts";
import type { NodeTelemetry } from "../telemetry.ts";
import type { DeviceStatus } from "../scheduler/devices.ts";
import type { NodePartition } from "./partition.ts";
import type { NodeParts } from "./parts.ts";
import type { AbilityStatus } from "./qualification.ts";

export interface NodeStatus {
  readonly key: Key;
  readonly network: { readonly id: Hash; readonly name: string };
  readonly roles: readonly string[];
  readonly addresses: readonly string[];
  readonly peers: readonly Key[];
  /** Why the node signs nothing, or `null` while it does; of a divided network, while it does in one partition. */
  readonly mute: string | null;
  /** The one that is the network, or all that the manifest names. */
  readonly partitions: readonly PartitionStatus[];
  readonly chains: readonly {
    readonly id: number;
    /** The chain whose blocks it proves once more. */
    readonly reproves: number | null;
    readonly certified: number;
    readonly source: string | null;
  }[];
  /** `quota`: what it may have claimed at once, on the chain where that is least. */
  readonly provers: readonly (InPartition & {
    readonly key: Key;
    readonly slots: number;
    readonly quota: number;
    readonly benched: boolean;
  })[];
  /** Why this node may not prove yet, by chain. */
  readonly admission: readonly (InPartition & AdmissionStatus)[];
  /** What this node's own provers have shown that they can do. */
  readonly abilities: readonly AbilityStatus[];
  /** The GPUs of this machine, and which task has each. */
  readonly devices: readonly DeviceStatus[];
  /** Keys that broke a rule, and how. */
  readonly out: readonly (InPartition & { readonly key: Key; readonly offence: string; readonly where: string })[];
  /** Where certified blocks are handed on to, and how far that is. */
  readonly sinks: readonly SinkStatus[];
  readonly blocks: readonly BlockStatus[];
  readonly log: LogStatus;
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Of an undivided network it is in none. */
interface InPartition {
  readonly partition?: string;
}

/** `frontier` names how far the log reaches: equal where two nodes have the same. */
interface LogStatus {
  readonly feeds: number;
  readonly gaps: number;
  readonly frontier: Hash;
}

export interface PartitionStatus {
  /** `null` for a network that is not divided. */
  readonly name: string | null;
  readonly id: Hash;
  readonly chains: readonly number[];
  /** What this node does in it; `null` where it takes no part and only hears the certificates. */
  readonly roles: readonly string[] | null;
  readonly mute: string | null;
  /** Of its attesters, this node among them: the weight that it is connected to, and who is missing. */
  readonly attesters: {
    readonly connected: number;
    readonly weight: number;
    readonly quorum: number;
    readonly missing: readonly Key[];
  } | null;
  /** Why nothing of it can be certified now, or `null`. */
  readonly why: string | null;
  readonly log: LogStatus | null;
}

/** What is wrong with the own source of a chain, or `null`. */
function sourceFault({ nowMs, limits }: State, { sourceDown, sourceMs, sourceFault: fault }: Chain): string | null {
  if (!sourceDown) return fault;
  const seconds = [Math.round((nowMs - sourceMs) / 1000), limits.sourceDownMs / 1000];
  const down = `has not answered for ${seconds[0]} s and counts as none (after ${seconds[1]} s)`;
  return fault === null ? down : `${down}: ${fault}`;
}

export function statusOf(
  key: Key,
  manifest: Manifest,
  { partitions, certificates, workers }: NodeParts,
  network: Network,
  telemetry: NodeTelemetry,
): NodeStatus {
  const roles = ["source", "attester", "prover"] as const;
  const states = partitions.map(({ runtime }) => runtime.state);
  const blocks = states.flatMap((state) =>
    [...state.blocks.values()]
      .sort((a, b) => a.chain - b.chain || a.height - b.height)
      .map((block) => blockStatus(state, block)),
  );
  const heights = certificates?.heights();
  const chainsOf = (state: State | undefined, id: number, reproves: number | null) => {
    const chain = state?.chains.get(id);
    const source = state === undefined || chain === undefined ? null : sourceFault(state, chain);
    return { id, reproves, certified: chain?.certified ?? heights?.get(id) ?? -1, source };
  };
  return {
    key,
    network: { id: manifest.network, name: manifest.json.name },
    roles: roles.filter((role) => partitions.some((partition) => partition.roles[role])),
    addresses: network.addresses(),
    peers: network.peers(),
    mute: muteOf(partitions),
    partitions: partitionsOf(manifest).map(({ name, manifest: part }) => {
      const own = partitions.find((each) => each.name === name);
      return own === undefined ? elsewhere(name, part) : partitionStatus(own);
    }),
    chains: manifest.json.chains.map(({ id, reproves = null }) =>
      chainsOf(
        states.find(({ chains }) => chains.has(id)),
        id,
        reproves,
      ),
    ),
    provers: partitions.flatMap(proversOf),
    admission: partitions.flatMap((partition) =>
      admissionStatus(partition.runtime.state).map((each) => ({ ...inPartition(partition), ...each })),
    ),
    abilities: workers.qualification.status(),
    devices: workers.devices(),
    out: partitions.flatMap(outOf),
    sinks: [...partitions.flatMap(({ runtime }) => runtime.sinks()), ...(certificates?.sinks() ?? [])],
    blocks,
    log: logOf(states),
    counters: telemetry.counters(),
  };
}

/** Why the node signs nothing in any of its partitions, or `null`. */
/** Why a partition signs nothing, or votes for nothing because it cannot verify. */
function reasonOf({ mute, unverifiable }: NodePartition["runtime"]["state"]): string | null {
  return mute ?? unverifiable;
}

export function muteOf(partitions: readonly NodePartition[]): string | null {
  const mutes = partitions.map(({ runtime }) => reasonOf(runtime.state));
  return mutes.includes(null) ? null : (mutes[0] ?? null);
}

function elsewhere(name: string | null, { network, json }: Manifest): PartitionStatus {
  const chains = json.chains.map(({ id }) => id);
  return { name, id: network, chains, roles: null, mute: null, attesters: null, why: null, log: null };
}

function partitionStatus({ name, manifest, roles, runtime }: NodePartition): PartitionStatus {
  const { state } = runtime;
  const { weight, quorum, weights } = manifest;
  const here = [...state.peers, ...(roles.attester ? [state.options.self] : [])];
  const connected = weightOf(state, here);
  const missing = [...weights.keys()].filter((key) => !here.includes(key));
  const why =
    connected >= quorum
      ? null
      : `attesters of weight ${connected} are connected, a quorum is ${quorum}; missing: ${missing.map((key) => key.slice(0, 12)).join(", ")}`;
  return {
    name,
    id: manifest.network,
    chains: manifest.json.chains.map(({ id }) => id),
    roles: Object.entries(roles).flatMap(([role, on]) => (on ? [role] : [])),
    mute: reasonOf(state),
    attesters: { connected, weight, quorum, missing },
    why,
    log: logOf([state]),
  };
}

function logOf(states: readonly State[]): LogStatus {
  const [first, second] = states;
  return {
    feeds: states.reduce((sum, { log }) => sum + log.frontier().size, 0),
    gaps: states.reduce((sum, { log }) => sum + log.gaps, 0),
    frontier:
      first !== undefined && second === undefined
        ? first.log.frontierHash()
        : domainHash("frontiers", ...states.map(({ log }) => Buffer.from(log.frontierHash(), "hex"))),
  };
}

function inPartition({ name }: NodePartition): InPartition {
  return name === null ? {} : { partition: name };
}

function proversOf(partition: NodePartition): NodeStatus["provers"][number][] {
  const { state } = partition.runtime;
  const chains = [...state.chains.keys()];
  return [...state.roster.values()].map((member) => ({
    ...inPartition(partition),
    key: member.key,
    slots: member.slots,
    quota: Math.min(...chains.map((chain) => quotaOf(state, member.key, chain))),
    benched: !chains.some((chain) => isIn(state, member, chain, headOf(state, chain))),
  }));
}

function outOf(partition: NodePartition): NodeStatus["out"][number][] {
  const { state } = partition.runtime;
  return [...state.out.values()].map((out) => ({
    ...inPartition(partition),
    key: out.offender,
    offence: out.offence,
    where: whereOut(state, out),
  }));
}
