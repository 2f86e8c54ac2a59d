/**
 * Real nodes, one of them killed at a random moment, again and again.
 *
 * Nothing that was acknowledged may be lost by that: every batch of the killed node that any other node has heard is in
 * its own log after the restart, every block whose submission was answered gets its certificate, and no key signs twice.
 */
import { endAll, eventually, type StartedNode, startCli } from "../node/processes.ts";
import { CHAIN, nextBlock, type RpcBlock, submit } from "../node/blocks.ts";
import { flagsOf, makeMembers, type Member, type Members } from "../node/members.ts";
import { type Figures, VoteChecker } from "./votes.ts";

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
/** Events that say that a node found its own feed shorter than others have it, or its key in use elsewhere. */
const LOSSES: ReadonlySet<string> = new Set(["feed.behind", "feed.equivocation", "key.cloned"]);

type Hashes = ReadonlyMap<string, ReadonlyMap<number, string>>;

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
  readonly #members: Members = makeMembers(NODES);
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
    return {
      kills: this.#options.kills,
      blocks: this.#acknowledged.size,
      certified,
      lookedFor: this.#lookedFor,
      violations: this.#checker.finish(),
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
    const heard = new Map<number, string>();
    for (const hashes of await this.#collect())
      for (const [n, hash] of hashes.get(member.key) ?? []) heard.set(n, hash);
    const restarted = await this.#start(index);
    const own = this.#checker.add(await logOf(restarted)).get(member.key);
    const certified = await this.#certified();
    for (const [number, hash] of heard) {
      this.#lookedFor++;
      if (own?.get(number) === hash || this.#isOver(member.key, number, certified)) continue;
      this.#checker.violations.push(`batch ${number} of ${member.key} is lost by its kill`);
    }
    // A feed that others had to give back would pass the check above.
    for (const { event } of [...victim.log, ...restarted.log])
      if (LOSSES.has(event)) this.#checker.violations.push(`${member.key}: ${event}`);
  }

  /** Whether everything in the batch is about blocks whose retention is over, so that its author may forget it. */
  #isOver(author: string, number: number, certified: number): boolean {
    return this.#checker.statements(author, number).every(({ block }) => {
      const height = this.#checker.heightOf(block);
      return height !== null && height <= certified - this.#retention;
    });
  }

  /** Reads every running node's log into the checker: compaction forgets. */
  async #collect(): Promise<Hashes[]> {
    const logs = await Promise.all(this.#running().map(logOf)).catch((error: unknown) => {
      throw this.#fallen === null ? error : new Error(this.#fallen);
    });
    return logs.map((log) => this.#checker.add(log));
  }

  /** Waits until every node has every certificate, and compares their contents. Returns the highest certified height. */
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
    const nodes = await Promise.all(this.#running().map((node) => contentsOf(node, top)));
    for (let height = 1; height <= top; height++) {
      const contents = new Set(nodes.map((certificates) => certificates.get(height)));
      const [content] = contents;
      if (contents.size !== 1 || content === undefined)
        this.#checker.violations.push(`height ${height}: ${contents.size} contents: ${differences([...contents])}`);
      else if (!content.includes(this.#acknowledged.get(height) ?? "none"))
        this.#checker.violations.push(`height ${height}: certified is another block than the acknowledged one`);
    }
    return top;
  }
}

async function logOf(node: StartedNode): Promise<string> {
  return (await fetch(`${node.http}/log`, { signal: AbortSignal.timeout(15_000) })).text();
}

async function certifiedBy(node: StartedNode): Promise<number> {
  const response = await fetch(`${node.http}/status`, { signal: AbortSignal.timeout(5_000) });
  const { chains } = (await response.json()) as {
    readonly chains: { readonly id: number; readonly certified: number }[];
  };
  return chains.find(({ id }) => id === CHAIN)?.certified ?? -1;
}

/** The contents of the node's certificates, by height; a second one of a height is put beside the first. */
async function contentsOf(node: StartedNode, top: number): Promise<Map<number, string>> {
  const contents = new Map<number, string>();
  for (let from = 1; from <= top; ) {
    const response = await fetch(`${node.http}/certificates/${CHAIN}?from=${from}`);
    const page = (await response.json()) as readonly { readonly height: number; readonly certificate: string }[];
    if (page.length === 0) break;
    for (const { height, certificate } of page) {
      const { content } = JSON.parse(certificate) as { readonly content: unknown };
      contents.set(height, `${contents.get(height) ?? ""}${JSON.stringify(content)}`);
      from = height + 1;
    }
  }
  return contents;
}

/** The parts in which contents differ; the whole of one is screens long. */
function differences(contents: readonly (string | undefined)[]): string {
  const parts = contents.map((content) => (content ?? "missing").split(/(?<=[{},])/));
  return parts.map((own) => own.filter((part) => !parts.every((other) => other.includes(part))).join(" ")).join(" | ");
}

function pick<T>(list: readonly T[], random: () => number): T {
  const found = list[Math.floor(random() * list.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Mulberry32: the same numbers for the same seed, though not the same moments. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
