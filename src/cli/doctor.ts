/**
 * `proofmesh doctor`: looks at everything that a node with this configuration would rest on, and says what is wrong and what to
 * do. A prover's ability is not declared but shown: each proves a small public block, the proof is verified, and a changed
 * proof has to be refused.
 */
import { accessSync, constants, existsSync, mkdtempSync, rmSync, statSync, statfsSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { publicUrl } from "../address.ts";
import { manifestFile, type NodeConfig, readConfig } from "../config.ts";
import {
  checkVerifiers,
  createKey,
  discoverChain,
  findIn,
  genesis,
  keyFileIn,
  loadKey,
  type Made,
  type NodeStatus,
  openDevices,
  openWorkbench,
  qualifying,
  qualifyingBlock,
  readManifestFile,
  refusesChanged,
  startId,
  whyNotPublic,
} from "../node.ts";
import { chainIdOf, type Manifest, readManifest, trustInSources } from "../protocol/manifest.ts";
import { rowsOf, stagesOf } from "../protocol/workflow.ts";
import { ask } from "./client.ts";
import { CommandError, EXIT, faultOf, statusOf } from "./exit.ts";

interface Flags {
  readonly config?: string;
  readonly data?: string;
  readonly keys?: string;
  readonly manifest?: string;
  readonly json?: boolean;
}

interface Finding {
  readonly check: string;
  readonly state: "ok" | "note" | "wrong";
  readonly message: string;
  readonly code?: string;
}

const FREE_BYTES_MIN = 1024 ** 3;
/** A payload of 64 MiB is twice as long in hex, and the values and inputs come on top. */
const TEMPORARY_MIB_MIN = 256;
/** File systems over a network, by the number that the kernel gives them: NFS, SMB, CIFS, FUSE. */
const REMOTE: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0x65735546, "FUSE"],
]);

export function doctorCommand(): Command {
  return new Command("doctor")
    .description(
      "Check what a node would rest on: configuration, disk, key, manifest, ports, chains, GPUs; and let each configured prover prove a small block and the verifier refuse a changed proof.",
    )
    .option("--config <file>", "the node's configuration")
    .option("--data <dir>", "the node's data directory (default: ~/.proofmesh/dev)")
    .option("--keys <dir>", "the key's directory (default: DATA-keys, beside the data directory)")
    .option("--manifest <file>", "the network's manifest (default: the one in the data directory, or a new network's)")
    .option("--json", "a line of JSON a finding")
    .addHelpText(
      "after",
      "\nExample:\n  $ proofmesh doctor --config node.json\n\nExit status: 0 all is well, else that of the first thing that is wrong.",
    )
    .action((flags: Flags) => run(flags));
}

async function run(flags: Flags): Promise<void> {
  let worst: number = EXIT.ok;
  const say = (finding: Finding): void => {
    const { check, state, message, code } = finding;
    if (state === "wrong" && worst === EXIT.ok) worst = statusOf(code ?? "internal");
    process.stdout.write(
      flags.json === true
        ? `${JSON.stringify(finding)}\n`
        : `${state.padEnd(5)}  ${check.padEnd(9)}  ${message}${code === undefined ? "" : `  [${code}]`}\n`,
    );
  };
  const config = await tried(say, "config", () =>
    readConfig(flags.config, process.env, { data: flags.data, keys: flags.keys, manifest: flags.manifest }),
  );
  if (config !== null) {
    say({
      check: "config",
      state: "ok",
      message: `read; provers: ${config.provers.map(({ kind }) => kind).join(", ") || "none"}`,
    });
    await tried(say, "disk", () => checkDisk(config, say));
    await tried(say, "temporary", () => checkTemporary(say));
    const key = (await tried(say, "key", () => checkKey(config, say))) ?? null;
    const manifest = await tried(say, "manifest", () => checkManifest(config, key, say));
    await checkPorts(config, say);
    await checkAddresses(config, manifest, key, say);
    await tried(say, "devices", () => checkDevices(config, say));
    for (const source of config.sources) await tried(say, "chain", () => checkSource(source, say));
    if (manifest !== null) await tried(say, "verifiers", () => checkKeys(config, manifest, say));
    if (manifest !== null) await tried(say, "provers", () => checkProvers(config, manifest, say));
  }
  process.exitCode = worst;
}

type Say = (finding: Finding) => void;

async function tried<T>(say: Say, check: string, look: () => T | Promise<T>): Promise<T | null> {
  try {
    return await look();
  } catch (error) {
    const { code, message } = faultOf(error);
    for (const line of message.split("\n")) say({ check, state: "wrong", message: line, code });
    return null;
  }
}

/** Where it is, or would be made. */
function existing(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existing(dirname(path));
}

function checkDisk({ data }: NodeConfig, say: Say): void {
  const dir = existing(data);
  readable(dir, constants.W_OK, "data.not-writable");
  const { bavail, bsize, type } = statfsSync(dir);
  const free = bavail * bsize;
  const remote = REMOTE.get(type);
  const gib = (free / 1024 ** 3).toFixed(1);
  if (remote !== undefined)
    say({
      check: "disk",
      state: "note",
      message: `${data} is on ${remote}: votes are only as durable as the server's promise`,
    });
  if (free < FREE_BYTES_MIN)
    throw new CommandError("disk.full", `${gib} GiB are free for ${data}; make room for at least 1 GiB`);
  say({ check: "disk", state: "ok", message: `${data}, ${gib} GiB free` });
}

/** Where provers and verifiers that are programs get their files. */
function checkTemporary(say: Say): void {
  const dir = tmpdir();
  const allowed = "TMPDIR has to name a folder that exists and can be written to";
  try {
    rmSync(mkdtempSync(join(dir, "proofmesh-doctor-")), { recursive: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError("temporary.not-writable", `the folder for temporary files is ${dir}: ${why}; ${allowed}`);
  }
  const { bavail, bsize } = statfsSync(dir);
  const mib = Math.floor((bavail * bsize) / 1024 ** 2);
  if (mib < TEMPORARY_MIB_MIN)
    throw new CommandError(
      "temporary.full",
      `${mib} MiB are free in ${dir}; a task's files take up to ${TEMPORARY_MIB_MIN} MiB`,
    );
  say({ check: "temporary", state: "ok", message: `${dir}, ${mib} MiB free` });
}

function readable(path: string, mode: number, code: string): void {
  try {
    accessSync(path, mode);
  } catch (error) {
    throw new CommandError(code, error instanceof Error ? error.message : String(error));
  }
}

/** The node's public key; a node that has none yet makes one at its first start. */
function checkKey(config: NodeConfig, say: Say): string | null {
  const file = keyFileIn(config.keys);
  if (!existsSync(file)) {
    say({ check: "key", state: "note", message: `${file} is not there; the first start makes it` });
    return null;
  }
  const { key } = loadKey(file);
  say({ check: "key", state: "ok", message: `${key} in ${file}` });
  checkVolumes(config, say);
  return key;
}

/** A volume that is restored as a whole brings back an old signing state together with an old journal. */
function checkVolumes({ data, keys }: NodeConfig, say: Say): void {
  if (statSync(existing(data)).dev !== statSync(existing(keys)).dev) return;
  say({
    check: "key",
    state: "note",
    message: `${keys} and ${data} are on one volume: restore both from a copy, and the node cannot know that it is old; put the keys elsewhere`,
    code: "keys.same-volume",
  });
}

function checkManifest(config: NodeConfig, key: string | null, say: Say): Manifest {
  const file = manifestFile(config);
  if (config.manifest === undefined && !existsSync(file)) {
    say({
      check: "manifest",
      state: "note",
      message: "none yet; checked with that of a new network of this node alone",
    });
    return ownNetwork();
  }
  const manifest = readManifestFile(file);
  const { json, network, weights, sources } = manifest;
  say({
    check: "manifest",
    state: "ok",
    message: `network ${json.name} ${network.slice(0, 12)}, ${weights.size} attesters`,
  });
  say({ check: "sources", state: "ok", message: trustInSources(manifest) });
  if (key === null) return manifest;
  const listed = json.provers.list.some((prover) => prover.key === key);
  const roles = [
    ...(weights.has(key) ? ["attester"] : []),
    ...(sources.has(key) ? ["source"] : []),
    ...(listed || json.provers.admission === "open" ? ["prover"] : []),
  ];
  say(
    roles.length === 0
      ? {
          check: "manifest",
          state: "note",
          message: `it names this key nowhere and lets nobody else prove: the node can only follow`,
        }
      : { check: "manifest", state: "ok", message: `this key may be ${roles.join(", ")}` },
  );
  return manifest;
}

/** What verifies the proofs of each key: an attester that cannot verify signs nothing. */
async function checkKeys(config: NodeConfig, { json }: Manifest, say: Say): Promise<void> {
  const find = findIn(join(config.data, "artefacts"));
  for (const { name, system, library, proofBytes, fault } of await checkVerifiers(json.keys, find, "drawn")) {
    const { proofBytesMax } = json.limits;
    if (proofBytes !== null && proofBytes > proofBytesMax)
      say({
        check: "verifiers",
        state: "note",
        message: `proofs of ${system} have up to ${proofBytes} bytes; limits.proofBytesMax of the manifest is ${proofBytesMax}`,
      });
    if (fault === null)
      say({ check: "verifiers", state: "ok", message: `key ${name}: ${system}, verified by ${library}` });
    else if (fault.code === "verifier.missing")
      // The node fetches such files from its peers.
      say({ check: "verifiers", state: "note", message: `key ${name}: ${fault.message}`, code: fault.code });
    else say({ check: "verifiers", state: "wrong", message: `key ${name}: ${fault.message}`, code: fault.code });
  }
}

/** What the first start without a manifest would make. */
function ownNetwork(): Manifest {
  const scratch = mkdtempSync(join(tmpdir(), "proofmesh-doctor-"));
  try {
    const { key } = createKey(join(scratch, "key.json"));
    const chains = [{ id: 1, start: "any" as const, confirmations: 0, workflow: "block" }];
    const options = { name: "doctor", attesters: [key], sources: [key], provers: [], admission: "open" as const };
    const read = readManifest(genesis({ ...options, chains, shards: 1, window: 1, system: "groth16", bootstrap: [] }));
    if (!read.ok) throw new CommandError("manifest.invalid", JSON.stringify(read.errors));
    return read.value;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function checkPorts(config: NodeConfig, say: Say): Promise<void> {
  const wanted = config.listen.flatMap((address) => {
    const [, host = "", port = ""] = /^\/ip[46]\/([^/]+)\/tcp\/(\d+)/.exec(address) ?? [];
    return port === "" ? [] : [{ check: "listen", host, port: Number(port), code: "listen.in-use" }];
  });
  const [, host = "", port = ""] = /^(.+):(\d+)$/.exec(config.http) ?? [];
  if (port !== "") wanted.push({ check: "http", host, port: Number(port), code: "listen.in-use" });
  for (const { check, host: at, port: number, code } of wanted) {
    const fault = await bound(at, number);
    say(
      fault === null
        ? { check, state: "ok", message: `${at}:${number === 0 ? "any port" : number} can be used` }
        : {
            check,
            state: "wrong",
            message: `${at}:${number} cannot be used: ${fault}; does the node run already?`,
            code,
          },
    );
  }
}

async function checkAddresses(
  config: NodeConfig,
  manifest: Manifest | null,
  key: string | null,
  say: Say,
): Promise<void> {
  if (manifest === null || key === null) return;
  const message = await whyNotPublic(config, manifest, key);
  if (message !== null) say({ check: "announce", state: "note", message, code: "network.not-public" });
}

function bound(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", (error) => resolve(error.message));
    server.listen(port, host.replace(/^\[|\]$/g, ""), () => server.close(() => resolve(null)));
  });
}

async function checkSource(source: NodeConfig["sources"][number], say: Say): Promise<void> {
  if (source.kind === "dev") return say({ check: "chain", state: "ok", message: "a dev chain of its own" });
  if (source.kind === "file") {
    if (source.path !== "-") readable(source.path, constants.R_OK, "source.unreadable");
    return say({ check: "chain", state: "ok", message: `chain ${source.chain} from ${source.path}` });
  }
  const found = await discoverChain(source.url);
  if (found !== source.chain)
    throw new CommandError(
      "source.wrong-chain",
      `${publicUrl(source.url)} is of chain ${found}; the configuration says ${source.chain}`,
    );
  say({ check: "chain", state: "ok", message: `${publicUrl(source.url)} is of chain ${found}` });
}

/** The GPUs that a node would use, and which of them the node that runs here has given to a task. */
async function checkDevices(config: NodeConfig, say: Say): Promise<void> {
  const { devices, faults } = await openDevices(config);
  for (const { code, message } of faults) say({ check: "devices", state: "note", message, code });
  const running = await runningStatus(config);
  const all = devices.status();
  if (all.length === 0) say({ check: "devices", state: "ok", message: "no GPU; provers have the processors" });
  for (const { vendor, id, name, memoryBytes } of all) {
    const holder = running?.devices.find((each) => each.vendor === vendor && each.id === id)?.holder ?? null;
    const memory = memoryBytes === null ? "" : `, ${Math.round(memoryBytes / 1024 ** 3)} GiB`;
    const state = running === null ? "" : holder === null ? ", free" : `, held by ${holder.task} (${holder.prover})`;
    say({ check: "devices", state: "ok", message: `${vendor} ${id}: ${name}${memory}${state}` });
  }
}

/** What the node with this data directory says, if it runs. */
async function runningStatus({ data }: NodeConfig): Promise<NodeStatus | null> {
  if (!existsSync(join(data, "node.json"))) return null;
  return ask({ data }, "/status", {}, 2_000).then(
    async (response) => (await response.json()) as NodeStatus,
    // It has been killed, or has no endpoint.
    () => null,
  );
}

/** Every prover makes the first task that is its own, and all that this takes. */
async function checkProvers(config: NodeConfig, manifest: Manifest, say: Say): Promise<void> {
  // The node that runs here may lack what this command has: its folder for temporary files, its user, its limits.
  for (const { prover, fault, retryInMs } of (await runningStatus(config))?.abilities ?? []) {
    if (fault === null) continue;
    const again = retryInMs === null ? "" : `; it is tried again in ${Math.ceil(retryInMs / 1000)} s`;
    const message = `the node that runs does not use ${prover}: ${fault.message} (${fault.code})${again}`;
    say({ check: "provers", state: "wrong", message, code: "prover.unable" });
  }
  const workbench = await openWorkbench(manifest, config);
  try {
    for (const [name, workflow] of Object.entries(manifest.json.workflows)) {
      const chain = manifest.json.chains.find((each) => each.workflow === name)?.id ?? 1;
      const read = qualifyingBlock(manifest, name);
      const stages = stagesOf(manifest, name, read.items) ?? [];
      const chainId = chainIdOf(manifest, chain);
      const block = { ...read, chain, chainId, block: startId(read, manifest.network, chain, name), before: null };
      const prepared = await workbench.prepare({ ...block, range: 1, stages: rowsOf(stages) });
      const wanted = qualifying(stages, workbench.executors);
      const left = workflow.stages.length - new Set([...wanted].map((task) => task.split("/")[0])).size;
      if (left > 0)
        say({
          check: "provers",
          state: "note",
          message: `${left} of ${workflow.stages.length} stages of workflow ${name} are made by nobody here`,
        });
      const last = new Map<string, { readonly task: string; readonly made: Made }>();
      await workbench.makeAll(stages, wanted, block, prepared, {
        made: (task, made) => last.set(made.executor, { task, made }),
      });
      for (const { task, made } of last.values()) {
        const { system } = made;
        const code = await refusesChanged(workbench, made);
        const [seconds, ms] = [(made.provingMs / 1000).toFixed(2), Math.round(made.verifyingMs)];
        say({
          check: "provers",
          state: "ok",
          message:
            code === null
              ? `${task} is made in ${seconds} s; what it makes is recomputed, not verified`
              : `${system} proves ${task} in ${seconds} s, verified in ${ms} ms; a changed proof is refused (${code})`,
        });
      }
    }
  } finally {
    await workbench.close();
  }
}
