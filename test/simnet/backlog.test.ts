/** A chain that is some blocks ahead of its only source, which dies while it catches up. */
import { expect, it } from "vitest";
import { Cluster, type SimNode } from "../../simnet/virtual/cluster.ts";
import { Chance } from "../../simnet/virtual/world.ts";
import type { Done } from "../../src/ports.ts";
import type { RuntimeModules } from "../../src/runtime/runtime.ts";

const BACKLOG = 7;
const DURABLE_MAX = 500;

/** The only attester follows a chain that has blocks already. Payloads get to its disk in any order. */
class Behind {
  readonly cluster: Cluster;
  readonly node: SimNode;
  /** Whether the node was killed, and whether it had announced every block by then. */
  isDead = false;
  hadAnnouncedAll = false;
  readonly #seed: number;
  #durable = 0;

  /** Kills the node once so many of its writes are durable, before it learns of the last of them. */
  constructor(seed: number, deathAt: number) {
    this.#seed = seed;
    this.cluster = new Cluster(
      {
        seed,
        nodes: 1,
        attesters: 1,
        joiners: 0,
        shards: 1,
        window: 2,
        retentionBlocks: 16,
        links: { loss: 0, duplicate: 0, replay: 0, delayMsMin: 5, delayMsMax: 20, wan: false },
        times: { proveMsMin: 10, proveMsMax: 40, verifyMs: 2, wrong: 0, failing: 0, wrongFirst: 0, tooLarge: 0 },
        diskMs: 2,
        artefactMsMax: 30,
        hooks: { modules: (modules) => this.#counted(modules, deathAt) },
      },
      () => {},
    );
    for (let height = 1; height <= BACKLOG; height++) this.cluster.chain.mine();
    const [node] = this.cluster.nodes;
    if (node === undefined) throw new Error("no node");
    this.node = node;
    this.cluster.start(node);
  }

  #counted(modules: RuntimeModules, deathAt: number): RuntimeModules {
    const { journal, artefacts } = modules;
    const orDie = <T>(done: Done<T>): Done<T> => {
      return (result) => (++this.#durable === deathAt ? this.#kill() : done(result));
    };
    return {
      ...modules,
      journal: {
        load: () => journal.load(),
        append: (records, done) => journal.append(records, orDie(done)),
        compact: (...asked) => journal.compact(...asked),
        size: () => journal.size(),
      },
      artefacts: {
        has: (...asked) => artefacts.has(...asked),
        read: (...asked) => artefacts.read(...asked),
        size: (...asked) => artefacts.size(...asked),
        readPart: (...asked) => artefacts.readPart(...asked),
        receive: (...asked) => artefacts.receive(...asked),
        write: (bytes, done) => artefacts.write(bytes, orDie(done)),
        keep: (...asked) => artefacts.keep(...asked),
        forget: (...asked) => artefacts.forget(...asked),
      },
    };
  }

  #kill(): void {
    const state = this.node.runtime?.state;
    this.isDead = true;
    this.hadAnnouncedAll = (state?.chains.get(1)?.announced ?? -1) === BACKLOG;
    this.cluster.crash(this.node, "intact", new Chance(this.#seed, "kill"), 100);
  }

  /** Heights that are not certified though there was time enough. */
  missing(): readonly number[] {
    const { world, chain } = this.cluster;
    world.run(world.nowMs + 60_000, () => this.cluster.hasAll(this.node));
    const certified = [...(this.node.runtime?.state.closed.values() ?? [])].map(({ height }) => height);
    return chain.blocks.map(({ height }) => height).filter((height) => !certified.includes(height));
  }
}

it.each([1, 2, 3])("a source that dies at any durable point of its catching up leaves no hole (seed %i)", (seed) => {
  const holes: string[] = [];
  let deathAt = 0;
  for (let isOver = false; !isOver && deathAt < DURABLE_MAX; ) {
    const run = new Behind(seed, ++deathAt);
    const missing = run.missing();
    if (missing.length > 0) holes.push(`death at ${deathAt}: blocks ${missing.join(" ")}`);
    isOver = !run.isDead || run.hadAnnouncedAll;
  }
  expect(holes).toEqual([]);
  // Each payload has been the last write that was durable; announcements share records of the journal.
  expect(deathAt).toBeGreaterThan(BACKLOG);
  expect(deathAt).toBeLessThan(DURABLE_MAX);
});
