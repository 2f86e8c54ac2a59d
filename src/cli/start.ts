/** `proofmesh start`: runs a node until it is told to stop. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { publicUrl } from "../address.ts";
import {
  type ConfigLayer,
  manifestFile,
  type NodeConfig,
  type ProverConfig,
  readConfig,
  type SourceConfig,
} from "../config.ts";
import {
  discoverChain,
  followsDevChain,
  openNode,
  type ProofmeshNode,
  whyNotPublic,
  writeFileDurably,
} from "../node.ts";
import type { Fault } from "../ports.ts";
import { CommandError, EXIT, explain, faultOf } from "./exit.ts";
import { collect, positive, whole } from "./flags.ts";

interface Flags {
  readonly config?: string;
  readonly data?: string;
  readonly manifest?: string;
  readonly join?: string;
  readonly keys?: string;
  readonly listen?: string[];
  readonly announce?: string[];
  readonly bootstrap?: string[];
  readonly http?: string;
  readonly rpc?: string;
  readonly chain?: number;
  readonly blocks?: string;
  readonly blockTime: number;
  readonly transactions: number;
  readonly roles?: string;
  readonly slots?: number;
  readonly partition?: string[];
  readonly mock?: number;
  readonly log?: string;
  readonly profile?: string;
}

/** What a node that closes takes at most before it is ended. */
const CLOSE_MS_MAX = 8_000;
/** What stopping a node that is not up yet takes at most. */
const GIVE_UP_MS_MAX = 2_000;

export function startCommand(): Command {
  return new Command("start")
    .description(
      "Run a node. Without a manifest: a network of this node alone, following a dev chain that it starts itself.",
    )
    .option(
      "--config <file>",
      "a JSON file with these settings, provers and sinks (flags and PROOFMESH_* variables win)",
    )
    .option("--data <dir>", "where the node keeps everything but its key (default: ~/.proofmesh/dev)")
    .option("--manifest <file>", "the network's manifest")
    .option("--join <id@address>", "join the network that a running node prints")
    .option("--keys <dir>", "the node's key and how far it has signed (default: DATA-keys, beside the data directory)")
    .option("--listen <multiaddr>", "where peers connect; repeatable (default: /ip4/0.0.0.0/tcp/4600)", collect)
    .option(
      "--announce <multiaddr>",
      "an address that peers are told instead of those of this machine, behind NAT; repeatable",
      collect,
    )
    .option("--bootstrap <multiaddr>", "a peer to dial; repeatable", collect)
    .option("--http <host:port>", "status endpoint, or off (default: 127.0.0.1:4680)")
    .option("--rpc <url>", "follow this Ethereum node instead of a dev chain")
    .option("--chain <id>", "the chain id that --rpc or --blocks must have", whole)
    .option("--blocks <file>", "prove the blocks of an NDJSON file; - reads standard input")
    .option("--block-time <seconds>", "dev chain: time between blocks", positive, 6)
    .option("--transactions <n>", "dev chain: transactions in a block", whole, 12)
    .option("--roles <list>", "of source,prover,attester; what the manifest does not allow is left out")
    .option("--slots <n>", "proofs at once (default: 1)", whole)
    .option(
      "--partition <name>",
      "prove for this partition of the network only; repeatable (default: for all)",
      collect,
    )
    .option("--mock <ms>", "pretend to prove, for experiments: each proof takes this long", whole)
    .option("--profile <name>", "local: many nodes on one machine; public (default)")
    .option("--log <form>", "pretty, json or auto (default)")
    .addHelpText("after", "\nExample:\n  $ proofmesh start --rpc http://127.0.0.1:8545 --data ./node-1")
    .action((flags: Flags) => run(flags));
}

async function run(flags: Flags): Promise<void> {
  const config = await configOf(flags);
  const controller = new AbortController();
  // From the first moment on: a start may wait for a chain or a peer.
  const stop = () => (controller.signal.aborted ? process.exit(EXIT.internal) : controller.abort());
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  const opening = openNode(config, openLog());
  const node = await Promise.race([opening, aborted(controller.signal)]);
  if (node === null) return giveUp(opening);
  const fault = await serve(config, node, controller.signal).catch(faultOf);
  node.telemetry.emit("node.closing", fault === null ? {} : { code: fault.code, message: fault.message });
  const late = setTimeout(() => process.exit(EXIT.internal), CLOSE_MS_MAX);
  const failure = await node.close().then(() => null, faultOf);
  clearTimeout(late);
  removeNote(config);
  node.telemetry.emit("node.closed");
  // Nothing of ours is left; a library's handle must not keep the process. What ended the node says more than what
  // failed on the way out.
  const worst = fault ?? failure;
  process.exit(worst === null ? EXIT.ok : explain(new CommandError(worst.code, worst.message)));
}

/**
 * Writes the log to standard output. The log is for people, so a node goes on without it: its reader may go away, and
 * the disk below a redirected log may be full. A full disk may have room again; a reader does not come back.
 */
function openLog(): (line: string) => void {
  let code: string | null = null;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (code === error.code) return;
    code = error.code ?? "unknown";
    process.stderr.write(
      `proofmesh: cannot write the log: ${error.message}; the node goes on without it  [log.lost]\n`,
    );
  });
  return (line) => {
    if (code !== "EPIPE") process.stdout.write(`${line}\n`);
  };
}

/**
 * Stopped before it was up. What is already open is closed, but a chain or a peer that does not answer must not hold up
 * the operator; nothing has been promised to anybody yet.
 */
async function giveUp(opening: Promise<ProofmeshNode>): Promise<never> {
  const late = setTimeout(() => process.exit(EXIT.ok), GIVE_UP_MS_MAX);
  await opening.then((node) => node.close()).catch(() => {});
  clearTimeout(late);
  return process.exit(EXIT.ok);
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}

/** Runs until the operator or a fault ends the node. */
async function serve(config: NodeConfig, node: ProofmeshNode, signal: AbortSignal): Promise<Fault | null> {
  writeNote(config, node);
  greet(config, node);
  const message = await whyNotPublic(config, node.manifest, node.key, node.addresses);
  if (message !== null) node.telemetry.emit("network.not-public", { code: "network.not-public", message });
  return Promise.race([aborted(signal), node.failed]);
}

/** Other commands only find the node by this file; the node itself does not need it. */
function writeNote(config: NodeConfig, node: ProofmeshNode): void {
  const note = { pid: process.pid, http: node.http, network: node.manifest.network, addresses: node.addresses };
  try {
    writeFileDurably(noteOf(config), Buffer.from(`${JSON.stringify(note)}\n`), 0o644);
  } catch (error) {
    const message = `cannot write ${noteOf(config)}: ${faultOf(error).message}; commands need --http to find the node`;
    node.telemetry.emit("node.note-failed", { code: "node.note-failed", message });
  }
}

function removeNote(config: NodeConfig): void {
  try {
    rmSync(noteOf(config), { force: true });
  } catch {
    // Something else has the name, or the disk is gone: commands then find that no node answers.
  }
}

/** Where other commands find the node that runs in this data directory. */
function noteOf(config: NodeConfig): string {
  return join(config.data, "node.json");
}

async function configOf(flags: Flags): Promise<NodeConfig> {
  const layer: ConfigLayer = {
    data: flags.data,
    manifest: flags.manifest,
    join: flags.join,
    keys: flags.keys,
    listen: flags.listen ?? (flags.join === undefined ? undefined : ["/ip4/0.0.0.0/tcp/0"]),
    announce: flags.announce,
    bootstrap: flags.bootstrap,
    http: flags.http ?? (flags.join === undefined ? undefined : "127.0.0.1:0"),
    roles: flags.roles?.split(",") as ConfigLayer["roles"],
    slots: flags.slots,
    partitions: flags.partition,
    provers: flags.mock === undefined ? undefined : [mockProver(flags.mock)],
    profile: flags.profile as ConfigLayer["profile"],
    log: flags.log as ConfigLayer["log"],
  };
  const given = readConfig(flags.config, process.env, { ...layer, sources: await sourcesOf(flags) });
  // A node of its own follows a dev chain; one that joins, or has a manifest of other chains, only what it is told to.
  const alone = given.manifest === undefined && given.join === undefined && given.sources.length === 0;
  if (!alone || !followsDevChain(given)) return given;
  return Object.freeze({
    ...given,
    sources: [{ kind: "dev" as const, blockTimeS: flags.blockTime, transactionsPerBlock: flags.transactions }],
  });
}

function mockProver(provingMs: number): ProverConfig {
  return { kind: "mock", provingMs };
}

async function sourcesOf(flags: Flags): Promise<SourceConfig[] | undefined> {
  if (flags.rpc !== undefined) {
    // Looked at before the chain is asked for its id; the configuration then checks it like any other setting.
    const asked = flags.chain === undefined && URL.canParse(flags.rpc);
    return [{ kind: "rpc", url: flags.rpc, chain: asked ? await discoverChain(flags.rpc) : (flags.chain ?? 1) }];
  }
  if (flags.blocks === undefined) return undefined;
  if (flags.chain === undefined)
    throw new CommandError("usage.chain", "--blocks needs --chain: a block does not say which chain it is of");
  return [{ kind: "file", path: flags.blocks, chain: flags.chain }];
}

/** What a newcomer wants to know next: how another node joins, and how anyone checks a certificate. */
function greet(config: NodeConfig, node: ProofmeshNode): void {
  const address = node.addresses.find((text) => text.includes("/127.0.0.1/")) ?? node.addresses[0];
  const target = address === undefined ? null : `${node.manifest.network}@${address}`;
  node.telemetry.emit("node.started", {
    key: node.key,
    network: node.manifest.network,
    http: node.http,
    addresses: node.addresses,
    data: config.data,
    ...(node.chainUrl === null ? {} : { chain: publicUrl(node.chainUrl) }),
  });
  const pretty = config.log === "pretty" || (config.log === "auto" && process.stdout.isTTY);
  if (!pretty) return node.telemetry.emit("node.hint", { join: target });
  const lines = [
    "",
    `  network    ${node.manifest.json.name}  ${node.manifest.network.slice(0, 12)}   node ${node.key.slice(0, 12)}`,
    `  data       ${config.data}`,
    ...(node.http === null
      ? []
      : [`  status     ${node.http}/status   (npm run proofmesh -- status --data ${config.data})`]),
    ...(target === null
      ? []
      : ["  join       a second node proves with this one:", `             npm start -- --join ${target}`]),
    "  check      a certificate, with nothing but the manifest and the proofs:",
    `             npm run proofmesh -- certificate latest --data ${config.data} --out proofs`,
    `             npm run proofmesh -- verify proofs/certificate.json --network ${manifestFile(config)} --proofs proofs`,
    "",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}
