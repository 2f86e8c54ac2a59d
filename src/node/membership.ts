/** Which partitions a node takes part in, and what it does in each. */
import { DEV_CHAIN, type NodeConfig } from "../config.ts";
import type { CoreOptions } from "../core/options.ts";
import type { Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { type Partition, partitionsOf } from "../protocol/partition.ts";
import { NodeFault } from "./fault.ts";
import { dealSlots } from "../scheduler/slots.ts";

export type Roles = CoreOptions["roles"];

export interface Membership extends Partition<Manifest> {
  readonly roles: Roles;
  /** Proofs at once. */
  readonly slots: number;
  /** Chains of the partition that a source of this node follows. */
  readonly follows: readonly number[];
}

/**
 * Attesters take part where the manifest names them, sources where they follow a chain, provers everywhere unless the
 * configuration names partitions; who is named takes part whatever its role. An undivided network is everybody's.
 *
 * Throws `config.partition` for a name that the manifest does not have.
 */
export function membershipsOf(config: NodeConfig, manifest: Manifest, key: Key): readonly Membership[] {
  const partitions = partitionsOf(manifest);
  const named = config.partitions;
  const allowed = partitions.flatMap(({ name }) => (name === null ? [] : [name]));
  const unknown = named?.find((name) => !allowed.includes(name));
  if (unknown !== undefined) {
    const why = allowed.length === 0 ? "the manifest names none" : `the manifest has ${allowed.join(", ")}`;
    throw new NodeFault("config.partition", `there is no partition "${unknown}": ${why}`);
  }
  const proves = config.roles.includes("prover") && config.slots > 0;
  const isNamed = (name: string | null) => name === null || named === undefined || named.includes(name);
  const wanted = partitions
    .map((partition) => {
      const { name } = partition;
      const { admission, list } = partition.manifest.json.provers;
      const mayProve = name === null || admission === "open" || list.some((prover) => prover.key === key);
      const roles: Roles = {
        source: config.roles.includes("source") && manifest.sources.has(key),
        attester: config.roles.includes("attester") && partition.manifest.weights.has(key),
        prover: proves && mayProve && isNamed(name),
      };
      const sources = followed(config);
      const follows = partition.manifest.json.chains
        .filter(({ id, reproves = id }) => sources.includes(id) || sources.includes(reproves))
        .map(({ id }) => id);
      const isHere =
        roles.attester || roles.prover || (named === undefined ? name === null : isNamed(name)) || follows.length > 0;
      return { ...partition, roles, follows, isHere };
    })
    .filter(({ isHere }) => isHere);
  // The remainder goes to those that the configuration names first.
  const proven = wanted.filter(({ roles }) => roles.prover).map(({ name }) => name);
  const rank = (name: string | null) => (name === null || named === undefined ? 0 : named.indexOf(name));
  const slots = dealSlots(
    config.slots,
    proven.toSorted((a, b) => rank(a) - rank(b)),
  );
  return wanted.map(({ name, manifest: part, roles, follows }) => ({
    name,
    manifest: part,
    roles,
    follows,
    slots: slots.get(name) ?? 0,
  }));
}

function followed({ sources }: NodeConfig): number[] {
  return sources.map((source) => (source.kind === "dev" ? DEV_CHAIN : source.chain));
}
