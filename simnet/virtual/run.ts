/**
 * One run of the virtual cluster under faults, and what came of it.
 *
 * Two phases. While the chain grows, nodes crash, messages get lost and proofs are wrong; then the crashes stop, every
 * node comes back, and all blocks must be certified everywhere. A run is its options: the same ones give the same trace.
 */
import { artefactHash } from "../../src/protocol/ids.ts";
import { type Certificate, checkCertificate } from "../../src/protocol/certificate.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { checkEnd, contentSplits, WireChecker } from "./checkers.ts";
import { Cluster, type SimNode } from "./cluster.ts";
import { WRONG_PROOF } from "./provers.ts";
import { Chance } from "./world.ts";

export interface VirtualOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly blocks: number;
  readonly shards: number;
  /** Share of gossip messages that never arrive. */
  readonly loss?: number;
  /** The longest a message takes. */
  readonly delayMs?: number;
  /** How often some node dies, on average; 0 for never. */
  readonly crashEveryMs?: number;
  /** Share of proofs that do not verify, and of jobs whose machine fails. */
  readonly wrong?: number;
  readonly failing?: number;
  /** Whether a node that dies comes back with an empty journal. */
  readonly diskLoss?: boolean;
  readonly blockMs?: number;
  /** Breaks a node that comes back, to see whether the checkers notice. */
  readonly sabotage?: (runtime: Runtime) => void;
}

export interface VirtualReport {
  readonly seed: number;
  readonly simulatedMs: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
  readonly messages: number;
  readonly bytes: number;
  readonly crashes: number;
  /** Certificates held by all nodes together. */
  readonly certificates: number;
  /** Attempts that a quorum ended, as one node counts them. */
  readonly reclaims: number;
  /** Proofs made beyond one a task. */
  readonly wastedProofs: number;
  /** Blocks of which two nodes hold different, equally true contents. */
  readonly contentSplits: number;
  readonly traceHash: string;
  readonly ok: boolean;
  readonly violations: readonly string[];
}

const SETTLE_MS = 120_000;
const VIOLATIONS_MAX = 20;

export function runVirtual(options: VirtualOptions): VirtualReport {
  const { seed, nodes, blocks, shards, blockMs = 1000, sabotage } = options;
  const { loss = 0, delayMs = 20, crashEveryMs = 0, wrong = 0, failing = 0, diskLoss = false } = options;
  const over = new Set<string>();
  let [proofs, crashes] = [0, 0];
  const cluster = new Cluster(
    {
      seed,
      nodes,
      shards,
      window: 4,
      links: { loss, delayMsMin: 1, delayMsMax: delayMs },
      times: { proveMsMin: 200, proveMsMax: 800, verifyMs: 5, wrong, failing },
      diskMs: 2,
      ...(sabotage === undefined ? {} : { sabotage }),
    },
    (_node, event, fields) => {
      if (event === "task.proved") proofs++;
      if (event === "attempt.over")
        over.add(JSON.stringify([fields["hash"], fields["stage"], fields["index"], fields["attempt"]]));
    },
  );
  const checker = new WireChecker(cluster.manifest);
  cluster.network.onPublish = (from, bytes) => {
    for (const unsent of unsentBy(cluster, from, checker)) checker.published(from, unsent);
    checker.published(from, bytes);
  };
  for (const node of cluster.nodes) cluster.start(node);
  const began = performance.now();
  growChain(cluster, blocks, blockMs);
  const faultsMs = 100 + blocks * blockMs;
  if (crashEveryMs > 0) crashNodes(cluster, { everyMs: crashEveryMs, untilMs: faultsMs, diskLoss }, () => crashes++);
  cluster.world.run(faultsMs + SETTLE_MS, () => {
    if (checker.violations.length >= VIOLATIONS_MAX) return true;
    return cluster.world.nowMs > faultsMs && cluster.nodes.every((node) => cluster.certified(node) >= blocks);
  });
  const tookMs = performance.now() - began;
  const held = certificatesOf(cluster, blocks);
  const wrongArtefact = artefactHash(WRONG_PROOF);
  const violations = [...checker.violations, ...checkEnd(blocks, held, (artefact) => artefact !== wrongArtefact)];
  return {
    seed,
    simulatedMs: cluster.world.nowMs,
    steps: cluster.world.steps,
    stepsPerSecond: Math.round((cluster.world.steps / tookMs) * 1000),
    messages: cluster.network.messages,
    bytes: cluster.network.bytes,
    crashes,
    certificates: [...held.values()].reduce((sum, each) => sum + each.length, 0),
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

/** kill -9 at any moment, with any part of what was not yet synced on disk; back after an instant or some seconds. */
function crashNodes(
  cluster: Cluster,
  { everyMs, untilMs, diskLoss }: { readonly everyMs: number; readonly untilMs: number; readonly diskLoss: boolean },
  count: () => void,
): void {
  const { world, nodes } = cluster;
  const chance = new Chance(world.seed, "crash");
  const crash = () => {
    if (world.nowMs >= untilMs) return;
    const node = nodes[chance.between(0, nodes.length - 1)];
    if (node !== undefined && node.runtime !== null) {
      count();
      cluster.crash(node, chance.between(0, 2));
      if (diskLoss) cluster.loseDisk(node);
      world.after(chance.between(10, 5000), () => cluster.start(node));
    }
    world.after(chance.between(1, 2 * everyMs), crash);
  };
  world.after(chance.between(1, 2 * everyMs), crash);
}

function certificatesOf(cluster: Cluster, blocks: number): Map<string, Certificate[]> {
  const held = new Map<string, Certificate[]>();
  for (const node of cluster.nodes) readStore(cluster, node, blocks, held);
  let answered = false;
  cluster.world.after(1000, () => {
    answered = true;
  });
  cluster.world.run(Number.POSITIVE_INFINITY, () => answered);
  return held;
}

function readStore(cluster: Cluster, node: SimNode, blocks: number, held: Map<string, Certificate[]>): void {
  node.store.certificates(1, 0, blocks + 1, (result) => {
    const files = result.ok ? result.value : [];
    const checked = files.map(({ bytes }) => checkCertificate(cluster.manifest, bytes, cluster.equation));
    held.set(
      node.name,
      checked.flatMap((each) => (each.ok ? [each.value] : [])),
    );
  });
}
