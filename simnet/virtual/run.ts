/**
 * One run of the virtual cluster under faults, and what came of it.
 *
 * Two phases. While the chain grows, the scheduled faults happen and the checkers look at all that is said. Then
 * everything heals: every node comes back, each canonical block must be certified everywhere, and all logs must meet.
 */
import { createHash } from "node:crypto";
import { type BarrierContent, type CheckedCertificate, checkCertificate } from "../../src/protocol/certificate.ts";
import type { Key } from "../../src/protocol/ids.ts";
import { isExcluded, notExcluding } from "./checkers/contradictions.ts";
import { Durable } from "./checkers/durable.ts";
import { checkEnd, checkLog, contentSplits, type Held } from "./checkers/end.ts";
import { checkRefold } from "./checkers/refold.ts";
import type { Guilt } from "./checkers/guilt.ts";
import type { Forks } from "./checkers/forks.ts";
import { Checkers } from "./checkers/watch.ts";
import { Work } from "./checkers/work.ts";
import { Cluster, type NodeHooks, type SimNode, type Watch } from "./cluster.ts";
import { Nemesis } from "./faults.ts";
import { Figures } from "./figures.ts";
import { Hostiles } from "./hostile.ts";
import { CHAIN } from "./manifest.ts";
import { attestersOf, dialsOf, RUN_LIMITS, type VirtualOptions, type VirtualReport } from "./options.ts";
import { scheduleOf } from "./schedule.ts";
import { patienceMs } from "./settle.ts";
import { twinned } from "./twins.ts";

/** Logs must meet within this: a question at the slowest pace, and an answer that is lost once. */
const CONVERGE_MS = 30_000;
const LOOK_MS = 250;
/** Why a node never signs again. */
const LOST: ReadonlySet<string> = new Set(["key.cloned", "key.out"]);
const VIOLATIONS_MAX = 20;
/** Offences that two statements in a log show. */
const SHOWN: ReadonlySet<string> = new Set(["two-receipts", "two-grants", "two-attests", "attest-and-timeout"]);
/** Nodes whose log is folded anew at the end. */
const REFOLDED_MAX = 2;

export function runVirtual(options: VirtualOptions): VirtualReport {
  const { blocks, blockMs = 1000 } = options;
  const figures = new Figures();
  const hostiles = new Hostiles();
  const durable = new Durable();
  let checking: Checkers | null = null;
  const work = new Work();
  const watched = bothOf({ modules: (modules, node) => work.watch(modules, node) }, hostiles.hooks(durable));
  const cluster = clusterOf(options, hostiles, watched, (node, event, fields) => {
    figures.event(cluster.world.nowMs, node, event, fields);
    checking?.event(node, event, fields);
  });
  const { world } = cluster;
  const honest = () => cluster.nodes.filter(({ key, gone }) => !gone && !hostiles.has(key));
  const checkers = new Checkers({ cluster, options, durable, work, honest, isHostile: (key) => hostiles.has(key) });
  checking = checkers;
  const { violations: found, wire, forks } = checkers;
  const faultsMs = 100 + blocks * blockMs;
  const faults = options.script ?? scheduleOf(options, faultsMs);
  const nemesis = new Nemesis(cluster, faults, (fault) => figures.fault(fault));
  for (const node of cluster.nodes) if (!node.gone) cluster.start(node);
  for (const outsider of cluster.outsiders.nodes) cluster.outsiders.start(outsider);
  growChain(cluster, nemesis, blocks, blockMs);
  const attesters = honest().filter(({ attests }) => attests);
  cluster.operators.begin(attesters, faultsMs);

  const isFound = () => options.endsAt !== undefined && found.some((each) => options.endsAt?.test(each) === true);
  const began = process.cpuUsage();
  const isDone = () => cluster.chain.blocks.length >= blocks && honest().every((node) => cluster.hasAll(node));
  const lacking = () => [...cluster.outsiders.lacking(), ...cluster.places.lacking(honest())];
  const isHandedOver = () => isDone() && lacking().length === 0;
  const crash = caught(() => {
    world.run(faultsMs, () => found.length >= VIOLATIONS_MAX || isFound());
    nemesis.heal();
    checkers.healed = true;
    // Of a network that broke a rule there is nothing more to see.
    settle(
      cluster,
      honest,
      patienceMs(cluster.manifest, hostiles.malice.size),
      () => found.length > 0 || isHandedOver(),
    );
    // But who broke it, every honest node shall know.
    const isNamed = () =>
      [...wire.guilt.proven.keys()].every((key) =>
        honest().every((node) => node.runtime === null || isExcluded(node, key)),
      );
    if (found.length > 0 && hostiles.malice.size > 0 && !isFound()) runUntil(cluster, CONVERGE_MS, isNamed);
  });
  const isSound = crash === null && found.length === 0;
  if (dialsOf(options).damage !== "intact") forks.forget();
  const late = isSound && isDone() ? lateNews(cluster, honest(), hostiles, forks) : [];
  // Past the retention nobody keeps what a late receipt contradicts.
  if (isSound && isDone() && blocks <= cluster.manifest.json.limits.retentionBlocks)
    late.push(...unexcluded(cluster, honest(), wire.guilt));
  const cpu = process.cpuUsage(began);

  const held = certificatesOf(cluster, honest());
  const violations = [
    ...(crash === null ? [] : [`crash: ${crash}`]),
    ...found,
    ...honest().flatMap(({ name, runtime }) => (runtime === null ? [] : checkLog(name, runtime.state, wire))),
    ...checkEnd(toldOn(cluster), held, wire),
    ...(isSound && isDone() ? lacking() : []),
    ...(isSound ? checkers.griefing(contentsOf([...held.values()][0] ?? [])) : []),
    ...(isSound && isDone() ? checkers.leaving(contentsOf([...held.values()][0] ?? [])) : []),
    ...late,
    ...(isSound && isDone() ? refolded(cluster, honest(), held, options.seed) : []),
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
    guilty: Object.fromEntries([...wire.guilt.proven].map(([key, grounds]) => [nameOf(key), [...grounds.keys()]])),
    evidence: evidenceOf(cluster, honest()),
    reclaims: figures.reclaims,
    wastedProofs: figures.wastedProofs,
    wastedMs: figures.wastedMs,
    blockMedianMs: figures.blockMedianMs,
    contentSplits: contentSplits(held),
    delays: checkers.delays?.delays ?? {},
    starvedMs: checkers.starvation.worstMs,
    retired: cluster.retired,
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

function clusterOf(options: VirtualOptions, hostiles: Hostiles, watched: NodeHooks, watch: Watch): Cluster {
  const { seed, nodes, shards, families = false, stated = false, workflow, sabotage, hooks } = options;
  const { retentionBlocks, window, ...limits } = { ...RUN_LIMITS, ...options.limits };
  const { wrong, failing, wrongFirst, tooLarge, loss, duplicate, replay, delayMs, wan, joiners, damage, anyStart } =
    dialsOf(options);
  const { gpus, lingerMs, unableEveryMs } = dialsOf(options);
  const tries = unableEveryMs > 0 || options.script?.some(({ kind }) => kind === "unable") === true;
  const { outsiders } = dialsOf(options);
  const forgers = outsiders > 0 ? dialsOf(options).forgers : 0;
  const handedIn = workflow === undefined ? dialsOf(options).handedIn : 0;
  const cluster: Cluster = new Cluster(
    {
      seed,
      nodes,
      attesters: attestersOf(options),
      joiners,
      shards,
      families,
      stated,
      anyStart,
      handedIn,
      outsiders,
      forgers,
      attestersOnlyAttest: options.attestersOnlyAttest ?? false,
      ...(workflow === undefined ? {} : { workflow }),
      ...(options.selects === undefined ? {} : { selects: options.selects }),
      window,
      retentionBlocks,
      limits,
      links: { loss, duplicate, replay, wan, delayMsMin: 1, delayMsMax: delayMs },
      times: { proveMsMin: 200, proveMsMax: 800, verifyMs: 5, wrong, failing, wrongFirst, tooLarge },
      machine: { gpus, lingerMs, tries },
      diskMs: 2,
      tearable: damage !== "intact",
      twins: twinned(options),
      hooks: { ...(sabotage === undefined ? {} : { returning: sabotage }), ...bothOf(watched, hooks) },
    },
    watch,
  );
  hostiles.appoint(cluster, options);
  cluster.isHostile = ({ key }) => hostiles.has(key);
  cluster.isUnbounded = options.beyondF === true;
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

function growChain(cluster: Cluster, nemesis: Nemesis, blocks: number, blockMs: number): void {
  const next = () => {
    if (nemesis.stalls === 0) cluster.chain.mine();
    if (cluster.chain.blocks.length < blocks) cluster.world.after(blockMs, next);
  };
  cluster.world.after(100, next);
}

/** Runs until that is so, or until no block has been certified for longer than the rules let one block take. */
function settle(cluster: Cluster, honest: () => readonly SimNode[], mostMs: number, until: () => boolean): void {
  const certified = () =>
    honest().reduce((sum, { disk }) => sum + disk.store.files().certificates.length, cluster.chain.blocks.length);
  let [known, sinceMs] = [certified(), cluster.world.nowMs];
  const isOver = () => {
    const now = certified();
    if (now !== known) [known, sinceMs] = [now, cluster.world.nowMs];
    return until() || cluster.world.nowMs - sinceMs >= mostMs;
  };
  runUntil(cluster, Number.MAX_SAFE_INTEGER, isOver);
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

/** Two nodes are enough, because nearly all logs are equal at the end. A fold takes the CPU of one node's whole run. */
function refolded(cluster: Cluster, nodes: readonly SimNode[], held: Held, seed: number): string[] {
  const running = nodes.filter(({ runtime }) => runtime !== null);
  const from = seed % Math.max(running.length, 1);
  const chosen = [...running.slice(from), ...running.slice(0, from)].slice(0, REFOLDED_MAX);
  return chosen.flatMap(({ name, runtime }) => {
    const certified = (held.get(name) ?? []).flatMap((file) => (file.ok ? [file.value] : []));
    return runtime === null ? [] : checkRefold(name, runtime.state, certified, cluster.equation);
  });
}

/** What all must have heard soon: who signs two feeds, and all that anybody knew of honest authors. */
function lateNews(cluster: Cluster, nodes: readonly SimNode[], hostiles: Hostiles, forks: Forks): string[] {
  if (hostiles.malice.size === 0) return lateLogs(cluster, nodes, () => true);
  forks.look(nodes);
  if (forks.forked.size > 0) runUntil(cluster, CONVERGE_MS, () => forks.missing(nodes).length === 0);
  return [...forks.missing(nodes), ...lateLogs(cluster, nodes, (author) => !hostiles.has(author))];
}

function unexcluded(cluster: Cluster, nodes: readonly SimNode[], { proven }: Guilt): string[] {
  const isShown = (grounds: ReadonlyMap<string, string>) => [...grounds.keys()].some((each) => SHOWN.has(each));
  const guilty = [...proven].flatMap(([key, grounds]) => (isShown(grounds) ? key : []));
  const missing = () => guilty.flatMap((key) => notExcluding(nodes, key).map((name) => [name, key] as const));
  if (guilty.length > 0) runUntil(cluster, CONVERGE_MS, () => missing().length === 0);
  return missing().map(
    ([name, key]) =>
      `L3: ${name} does not exclude ${key.slice(0, 8)} for ${[...(proven.get(key)?.keys() ?? [])].join(", ")}`,
  );
}

// BATCH-8, BATCH-11.
/** L3: what anybody knew at this moment of these authors, everybody knows soon, a node that came late as well. */
function lateLogs(cluster: Cluster, nodes: readonly SimNode[], isMeant: (author: Key) => boolean): string[] {
  const known = new Map<Key, number>();
  for (const node of nodes)
    for (const [author, next] of frontierOf(node))
      if (isMeant(author)) known.set(author, Math.max(next, known.get(author) ?? 0));
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
  const signs = ({ key, runtime }: SimNode) => runtime !== null && !LOST.has(runtime.state.mute ?? "") && !isOut(key);
  const left = new Set(nodes.filter(signs).map(({ key }) => key));
  return [...left].reduce((sum, key) => sum + (manifest.weights.get(key) ?? 0), 0) < manifest.quorum;
}

function verdictOf(violations: readonly string[], isUnrecoverable: boolean): VirtualReport["verdict"] {
  if (violations.length === 0) return "green";
  if (violations.some((violation) => violation.startsWith("crash"))) return "crash";
  if (violations.some((violation) => !violation.startsWith("L"))) return "safety";
  return isUnrecoverable ? "unrecoverable" : "liveness";
}

/** The canonical blocks of both chains, and all that were ever told. */
function toldOn({ chain, operators: { blocks } }: Cluster): Parameters<typeof checkEnd>[0] {
  const told = new Map([...chain.told, ...blocks.map((block) => [block.hash, block] as const)]);
  return { blocks: [...chain.blocks, ...blocks], told };
}

function contentsOf(certificates: readonly CheckedCertificate[]): BarrierContent[] {
  const contents = certificates.flatMap((each) => (each.ok ? each.value.content : []));
  return contents.filter(({ chain }) => chain === CHAIN).sort((a, b) => a.height - b.height);
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
      return [name, disk.store.files().certificates.map(({ bytes }) => checkOnce(bytes))];
    }),
  );
}
