/**
 * A network of real processes, one of which is attacked, and what its other peers notice of it: how long an answer of the
 * target takes, how long a block takes to its certificate, what the target's memory does (by /proc) and what it logs.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import type { Network } from "../../src/network/node.ts";
import { readManifestFile } from "../../src/node.ts";
import { createNetwork } from "../../src/network/node.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import { encodeFrontier } from "../../src/protocol/sync.ts";
import { ACCEPT } from "../../src/protocol/verdict.ts";
import { memoryArtefacts } from "../../src/storage/memory.ts";
import { realClock } from "../network/fixture.ts";
import { nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { flagsOf, makeMembers, type Members } from "../node/members.ts";
import { eventually, type LogLine, startCli, type StartedNode } from "../node/processes.ts";
import { ALL } from "./all.ts";
import type { Sent } from "./attacks.ts";
import { type Class, type HostileKey, keysOf } from "./keys.ts";

export interface Times {
  readonly count: number;
  readonly medianMs: number;
  readonly worstMs: number;
  /** Not answered within 20 s, or cut. */
  readonly lost: number;
}

export interface Observed {
  /** Answers of the target to an honest peer's question. */
  readonly answers: Times;
  /** Blocks from the announcement to the certificate; the target is needed for each. */
  readonly blocks: Times;
  readonly rssMibMax: number;
  /** Heap and external memory of the target's main thread after a garbage collection: the largest. */
  readonly heapMibMax: number;
  /** Of one core, by all threads of the target. */
  readonly cpuPercent: number;
  /** For how much of the time the target's main thread waited for a core: other work on the machine, or none too many. */
  readonly waitedPercent: number;
  readonly tookMs: number;
  /** Lines that the target logged in this time, without those about blocks and tasks. */
  readonly lines: readonly LogLine[];
}

const PROVING_MS = 20;
/** A block begins every so often, attack or not: the CPU that honest work takes is then the same. */
const BLOCK_EVERY_MS = 500;
/** Each measurement of the heap forces a garbage collection, in calm times too. */
const METER_EVERY_MS = 2_000;
/** Honest members outweigh the hostile ones: they have a quorum, and nearly all tasks. */
const HONEST = { attester: 100, source: 100, prover: 16 };
/** /proc counts CPU time in hundredths of a second. */
const TICKS_PER_SECOND = 100;
const METER = path.join(import.meta.dirname, "meter.ts");

export class Rig {
  readonly members: Members;
  readonly nodes: readonly StartedNode[];
  readonly target: StartedNode;
  readonly #probe: Network;
  readonly #meter: string;
  /** The probe claims to have all that anybody has signed, so its answer is small. */
  readonly #all: ReadonlyMap<string, number>;
  #tip: RpcBlock | null = null;

  constructor(members: Members, nodes: readonly StartedNode[], target: StartedNode, probe: Network, meter: string) {
    this.members = members;
    this.nodes = nodes;
    this.target = target;
    this.#probe = probe;
    this.#meter = meter;
    const { json } = readManifestFile(members.manifest);
    const keys = [...json.attesters, ...json.provers.list].map(({ key }) => key);
    this.#all = new Map(keys.map((key) => [key, 2 ** 40]));
  }

  /** `attacks` are those whose members the manifest lists. */
  static async start(dir: string, count: number, attacks: readonly string[] = []): Promise<Rig> {
    const members = makeMembers(count, { shards: 2 }, (json) => withHostile(json, attacks), dir);
    const meter = path.join(dir, "meter");
    const nodes: StartedNode[] = [];
    for (const member of members.list) {
      const join = nodes[0] === undefined ? [] : ["--bootstrap", nodes[0].address];
      const args = [...flagsOf(members, member, PROVING_MS), ...join];
      // The target has the limits by host that nodes have outside of tests.
      if (nodes[0] === undefined) args.splice(args.indexOf("--profile"), 2);
      nodes.push(await startCli(args, 30_000, nodes[0] === undefined ? meteredBy(meter) : {}));
    }
    const [target] = nodes;
    if (target === undefined) throw new Error("no nodes");
    const probe = await honest(members.network, target.address);
    const rig = new Rig(members, nodes, target, probe, meter);
    await rig.block();
    return rig;
  }

  async stop(): Promise<void> {
    await this.#probe.close();
    for (const node of this.nodes) node.signal("SIGTERM");
    await Promise.all(this.nodes.map(({ ended }) => ended));
  }

  get rssMib(): number {
    const status = fs.readFileSync(`/proc/${this.target.pid}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
  }

  /** Seconds of CPU that the target has used, by all its threads. */
  get cpuSeconds(): number {
    const stat = fs.readFileSync(`/proc/${this.target.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  /** For how long the target's main thread has been ready to run while no core was free. */
  get waitedMs(): number {
    const [, waited = "0"] = fs.readFileSync(`/proc/${this.target.pid}/schedstat`, "utf8").split(" ");
    return Number(waited) / 1e6;
  }

  /** The target's heap after a garbage collection. */
  async heapMib(): Promise<number> {
    fs.rmSync(this.#meter, { force: true });
    this.target.signal("SIGUSR2");
    const text = await eventually("the target has measured its heap", () =>
      fs.existsSync(this.#meter) ? fs.readFileSync(this.#meter, "utf8") : null,
    );
    return Number(text) / 1024 / 1024;
  }

  /** Watches until that is over. */
  async observe(during: Promise<unknown>, withBlocks: boolean = true): Promise<Observed> {
    const over = new AbortController();
    const end = (): void => over.abort();
    during.then(end, end);
    const from = this.target.log.length;
    const answers: (number | null)[] = [];
    const blocks: number[] = [];
    let [rssMibMax, heapMibMax] = [0, 0];
    const [began, cpuSeconds, waitedMs] = [performance.now(), this.cpuSeconds, this.waitedMs];
    const metering = (async (): Promise<void> => {
      while (!over.signal.aborted) {
        heapMibMax = Math.max(heapMibMax, await this.heapMib());
        await until(performance.now() + METER_EVERY_MS, over.signal);
      }
    })();
    const asking = (async (): Promise<void> => {
      while (!over.signal.aborted) {
        answers.push(await this.ask());
        rssMibMax = Math.max(rssMibMax, this.rssMib);
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    })();
    while (!over.signal.aborted) {
      const next = performance.now() + BLOCK_EVERY_MS;
      if (withBlocks) blocks.push(await this.block());
      await until(next, over.signal);
    }
    const tookMs = performance.now() - began;
    const cpuPercent = ((this.cpuSeconds - cpuSeconds) * 100_000) / tookMs;
    const waitedPercent = ((this.waitedMs - waitedMs) * 100) / tookMs;
    await Promise.all([asking, metering]);
    const lines = this.target.log
      .slice(from)
      .filter(({ event }) => !/^(block|task|certificate|attempt|proof|sink)\./.test(event));
    return {
      answers: times(answers),
      blocks: times(blocks),
      rssMibMax,
      heapMibMax,
      cpuPercent,
      waitedPercent,
      tookMs,
      lines,
    };
  }

  /** How long the target takes to answer an honest peer; `null` where it does not. */
  ask(): Promise<number | null> {
    const began = performance.now();
    const body = encodeFrontier({ feeds: this.#all, chains: new Map([[31_337, 1_000_000]]) });
    return new Promise((resolve) => {
      this.#probe.request(this.target.key, "sync", body, 4 * 1024 * 1024, 20_000, (result) =>
        resolve(result.ok ? performance.now() - began : null),
      );
    });
  }

  /** Announces a block at an honest node and waits until that node has its certificate. */
  async block(): Promise<number> {
    const source = this.nodes.at(-1);
    if (source === undefined) throw new Error("no nodes");
    const block = nextBlock(this.#tip);
    this.#tip = block;
    const began = performance.now();
    await submit(source.http, block);
    const hash = block.hash.slice(2);
    await source.line(
      `${hash} is certified`,
      ({ event, ...fields }) => event === "block.certified" && fields["hash"] === hash,
      60_000,
    );
    return performance.now() - began;
  }
}

/** PROOFMESH_HOSTILE_PROFILE names a folder for a CPU profile of the target. */
function meteredBy(meter: string): NodeJS.ProcessEnv {
  const folder = process.env["PROOFMESH_HOSTILE_PROFILE"];
  const profiled = folder === undefined ? "" : ` --cpu-prof --cpu-prof-dir=${folder}`;
  return { NODE_OPTIONS: `--expose-gc --import ${METER}${profiled}`, METER_FILE: meter };
}

/** Resolves at that time, or with the signal. */
async function until(at: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && performance.now() < at) await new Promise((resolve) => setTimeout(resolve, 20));
}

/**
 * The last honest node is the source, because blocks are handed in there. The members that attack get the smallest weights.
 */
function withHostile(json: ManifestJson, attacks: readonly string[]): ManifestJson {
  const hostile = (...classes: readonly Class[]): readonly HostileKey[] =>
    attacks.flatMap((name) => {
      const { by = "strangers" } = ALL[name] ?? {};
      return classes.includes(by) ? keysOf(name, by) : [];
    });
  const provers = hostile("prover", "provers").map(({ key }) => ({ key, slots: 1, weight: 1 }));
  const source = json.attesters.at(-1)?.key;
  if (source === undefined) throw new Error("no honest members");
  return {
    ...json,
    attesters: [
      ...json.attesters.map(({ key }) => ({ key, weight: HONEST.attester })),
      ...hostile("attester").map(({ key }) => ({ key, weight: 1 })),
    ],
    sources: [{ key: source, weight: HONEST.source }, ...hostile("source").map(({ key }) => ({ key, weight: 1 }))],
    provers: {
      ...json.provers,
      list: [...json.provers.list.map((prover) => ({ ...prover, weight: HONEST.prover })), ...provers],
    },
  };
}

/** A peer that only asks, as a node that joins does. */
async function honest(network: string, address: string): Promise<Network> {
  const probe = await createNetwork(
    {
      network,
      seed: crypto.getRandomValues(new Uint8Array(32)),
      listen: [],
      bootstrap: [address],
      members: [],
      manifest: new Uint8Array(),
      profile: "local",
      messageBytesMax: 64 * 1024,
    },
    {
      handler: { message: () => ACCEPT, request: (_peer, _request, _body, answer) => answer([]), peer: () => {} },
      artefacts: memoryArtefacts({ defer: queueMicrotask }),
      clock: realClock,
      telemetry: { emit: () => {}, count: () => {} },
    },
  );
  await eventually("the honest peer is connected", () => (probe.peers().length > 0 ? true : null));
  return probe;
}

function times(values: readonly (number | null)[]): Times {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const at = (share: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  return { count: sorted.length, medianMs: at(0.5), worstMs: at(1), lost: values.length - sorted.length };
}

/** Starts the hostile program; resolves with what it has sent once its time is over. */
export function attack(
  { members, target }: Rig,
  names: readonly string[],
  seconds: number,
): Promise<Readonly<Record<string, Sent>>> {
  const program = path.join(import.meta.dirname, "main.ts");
  const child = spawn(process.execPath, [program, members.network, target.address, String(seconds), ...names], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env["PATH"] ?? "" },
  });
  const late = setTimeout(() => child.kill("SIGKILL"), (seconds + 40) * 1_000);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => {
      clearTimeout(late);
      if (output === "") reject(new Error(`the hostile program ended with ${status}`));
      else resolve(JSON.parse(output) as Record<string, Sent>);
    });
  });
}
