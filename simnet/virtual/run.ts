/**
 * One run of the virtual cluster under faults, and what came of it.
 *
 * Two phases. While the chain grows, nodes crash, messages get lost and proofs are wrong; then the crashes stop, every
 * node comes back, and all blocks must be certified everywhere.
 */
import { type CheckedCertificate, checkCertificate } from "../../src/protocol/certificate.ts";
import { checkBounds } from "./checkers/bounds.ts";
import { checkEnd, checkLog, contentSplits } from "./checkers/end.ts";
import { WireChecker } from "./checkers/wire.ts";
import { Cluster, type SimNode } from "./cluster.ts";
import { crashNodes } from "./crashes.ts";
import { attestersOf, type VirtualOptions, type VirtualReport } from "./options.ts";
import { Hostiles } from "./hostile.ts";

const SETTLE_MS = 120_000;
/** How often the states of the honest nodes are looked at. */
const LOOK_MS = 1000;
const VIOLATIONS_MAX = 20;

export function runVirtual(options: VirtualOptions): VirtualReport {
  const { seed, nodes, blocks, shards, blockMs = 1000, sabotage, hooks } = options;
  const { loss = 0, delayMs = 20, crashEveryMs = 0, wrong = 0, failing = 0, diskLoss = false } = options;
  const over = new Set<string>();
  const hostiles = new Hostiles();
  let [proofs, crashes] = [0, 0];
  const cluster = new Cluster(
    {
      seed,
      nodes,
      attesters: attestersOf(options),
      shards,
      window: 4,
      links: { loss, delayMsMin: 1, delayMsMax: delayMs },
      times: { proveMsMin: 200, proveMsMax: 800, verifyMs: 5, wrong, failing },
      diskMs: 2,
      hooks: { ...(sabotage === undefined ? {} : { returning: sabotage }), ...hostiles.hooks(), ...hooks },
    },
    (_node, event, fields) => {
      if (event === "task.proved") proofs++;
      if (event === "attempt.over")
        over.add(JSON.stringify([fields["hash"], fields["stage"], fields["index"], fields["attempt"]]));
    },
  );
  hostiles.appoint(cluster, options);
  const honest = cluster.nodes.filter(({ key }) => !hostiles.has(key));
  const checker = new WireChecker({
    manifest: cluster.manifest,
    equation: cluster.equation,
    now: () => cluster.world.nowMs,
    isHostile: (key) => hostiles.has(key),
  });
  cluster.network.onPublish = (from, bytes) => {
    if (!hostiles.has(from)) for (const unsent of unsentBy(cluster, from, checker)) checker.published(from, unsent);
    checker.published(from, bytes);
  };
  const look = () => {
    for (const { name, runtime } of honest)
      if (runtime !== null)
        checker.violations.push(...checkBounds(name, runtime.state), ...checkLog(name, runtime.state, checker));
    cluster.world.after(LOOK_MS, look);
  };
  cluster.world.after(LOOK_MS, look);
  for (const node of cluster.nodes) cluster.start(node);
  const began = performance.now();
  growChain(cluster, blocks, blockMs);
  const faultsMs = 100 + blocks * blockMs;
  if (crashEveryMs > 0) crashNodes(cluster, { everyMs: crashEveryMs, untilMs: faultsMs, diskLoss }, () => crashes++);
  cluster.world.run(faultsMs + SETTLE_MS, () => {
    if (checker.violations.length >= VIOLATIONS_MAX) return true;
    return cluster.world.nowMs > faultsMs && honest.every((node) => cluster.certified(node) >= blocks);
  });
  const tookMs = performance.now() - began;
  const nameOf = (key: string) => cluster.nodes.find((node) => node.key === key)?.name ?? key;
  const held = certificatesOf(cluster, honest, blocks);
  const violations = [...checker.violations, ...checkEnd(blocks, held, checker)];
  return {
    seed,
    simulatedMs: cluster.world.nowMs,
    steps: cluster.world.steps,
    stepsPerSecond: Math.round((cluster.world.steps / tookMs) * 1000),
    messages: cluster.network.messages,
    bytes: cluster.network.bytes,
    requests: cluster.network.requests,
    crashes,
    certificates: [...held.values()].reduce((sum, each) => sum + each.length, 0),
    hostile: Object.fromEntries([...hostiles.malice].map(([key, names]) => [nameOf(key), names])),
    guilty: Object.fromEntries([...checker.guilt.proven].map(([key, grounds]) => [nameOf(key), [...grounds.keys()]])),
    reclaims: over.size,
    wastedProofs: Math.max(0, proofs - blocks * (shards + 1)),
    contentSplits: contentSplits(held),
    traceHash: cluster.world.traceHash,
    ok: violations.length === 0,
    violations: violations.slice(0, VIOLATIONS_MAX),
  };
}

/** Batches that a node had made durable but not sent when it died: peers pull them, so they are as good as said. */
function unsentBy(cluster: Cluster, from: string, checker: WireChecker): Uint8Array[] {
  const feed = cluster.nodes.find(({ key }) => key === from)?.runtime?.state.log.feed(from);
  const next = checker.next(from);
  return (feed?.kept() ?? []).filter(({ head }) => head.number >= next).map(({ bytes }) => bytes);
}

function growChain(cluster: Cluster, blocks: number, blockMs: number): void {
  let height = 0;
  const next = () => {
    cluster.mine(++height);
    if (height < blocks) cluster.world.after(blockMs, next);
  };
  cluster.world.after(100, next);
}

function certificatesOf(
  cluster: Cluster,
  nodes: readonly SimNode[],
  blocks: number,
): Map<string, CheckedCertificate[]> {
  const held = new Map<string, CheckedCertificate[]>();
  for (const node of nodes) readStore(cluster, node, blocks, held);
  let answered = false;
  cluster.world.after(1000, () => {
    answered = true;
  });
  cluster.world.run(Number.POSITIVE_INFINITY, () => answered);
  return held;
}

function readStore(cluster: Cluster, node: SimNode, blocks: number, held: Map<string, CheckedCertificate[]>): void {
  node.store.certificates(1, 0, blocks + 1, (result) => {
    const files = result.ok ? result.value : [];
    const checked = files.map(({ bytes }) => checkCertificate(cluster.manifest, bytes, cluster.equation));
    held.set(node.name, checked);
  });
}
