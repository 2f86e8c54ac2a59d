/** What the node says of itself. */
import { type BlockStatus, blockStatus, whereOut } from "../core/lifecycle.ts";
import { quotaOf } from "../core/quota.ts";
import { headOf, isIn } from "../core/standing.ts";
import type { CoreOptions } from "../core/state.ts";
import type { Network } from "../network/node.ts";
import type { Hash, Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { SinkStatus } from "../runtime/proposer.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { NodeTelemetry } from "../telemetry.ts";

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
  /** Where certified blocks are handed on to, and how far that is. */
  readonly sinks: readonly SinkStatus[];
  readonly blocks: readonly BlockStatus[];
  /** `frontier` names how far the log reaches: equal where two nodes have the same. */
  readonly log: { readonly feeds: number; readonly gaps: number; readonly frontier: Hash };
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

export function statusOf(
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
    sinks: runtime.sinks(),
    blocks: blocks.map((block) => blockStatus(state, block)),
    log: {
      feeds: state.log.frontier().size,
      gaps: state.log.gaps,
      frontier: state.log.frontierHash(),
    },
    counters: telemetry.counters(),
  };
}
