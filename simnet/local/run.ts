/** A local run: a real chain, real nodes, real proofs; kills on the way; checks and figures at the end. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DevChain, startDevChain } from "../../src/sources/devchain.ts";
import { exportAll, verifyAll, verifyTampered } from "./check.ts";
import { Figures, type Percentiles } from "./figures.ts";
import { type Duty, Fleet, type LocalNode, type LogLine } from "./nodes.ts";

export interface LocalOptions {
  /** Attesters that also prove, attesters that do not, and provers only. */
  readonly nodes: number;
  readonly attesters: number;
  readonly provers: number;
  readonly blocks: number;
  readonly shards: number;
  readonly window: number;
  readonly intervalMs: number;
  readonly transactions: number;
  readonly mockMs: number | null;
  readonly kill: number;
  readonly killAttester: number;
  readonly limitMs: number;
  readonly keep: boolean;
  readonly say: (line: string) => void;
}

export interface Kill {
  readonly node: string;
  readonly height: number;
  /** Tasks it was proving. */
  readonly tasks: number;
  /** From the kill until the next owner had claimed the last of them (`null` for none), and what L4 promises for that. */
  readonly reclaimMs: number | null;
  readonly boundMs: number;
  readonly withinBound: boolean;
  /** From the kill until the last of them was complete, and until the node was up again. */
  readonly completeMs: number | null;
  readonly backMs: number;
}

export interface LocalReport {
  readonly nodes: number;
  readonly blocks: number;
  readonly barriers: number;
  readonly tasks: number;
  readonly attempts: number;
  readonly reclaims: number;
  readonly reclaimsByCode: Readonly<Record<string, number>>;
  readonly duplicateProofs: number;
  readonly overheadMs: { readonly visible: Percentiles; readonly certified: Percentiles };
  readonly provingMs: { readonly p50: number };
  readonly seconds: number;
  readonly tasksByProver: Readonly<Record<string, number>>;
  readonly kills: readonly Kill[];
  readonly refused: Readonly<Record<string, number>>;
  readonly tampered: number;
}

/** A killed node stays away for so long. */
const AWAY_MS = 3000;

/** Runs to the end and cleans up whatever happens. Throws what broke. */
export async function runLocal(options: LocalOptions): Promise<LocalReport> {
  const directory = mkdtempSync(join(tmpdir(), "proofmesh-simnet-"));
  const closers: (() => Promise<unknown>)[] = [];
  try {
    return await new LocalRun(options, directory, closers).run();
  } finally {
    for (const close of closers.toReversed()) await close();
    if (options.keep) options.say(`kept ${directory}`);
    else rmSync(directory, { recursive: true, force: true });
  }
}

class LocalRun {
  readonly #options: LocalOptions;
  readonly #directory: string;
  readonly #closers: (() => Promise<unknown>)[];
  readonly #figures = new Figures();
  /** Heights that each node has a certificate of. */
  readonly #held = new Map<string, Set<number>>();
  /** What each node proves now: task names. */
  readonly #proving = new Map<string, Set<string>>();
  readonly #completed = new Map<string, number>();
  /** Claims of each task, in the order of the log lines. */
  readonly #claimed = new Map<string, { readonly node: string; readonly atMs: number }[]>();
  readonly #kills: Kill[] = [];
  readonly #restarts: Promise<void>[] = [];
  #expectedExits = new Set<string>();
  #broken: Error | null = null;
  #wake: () => void = () => {};
  /** When a certificate last came. */
  #movedMs = 0;

  constructor(options: LocalOptions, directory: string, closers: (() => Promise<unknown>)[]) {
    this.#options = options;
    this.#directory = directory;
    this.#closers = closers;
  }

  async run(): Promise<LocalReport> {
    const { say, blocks } = this.#options;
    const chain = await this.#startChain();
    const fleet = await this.#startFleet(chain);
    say(`${fleet.nodes.length} nodes are up; mining ${blocks} blocks`);
    const startedMs = performance.now();
    await this.#mine(chain, fleet);
    await Promise.all(this.#restarts);
    await this.#until(
      () => fleet.nodes.every((node) => (this.#held.get(node.name)?.size ?? 0) >= blocks),
      `all nodes hold ${blocks} certificates`,
    );
    const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
    say("all certified; checking certificates and proofs in a process of their own");
    const proofs = join(this.#directory, "proofs");
    const exported = await exportAll(fleet.nodes, chain.chain, blocks, proofs);
    verifyAll(exported, fleet.manifestFile, proofs);
    const tampered = verifyTampered(exported, fleet.manifestFile, proofs);
    const tasks = exported.flatMap(({ content }) => content.tasks);
    const names = new Map(fleet.nodes.map(({ key, name }) => [key, name]));
    const tasksByProver: Record<string, number> = {};
    for (const { prover } of tasks) {
      const name = names.get(prover) ?? prover;
      tasksByProver[name] = (tasksByProver[name] ?? 0) + 1;
    }
    this.#expectedExits = new Set(fleet.nodes.map(({ name }) => name));
    return {
      nodes: fleet.nodes.length,
      blocks,
      barriers: exported.length,
      tasks: tasks.length,
      attempts: tasks.reduce((sum, { attempt }) => sum + attempt + 1, 0),
      reclaims: tasks.reduce((sum, { attempt }) => sum + attempt, 0),
      reclaimsByCode: this.#figures.reclaimsByCode(),
      duplicateProofs: Math.max(0, this.#figures.proofs - tasks.length),
      overheadMs: { visible: this.#figures.visible(), certified: this.#figures.certified() },
      provingMs: { p50: this.#figures.proving().p50 },
      seconds,
      tasksByProver,
      kills: this.#kills,
      refused: this.#figures.refused(),
      tampered,
    };
  }

  async #startChain(): Promise<DevChain> {
    const started = await startDevChain({ blockTimeS: null, slotsInEpoch: 1 });
    if (!started.ok) throw new Error(`${started.fault.code}: ${started.fault.message}`);
    this.#closers.push(() => started.value.close());
    return started.value;
  }

  async #startFleet(chain: DevChain): Promise<Fleet> {
    const { nodes, attesters, provers, shards, window, mockMs } = this.#options;
    const duties: Duty[] = [
      ...Array<Duty>(nodes).fill("attests-and-proves"),
      ...Array<Duty>(attesters).fill("attests"),
      ...Array<Duty>(provers).fill("proves"),
    ];
    const options = {
      directory: this.#directory,
      duties,
      shards,
      window,
      mockMs,
      chain: { id: chain.chain, url: chain.url },
    };
    const fleet = await Fleet.create(options, (node, line) => this.#take(node, line));
    this.#closers.push(() => fleet.close());
    const connected = new Map<string, Set<unknown>>();
    this.#onPeer = (node, peer) => connected.set(node.name, (connected.get(node.name) ?? new Set()).add(peer));
    await Promise.all(fleet.nodes.map((node) => fleet.start(node)));
    await this.#until(
      () => fleet.nodes.every((node) => (connected.get(node.name)?.size ?? 0) >= fleet.nodes.length - 1),
      "all nodes see each other",
    );
    return fleet;
  }

  #onPeer: (node: LocalNode, peer: unknown) => void = () => {};

  async #mine(chain: DevChain, fleet: Fleet): Promise<void> {
    const { blocks, transactions, intervalMs, kill, killAttester } = this.#options;
    const killAt = new Map<number, "any" | "attester">();
    for (let i = 0; i < kill; i++) killAt.set(2 + 2 * i, "any");
    for (let i = 0; i < killAttester; i++) killAt.set(3 + 2 * i, "attester");
    let next = performance.now();
    for (let height = 1; height <= blocks; height++) {
      await chain.send(transactions);
      await chain.mine(1);
      const whom = killAt.get(height);
      if (whom !== undefined) await this.#killOne(fleet, whom, height);
      next += intervalMs;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
    }
  }

  /** Kills a node that is in the middle of a proof (or, of attesters that prove nothing, any), and starts it again later. */
  async #killOne(fleet: Fleet, whom: "any" | "attester", height: number): Promise<void> {
    const fits = (node: LocalNode) => {
      if (whom === "attester" ? node.duty === "proves" : node.duty === "attests") return false;
      return node.duty === "attests" || (this.#proving.get(node.name)?.size ?? 0) > 0;
    };
    await this.#until(() => fleet.nodes.some(fits), `a node to kill is at work`);
    const node = fleet.nodes.find(fits);
    if (node === undefined) return;
    const tasks = [...(this.#proving.get(node.name) ?? [])];
    this.#options.say(`kill -9 ${node.name} at height ${height} while it proves ${tasks.join(", ") || "nothing"}`);
    this.#expectedExits.add(node.name);
    const killedMs = performance.now();
    await fleet.kill(node);
    this.#proving.delete(node.name);
    this.#restarts.push(this.#bringBack(fleet, node, height, tasks, killedMs));
  }

  async #bringBack(
    fleet: Fleet,
    node: LocalNode,
    height: number,
    tasks: readonly string[],
    killedMs: number,
  ): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
    this.#expectedExits.delete(node.name);
    await fleet.start(node);
    const backMs = Math.round(performance.now() - killedMs);
    await this.#until(
      () => tasks.every((task) => this.#completed.has(task)),
      `the tasks of ${node.name} are done by others`,
    );
    const completed = tasks.map((task) => this.#completed.get(task) ?? 0);
    const claimed = tasks.map((task) => {
      const next = this.#claimed.get(task)?.find((claim) => claim.node !== node.name && claim.atMs >= killedMs);
      return next?.atMs ?? this.#completed.get(task) ?? 0;
    });
    const since = (times: readonly number[]) => (times.length === 0 ? null : Math.round(Math.max(...times) - killedMs));
    // The lease runs from the last beat that was heard; three hops end it: timeouts out, their quorum, the claim.
    const { leaseMs, claimWindowMs } = fleet.manifest.timing;
    const boundMs = leaseMs + claimWindowMs;
    const reclaimMs = since(claimed);
    this.#kills.push({
      node: node.name,
      height,
      tasks: tasks.length,
      reclaimMs,
      boundMs,
      withinBound: (reclaimMs ?? 0) <= boundMs,
      completeMs: since(completed),
      backMs,
    });
  }

  #take(node: LocalNode, line: LogLine): void {
    this.#figures.take(node, line);
    const name = `${Number(line["height"])}/${String(line["stage"])}/${Number(line["index"])}`;
    switch (line.event) {
      case "peer.up":
        this.#onPeer(node, line["peer"]);
        break;
      case "certificate.stored":
        this.#movedMs = performance.now();
        this.#held.set(node.name, (this.#held.get(node.name) ?? new Set()).add(Number(line["height"])));
        break;
      case "block.certified":
        if (node.name === "node-0") {
          const { shards, attempts, tookMs, provers } = line as unknown as {
            shards: number;
            attempts: number;
            tookMs: number;
            provers: string[];
          };
          this.#options.say(
            `block ${Number(line["height"])} certified: ${shards} shards by ${provers.length} provers, ${attempts} attempts, ${(tookMs / 1000).toFixed(1)} s`,
          );
        }
        break;
      case "task.claimed": {
        const claims = this.#claimed.get(name) ?? [];
        claims.push({ node: node.name, atMs: performance.now() });
        this.#claimed.set(name, claims);
        break;
      }
      case "task.started":
        this.#proving.set(node.name, (this.#proving.get(node.name) ?? new Set()).add(name));
        break;
      case "task.proved":
      case "task.failed":
        this.#proving.get(node.name)?.delete(name);
        break;
      case "task.complete":
        if (!this.#completed.has(name)) this.#completed.set(name, performance.now());
        for (const proving of this.#proving.values()) proving.delete(name);
        break;
      case "feed.equivocation":
      case "block.invalid":
        this.#broken ??= new Error(`${node.name}: ${JSON.stringify(line)}`);
        break;
      case "process.exit":
        if (!this.#expectedExits.has(node.name))
          this.#broken ??= new Error(`${node.name} ended: ${node.complaints.join(" / ")}`);
        break;
      default:
    }
    this.#wake();
  }

  /** Waits for what the log lines will say. */
  async #until(holds: () => boolean, what: string): Promise<void> {
    this.#movedMs = performance.now();
    while (!holds()) {
      if (this.#broken !== null) throw this.#broken;
      const leftMs = this.#movedMs + this.#options.limitMs - performance.now();
      if (leftMs <= 0)
        throw new Error(`nothing moved for ${this.#options.limitMs / 1000} s while waiting until ${what}`);
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, Math.min(leftMs, 1000));
        this.#wake = () => {
          clearTimeout(late);
          resolve();
        };
      });
    }
  }
}
