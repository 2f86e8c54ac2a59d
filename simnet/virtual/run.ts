/**
 * One run of the virtual cluster under faults, and what came of it.
 *
 * Two phases. While the chain grows, the scheduled faults happen and the checkers look at all that is said. Then
 * everything heals: every node comes back, each canonical block must be certified everywhere, and all logs must meet.
 */
import { createHash } from "node:crypto";
import { type CheckedCertificate, checkCertificate } from "../../src/protocol/certificate.ts";
import type { Key } from "../../src/protocol/ids.ts";
import { checkBounds } from "./checkers/bounds.ts";
import { Durable } from "./checkers/durable.ts";
import { checkBlocks, checkEnd, checkLog, contentSplits } from "./checkers/end.ts";
import { WireChecker } from "./checkers/wire.ts";
import { Cluster, type NodeHooks, type SimNode } from "./cluster.ts";
import { Nemesis } from "./faults.ts";
import { Figures } from "./figures.ts";
import { Hostiles } from "./hostile.ts";
import { CHAIN } from "./manifest.ts";
import { attestersOf, dialsOf, type VirtualOptions, type VirtualReport } from "./options.ts";
import { scheduleOf } from "./schedule.ts";

/** A task that many attempts failed waits up to a minute for the next, and the block behind it as long again. */
const SETTLE_MS = 240_000;
/** Logs must meet within this: a question at the slowest pace, and an answer that is lost once. */
const CONVERGE_MS = 30_000;
const LOOK_MS = 250;
/** How often the states of the honest nodes are looked at. */
const CHECK_MS = 1000;
/** A log is long, so every look reads only a part of them; all are read once more at the end. */
const LOGS_IN_TURN = 4;
const VIOLATIONS_MAX = 20;

export function runVirtual(options: VirtualOptions): VirtualReport {
  const { blocks, blockMs = 1000 } = options;
  const figures = new Figures();
  const hostiles = new Hostiles();
  const durable = new Durable();
  const cluster = clusterOf(options, hostiles, durable, figures);
  const { world } = cluster;
  const honest = () => cluster.nodes.filter(({ key, gone }) => !gone && !hostiles.has(key));
  const checker = check(cluster, hostiles, durable, honest);
  const faultsMs = 100 + blocks * blockMs;
  const faults = scheduleOf(options, faultsMs);
  const nemesis = new Nemesis(cluster, faults, (fault) => figures.fault(fault));
  for (const node of cluster.nodes) if (!node.gone) cluster.start(node);
  growChain(cluster, nemesis, blocks, blockMs);

  const began = process.cpuUsage();
  const isDone = () => cluster.chain.blocks.length >= blocks && honest().every((node) => cluster.hasAll(node));
  const crash = caught(() => {
    world.run(faultsMs, () => checker.violations.length >= VIOLATIONS_MAX);
    nemesis.heal();
    // Of a network that broke a rule there is nothing more to see.
    runUntil(cluster, SETTLE_MS, () => checker.violations.length > 0 || isDone());
    // But who broke it, every honest node shall know.
    const isNamed = () =>
      [...checker.guilt.proven.keys()].every((key) => honest().every((node) => holdsGuilty(node, key)));
    if (checker.violations.length > 0 && hostiles.malice.size > 0) runUntil(cluster, CONVERGE_MS, isNamed);
  });
  const isSound = crash === null && checker.violations.length === 0;
  const late = isSound && hostiles.malice.size === 0 && isDone() ? lateLogs(cluster, honest()) : [];
  const cpu = process.cpuUsage(began);

  const held = certificatesOf(cluster, honest());
  const violations = [
    ...(crash === null ? [] : [`crash: ${crash}`]),
    ...checker.violations,
    ...honest().flatMap(({ name, runtime }) => (runtime === null ? [] : checkLog(name, runtime.state, checker))),
    ...checkEnd(cluster.chain.blocks, held, checker),
    ...late,
  ];
  const nameOf = (key: Key) => cluster.nodes.find((node) => node.key === key)?.name ?? key;
  return {
    seed: options.seed,
    simulatedMs: Math.round(world.nowMs),
    steps: world.steps,
    stepsPerSecond: Math.round(world.steps / ((cpu.user + cpu.system) / 1e6)),
    messages: cluster.network.messages,
    bytes: cluster.network.bytes,
    requests: cluster.network.requests,
    faults: faults.length,
    crashes: nemesis.crashes,
    certificates: [...held.values()].reduce((sum, each) => sum + each.length, 0),
    hostile: Object.fromEntries([...hostiles.malice].map(([key, names]) => [nameOf(key), names])),
    guilty: Object.fromEntries([...checker.guilt.proven].map(([key, grounds]) => [nameOf(key), [...grounds.keys()]])),
    evidence: evidenceOf(cluster, honest()),
    reclaims: figures.reclaims,
    wastedProofs: figures.wastedProofs,
    wastedMs: figures.wastedMs,
    contentSplits: contentSplits(held),
    traceHash: world.traceHash,
    ok: violations.length === 0,
    verdict: verdictOf(violations, noQuorumLeft(cluster, honest())),
    violations: violations.slice(0, VIOLATIONS_MAX),
    story: figures.story(cluster, violations),
  };
}

/** A node, or the simulator, that throws has a bug whatever the faults. */
function caught(run: () => void): string | null {
  try {
    run();
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

function clusterOf(options: VirtualOptions, hostiles: Hostiles, durable: Durable, figures: Figures): Cluster {
  const { seed, nodes, shards, families = false, workflow, sabotage, hooks } = options;
  const { wrong, failing, loss, duplicate, replay, delayMs, wan, joiners } = dialsOf(options);
  const cluster: Cluster = new Cluster(
    {
      seed,
      nodes,
      attesters: attestersOf(options),
      joiners,
      shards,
      families,
      ...(workflow === undefined ? {} : { workflow }),
      window: 4,
      links: { loss, duplicate, replay, wan, delayMsMin: 1, delayMsMax: delayMs },
      times: { proveMsMin: 200, proveMsMax: 800, verifyMs: 5, wrong, failing },
      diskMs: 2,
      hooks: { ...(sabotage === undefined ? {} : { returning: sabotage }), ...bothOf(hostiles.hooks(durable), hooks) },
    },
    (node, event, fields) => figures.event(cluster.world.nowMs, node, event, fields),
  );
  hostiles.appoint(cluster, options);
  cluster.isHostile = ({ key }) => hostiles.has(key);
  return cluster;
}

/** Whatever a test changes of a node's ports lies above what the checkers watch. */
function bothOf(watched: NodeHooks, changed: NodeHooks = {}): NodeHooks {
  const modules: NodeHooks["modules"] = (given, node) => {
    const below = watched.modules?.(given, node) ?? given;
    return changed.modules?.(below, node) ?? below;
  };
  return { ...watched, ...changed, modules };
}

/** The checker hears what is published, and what a node had made durable but not sent when it died: peers pull that. */
function check(cluster: Cluster, hostiles: Hostiles, durable: Durable, honest: () => readonly SimNode[]): WireChecker {
  const { world, manifest, equation } = cluster;
  const isHostile = (key: Key) => hostiles.has(key);
  const { open } = cluster;
  const checker = new WireChecker({ manifest, equation, open, now: () => world.nowMs, isHostile });
  const unsent = (node: SimNode | undefined) => {
    if (node === undefined || isHostile(node.key)) return;
    const feed = node.runtime?.state.log.feed(node.key);
    for (let number = checker.next(node.key); number <= (feed?.highest ?? -1); number++) {
      const batch = feed?.get(number);
      if (batch !== undefined) checker.published(node.key, batch.bytes);
    }
  };
  const byKey = new Map(cluster.nodes.map((node) => [node.key, node]));
  cluster.onReturn = unsent;
  cluster.network.onPublish = (from, bytes, isSent) => {
    unsent(byKey.get(from));
    checker.published(from, bytes, isSent);
    if (!isHostile(from) && !durable.has(bytes))
      checker.violations.push(`S5: ${from.slice(0, 8)} sent what its disk had not acknowledged`);
  };
  let looks = 0;
  const look = () => {
    looks++;
    for (const [at, { name, runtime }] of honest().entries()) {
      if (runtime === null) continue;
      checker.violations.push(...checkBounds(name, runtime.state), ...checkBlocks(name, runtime.state, checker));
      if (at % LOGS_IN_TURN === looks % LOGS_IN_TURN)
        checker.violations.push(...checkLog(name, runtime.state, checker));
    }
    world.after(CHECK_MS, look);
  };
  world.after(CHECK_MS, look);
  return checker;
}

function growChain(cluster: Cluster, nemesis: Nemesis, blocks: number, blockMs: number): void {
  const next = () => {
    if (nemesis.stalls === 0) cluster.chain.mine();
    if (cluster.chain.blocks.length < blocks) cluster.world.after(blockMs, next);
  };
  cluster.world.after(100, next);
}

/** Looks now and then, because looking at every node after every step would cost more than the step. */
function runUntil(cluster: Cluster, limitMs: number, until: () => boolean): void {
  const { world } = cluster;
  let over = false;
  const look = () => {
    over = until();
    if (!over) world.after(LOOK_MS, look);
  };
  look();
  world.run(world.nowMs + limitMs, () => over);
}

/** L3: what anybody knew at this moment, everybody knows soon. */
function lateLogs(cluster: Cluster, nodes: readonly SimNode[]): string[] {
  const known = new Map<Key, number>();
  for (const node of nodes)
    for (const [author, next] of frontierOf(node)) known.set(author, Math.max(next, known.get(author) ?? 0));
  const lags = (node: SimNode): Key | undefined => {
    const own = frontierOf(node);
    return [...known].find(([author, next]) => (own.get(author) ?? 0) < next)?.[0];
  };
  runUntil(cluster, CONVERGE_MS, () => nodes.every((node) => lags(node) === undefined));
  return nodes.flatMap((node) => {
    const author = lags(node);
    return author === undefined ? [] : [`L3: ${node.name} still lacks entries of ${author.slice(0, 8)}`];
  });
}

function frontierOf(node: SimNode): Map<Key, number> {
  return node.runtime?.state.log.frontier() ?? new Map<Key, number>();
}

function holdsGuilty({ runtime }: SimNode, key: Key): boolean {
  return runtime === null || runtime.state.out.has(key);
}

function evidenceOf(cluster: Cluster, honest: readonly SimNode[]): VirtualReport["evidence"] {
  const found: Record<string, { readonly offences: string[]; nodes: number }> = {};
  for (const { offender, offence } of honest.flatMap(({ runtime }) => [...(runtime?.state.out.values() ?? [])])) {
    const name = cluster.nodes.find(({ key }) => key === offender)?.name ?? offender;
    const known = (found[name] ??= { offences: [], nodes: 0 });
    if (!known.offences.includes(offence)) known.offences.push(offence);
    known.nodes++;
  }
  return found;
}

/** Whether so many attesters will never sign again, or are out, that no quorum is left. */
function noQuorumLeft({ nodes, manifest }: Cluster, honest: readonly SimNode[]): boolean {
  const isOut = (key: Key) => honest.some(({ runtime }) => runtime?.state.out.has(key) === true);
  const lost = nodes.filter(
    ({ key, runtime }) => runtime === null || runtime.state.mute === "key.cloned" || isOut(key),
  );
  const weight = lost.reduce((sum, { key }) => sum + (manifest.weights.get(key) ?? 0), 0);
  return weight > manifest.weight - manifest.quorum;
}

function verdictOf(violations: readonly string[], isUnrecoverable: boolean): VirtualReport["verdict"] {
  if (violations.length === 0) return "green";
  if (violations.some((violation) => violation.startsWith("crash"))) return "crash";
  if (violations.some((violation) => !violation.startsWith("L"))) return "safety";
  return isUnrecoverable ? "unrecoverable" : "liveness";
}

/** Many nodes hold the same file, and what it is worth is the same for all of them. */
function certificatesOf(cluster: Cluster, nodes: readonly SimNode[]): Map<string, CheckedCertificate[]> {
  const known = new Map<string, CheckedCertificate>();
  const checkOnce = (bytes: Uint8Array): CheckedCertificate => {
    const name = createHash("sha256").update(bytes).digest("hex");
    const checked = known.get(name) ?? checkCertificate(cluster.manifest, bytes, cluster.equation);
    known.set(name, checked);
    return checked;
  };
  return new Map(
    nodes.map(({ name, disk }) => {
      const files = disk.store.files().certificates.filter(({ chain }) => chain === CHAIN);
      return [name, files.map(({ bytes }) => checkOnce(bytes))];
    }),
  );
}
