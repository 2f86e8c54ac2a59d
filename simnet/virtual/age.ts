/**
 * A network that grows old: how often it passes each bound, and whether heap, disks and catching up stay as they are.
 *
 * Nobody is hostile, and no checker looks on, because a run has up to tens of thousands of blocks. Nodes restart all
 * the time. Strangers come, ask to join and go. At the end of each quarter all nodes end at once, so that the heap that
 * becomes free is theirs.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { sealBatch } from "../../src/protocol/batch.ts";
import { domainHash, u64, ZERO_HASH } from "../../src/protocol/ids.ts";
import { signStart } from "../../src/protocol/start.ts";
import { encodeFrontier } from "../../src/protocol/sync.ts";
import { Cluster, type SimNode } from "./cluster.ts";
import { CHAIN } from "./manifest.ts";
import { RUN_LIMITS, type RunLimits } from "./options.ts";
import { SimProcess } from "./process.ts";
import { simSigner } from "./provers.ts";
import { Chance } from "./world.ts";

export interface AgeOptions {
  readonly seed: number;
  readonly blocks: number;
  readonly blockMs: number;
  /** A node restarts after each so many blocks, one after the other. */
  readonly restartBlocks: number;
  /** Whether a stranger comes with each block. */
  readonly strangers: boolean;
  /** Nodes that are on nobody's list and join, the last of them at the end. */
  readonly newcomers: number;
  readonly limits: Partial<RunLimits>;
  readonly progress?: (block: number, quarters: readonly Quarter[]) => void;
}

export interface Quarter {
  readonly blocks: number;
  /** Of a node, on average. */
  readonly heapBytes: number;
  /** Without certificates, their index and what they name, which stay for ever. */
  readonly diskBytes: number;
  /** From the start of a process to the moment at which it has what the others had and may sign; the median. */
  readonly catchUpMs: number;
}

export interface AgeReport {
  readonly blocks: number;
  readonly restarts: number;
  readonly newcomers: number;
  readonly strangers: number;
  readonly cpuMs: number;
  readonly steps: number;
  /** By bound: how often the run has passed it. */
  readonly wraps: Readonly<Record<string, number>>;
  readonly quarters: readonly Quarter[];
  /** The last newcomer, which has all certificates to fetch. */
  readonly newcomerMs: number;
  /** Bounds that were passed less than `WRAPS_MIN` times. */
  readonly seldom: readonly string[];
  readonly violations: readonly string[];
}

export const WRAPS_MIN = 100;
/** A run that passes each bound so often. */
export const WRAPS: Omit<AgeOptions, "seed"> = {
  blocks: 840,
  blockMs: 400,
  restartBlocks: 20,
  strangers: true,
  newcomers: 3,
  limits: {
    batchAheadMax: 16,
    blockAheadMax: 8,
    window: 2,
    retentionBlocks: 4,
    closedMax: 8,
    canonicalMax: 8,
    holeDepthMax: 8,
    rosterMax: 6,
    leftMax: 2,
    journalBytes: 16 << 10,
    strangerStartsMax: 4,
    strangerFeedsMax: 8,
    strangerKeptMs: 1_000,
  },
};

const ATTESTERS = 4;
const DOWN_MS = 500;
/** By then nothing in the simulated world refers to a process that has ended. */
const FORGOTTEN_MS = 120_000;
const CATCH_UP_MS_MAX = 60_000;
const LOOK_MS = 20;
/** What the first and the last quarter may differ by: the sizes go up and down with each compaction. */
const GROWTH_MAX = 1.5;
/** Differences below these are noise. */
const HEAP_NOISE_BYTES = 512 << 10;
const DISK_NOISE_BYTES = 64 << 10;
const CATCH_UP_NOISE_MS = 2_000;
const QUARTERS = 4;

export class Age {
  readonly #options: AgeOptions;
  readonly #cluster: Cluster;
  readonly #chance: Chance;
  readonly #collect: () => void;
  readonly #quarters: Quarter[] = [];
  #catchUps: number[] = [];
  #newcomerMs = 0;
  #restarts = 0;
  #strangers = 0;
  /** By node: journals that were written anew. */
  readonly #compactions = new Map<string, number>();

  constructor(options: AgeOptions) {
    this.#options = options;
    this.#chance = new Chance(options.seed, "age");
    setFlagsFromString("--expose-gc");
    this.#collect = runInNewContext("gc") as () => void;
    const { retentionBlocks, window, ...limits } = { ...RUN_LIMITS, ...options.limits };
    this.#cluster = new Cluster(
      {
        seed: options.seed,
        nodes: ATTESTERS,
        attesters: ATTESTERS,
        joiners: options.newcomers,
        shards: 1,
        window,
        retentionBlocks,
        limits,
        links: { loss: 0, duplicate: 0, replay: 0, delayMsMin: 1, delayMsMax: 20, wan: false },
        times: { proveMsMin: 50, proveMsMax: 200, verifyMs: 5, wrong: 0, failing: 0, wrongFirst: 0, tooLarge: 0 },
        diskMs: 2,
        tearable: false,
        hooks: {},
      },
      ({ name }, event) => {
        if (event === "journal.compacted") this.#compactions.set(name, (this.#compactions.get(name) ?? 0) + 1);
      },
    );
    for (const node of this.#cluster.nodes) if (!node.gone) this.#cluster.start(node);
  }

  run(): AgeReport {
    const { blocks, restartBlocks, strangers, newcomers, blockMs, progress } = this.#options;
    const began = process.cpuUsage();
    const { nodes, chain } = this.#cluster;
    const joining = nodes.filter(({ gone }) => gone);
    for (let block = 1; block <= blocks; block++) {
      chain.mine();
      this.#pass(blockMs);
      if (strangers) this.#stranger();
      const isDue = joining.length > 1 && block % Math.ceil(blocks / newcomers) === 0;
      const newcomer = isDue ? joining.shift() : undefined;
      if (newcomer !== undefined) this.#comes(newcomer);
      if (block % restartBlocks === 0) this.#restart();
      if (block % Math.ceil(blocks / QUARTERS) === 0 || block === blocks) this.#quarter(block);
      progress?.(block, this.#quarters);
    }
    const [last] = joining;
    if (last !== undefined) this.#newcomerMs = this.#comes(last);
    this.#pass(10_000);
    const cpu = process.cpuUsage(began);
    const wraps = this.#wraps();
    const seldom = Object.entries(wraps).filter(([, times]) => times < WRAPS_MIN);
    return {
      blocks,
      restarts: this.#restarts,
      newcomers,
      strangers: this.#strangers,
      cpuMs: Math.round((cpu.user + cpu.system) / 1000),
      steps: this.#cluster.world.steps,
      wraps,
      seldom: seldom.map(
        ([name, times]) => `R1: the run passed the bound "${name}" ${times} times; needed: ${WRAPS_MIN}`,
      ),
      quarters: this.#quarters,
      newcomerMs: this.#newcomerMs,
      violations: this.#violations(),
    };
  }

  #pass(forMs: number, until: () => boolean = () => false): void {
    const { world } = this.#cluster;
    const endMs = world.nowMs + forMs;
    let over = false;
    world.after(forMs, () => {
      over = true;
    });
    world.run(endMs, () => over || until());
  }

  #restart(): void {
    const up = this.#cluster.nodes.filter(({ runtime }) => runtime !== null);
    const node = up[this.#restarts++ % up.length];
    if (node === undefined) return;
    this.#cluster.crash(node, "intact", this.#chance, DOWN_MS);
    this.#pass(DOWN_MS + 1);
    this.#catchUps.push(this.#caughtUpMs(node));
  }

  #comes(node: SimNode): number {
    node.gone = false;
    this.#cluster.start(node);
    return this.#caughtUpMs(node);
  }

  /** How long the node takes from now on until it has what all others have now. */
  #caughtUpMs(node: SimNode): number {
    const { world, nodes, chain } = this.#cluster;
    const fromMs = world.nowMs;
    const goal = new Map<string, number>();
    for (const { runtime, key } of nodes)
      if (key !== node.key)
        for (const [author, next] of runtime?.state.log.frontier() ?? [])
          goal.set(author, Math.max(next, goal.get(author) ?? 0));
    const members = this.#members();
    const certified = Math.max(0, ...nodes.map(({ runtime }) => runtime?.state.chains.get(CHAIN)?.certified ?? 0));
    const has = () => {
      const state = node.runtime?.state;
      if (state === undefined || state.mute !== null) return false;
      if ((state.chains.get(CHAIN)?.certified ?? 0) < certified) return false;
      const own = state.log.frontier();
      return members.every((key) => (own.get(key) ?? 0) >= (goal.get(key) ?? 0));
    };
    let nextMs = 0;
    let found = false;
    this.#pass(Math.max(CATCH_UP_MS_MAX, 20 * chain.blocks.length), () => {
      if (world.nowMs < nextMs) return found;
      nextMs = world.nowMs + LOOK_MS;
      found = has();
      return found;
    });
    return Math.round(world.nowMs - fromMs);
  }

  /** Keys on the roster: the feed of a stranger may be dropped anywhere. */
  #members(): readonly string[] {
    const rosters = this.#cluster.nodes.flatMap(({ runtime }) => (runtime === null ? [] : [runtime.state.roster]));
    return [...(rosters[0]?.keys() ?? [])].filter((key) => rosters.every((roster) => roster.has(key)));
  }

  /** Shows its start record, asks to join, and is not seen again. */
  #stranger(): void {
    const { world, network, manifest, nodes } = this.#cluster;
    const [host] = nodes;
    if (host === undefined) return;
    const name = `stranger-${this.#strangers++}`;
    const signer = simSigner(this.#options.seed, name);
    const life = new SimProcess(world, host.disk, host.clock);
    const sign = (message: Uint8Array) => signer.sign(message);
    const nonce = domainHash("sim-nonce", utf8ToBytes(name), u64(0)).slice(0, 32);
    const start = { author: signer.key, counter: 1, nonce, number: 0, head: ZERO_HASH };
    const record = signStart(manifest.network, start, sign);
    const transport = network.join(
      signer.key,
      {
        message: () => ({ kind: "accept" }),
        peer: () => {},
        request: (_peer, _request, _body, answer) => answer([]),
      },
      host.disk.artefacts,
      life,
    );
    const body = encodeFrontier({ feeds: new Map(), chains: new Map(), starts: [record.bytes] });
    const batch = sealBatch(
      manifest.network,
      { author: signer.key, number: 0, previous: ZERO_HASH },
      [{ kind: "join", chain: CHAIN, slots: 1, proofs: [] }],
      sign,
    );
    world.after(100, () => {
      for (const peer of transport.peers()) transport.request(peer, "sync", body, 1 << 20, 1_000, () => {});
      transport.publish(batch.bytes);
    });
    world.after(500, () => network.leave(signer.key));
  }

  #quarter(blocks: number): void {
    const { nodes, world } = this.#cluster;
    const up = nodes.filter(({ runtime }) => runtime !== null);
    const diskBytes = up.reduce((sum, node) => sum + diskBytesOf(node), 0) / up.length;
    const before = this.#heap();
    for (const node of up) this.#cluster.crash(node, "intact", this.#chance, FORGOTTEN_MS + DOWN_MS);
    this.#pass(FORGOTTEN_MS);
    const heapBytes = Math.max(0, before - this.#heap()) / up.length;
    const upMs = world.nowMs + DOWN_MS;
    this.#pass(CATCH_UP_MS_MAX, () => world.nowMs > upMs && up.every(({ runtime }) => runtime?.state.mute === null));
    const sorted = this.#catchUps.sort((a, b) => a - b);
    const catchUpMs = sorted[sorted.length >> 1] ?? 0;
    this.#catchUps = [];
    this.#quarters.push({ blocks, heapBytes: Math.round(heapBytes), diskBytes: Math.round(diskBytes), catchUpMs });
  }

  #heap(): number {
    this.#collect();
    this.#collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  }

  #wraps(): Record<string, number> {
    const limits = { ...RUN_LIMITS, ...this.#options.limits };
    const { chain, nodes } = this.#cluster;
    const states = nodes.slice(0, ATTESTERS).flatMap(({ runtime }) => (runtime === null ? [] : [runtime.state]));
    const certified = Math.min(...states.map((state) => state.chains.get(CHAIN)?.certified ?? 0), chain.blocks.length);
    const batches = Math.min(...nodes.slice(0, ATTESTERS).map(({ key }) => states[0]?.log.feed(key)?.next ?? 0));
    const compactions = nodes.slice(0, ATTESTERS).map(({ name }) => this.#compactions.get(name) ?? 0);
    const times = (count: number, most: number) => Math.floor(count / most);
    return {
      "look-ahead of a feed": times(batches, limits.batchAheadMax),
      "look-ahead of a chain": times(certified, limits.blockAheadMax),
      retention: times(certified, Math.ceil(1.25 * limits.retentionBlocks)),
      "closed blocks": times(certified, limits.closedMax),
      "canonical blocks": times(certified, limits.canonicalMax),
      journal: Math.min(...compactions),
      roster: times(this.#strangers, limits.rosterMax),
      "feeds of strangers": times(this.#strangers, limits.strangerFeedsMax),
      "start records": times(this.#strangers, limits.strangerStartsMax),
    };
  }

  #violations(): string[] {
    const { nodes } = this.#cluster;
    const behind = nodes.filter((node) => !node.gone && !this.#cluster.hasAll(node));
    const found = behind.map(({ name }) => `L1: ${name} lacks certificates`);
    const [first, last] = [this.#quarters[0], this.#quarters.at(-1)];
    if (first === undefined || last === undefined) return found;
    const grows = (what: string, before: number, after: number, noise: number) => {
      if (after > GROWTH_MAX * before + noise) found.push(`R1: ${what} grew from ${before} to ${after}`);
    };
    grows("the heap of a node", first.heapBytes, last.heapBytes, HEAP_NOISE_BYTES);
    grows("the disk of a node", first.diskBytes, last.diskBytes, DISK_NOISE_BYTES);
    grows("catching up, in ms,", first.catchUpMs, last.catchUpMs, CATCH_UP_NOISE_MS);
    return found;
  }
}

function diskBytesOf({ disk }: SimNode): number {
  const { batches, gone, starts } = disk.store.files();
  const sizes = [
    disk.journal.size(),
    ...batches.map(({ bytes }) => bytes.length),
    ...starts.flatMap(({ records }) => records.map(({ length }) => length)),
    ...gone.map(({ spans }) => 16 * spans.length),
  ];
  return sizes.reduce((sum, size) => sum + size, 0);
}
