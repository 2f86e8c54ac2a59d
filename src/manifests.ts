/** Which network a node is part of: the manifest it was given, the one it keeps, one it joins, or a new one of its own. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { DEV_CHAIN, manifestFile, type NodeConfig } from "./config.ts";
import { genesis, packageKeys, TIMING, SYSTEM_NAMES } from "./genesis.ts";
import type { Fault, Telemetry } from "./ports.ts";
import type { Key } from "./protocol/ids.ts";
import { MANIFEST_BYTES_MAX } from "./protocol/limits.ts";
import { type Fragment, readFragment } from "./protocol/fragment.ts";
import { keyHashesOf, type Manifest, type ManifestJson, readManifest } from "./protocol/manifest.ts";
import { describeShapeError, type Shaped } from "./protocol/shape.ts";
import { createFileDurably, makeDirectory, writeFileDurably } from "./storage/files.ts";

class ManifestFault extends Error implements Fault {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

const JOIN_MS_MAX = 20_000;
/** A peer that restarts is back by then; after that an operator or a supervisor should know. */
const JOIN_TRIES_MS_MAX = 60_000;
const JOIN_PAUSE_MS_FIRST = 1_000;
const JOIN_PAUSE_MS_MAX = 15_000;
/** Chains whose blocks anyone may hand to an embedded node with `submit`: Ethereum's own, and its test networks. */
const SUBMIT_CHAINS: readonly number[] = [1, 5, 11_155_111, 560_048];

/** Throws a `Fault`: `manifest.*`, `join.*`, or `source.*` where a new network cannot see its chain. */
export async function openManifest(config: NodeConfig, key: Key, { emit }: Pick<Telemetry, "emit">): Promise<Manifest> {
  if (config.manifest !== undefined) return readManifestFile(config.manifest);
  const kept = manifestFile(config);
  if (config.join !== undefined) {
    return joinManifest(config.join, kept, emit);
  }
  if (existsSync(kept)) return readManifestFile(kept);
  return createManifestFile(kept, await embedded(config, key));
}

/**
 * Writes the manifest of a new network, once it has been read as any node will read it. Throws `manifest.invalid` with
 * every mistake, or `manifest.exists`; then the file is as it was.
 */
export function createManifestFile(file: string, json: ManifestJson): Manifest {
  const bytes = Buffer.from(`${JSON.stringify(json, null, 2)}\n`);
  const manifest = parse(bytes, "the new manifest");
  makeDirectory(dirname(resolve(file)), 0o777);
  try {
    createFileDurably(file, bytes, 0o644);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    throw new ManifestFault("manifest.exists", `${file} exists; a manifest is never overwritten`);
  }
  return manifest;
}

/** Whether a node that is told of no chain follows a dev chain: its network has that chain, or is yet to be made. */
export function followsDevChain(config: NodeConfig): boolean {
  const kept = manifestFile(config);
  return !existsSync(kept) || readManifestFile(kept).json.chains.some(({ id }) => id === DEV_CHAIN);
}

/** Reads and checks a manifest file; every mistake at once, each with its place. */
export function readManifestFile(file: string): Manifest {
  return parse(readFile(file), file);
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new ManifestFault(
      "manifest.missing",
      `${file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function parse(bytes: Uint8Array, where: string): Manifest {
  return checked(readManifest(parseJson(bytes, where)), where);
}

function checked<T>(read: Shaped<T>, where: string): T {
  if (read.ok) return read.value;
  throw new ManifestFault("manifest.invalid", read.errors.map((error) => describeShapeError(error, where)).join("\n"));
}

/** As much of a manifest as its workflows are. */
export interface WorkflowFile {
  readonly json: Pick<ManifestJson, "workflows" | "timing"> & Partial<Pick<ManifestJson, "chains" | "keys">>;
  readonly keyHashes: Manifest["keyHashes"];
}

/** The workflows of a manifest, or of a file that has nothing else. */
export function readWorkflows(file: string): WorkflowFile {
  const json = parseJson(readFile(file), file);
  if (typeof json === "object" && json !== null && "format" in json) return checked(readManifest(json), file);
  const { workflows, keys = {} } = checkedFragment(json, file);
  return { json: { workflows, keys, timing: TIMING }, keyHashes: keyHashesOf({ ...packageKeys(), ...keys }) };
}

/** A file of workflows, to be put into a manifest. */
export function readFragmentFile(file: string): Fragment {
  return checkedFragment(parseJson(readFile(file), file), file);
}

function checkedFragment(json: unknown, file: string): Fragment {
  return checked(readFragment(json, { keys: packageKeys(), timing: TIMING }), file);
}

function parseJson(bytes: Uint8Array, where: string): unknown {
  if (bytes.length > 4 * MANIFEST_BYTES_MAX) {
    throw new ManifestFault(
      "manifest.invalid",
      `${where}: has ${bytes.length} bytes; allowed: ${4 * MANIFEST_BYTES_MAX}`,
    );
  }
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8")) as unknown;
  } catch (error) {
    throw new ManifestFault(
      "manifest.invalid",
      `${where}: is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

async function joinManifest(target: string, kept: string, emit: Telemetry["emit"]): Promise<Manifest> {
  const [network, address] = [target.slice(0, 64), target.slice(65)];
  if (existsSync(kept)) {
    const manifest = readManifestFile(kept);
    if (manifest.network === network) return manifest;
    throw new ManifestFault("data.other-network", `${kept} is of network ${manifest.network}; --join names ${network}`);
  }
  const bytes = await fetchPatiently(address, network, emit);
  const manifest = parse(bytes, `the manifest from ${address}`);
  if (manifest.network !== network) {
    throw new ManifestFault(
      "join.other-network",
      `${address} serves network ${manifest.network}; --join names ${network}`,
    );
  }
  keep(kept, `${JSON.stringify(manifest.json, null, 2)}\n`);
  return manifest;
}

/** A peer may be restarting, or have no room for a moment: asks again after growing pauses, and says why it waits. */
async function fetchPatiently(address: string, network: string, emit: Telemetry["emit"]): Promise<Uint8Array> {
  const { fetchManifest } = await import("./network/joiner.ts");
  const endMs = performance.now() + JOIN_TRIES_MS_MAX;
  for (let pauseMs = JOIN_PAUSE_MS_FIRST; ; pauseMs = Math.min(2 * pauseMs, JOIN_PAUSE_MS_MAX)) {
    try {
      return await fetchManifest(address, network, JOIN_MS_MAX);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      if (code !== "join.unreachable" || performance.now() + pauseMs > endMs) throw error;
      emit("join.waiting", { code, message: error instanceof Error ? error.message : "", retryInMs: pauseMs });
      await setTimeout(pauseMs);
    }
  }
}

/** A network of this node alone: it follows the configured chain and takes any prover that announces itself. */
async function embedded(config: NodeConfig, key: Key): Promise<ManifestJson> {
  const chains: ManifestJson["chains"] = [];
  for (const source of config.sources) {
    if (source.kind === "dev") chains.push({ id: DEV_CHAIN, start: 1, confirmations: 0, workflow: "block" });
    if (source.kind === "file") chains.push({ id: source.chain, start: "any", confirmations: 0, workflow: "block" });
    if (source.kind === "rpc")
      chains.push({ id: source.chain, start: (await headOf(source)) + 1, confirmations: 0, workflow: "block" });
  }
  for (const id of SUBMIT_CHAINS)
    if (!chains.some((chain) => chain.id === id))
      chains.push({ id, start: "any", confirmations: 0, workflow: "block" });
  return genesis({
    name: "dev",
    attesters: [key],
    sources: [key],
    provers: [{ key, slots: Math.max(config.slots, 1), weight: 1 }],
    admission: "open",
    chains,
    shards: 4,
    window: 4,
    system: config.provers.map(({ kind }) => SYSTEM_NAMES.find((name) => name === kind)).find(Boolean) ?? "mock",
    bootstrap: [],
  });
}

async function headOf(source: { readonly chain: number; readonly url: string }): Promise<number> {
  const { checkChain } = await import("./sources/chain.ts");
  const head = await checkChain({ chain: source.chain, url: source.url, start: "latest" });
  if (!head.ok) throw new ManifestFault(head.fault.code, head.fault.message);
  return head.value;
}

/** The id of the chain behind an address, for `--rpc` without `--chain`. */
export async function discoverChain(url: string): Promise<number> {
  const { chainIdOf } = await import("./sources/chain.ts");
  const found = await chainIdOf(url);
  if (!found.ok) throw new ManifestFault(found.fault.code, found.fault.message);
  return found.value;
}

function keep(file: string, text: string): void {
  makeDirectory(dirname(resolve(file)), 0o777);
  writeFileDurably(file, Buffer.from(text), 0o644);
}
