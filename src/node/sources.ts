/** The chains that the node follows itself. */
import { join } from "node:path";
import type { NodeConfig } from "../config.ts";
import { sourceResumes } from "../core/branch.ts";
import type { Source } from "../ports.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { DevChain } from "../sources/devchain.ts";
import { fileSource } from "../sources/file.ts";
import type { DataDirectory } from "../storage/directory.ts";
import type { NodeTelemetry } from "../telemetry.ts";
import { NodeFault } from "./fault.ts";
import { type NodeParts, partitionFor } from "./parts.ts";

export async function openSources(
  config: NodeConfig,
  manifest: Manifest,
  parts: NodeParts,
  directory: DataDirectory,
  telemetry: NodeTelemetry,
  closers: (() => Promise<void> | void)[],
): Promise<{ readonly chainUrl: string | null }> {
  let chainUrl: string | null = null;
  if (config.sources.length === 0) return { chainUrl };
  // Loaded where there is a chain to follow: its client is the slowest import of all.
  const { chainSource } = await import("../sources/chain.ts");
  for (const source of config.sources) {
    const devChain = source.kind === "dev" ? await openDevChain(source, directory, telemetry, closers) : null;
    const chain = devChain?.chain ?? (source.kind === "dev" ? 0 : source.chain);
    const json = manifest.json.chains.find(({ id }) => id === chain);
    const runtime = partitionFor(parts, chain)?.runtime;
    if (json === undefined || runtime === undefined) {
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
    runtime.follow(opened, sourceResumes(runtime.state, chain));
  }
  return { chainUrl };
}

async function openDevChain(
  source: Extract<NodeConfig["sources"][number], { kind: "dev" }>,
  directory: DataDirectory,
  telemetry: NodeTelemetry,
  closers: (() => Promise<void> | void)[],
): Promise<DevChain> {
  const { startDevChain } = await import("../sources/devchain.ts");
  const started = await startDevChain({ ...source, stateFile: join(directory.dir, "devchain.json") });
  if (!started.ok) throw new NodeFault(started.fault.code, started.fault.message);
  closers.push(() => started.value.close());
  telemetry.emit("devchain.started", { url: started.value.url, blockTimeS: source.blockTimeS });
  return started.value;
}
