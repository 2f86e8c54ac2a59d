/**
 * Real nodes, one of them killed at a random moment, again and again.
 *
 * Nothing that was acknowledged may be lost by that: every batch of the killed node that any other node has heard is in
 * its own log after the restart, every block whose submission was answered gets its certificate, and no key signs twice.
 */
import { endAll, eventually, type StartedNode, startCli } from "../node/processes.ts";
import { nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { flagsOf, makeMembers, type Member, type Members } from "../node/members.ts";
import { CertificateChecker } from "../../simnet/checkers/certificates.ts";
import { type Hashes, LOSSES, lostBatches } from "../../simnet/checkers/durability.ts";
import { type Figures, VoteChecker } from "../../simnet/checkers/votes.ts";
import { certificatesOf, certifiedBy, logOf, pause, seeded } from "./nodes.ts";

export interface KillLoopOptions {
  readonly kills: number;
  readonly seed: number;
  readonly blockMs: number;
  readonly provingMs: number;
  /** A node is killed up to this long after the last one was up again. */
  readonly pauseMsMax: number;
}

export interface KillLoopFigures extends Figures {
  readonly kills: number;
  readonly blocks: number;
  readonly certified: number;
  /** Batches of killed nodes that others had, looked for after the restart. */
  readonly lookedFor: number;
  readonly violations: readonly string[];
  readonly seconds: number;
}

const NODES = 4;
/** Blocks that may be announced and not certified; the rest waits, so that a slow machine is not buried. */
const AHEAD_MAX = 12;
export async function killLoop(options: KillLoopOptions): Promise<KillLoopFigures> {
  const loop = new KillLoop(options);
  try {
    return await loop.run();
  } finally {
    await loop.end();
  }
}

class KillLoop {
  readonly #options: KillLoopOptions;
  readonly #members: Members = makeMembers(NODES, {}, (json) => {
    // A block is handed in at one node. With three sources one is enough; the fourth node refuses the block.
    return { ...json, sources: json.sources.slice(0, 3) };
  });
  readonly #nodes: (StartedNode | null)[] = Array.from({ length: NODES }, () => null);
  readonly #checker: VoteChecker;
  readonly #random: () => number;
  readonly #acknowledged = new Map<number, string>();
  readonly #retention: number = 64;
  #ended = false;
  #fallen: string | null = null;
  #lookedFor = 0;

  constructor(options: KillLoopOptions) {
    this.#options = options;
    this.#random = seeded(options.seed);
    this.#checker = new VoteChecker(
      this.#members.network,
      this.#members.list.map(({ key }) => key),
    );
  }

  async run(): Promise<KillLoopFigures> {
    const beganMs = performance.now();
    const [first = 0, ...others] = this.#members.list.keys();
    await this.#start(first);
    await Promise.all(others.map((index) => this.#start(index)));
    const fed = this.#feed();
    for (let kill = 0; kill < this.#options.kills; kill++) await this.#killOne();
    this.#ended = true;
    await fed;
    const certified = await this.#converge();
    await this.#collect();
    const blocks = await this.#compare(certified);
    return {
      kills: this.#options.kills,
      blocks: this.#acknowledged.size,
      certified,
      lookedFor: this.#lookedFor,
      violations: this.#checker.finish(blocks),
      seconds: Math.round((performance.now() - beganMs) / 1000),
      ...this.#checker.figures,
    };
  }

  async end(): Promise<void> {
    this.#ended = true;
    await endAll();
  }

  #running(): StartedNode[] {
    return this.#nodes.filter((node) => node !== null);
  }

  async #start(index: number): Promise<StartedNode> {
    const member = this.#members.list[index] as Member;
    const bootstrap = this.#running().flatMap(({ address }) => ["--bootstrap", address]);
    const node = await startCli([...flagsOf(this.#members, member, this.#options.provingMs), ...bootstrap], 60_000);
    this.#nodes[index] = node;
    void node.ended.then(({ status, signal, stderr }) => {
      // A node that ends by itself is a finding of its own; what comes of it would hide it.
      if (signal !== "SIGKILL") this.#fallen ??= `node ${index} ended by itself (${status ?? signal})\n${stderr}`;
    });
    return node;
  }

  /** Blocks at a steady pace, each to a random node and to another one until somebody has acknowledged it. */
  async #feed(): Promise<void> {
    let parent: RpcBlock | null = null;
    while (!this.#ended) {
      const block = nextBlock(parent);
      const acknowledged = await this.#submit(block);
      if (!acknowledged) continue;
      this.#acknowledged.set(Number(block.number), block.hash.slice(2));
      parent = block;
      await pause(this.#options.blockMs);
      while (!this.#ended && Number(block.number) - (await this.#certified()) > AHEAD_MAX) await pause(50);
    }
  }

  async #submit(block: RpcBlock): Promise<boolean> {
    const node = pick(this.#running(), this.#random);
    try {
      await submit(node.http, block);
      return true;
    } catch {
      // Killed before it answered: whether it has announced the block nobody knows, so somebody is asked again.
      await pause(20);
      return false;
    }
  }

  /** The highest certificate that any node has. */
  async #certified(): Promise<number> {
    const all = await Promise.all(this.#running().map((node) => certifiedBy(node).catch(() => -1)));
    return Math.max(-1, ...all);
  }

  async #killOne(): Promise<void> {
    await pause(this.#random() * this.#options.pauseMsMax);
    const index = Math.floor(this.#random() * NODES);
    const victim = this.#nodes[index];
    const member = this.#members.list[index];
    if (victim === null || victim === undefined || member === undefined) throw new Error(`node ${index} does not run`);
    await this.#collect();
    this.#nodes[index] = null;
    victim.signal("SIGKILL");
    await victim.ended;
    const others = await this.#collect();
    const restarted = await this.#start(index);
    const own = this.#checker.add(await logOf(restarted));
    const retention = { certified: await this.#certified(), blocks: this.#retention };
    const { lookedFor, violations } = lostBatches(member.key, others, own, retention, this.#checker);
    this.#lookedFor += lookedFor;
    this.#checker.violations.push(...violations);
    // A feed that others had to give back would pass the check above.
    for (const { event } of [...victim.log, ...restarted.log])
      if (LOSSES.has(event)) this.#checker.violations.push(`S5: ${member.key}: ${event}`);
  }

  /** Reads every running node's log into the checker: compaction forgets. */
  async #collect(): Promise<Hashes[]> {
    const logs = await Promise.all(this.#running().map(logOf)).catch((error: unknown) => {
      throw this.#fallen === null ? error : new Error(this.#fallen);
    });
    return logs.map((log) => this.#checker.add(log));
  }

  /** Waits until every node has every certificate. Returns the highest certified height. */
  async #converge(): Promise<number> {
    const top = this.#acknowledged.size;
    await eventually(
      `every node has the certificates up to ${top}`,
      async () => {
        const all = await Promise.all(this.#running().map(certifiedBy));
        return all.every((height) => height >= top) ? true : null;
      },
      60_000,
    );
    return top;
  }

  /** Compares the contents of all nodes' certificates; returns the certified blocks. */
  async #compare(top: number): Promise<ReadonlySet<string>> {
    const certificates = new CertificateChecker(this.#members.network);
    for (const node of this.#running()) certificates.add(node.key, await certificatesOf(node, top));
    // Compaction has taken the votes of the first blocks where the loop is long.
    const violations = certificates.finish(this.#checker, top - this.#retention / 2);
    this.#checker.violations.push(...violations);
    for (const [height, hash] of this.#acknowledged) {
      if (certificates.at(height)?.hash !== hash)
        this.#checker.violations.push(`S5: height ${height}: certified is another block than the acknowledged one`);
    }
    return certificates.blocks();
  }
}

function pick<T>(list: readonly T[], random: () => number): T {
  const found = list[Math.floor(random() * list.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}
