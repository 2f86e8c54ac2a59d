/** The channel of certificates as a node of a divided network has it. */
import type { Key } from "../protocol/ids.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { partitionsOf } from "../protocol/partition.ts";
import { Certificates } from "../runtime/certificates.ts";
import type { SinkLine } from "../runtime/proposer.ts";
import { nativeEquation } from "../storage/keystore.ts";
import { CLOCK } from "./clock.ts";
import { settled } from "./fault.ts";
import { type Closers, type NodePartition, openStore, type Shared } from "./partition.ts";

export async function openCertificates(
  manifest: Manifest,
  self: Key,
  own: readonly (string | null)[],
  partition: (name: string | null) => NodePartition,
  { directory, telemetry, fatal }: Shared,
  sinks: ReadonlyMap<string | null, readonly SinkLine[]>,
  closers: Closers,
): Promise<Certificates> {
  const store = await openStore(directory.level, telemetry, closers);
  const certificates = new Certificates(
    { self, syncMs: manifest.json.timing.syncMs, partitions: partitionsOf(manifest), own: new Set(own) },
    {
      clock: CLOCK,
      equation: nativeEquation,
      store,
      partition: (name) => {
        const { store: kept, runtime } = partition(name);
        return { store: kept, certified: (chain) => runtime.state.chains.get(chain)?.certified ?? -1 };
      },
      sinks,
      telemetry,
      fatal,
    },
  );
  closers.push(() => certificates.close());
  await settled<void>((done) => certificates.start(done));
  return certificates;
}
