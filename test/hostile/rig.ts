/**
 * A network of real processes, one of which is attacked, and what its other peers notice of it: how long an answer of the
 * target takes, how long a block takes to its certificate, what the target's memory does (by /proc) and what it logs.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import type { Network } from "../../src/network/node.ts";
import { createNetwork } from "../../src/network/node.ts";
import { encodeFrontier } from "../../src/protocol/sync.ts";
import { ACCEPT } from "../../src/protocol/verdict.ts";
import { memoryArtefacts } from "../../src/storage/memory.ts";
import { realClock } from "../network/fixture.ts";
import { nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { flagsOf, makeMembers, type Members } from "../node/members.ts";
import { eventually, type LogLine, startCli, type StartedNode } from "../node/processes.ts";
import type { Sent } from "./attacks.ts";

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
  /** Lines that the target logged in this time, without those about blocks and tasks. */
  readonly lines: readonly LogLine[];
}

const PROVING_MS = 20;

export class Rig {
  readonly members: Members;
  readonly nodes: readonly StartedNode[];
  readonly target: StartedNode;
  readonly #probe: Network;
  #tip: RpcBlock | null = null;

  constructor(members: Members, nodes: readonly StartedNode[], target: StartedNode, probe: Network) {
    this.members = members;
    this.nodes = nodes;
    this.target = target;
    this.#probe = probe;
  }

  static async start(dir: string, count: number): Promise<Rig> {
    // Blocks are handed in at the last node alone, so that one is the network's source.
    const members = makeMembers(count, { shards: 2 }, (json) => ({ ...json, sources: json.sources.slice(-1) }), dir);
    const nodes: StartedNode[] = [];
    for (const member of members.list) {
      const join = nodes[0] === undefined ? [] : ["--bootstrap", nodes[0].address];
      nodes.push(await startCli([...flagsOf(members, member, PROVING_MS), ...join]));
    }
    const [target] = nodes;
    if (target === undefined) throw new Error("no nodes");
    const probe = await honest(members.network, target.address);
    const rig = new Rig(members, nodes, target, probe);
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

  /** Watches until that is over. */
  async observe(during: Promise<unknown>): Promise<Observed> {
    const over = new AbortController();
    const end = (): void => over.abort();
    during.then(end, end);
    const from = this.target.log.length;
    const answers: (number | null)[] = [];
    const blocks: number[] = [];
    let rssMibMax = 0;
    const asking = (async (): Promise<void> => {
      while (!over.signal.aborted) {
        answers.push(await this.ask());
        rssMibMax = Math.max(rssMibMax, this.rssMib);
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    })();
    while (!over.signal.aborted) blocks.push(await this.block());
    await asking;
    const lines = this.target.log
      .slice(from)
      .filter(({ event }) => !/^(block|task|certificate|attempt|proof|sink)\./.test(event));
    return { answers: times(answers), blocks: times(blocks), rssMibMax, lines };
  }

  /** How long the target takes to answer an honest peer; `null` where it does not. */
  ask(): Promise<number | null> {
    const began = performance.now();
    const body = encodeFrontier({ feeds: new Map(), chains: new Map([[31_337, 1_000_000]]) });
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
