/** Real nodes as real processes on loopback: started, watched, killed and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createKey, genesis } from "../../src/node.ts";
import type { Key } from "../../src/protocol/ids.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";

export type Duty = "attests-and-proves" | "attests" | "proves";

export interface LocalNode {
  readonly name: string;
  readonly duty: Duty;
  readonly key: Key;
  readonly directory: string;
  readonly port: number;
  process: ChildProcess | null;
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
  readonly chain: { readonly id: number; readonly url: string };
}

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const START_MS_MAX = 60_000;
const COMPLAINTS_MAX = 20;

export class Fleet {
  readonly manifest: ManifestJson;
  readonly manifestFile: string;
  readonly nodes: readonly LocalNode[];
  readonly #options: FleetOptions;
  readonly #watch: (node: LocalNode, line: LogLine) => void;

  private constructor(
    options: FleetOptions,
    nodes: readonly LocalNode[],
    watch: (node: LocalNode, line: LogLine) => void,
  ) {
    this.#options = options;
    this.nodes = nodes;
    this.#watch = watch;
    this.manifest = Fleet.#manifest(options, nodes);
    this.manifestFile = join(options.directory, "manifest.json");
    writeFileSync(this.manifestFile, JSON.stringify(this.manifest, null, 2));
  }

  static async create(options: FleetOptions, watch: (node: LocalNode, line: LogLine) => void): Promise<Fleet> {
    const ports = await freePorts(options.duties.length);
    const nodes = options.duties.map((duty, at): LocalNode => {
      const name = `node-${at}`;
      const directory = join(options.directory, name);
      mkdirSync(directory, { recursive: true });
      const { key } = createKey(join(directory, "key.json"));
      return { name, duty, key, directory, port: ports[at] ?? 0, process: null, http: null, complaints: [] };
    });
    return new Fleet(options, nodes, watch);
  }

  static #manifest({ chain, shards, window, mockMs }: FleetOptions, nodes: readonly LocalNode[]): ManifestJson {
    const attesters = nodes.filter(({ duty }) => duty !== "proves").map(({ key }) => key);
    const provers = nodes.filter(({ duty }) => duty !== "attests").map(({ key }) => ({ key, slots: 1, weight: 1 }));
    return genesis({
      name: "local",
      attesters,
      sources: attesters,
      provers,
      admission: "list",
      chains: [{ id: chain.id, start: 1, confirmations: 0, workflow: "block" }],
      shards,
      window,
      system: mockMs === null ? "groth16" : "mock",
      bootstrap: nodes.map(({ port }) => `/ip4/127.0.0.1/tcp/${port}`),
    });
  }

  /** Starts a node's process; resolves when it listens. */
  start(node: LocalNode): Promise<void> {
    const { chain, mockMs } = this.#options;
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
    if (mockMs !== null) flags.push("--mock", String(mockMs));
    const child = spawn(process.execPath, [MAIN, "start", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    node.process = child;
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
      child.once("exit", (code, signal) => {
        clearTimeout(late);
        node.process = null;
        reject(new Error(`${node.name} ended (${code ?? signal}): ${node.complaints.join(" / ")}`));
        this.#watch(node, { t: Date.now(), event: "process.exit", code, signal });
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
    await gone;
  }

  /** Ctrl-C for all; whoever has not gone after ten seconds is killed, and named. */
  async close(): Promise<readonly string[]> {
    const stubborn: string[] = [];
    await Promise.all(
      this.nodes.map(async (node) => {
        const child = node.process;
        if (child === null) return;
        const gone = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGINT");
        const late = setTimeout(() => {
          stubborn.push(node.name);
          child.kill("SIGKILL");
        }, 10_000);
        await gone;
        clearTimeout(late);
      }),
    );
    return stubborn;
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
