/** A node's partitions together: each with a core of its own, all with the same machines. */
import type { NodeConfig } from "../config.ts";
import type { StoredCertificate } from "../ports.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { partitionsOf } from "../protocol/partition.ts";
import type { Certificates } from "../runtime/certificates.ts";
import { nodeSigner } from "../storage/keystore.ts";
import { openCertificates } from "./certificates.ts";
import { findFor, VerifierHealth } from "./module-health.ts";
import type { Membership } from "./membership.ts";
import { type Closers, type NodePartition, openPartition, type Shared } from "./partition.ts";
import { openSinks, sinkLines } from "./sinks.ts";
import { notesOf } from "./notes.ts";
import { openDevices, openWorkers, resourcesOf, type Workers } from "./workers.ts";

/** All that a node takes part in; of a divided network also what it has of the other partitions. */
export interface NodeParts {
  readonly partitions: readonly NodePartition[];
  /** `null` where the network is not divided. */
  readonly certificates: Certificates | null;
  readonly workers: Pick<Workers, "devices" | "modules" | "qualification">;
}

/** The partition of a chain, if this node takes part in it. */
export function partitionFor({ partitions }: Pick<NodeParts, "partitions">, chain: number): NodePartition | null {
  return partitions.find(({ runtime }) => runtime.state.chains.has(chain)) ?? null;
}

export async function openParts(
  config: NodeConfig,
  manifest: Manifest,
  memberships: readonly Membership[],
  shared: Shared,
  closers: Closers,
): Promise<NodeParts> {
  const { telemetry, directory, nodeKey } = shared;
  const roles = {
    prover: memberships.some((each) => each.roles.prover),
    attester: memberships.some((each) => each.roles.attester),
  };
  const partitions: NodePartition[] = [];
  const { devices, faults } = await openDevices(config);
  for (const { code, message } of faults) telemetry.emit("devices.note", { code, note: message });
  const changed = (executor: string, isAble: boolean) => {
    for (const each of partitions) each.runtime.post({ kind: "ability", executor, isAble });
  };
  const verifiers = new VerifierHealth(manifest, roles.attester, telemetry, partitions);
  const files = { find: findFor(shared.artefacts, partitions), changed: verifiers.changed };
  const modules = { telemetry, changed, fatal: shared.fatal };
  const workers = openWorkers(config, manifest, roles, devices, modules, files, closers);
  workers.qualification.start();
  for (const [event, note] of notesOf(config, manifest, workers.provers)) telemetry.emit(event, { note });
  const partition = (name: string | null): NodePartition => {
    const found = partitions.find((each) => each.name === name);
    if (found === undefined) throw new Error(`partition ${name} is not open`);
    return found;
  };
  const runtime = (chain: number) => partitionFor({ partitions }, chain)?.runtime ?? null;
  const signer = nodeSigner(nodeKey.seed);
  const sinks = await openSinks(
    { config, manifest, directory, signer, runtime, verifier: workers.verifier, environment: process.env },
    closers,
  );
  const lines = new Map(partitionsOf(manifest).map((each) => [each.name, sinkLines(sinks, each, directory, closers)]));
  const names = memberships.map(({ name }) => name);
  const isDivided = manifest.json.partitions !== undefined;
  const certificates = isDivided
    ? await openCertificates(manifest, nodeKey.key, names, partition, shared, lines, closers)
    : null;
  const resources = resourcesOf(config, devices);
  for (const membership of memberships) {
    const given = { ...workers.for(membership.name), sinks: lines.get(membership.name) ?? [], resources };
    const certified = (certificate: StoredCertificate) => certificates?.certified(membership, certificate);
    const opened = await openPartition(membership, shared, { ...given, certified }, closers);
    partitions.push(opened);
    // What has failed before it was there.
    for (const executor of workers.qualification.unable())
      opened.runtime.post({ kind: "ability", executor, isAble: false });
    verifiers.tell(opened);
  }
  closers.push(verifiers.watch(workers.modules));
  return { partitions, certificates, workers };
}
