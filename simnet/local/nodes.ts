/** Real nodes as real processes on loopback: started, watched, paused, killed and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { defaultKeys } from "../../src/config.ts";
import { createKeys, genesis } from "../../src/node.ts";
import type { Fragment } from "../../src/protocol/fragment.ts";
import type { Key } from "../../src/protocol/ids.ts";
import { variantsOf } from "../../src/protocol/stages.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { Chance } from "../virtual/world.ts";
import { type LinkOptions, Links, NOWHERE } from "./links.ts";

export type Duty = "attests-and-proves" | "attests" | "proves";

export interface LocalNode {
  readonly name: string;
  readonly duty: Duty;
  /** The one proof system that it has of those side by side; `null`: all of them. */
  readonly system: string | null;
  readonly key: Key;
  readonly directory: string;
  readonly port: number;
  process: ChildProcess | null;
  /** Processes that SIGSTOP has stopped, the node itself first; none while it runs. */
  stopped: readonly number[];
  http: string | null;
  /** Last lines of standard error, for a failure's report. */
  complaints: string[];
}

/** One line of a node's JSON log. */
export interface LogLine {
  readonly t: number;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface FleetOptions {
  readonly directory: string;
  readonly duties: readonly Duty[];
  readonly shards: number;
  readonly window: number;
  /** Pretended proving time; `null` proves for real. */
  readonly mockMs: number | null;
  /** How blocks are proven, in place of the usual workflow. */
  readonly fragment: Fragment | null;
  /** Proof systems side by side are dealt to the nodes in turn, one each. */
  readonly oneSystem: boolean;
  readonly chain: { readonly id: number; readonly url: string };
  /** With proxies of our own between the nodes; `null` lets them talk directly. */
  readonly links: LinkOptions | null;
  readonly seed: number;
}

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const START_MS_MAX = 60_000;
const COMPLAINTS_MAX = 20;
const REAL = ["groth16", "ultrahonk", "stark"];
const MOCKS = fileURLToPath(new URL("../../config/provers/mocks.json", import.meta.url));
/** What a real proof takes at the most. */
const REAL_MS_MAX = 120_000;

/**
 * A node in a process group of its own, out of reach of the terminal's Ctrl-C, which is ours to pass on. Beside it a
 * subshell reads a pipe that ends when we do, even by SIGKILL, and then the node is ended too.
 */
const KEEPER = `exec 3<&0
(cat <&3; kill -KILL $$) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null`;

export class Fleet {
  readonly manifest: ManifestJson;
  readonly manifestFile: string;
  readonly nodes: readonly LocalNode[];
  readonly #options: FleetOptions;
  readonly #watch: (node: LocalNode, line: LogLine) => void;
  readonly links: Links | null;
  readonly #leave = (): void => {
    for (const node of this.nodes) for (const pid of [node.process?.pid ?? 0, ...node.stopped]) signal(pid, "SIGKILL");
  };

  private constructor(
    options: FleetOptions,
    nodes: readonly LocalNode[],
    links: Links | null,
    watch: (node: LocalNode, line: LogLine) => void,
  ) {
    this.#options = options;
    this.nodes = nodes;
    this.links = links;
    this.#watch = watch;
    this.manifest = Fleet.#manifest(options, nodes);
    this.manifestFile = join(options.directory, "manifest.json");
    writeFileSync(this.manifestFile, JSON.stringify(this.manifest, null, 2));
    process.once("exit", this.#leave);
  }

  static async create(options: FleetOptions, watch: (node: LocalNode, line: LogLine) => void): Promise<Fleet> {
    const ports = await freePorts(options.duties.length);
    const systems = options.oneSystem ? sideBySide(options.fragment) : [];
    const nodes = options.duties.map((duty, at): LocalNode => {
      const name = `node-${at}`;
      const directory = join(options.directory, name);
      mkdirSync(directory, { recursive: true });
      const { key } = createKeys(defaultKeys(directory));
      return {
        name,
        duty,
        system: systems[at % systems.length] ?? null,
        key,
        directory,
        port: ports[at] ?? 0,
        process: null,
        stopped: [],
        http: null,
        complaints: [],
      };
    });
    const { links, seed } = options;
    const opened = links === null ? null : await Links.open(ports, links, new Chance(seed, "links"));
    return new Fleet(options, nodes, opened, watch);
  }

  static #manifest(
    { chain, shards, window, mockMs, links, fragment }: FleetOptions,
    nodes: readonly LocalNode[],
  ): ManifestJson {
    const attesters = nodes.filter(({ duty }) => duty !== "proves").map(({ key }) => key);
    const provers = nodes.filter(({ duty }) => duty !== "attests").map(({ key }) => ({ key, slots: 1, weight: 1 }));
    const [workflow = "block"] = Object.keys(fragment?.workflows ?? {});
    return genesis({
      ...(fragment === null ? {} : { fragment }),
      name: "local",
      attesters,
      sources: attesters,
      provers,
      admission: "list",
      chains: [{ id: chain.id, start: 1, confirmations: 0, workflow }],
      shards,
      window,
      system: mockMs === null ? "groth16" : "mock",
      bootstrap: links === null ? nodes.map(({ port }) => `/ip4/127.0.0.1/tcp/${port}`) : [],
    });
  }

  /** What proves for real is configured as it is by default; beside it are mocks for all that the package's workflows name. */
  #configFile({ directory, system }: LocalNode): string {
    const { provers } = JSON.parse(readFileSync(MOCKS, "utf8")) as { readonly provers: readonly MockProver[] };
    const mocks = provers.map((prover) =>
      "provingMs" in prover ? { ...prover, provingMs: this.#options.mockMs ?? prover.provingMs } : prover,
    );
    const real = REAL.map((kind) => ({ kind, timeoutMs: REAL_MS_MAX }));
    const others = new Set(sideBySide(this.#options.fragment));
    others.delete(system ?? "");
    const isOwn = (made: string): boolean => system === null || !others.has(made);
    const kept = [
      ...real.filter(({ kind }) => isOwn(`${kind}-shard`)),
      ...mocks.filter((prover) => isOwn(prover.system ?? prover.kind)),
    ];
    const file = join(directory, "config.json");
    writeFileSync(file, JSON.stringify({ provers: kept }));
    return file;
  }

  /** Starts a node's process; resolves when it listens. */
  start(node: LocalNode): Promise<void> {
    const { chain, mockMs, fragment } = this.#options;
    const flags = [
      "--data",
      node.directory,
      "--manifest",
      this.manifestFile,
      "--listen",
      `/ip4/127.0.0.1/tcp/${node.port}`,
    ];
    flags.push(
      "--http",
      "127.0.0.1:0",
      "--profile",
      "local",
      "--log",
      "json",
      "--slots",
      node.duty === "attests" ? "0" : "1",
    );
    if (node.duty !== "proves") flags.push("--rpc", chain.url, "--chain", String(chain.id));
    if (fragment !== null) flags.push("--config", this.#configFile(node));
    else if (mockMs !== null) flags.push("--mock", String(mockMs));
    const dialled = this.links?.addressesOf(this.nodes.indexOf(node)) ?? [];
    for (const address of dialled) flags.push("--bootstrap", address);
    const child = spawn("sh", ["-c", KEEPER, "sh", process.execPath, MAIN, "start", ...flags], {
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...(this.links === null ? {} : { PROOFMESH_ANNOUNCE: NOWHERE }) },
    });
    child.stdin.on("error", () => {});
    node.process = child;
    node.stopped = [];
    node.complaints = [];
    createInterface({ input: child.stderr }).on("line", (line) => {
      node.complaints.push(line);
      if (node.complaints.length > COMPLAINTS_MAX) node.complaints.shift();
    });
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${node.name} did not start within ${START_MS_MAX / 1000} s`)),
        START_MS_MAX,
      );
      child.once("exit", (code, by) => {
        clearTimeout(late);
        child.stdin.end();
        node.process = null;
        reject(new Error(`${node.name} ended (${code ?? by}): ${node.complaints.join(" / ")}`));
        this.#watch(node, { t: Date.now(), event: "process.exit", code, signal: by });
      });
      createInterface({ input: child.stdout }).on("line", (text) => {
        const line = parse(text);
        if (line === null) return;
        if (line.event === "node.started") {
          node.http = typeof line["http"] === "string" ? line["http"] : null;
          clearTimeout(late);
          resolve();
        }
        this.#watch(node, line);
      });
    });
  }

  /** kill -9, with everything that the node has started dying by itself. */
  async kill(node: LocalNode): Promise<void> {
    const child = node.process;
    if (child === null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    // What guards its children must run to see that it is gone.
    this.resume(node);
    await gone;
  }

  /** SIGSTOP for the node and all that it has started: the sockets stay open, and nobody answers. */
  pause(node: LocalNode): void {
    const pid = node.process?.pid;
    if (pid === undefined || node.stopped.length > 0) return;
    // The node first, or it would see a child stand still.
    signal(pid, "SIGSTOP");
    const children = descendantsOf(pid);
    node.stopped = [pid, ...children];
    for (const child of children) signal(child, "SIGSTOP");
  }

  resume(node: LocalNode): void {
    for (const pid of node.stopped.toReversed()) signal(pid, "SIGCONT");
    node.stopped = [];
  }

  /** What the node has started, its provers, gets so much of each second until the function that comes back is called. */
  throttle(node: LocalNode, share: number): () => void {
    let held: readonly number[] = [];
    let timer: NodeJS.Timeout | null = null;
    const run = (): void => {
      for (const pid of held) signal(pid, "SIGCONT");
      held = [];
    };
    const hold = (): void => {
      held = descendantsOf(node.process?.pid ?? 0);
      for (const pid of held) signal(pid, "SIGSTOP");
      timer = setTimeout(
        () => {
          run();
          timer = setTimeout(hold, share * 1000);
        },
        (1 - share) * 1000,
      );
    };
    hold();
    return () => {
      if (timer !== null) clearTimeout(timer);
      run();
    };
  }

  /** Ctrl-C for all; whoever has not gone after `graceMs` is killed, and named. */
  async close(graceMs: number): Promise<readonly string[]> {
    const stubborn: string[] = [];
    await Promise.all(
      this.nodes.map(async (node) => {
        const child = node.process;
        if (child === null) return;
        const gone = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGINT");
        this.resume(node);
        const late = setTimeout(() => {
          stubborn.push(node.name);
          child.kill("SIGKILL");
        }, graceMs);
        await gone;
        clearTimeout(late);
      }),
    );
    await this.links?.close();
    process.off("exit", this.#leave);
    return stubborn;
  }
}

interface MockProver {
  readonly kind: string;
  readonly system?: string;
  readonly provingMs?: number;
}

/** Who proves where several proof systems stand side by side, by the names that provers are configured with. */
function sideBySide(fragment: Fragment | null): readonly string[] {
  const stages = Object.values(fragment?.workflows ?? {}).flatMap((workflow) => workflow.stages);
  const variants = stages.map(variantsOf).filter((several) => several.length > 1);
  return [...new Set(variants.flat().map(({ executor, system }) => executor ?? system))];
}

function signal(pid: number, name: NodeJS.Signals): void {
  if (pid <= 0) return;
  try {
    process.kill(pid, name);
  } catch {
    // It is gone, which is what every signal here may meet.
  }
}

/** Processes that a process has started, and theirs. Provers lead groups of their own, so the tree is what binds them. */
function descendantsOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(name);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found: number[] = [];
  const visit = (of: number): void => {
    for (const child of children.get(of) ?? []) {
      found.push(child);
      visit(child);
    }
  };
  visit(pid);
  return found;
}

function parentOf(pid: string): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the program, in parentheses, may contain anything.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    // It has ended since the directory was read.
    return null;
  }
}

function parse(text: string): LogLine | null {
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return null;
  }
}

/** Ports that were free a moment ago; all are held until all are known, so that none comes twice. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<net.Server>((resolve, reject) => {
          const server = net.createServer();
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return address !== null && typeof address === "object" ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
