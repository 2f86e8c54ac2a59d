/**
 * One partition as a node takes part in it: a core and its runtime, with a journal and a store of their own.
 *
 * Of an undivided network there is one, which is the whole node. Partitions of one node share its key, its sockets, its
 * artefacts and its machines, and nothing that is signed or heard.
 */
import { randomBytes } from "node:crypto";
import type { Artefacts, Fault, Prover, StoredCertificate, Telemetry, Verifier } from "../ports.ts";
import type { Select } from "../protocol/custom.ts";
import type { Hash } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { Resources } from "../protocol/workflow.ts";
import type { SinkLine } from "../runtime/proposer.ts";
import { Runtime } from "../runtime/runtime.ts";
import { type DataDirectory, partitionPaths } from "../storage/directory.ts";
import { openJournal } from "../storage/journal.ts";
import { nativeEquation, type NodeKey, nodeSigner } from "../storage/keystore.ts";
import { type LevelStore, openLevelStore } from "../storage/level.ts";
import { openSigning } from "../storage/signing.ts";
import { labelled } from "../telemetry.ts";
import { CLOCK } from "./clock.ts";
import { settled } from "./fault.ts";
import type { Membership, Roles } from "./membership.ts";

export type Closers = (() => Promise<void> | void)[];

/** What the partitions of a node have in common. */
export interface Shared {
  /** Names this process among all that may run with the same key. */
  readonly instance: string;
  readonly nodeKey: NodeKey;
  /** The directory of the key and of the signing state. */
  readonly keys: string;
  /** The functions that stages with `custom` collection name, by the SHA-256 of their modules. */
  readonly selects: ReadonlyMap<Hash, Select>;
  readonly directory: DataDirectory;
  readonly artefacts: Artefacts;
  readonly telemetry: Telemetry;
  readonly fatal: (fault: Fault) => void;
}

/** What it is given for itself. */
export interface Given {
  readonly verifier: Verifier;
  readonly provers: readonly Prover[];
  readonly sinks: readonly SinkLine[];
  readonly resources: Resources;
  readonly certified?: (certificate: StoredCertificate) => void;
}

export interface NodePartition {
  readonly name: string | null;
  readonly manifest: Manifest;
  readonly roles: Roles;
  readonly runtime: Runtime;
  readonly store: LevelStore;
}

export async function openPartition(
  { name, manifest, roles, slots, follows }: Membership,
  { instance, nodeKey, keys, selects, directory, artefacts, fatal, ...shared }: Shared,
  given: Given,
  closers: Closers,
): Promise<NodePartition> {
  const telemetry = labelled(shared.telemetry, name);
  const paths = partitionPaths(directory, name);
  const journal = openJournal({ dir: paths.journal, key: nodeKey.key });
  closers.push(() => new Promise<void>((resolve) => journal.close(resolve)));
  if (journal.repaired.length > 0) telemetry.emit("journal.repaired", { copies: journal.repaired });
  const signing = openSigning({ dir: keys, network: manifest.network });
  closers.push(() => signing.close());
  const store = await openStore(paths.level, telemetry, closers);
  const core = {
    self: nodeKey.key,
    roles,
    slots,
    follows,
    systems: given.provers.map(({ system }) => system),
    resources: given.resources,
    selects,
    instance,
    seed: Math.floor(Math.random() * 1e6),
  };
  const runtime = new Runtime(
    { manifest, core },
    {
      clock: CLOCK,
      signer: nodeSigner(nodeKey.seed),
      equation: nativeEquation,
      journal,
      signing,
      nonce: () => randomBytes(16).toString("hex"),
      store,
      artefacts,
      ...given,
      telemetry,
      fatal,
    },
  );
  // Its timer would keep a node that could not be opened from ending.
  closers.push(() => runtime.close());
  await settled<void>((done) => runtime.start(done));
  return { name, manifest, roles, runtime, store };
}

export async function openStore(dir: string, telemetry: Telemetry, closers: Closers): Promise<LevelStore> {
  const { store, report } = await openLevelStore({ dir }, { clock: CLOCK, telemetry });
  closers.push(() => store.close());
  if (report.replaced !== null) telemetry.emit("store.replaced", report.replaced);
  return store;
}
