/** The chains that the node follows itself. */
import { join } from "node:path";
import type { NodeConfig } from "../config.ts";
import { sourceResumes } from "../core/branch.ts";
import type { Source } from "../ports.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { payloadForm } from "../protocol/workflow.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { DevChain } from "../sources/devchain.ts";
import { fileSource } from "../sources/file.ts";
import { rangeSource } from "../sources/range.ts";
import type { DataDirectory } from "../storage/directory.ts";
import type { NodeTelemetry } from "../telemetry.ts";
import { CLOCK } from "./clock.ts";
import { NodeFault } from "./fault.ts";
import { guardedSource } from "./guard.ts";
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
    if (!manifest.json.chains.some(({ id }) => id === chain) || partitionFor(parts, chain) === null) {
      const allowed = manifest.json.chains.map(({ id }) => id).join(", ");
      throw new NodeFault("config.chain", `a source follows chain ${chain}; the manifest allows ${allowed}`);
    }
    if (source.kind === "rpc" || devChain !== null)
      chainUrl = devChain?.url ?? (source.kind === "rpc" ? source.url : null);
    const beacon = source.kind === "rpc" && source.beacon !== undefined ? { beacon: source.beacon } : {};
    const pollMs = devChain === null ? {} : { pollMs: 200 };
    for (const { id, start, confirmations, range, form, runtime } of followedBy(manifest, parts, chain)) {
      const open = (): Source =>
        source.kind === "file"
          ? fileSource({ chain: id, path: source.path, form })
          : chainSource({
              chain,
              toldAs: id,
              url: chainUrl ?? "",
              confirmations,
              form,
              ...beacon,
              ...pollMs,
              start: start === "any" ? "latest" : start * range,
              until: () => (toldMax(runtime, id, start) + 1) * range - 1,
            });
      const guarded = (followed: Source): Source => guardedSource(followed, { chain: id, clock: CLOCK });
      const opened =
        range === 1 ? guarded(open()) : rangeSource({ chain: id, size: range, open: () => guarded(open()) });
      closers.push(() => opened.close());
      runtime.follow(opened, sourceResumes(runtime.state, id));
    }
  }
  return { chainUrl };
}

/** The chain itself, and those that prove its blocks once more, where the node takes part in them. */
function followedBy({ json }: Manifest, parts: NodeParts, chain: number) {
  return json.chains
    .filter(({ id, reproves }) => id === chain || reproves === chain)
    .flatMap((each) => {
      const runtime = partitionFor(parts, each.id)?.runtime;
      const { range = 1 } = json.workflows[each.workflow] ?? {};
      const form = payloadForm({ json }, each.workflow);
      return runtime === undefined ? [] : [{ ...each, range, form, runtime }];
    });
}

/** What is announced too far above the certified blocks is left with the peers, and all that is said after it. */
const TOLD_AHEAD_MAX = 512;

function toldMax({ state }: Runtime, chain: number, start: number | "any"): number {
  if (start === "any") return Number.POSITIVE_INFINITY;
  return Math.max(state.chains.get(chain)?.certified ?? -1, start - 1) + TOLD_AHEAD_MAX;
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
