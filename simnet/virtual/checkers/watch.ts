/** All checkers of a run, and what they look at while it lasts. */
import type { BarrierContent } from "../../../src/protocol/certificate.ts";
import type { Hash, Key } from "../../../src/protocol/ids.ts";
import type { Entry } from "../../../src/protocol/messages.ts";
import { checkBounds } from "./bounds.ts";
import { CatchUp } from "./catchup.ts";
import { DelayChecker } from "./delays.ts";
import type { Durable } from "./durable.ts";
import { checkBlocks, checkLog } from "./end.ts";
import { Forks } from "./forks.ts";
import { checkGriefing } from "./griefing.ts";
import { checkLeaving } from "./leaving.ts";
import { Inputs } from "./inputs.ts";
import { Lives } from "./lives.ts";
import { Pace } from "./pace.ts";
import { Repeats } from "./repeats.ts";
import { Returns } from "./returns.ts";
import { Starvation } from "./starvation.ts";
import { WireChecker } from "./wire.ts";
import type { Work } from "./work.ts";
import type { Cluster, SimNode } from "../cluster.ts";
import { CHAIN, SYSTEMS } from "../manifest.ts";
import { type Dials, dialsOf, RUN_LIMITS, type VirtualOptions } from "../options.ts";

/** How often the states of the honest nodes are looked at. */
const CHECK_MS = 1000;
/** The longest delay of links with which rules about the order of messages are judged. */
const CALM_MS = 50;
/** A log is long, so every look reads only a part of them; all are read once more at the end. */
const LOGS_IN_TURN = 4;
/** The longest way in the simulated world, and what a synced write takes with those before and behind it. */
const WAN_MS = 155;
const DISK_MS = 6;
/** By then a node has given back what it cannot prove, and everybody has heard of it. */
const UNABLE_MS = 1_000;

export interface Subjects {
  readonly cluster: Cluster;
  readonly options: VirtualOptions;
  readonly durable: Durable;
  readonly work: Work;
  readonly isHostile: (key: Key) => boolean;
  /** Honest nodes that have not left. */
  readonly honest: () => readonly SimNode[];
}

export class Checkers {
  readonly violations: string[] = [];
  readonly wire: WireChecker;
  readonly forks: Forks;
  readonly delays: DelayChecker | null;
  readonly starvation: Starvation;
  /** Set once no fault happens any more. */
  healed = false;
  readonly #subjects: Subjects;
  readonly #lives: Lives;
  readonly #catchUp: CatchUp;
  readonly #doubled: ReadonlySet<Key>;
  /** Sources that are behind, and processes that stand still, announce what the chain gave up long ago. */
  readonly #returns: Returns | null;
  readonly #repeats: Repeats;
  /** Where disks lose what a node has let go of, it may keep again what it once has not. */
  readonly #isLossless: boolean;
  /** By prover: since when a node that signs has found it unable. */
  readonly #unableMs = new Map<Key, number>();
  #looks = 0;

  constructor(subjects: Subjects) {
    this.#subjects = subjects;
    const { cluster, options, isHostile } = subjects;
    const { world, manifest, equation, open } = cluster;
    const [now, complain] = [() => world.nowMs, (text: string) => void this.violations.push(text)];
    const dials = dialsOf(options);
    const hopMs = dials.delayMs + DISK_MS + (dials.wan ? WAN_MS : 0);
    const byKey = new Map(cluster.nodes.map((node) => [node.key, node]));
    const speaksSince = (key: Key) => byKey.get(key)?.speaksSinceMs ?? null;
    const isWhole =
      options.hooks === undefined &&
      options.families !== true &&
      options.workflow === undefined &&
      dials.handedIn === 0;
    const isJudged =
      isLight(dials) && options.script === undefined && isWhole && !cluster.nodes.some(({ key }) => isHostile(key));
    this.delays = isJudged ? new DelayChecker({ manifest, now, hopMs, speaksSince, complain }) : null;
    const pace = isLight(dials) && isWhole ? new Pace({ manifest, now, isHostile, complain }) : null;
    this.#lives = new Lives({
      manifest,
      now,
      isHostile,
      judged: (...heard) => pace?.heard(...heard),
      heard: (...heard) => this.delays?.heard(...heard, this.#lives),
    });
    const heard = (author: Key, entry: Entry) => {
      if (!this.#lives.isUnsent && !isHostile(author)) {
        this.#returns?.sent(author, entry);
        this.#repeats.sent(author, entry);
      }
      this.#lives.said(author, entry);
    };
    const hasMade = (prover: Key, artefact: Hash) => cluster.makers.get(artefact)?.has(prover) === true;
    const { newcomersMax } = { ...RUN_LIMITS, ...options.limits };
    const isQuiet = isCalm(dials) && options.script === undefined && (options.twins ?? 0) === 0;
    const isSteady = isRunning(dials) && !cluster.nodes.some(({ key }) => isHostile(key));
    const judged = { newcomersMax, isQuiet, isSteady, isRunning: isRunning(dials) };
    const isUnable = (key: Key) => isUndelayed(dials) && now() - (this.#unableMs.get(key) ?? now()) > UNABLE_MS;
    this.wire = new WireChecker({
      manifest,
      equation,
      open,
      now,
      isHostile,
      complain,
      hasMade,
      isUnable,
      heard,
      ...judged,
    });
    this.starvation = new Starvation(manifest, complain);
    this.#doubled = new Set(doubledKeys(cluster));
    this.forks = new Forks([...this.#doubled]);
    this.#catchUp = new CatchUp(cluster, subjects.honest);
    this.#repeats = new Repeats({ manifest, now, complain });
    const knowsChain = isPrompt(dials) || dials.reorgEveryMs === 0;
    this.#returns = knowsChain ? new Returns(manifest.network, cluster.chain, isPrompt(dials), complain) : null;
    this.#isLossless = dials.damage === "intact";
    cluster.places.complain = complain;
    cluster.outsiders.complain = complain;
    cluster.complain = complain;
    this.#listen();
    this.#look();
  }

  /** What a node reports. */
  event(node: SimNode, event: string, { author, from, to }: Readonly<Record<string, unknown>>): void {
    if (event === "feed.skipped" && this.#isLossless)
      this.violations.push(...this.#catchUp.skipped(node, String(author), Number(from), Number(to)));
  }

  /** The checker hears what is published, and what a node had made durable but not sent when it died: peers pull that. */
  #listen(): void {
    const { cluster, durable, isHostile } = this.#subjects;
    const honest = new Map(cluster.nodes.flatMap((node) => (isHostile(node.key) ? [] : [[node.key, node] as const])));
    const inputs = new Inputs((text) => void this.violations.push(text));
    cluster.operators.acknowledged = (node, block) => inputs.acknowledged(node, block);
    cluster.onDamage = (node) => {
      this.wire.lostDisk(node.key);
      inputs.lostDisk(node);
    };
    cluster.onReturn = (node) => {
      this.#repeats.returned(node.key);
      inputs.returned(node);
      if (this.#doubled.has(node.key)) this.#hearUnsent(node, 0);
      else if (!isHostile(node.key)) this.#hearUnsent(node);
    };
    cluster.network.onFetch = (by, hash) => {
      const node = honest.get(by);
      if (node === undefined) return () => {};
      return this.#subjects.work.fetches(node, hash, (violation) => void this.violations.push(violation));
    };
    cluster.network.onShown = (from, to, commitment) => this.wire.shown(from, to, commitment);
    cluster.network.onPublish = (from, bytes, isSent) => {
      this.#hearUnsent(honest.get(from));
      this.wire.published(from, bytes, isSent);
      if (!isHostile(from) && !durable.has(bytes))
        this.violations.push(`S5: ${from.slice(0, 8)} sent what its disk had not acknowledged`);
      this.#lookAtProofs(honest.get(from), bytes);
    };
  }

  #hearUnsent(node: SimNode | undefined, from: number = node === undefined ? 0 : this.wire.next(node.key)): void {
    this.#lives.isUnsent = true;
    const feed = node?.runtime?.state.log.feed(node.key);
    for (const batch of feed?.kept() ?? [])
      if (batch.head.number >= from) this.wire.published(batch.head.author, batch.bytes);
    this.#lives.isUnsent = false;
  }

  // RECEIPT-7.
  /** A proof that its receipt does not carry is on the disk before the receipt is sent. */
  #lookAtProofs(node: SimNode | undefined, bytes: Uint8Array): void {
    const opened = this.#subjects.cluster.open(bytes);
    const files = node?.disk.artefacts.files;
    // A disk that is lost loses proofs whose receipts peers have.
    if (files === undefined || !opened.ok || !this.#isLossless) return;
    for (const entry of opened.value.entries)
      if (entry.kind === "receipt" && entry.inline.length === 0 && !files.has(entry.artefact))
        this.violations.push(`S5: ${node?.name} signed a receipt of a proof that its disk does not have`);
  }

  #look(): void {
    const { cluster, honest } = this.#subjects;
    cluster.world.after(CHECK_MS, () => this.#look());
    this.forks.look(honest());
    this.#looks++;
    this.#returns?.look();
    for (const [at, node] of honest().entries()) {
      const { name, runtime } = node;
      if (runtime === null) continue;
      // A node that has replayed its journal, and still waits for its disk, has not returned yet.
      if (!this.#doubled.has(node.key)) this.#hearUnsent(node);
      this.violations.push(...this.#subjects.work.look(node, node.clock.now()));
      this.violations.push(...checkBounds(name, runtime.state), ...checkBlocks(name, runtime.state, this.wire));
      if (at % LOGS_IN_TURN === this.#looks % LOGS_IN_TURN)
        this.violations.push(...checkLog(name, runtime.state, this.wire));
    }
    this.violations.push(...this.#catchUp.look());
    for (const { scheduling } of cluster.nodes) scheduling?.look();
    for (const { key, scheduling, speaksSinceMs } of cluster.nodes) {
      const isAble = speaksSinceMs === null || (scheduling?.isAble(SYSTEMS[0]) ?? true);
      if (isAble) this.#unableMs.delete(key);
      else if (!this.#unableMs.has(key)) this.#unableMs.set(key, cluster.world.nowMs);
    }
    if (this.healed) this.#lookForStarved();
    this.#tell();
  }

  /** What can be said of griefing once all is over, by one node's certificates. */
  griefing(contents: readonly BarrierContent[]): string[] {
    const { cluster, options } = this.#subjects;
    const isWhole = options.families !== true && options.workflow === undefined;
    if (!isLight(dialsOf(options)) || !isWhole) return [];
    return checkGriefing(cluster.manifest, contents, this.#lives);
  }

  /** Who has left the roster once all is over, by each honest node. */
  leaving(contents: readonly BarrierContent[]): string[] {
    const { cluster, options, honest } = this.#subjects;
    if (!isLight({ ...dialsOf(options), joiners: 0 })) return [];
    return honest().flatMap(({ name, runtime }) =>
      runtime === null ? [] : checkLeaving(name, runtime.state, cluster.manifest, contents),
    );
  }

  #tell(): void {
    const { cluster, honest, options } = this.#subjects;
    const heights = honest().flatMap(({ runtime }) => runtime?.state.chains.get(CHAIN)?.certified ?? []);
    options.progress?.(cluster.world.nowMs, cluster.chain.blocks.length, Math.max(Math.min(...heights), 0));
  }

  #lookForStarved(): void {
    const { cluster, honest } = this.#subjects;
    const canonical = new Set<Hash>(cluster.chain.blocks.map(({ hash }) => hash));
    // Who stands still when the faults are over does so for up to a minute more.
    const isHere = ({ process, speaksSinceMs }: SimNode) => speaksSinceMs !== null && process?.isFrozen === false;
    const here = new Map(
      honest()
        .filter(isHere)
        .map((node) => [node.key, ableSystems(cluster, node)]),
    );
    // Without a quorum nothing can go on, and L1 says so.
    if (!this.#lives.isQuorum(here.keys())) return this.starvation.pass(cluster.world.nowMs);
    const absent = new Set(cluster.nodes.map(({ key }) => key)).size - here.size;
    this.starvation.look(cluster.world.nowMs, this.#lives, canonical, here, absent);
  }
}

/** What a node can make now. */
function ableSystems(cluster: Cluster, node: SimNode): readonly string[] {
  return cluster.systemsOf(node).filter((executor) => node.scheduling?.isAble(executor) ?? true);
}

function doubledKeys({ nodes }: Cluster): Key[] {
  return nodes.flatMap(({ isTwin, key }) => (isTwin ? [key] : []));
}

/** Whether sources know the chain as it is, and nodes say at once what they know. */
function isPrompt({ pauseEveryMs, sourceAwayEveryMs, sourceLagEveryMs, sourcesAway, sourceLag }: Dials): boolean {
  return [pauseEveryMs, sourceAwayEveryMs, sourceLagEveryMs, sourcesAway, sourceLag].every((dial) => dial === 0);
}

/** Whether each message arrives soon, and each process runs. */
function isUndelayed({
  loss,
  delayMs,
  wan,
  partitionEveryMs,
  deafEveryMs,
  crashEveryMs,
  outageEveryMs,
  pauseEveryMs,
  fullDiskEveryMs,
}: Dials): boolean {
  const faults = [loss, partitionEveryMs, deafEveryMs, crashEveryMs, outageEveryMs, pauseEveryMs, fullDiskEveryMs];
  return !wan && delayMs <= CALM_MS && faults.every((dial) => dial === 0);
}

/** Whether processes neither die nor stand still, and clocks are true. */
function isRunning({ crashEveryMs, outageEveryMs, pauseEveryMs, jumpEveryMs, fullDiskEveryMs }: Dials): boolean {
  return [crashEveryMs, outageEveryMs, pauseEveryMs, jumpEveryMs, fullDiskEveryMs].every((dial) => dial === 0);
}

/** Whether nothing is lost and nobody but joiners comes or goes. */
function isCalm(dials: Dials): boolean {
  return isLight({ ...dials, joiners: 0 }) && dials.crashEveryMs === 0 && dials.delayMs <= CALM_MS;
}

/** Whether L4 may be judged in a run with these faults. */
function isLight(dials: Dials): boolean {
  // Wrong proofs halve what their prover may claim, so an owner with a few of them may have to wait for its quota.
  const { loss, duplicate, replay, drift, reorgEveryMs, joiners, wrongFirst } = dials;
  const rates = [loss, duplicate, replay, drift, reorgEveryMs, joiners, wrongFirst];
  const faults = [
    dials.partitionEveryMs,
    dials.deafEveryMs,
    dials.fullDiskEveryMs,
    dials.pauseEveryMs,
    dials.jumpEveryMs,
    dials.sourceAwayEveryMs,
    dials.sourceLagEveryMs,
    dials.sourcesAway,
    dials.sourceLag,
    dials.gpus,
    dials.lingerMs,
    dials.unableEveryMs,
  ];
  return dials.damage === "intact" && [...rates, ...faults].every((dial) => dial === 0);
}
