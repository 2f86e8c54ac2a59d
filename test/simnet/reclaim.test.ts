/** What a failure costs (L4), on links whose every message takes the same time, so that hops can be counted. */
import { describe, expect, it } from "vitest";
import { Cluster, type SimNode } from "../../simnet/virtual/cluster.ts";
import { Chance } from "../../simnet/virtual/world.ts";

const HOP_MS = 40;
const DISK_MS = 2;
/** A hop, and the disk of who sends and of who answers. */
const STEP_MS = HOP_MS + 2 * DISK_MS;
const PROVE_MS = 5000;
const STARTED_MS = 1500;

interface Start {
  readonly atMs: number;
  readonly node: SimNode;
  readonly attempt: number;
}

/** Seven nodes prove one block; what starts of its first shard is written down. */
class Run {
  readonly starts: Start[] = [];
  readonly cluster: Cluster;
  openedMs = 0;

  constructor() {
    this.cluster = new Cluster(
      {
        seed: 1,
        nodes: 7,
        attesters: 7,
        joiners: 0,
        shards: 4,
        window: 4,
        retentionBlocks: 16,
        links: { loss: 0, duplicate: 0, replay: 0, delayMsMin: HOP_MS, delayMsMax: HOP_MS, wan: false },
        times: {
          proveMsMin: PROVE_MS,
          proveMsMax: PROVE_MS,
          verifyMs: 5,
          wrong: 0,
          failing: 0,
          wrongFirst: 0,
          tooLarge: 0,
        },
        diskMs: DISK_MS,
        hooks: {},
      },
      (node, event, fields) => {
        const atMs = this.cluster.world.nowMs;
        if (event === "block.opened") this.openedMs = atMs;
        if (event !== "task.started" || fields["stage"] !== "shard" || fields["index"] !== 0) return;
        this.starts.push({ atMs, node, attempt: Number(fields["attempt"]) });
      },
    );
    for (const node of this.cluster.nodes) this.cluster.start(node);
  }

  until(fits: () => boolean): void {
    this.cluster.world.run(60_000, fits);
    if (!fits()) throw new Error("it never came to that");
  }

  passUntil(atMs: number): void {
    let there = false;
    this.cluster.world.after(atMs - this.cluster.world.nowMs, () => {
      there = true;
    });
    this.until(() => there);
  }

  kill(node: SimNode): void {
    this.cluster.crash(node, "intact", new Chance(1, "kill"), 600_000);
  }

  /** When the next owner of the first shard started. */
  next(): Start {
    this.until(() => this.starts.some(({ attempt }) => attempt === 1));
    const next = this.starts.find(({ attempt }) => attempt === 1);
    if (next === undefined) throw new Error("nobody started");
    return next;
  }
}

function working(): { readonly run: Run; readonly owner: SimNode } {
  const run = new Run();
  run.cluster.chain.mine();
  run.passUntil(STARTED_MS);
  const owner = run.starts[0]?.node;
  if (owner === undefined) throw new Error("nobody started");
  return { run, owner };
}

describe("a task is started by its next owner", () => {
  it("three hops after it was given back", () => {
    const { run, owner } = working();
    const sinceMs = run.cluster.world.nowMs;
    owner.runtime?.post({ kind: "drain" });
    const tookMs = run.next().atMs - sinceMs;
    expect(tookMs).toBeGreaterThan(2 * HOP_MS);
    expect(tookMs).toBeLessThanOrEqual(3 * STEP_MS);
  });

  it("one lease and three hops after the last word of a prover that dies at work (L4)", () => {
    const { run, owner } = working();
    const sinceMs = run.cluster.world.nowMs;
    run.kill(owner);
    const tookMs = run.next().atMs - sinceMs;
    expect(tookMs).toBeLessThanOrEqual(2000 + 3 * STEP_MS);
  });

  it("one claim window and three hops after its owner did not claim it", () => {
    const dead = working().owner.name;
    const run = new Run();
    run.passUntil(500);
    const owner = run.cluster.nodes.find(({ name }) => name === dead);
    if (owner === undefined) throw new Error("no such node");
    run.kill(owner);
    run.cluster.chain.mine();
    const tookMs = run.next().atMs - run.openedMs;
    expect(tookMs).toBeGreaterThanOrEqual(500);
    expect(tookMs).toBeLessThanOrEqual(500 + 3 * STEP_MS);
  });
});
