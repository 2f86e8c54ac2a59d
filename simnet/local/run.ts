/** A local run: a real chain, real nodes, real proofs; faults on the way; checks and figures at the end. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readManifestFile } from "../../src/node.ts";
import { type DevChain, startDevChain } from "../../src/sources/devchain.ts";
import type { Fragment } from "../../src/protocol/fragment.ts";
import type { Hashes } from "../checkers/durability.ts";
import type { Figures as VoteFigures } from "../checkers/votes.ts";
import { RunFault, type Verdict } from "../outcome.ts";
import { type Exported, exportAll, exportLog, verifyAll, verifyTampered } from "./check.ts";
import { type Disturbance, Disturber } from "./disturb.ts";
import { Figures } from "./figures.ts";
import { frontierHashOf, Judge } from "./judge.ts";
import { type Duty, Fleet, type LocalNode } from "./nodes.ts";
import { type LocalReport, reportOf } from "./report.ts";
import { type Counts, type Planned, planChaos, planCounts } from "./schedule.ts";
import { Watch } from "./watch.ts";

export interface LocalOptions extends Counts {
  /** Attesters that also prove, attesters that do not, and provers only. */
  readonly nodes: number;
  readonly attesters: number;
  readonly provers: number;
  readonly blocks: number;
  /** Mines for so long instead of a number of blocks. */
  readonly minutes?: number;
  /** Faults of all kinds, drawn from the seed, as long as blocks are mined. */
  readonly chaos: boolean;
  readonly seed: number;
  readonly shards: number;
  readonly window: number;
  readonly intervalMs: number;
  readonly transactions: number;
  readonly mockMs: number | null;
  /** How blocks are proven, in place of the usual workflow. */
  readonly fragment: Fragment | null;
  /** Proof systems side by side are dealt to the nodes in turn, one each. */
  readonly oneSystem: boolean;
  /** Of all links; nodes talk through proxies where there is anything to do to links. */
  readonly delayMs: number;
  readonly loss: number;
  readonly limitMs: number;
  readonly keep: boolean;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Blocks that may be mined and not certified: past that the chain waits, so that a stalled network is not buried. */
const AHEAD_MAX = 32;
const COLLECT_EVERY_MS = 20_000;
const SAY_EVERY_MS = 30_000;
/** How long nodes get to leave by themselves. */
const CLOSE_MS = 10_000;
const INTERRUPTED_CLOSE_MS = 1500;

type Closer = () => Promise<unknown>;

/** Runs to the end and cleans up whatever happens; the report says what broke. */
export async function runLocal(options: LocalOptions): Promise<LocalReport> {
  const directory = mkdtempSync(join(tmpdir(), "proofmesh-simnet-"));
  const closers: Closer[] = [];
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
  readonly #closers: Closer[];
  readonly #figures = new Figures();
  readonly #watch: Watch;
  readonly #said = new Set<number>();
  #fleet: Fleet | null = null;
  #judge: Judge | null = null;
  #disturber: Disturber | null = null;
  #exported: readonly Exported[] = [];
  #beganMs = 0;
  #endedMs: number | null = null;
  #quietMs: number | null = null;
  #mined = 0;
  #isMined = false;
  #tampered = 0;

  constructor(options: LocalOptions, directory: string, closers: Closer[]) {
    this.#options = options;
    this.#directory = directory;
    this.#closers = closers;
    this.#watch = new Watch(options.limitMs, options.signal, (node, line) => {
      this.#figures.take(node, line);
      if (line.event === "block.certified") this.#sayCertified(line as unknown as Certified);
    });
  }

  async run(): Promise<LocalReport> {
    const violations: string[] = [];
    let verdict: Verdict = "green";
    try {
      await this.#tell();
    } catch (error) {
      const fault = error instanceof RunFault ? error : new RunFault("crash", stackOf(error));
      // What still goes on must not start a node that nobody ends.
      this.#watch.end(fault);
      verdict = fault.verdict;
      violations.push(fault.message);
    }
    // What was seen until the run broke counts all the same, and safety counts more.
    const found = this.#judge?.finish(verdict === "green");
    violations.push(...this.#watch.violations, ...(found?.violations ?? []));
    const unsafe = this.#watch.violations.length + (found?.violations.length ?? 0) > 0;
    return this.#report(unsafe ? "safety" : verdict, violations, found?.votes ?? null);
  }

  async #tell(): Promise<void> {
    const { say } = this.#options;
    const chain = await this.#startChain();
    const fleet = await this.#startFleet(chain);
    const judge = this.#openJudge(fleet, chain);
    const watch = this.#watch;
    const isOver = (): boolean => this.#isMined && this.#certified(fleet) >= this.#mined;
    const disturber = new Disturber({ fleet, watch, judge, say, isOver });
    this.#disturber = disturber;
    const plan = this.#plan(fleet.nodes.length);
    say(`${fleet.nodes.length} nodes are up, seed ${this.#options.seed}, ${plan.length} faults planned`);
    this.#beganMs = performance.now();
    const carriedOut = disturber.carryOut(plan);
    // Whoever breaks first tells; the other one then sees it at its next look.
    await Promise.all([this.#mine(chain, fleet, disturber), carriedOut]);
    await disturber.calm();
    this.#quietMs = performance.now();
    say(`quiet: no more blocks, no more faults; waiting for ${this.#mined} certificates on every node`);
    for (const node of fleet.nodes) await judge.certificatesOf(node);
    const lacksOf = (node: LocalNode): number[] =>
      Array.from({ length: this.#mined }, (_, index) => index + 1).filter((height) => !watch.heldBy(node).has(height));
    await watch.until(
      () => fleet.nodes.every((node) => watch.heldBy(node).size >= this.#mined),
      `all nodes hold ${this.#mined} certificates`,
      () => fleet.nodes.map((node) => `; ${node.name} lacks ${lacksOf(node).join(" ") || "nothing"}`).join(""),
    );
    const common = await this.#untilLogsAreEqual(fleet, judge);
    this.#endedMs = performance.now();
    await this.#examine(fleet, judge, common);
  }

  #plan(nodes: number): readonly Planned[] {
    const { chaos, seed, intervalMs } = this.#options;
    const counts = planCounts(this.#options, nodes, seed, intervalMs);
    return chaos
      ? [...counts, ...planChaos(seed, nodes, this.#durationMs())].toSorted((a, b) => a.atMs - b.atMs)
      : counts;
  }

  #durationMs(): number {
    const { minutes, blocks, intervalMs } = this.#options;
    return minutes === undefined ? blocks * intervalMs : minutes * 60_000;
  }

  async #startChain(): Promise<DevChain> {
    const started = await startDevChain({ blockTimeS: null, slotsInEpoch: 1 });
    if (!started.ok) throw new Error(`${started.fault.code}: ${started.fault.message}`);
    this.#closers.push(() => started.value.close());
    return started.value;
  }

  async #startFleet(chain: DevChain): Promise<Fleet> {
    const { nodes, attesters, provers, shards, window, mockMs, seed, delayMs, loss, chaos } = this.#options;
    const duties: Duty[] = [
      ...Array<Duty>(nodes).fill("attests-and-proves"),
      ...Array<Duty>(attesters).fill("attests"),
      ...Array<Duty>(provers).fill("proves"),
    ];
    const linked = chaos || delayMs > 0 || loss > 0 || this.#options.partition > 0 || this.#options.cut > 0;
    const options = {
      directory: this.#directory,
      duties,
      shards,
      window,
      mockMs,
      fragment: this.#options.fragment,
      oneSystem: this.#options.oneSystem,
      chain: { id: chain.chain, url: chain.url },
      links: linked ? { delayMs, jitterMs: delayMs / 4, loss } : null,
      seed,
    };
    const fleet = await Fleet.create(options, (node, line) => this.#watch.take(node, line));
    this.#fleet = fleet;
    this.#closers.push(() => this.#closeFleet(fleet));
    let up = 0;
    const started = Promise.all(fleet.nodes.map((node) => fleet.start(node).then(() => up++)));
    await Promise.race([started, this.#watch.until(() => up === fleet.nodes.length, "all nodes are up")]);
    await started;
    await this.#watch.until(
      () => fleet.nodes.every((node) => this.#watch.peersOf(node).size >= fleet.nodes.length - 1),
      "all nodes see each other",
    );
    return fleet;
  }

  #openJudge(fleet: Fleet, chain: DevChain): Judge {
    const judge = new Judge(
      {
        network: readManifestFile(fleet.manifestFile).network,
        attesters: fleet.manifest.attesters.map(({ key }) => key),
        retentionBlocks: fleet.manifest.limits.retentionBlocks,
        chain: chain.chain,
      },
      this.#watch,
    );
    this.#judge = judge;
    return judge;
  }

  /** Blocks all along, whatever happens to the nodes. */
  async #mine(chain: DevChain, fleet: Fleet, disturber: Disturber): Promise<void> {
    const { blocks, minutes, transactions, intervalMs, say } = this.#options;
    const goesOn = (): boolean =>
      minutes === undefined ? this.#mined < blocks : performance.now() - this.#beganMs < this.#durationMs();
    let collectedMs = this.#beganMs;
    let saidMs = this.#beganMs;
    for (let next = this.#beganMs; goesOn(); next += intervalMs) {
      await this.#watch.until(() => this.#mined - this.#certified(fleet) < AHEAD_MAX, "the network catches up");
      await chain.send(transactions);
      await chain.mine(1);
      this.#mined++;
      const now = performance.now();
      if (now - collectedMs > COLLECT_EVERY_MS) {
        collectedMs = now;
        await this.#judge?.collect(fleet.nodes.filter((node) => node.process !== null && !disturber.isAway(node)));
      }
      if (now - saidMs > SAY_EVERY_MS) {
        saidMs = now;
        const counts = `${this.#mined} blocks, ${this.#certified(fleet)} certified`;
        say(`${Math.round((now - this.#beganMs) / 1000)} s: ${counts}, ${this.#watch.violations.length} violations`);
      }
      await this.#watch.pause(next + intervalMs - performance.now());
    }
    this.#isMined = true;
  }

  /** The highest certificate that any node has. */
  #certified(fleet: Fleet): number {
    return Math.max(0, ...fleet.nodes.map((node) => Math.max(0, ...this.#watch.heldBy(node))));
  }

  /**
   * Waits until every node has heard all that the others have. Provers with nothing to do say so every few seconds, so
   * logs grow on; what is returned is a log that every node had when all were equal.
   */
  async #untilLogsAreEqual(fleet: Fleet, judge: Judge): Promise<Hashes> {
    const sinceMs = performance.now();
    let common: Hashes | null = null;
    for (;;) {
      this.#watch.check();
      const frontiers = await Promise.all(fleet.nodes.map(frontierHashOf));
      const equal = frontiers.every((frontier) => frontier !== null && frontier === frontiers[0]);
      // Read between two looks at which all are equal: what was in it at the second one, everybody had.
      if (equal && common !== null) return common;
      if (equal) [common = null] = await judge.logsOf(fleet.nodes.slice(0, 1));
      if (performance.now() - sinceMs > this.#options.limitMs)
        throw new RunFault("liveness", `L3: the logs stay apart, frontiers ${frontiers.join(" ")}`);
      await this.#watch.pause(200);
    }
  }

  /** Everything is certified and quiet: the nodes' own exports, and what an outsider says of them. */
  async #examine(fleet: Fleet, judge: Judge, common: Hashes): Promise<void> {
    const { say } = this.#options;
    say("all logs are equal; exporting certificates and proofs");
    const proofs = join(this.#directory, "proofs");
    for (const node of fleet.nodes) {
      const held = await judge.certificatesOf(node);
      if (this.#exported.length === 0) this.#exported = await exportAll(fleet.nodes, held, proofs);
    }
    await this.#closeFleet(fleet);
    say("all nodes have left; checking their logs, certificates and proofs");
    for (const node of fleet.nodes) {
      this.#watch.check();
      const log = await exportLog(node);
      writeFileSync(join(this.#directory, `${node.name}.ndjson`), log);
      const { lost, forgotten } = await judge.missingOf(node, common, log);
      if (forgotten > 0) say(`${node.name} has compacted ${forgotten} batches that ${fleet.nodes[0]?.name} kept`);
      if (lost.length > 0)
        this.#watch.violation(`S5: ${node.name} has lost ${lost.length} batches by being stopped, first ${lost[0]}`);
    }
    await verifyAll(this.#exported, fleet.manifestFile, proofs);
    this.#tampered = await verifyTampered(this.#exported, fleet.manifestFile, proofs);
  }

  async #closeFleet(fleet: Fleet): Promise<void> {
    for (const node of fleet.nodes) this.#watch.expectExit(node);
    const stubborn = await fleet.close(this.#options.signal.aborted ? INTERRUPTED_CLOSE_MS : CLOSE_MS);
    if (stubborn.length > 0) this.#options.say(`killed because they did not leave: ${stubborn.join(", ")}`);
  }

  #report(verdict: Verdict, violations: readonly string[], votes: VoteFigures | null): LocalReport {
    const { timing } = this.#fleet?.manifest ?? { timing: { claimWindowMs: 0, claimWindowMsMax: 0, leaseMs: 0 } };
    const { claimWindowMs, claimWindowMsMax, leaseMs } = timing;
    const disturbances: readonly Disturbance[] = this.#disturber?.report() ?? [];
    const endMs = this.#endedMs ?? performance.now();
    const seconds = (fromMs: number): number => Math.round((endMs - fromMs) / 100) / 10;
    const origin = performance.timeOrigin;
    return reportOf({
      verdict,
      violations,
      seed: this.#options.seed,
      nodes: this.#fleet?.nodes ?? [],
      blocks: this.#mined,
      exported: this.#exported,
      figures: this.#figures,
      bounds: { claimWindowMs, claimWindowMsMax, leaseMs },
      disturbances,
      isSimple: (from, to) => this.#disturber?.isSimple(from - origin, to - origin) ?? false,
      seconds: seconds(this.#beganMs),
      quietSeconds: this.#quietMs === null ? 0 : seconds(this.#quietMs),
      checked: votes === null ? null : { ...votes, lookedFor: this.#judge?.lookedFor ?? 0 },
      tampered: this.#tampered,
    });
  }

  /** The first node that says so. */
  #sayCertified({ height, shards, provers, attempts, tookMs }: Certified): void {
    if (this.#said.has(height)) return;
    this.#said.add(height);
    const by = `${shards} shards by ${provers.length} provers, ${attempts} attempts`;
    this.#options.say(`block ${height} certified: ${by}, ${(tookMs / 1000).toFixed(1)} s`);
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

interface Certified {
  readonly height: number;
  readonly shards: number;
  readonly attempts: number;
  readonly tookMs: number;
  readonly provers: readonly string[];
}
