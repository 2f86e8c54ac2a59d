import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Fault, Result, SourceBlock, SourceEvent } from "../../src/ports.ts";
import { type BlockHeader, type ChainView, Follower } from "../../src/sources/follow.ts";

/** A chain in memory. A block's hash covers its parent, so an equal hash is an equal past. */
class FakeChain implements ChainView {
  blocks: SourceBlock[] = [];
  readonly orphans: Map<string, SourceBlock> = new Map();
  remembersOrphans = true;
  /** Asked for a block below it by its height, the node answers `null`. */
  prunedBelow = 0;
  fault: Fault | null = null;
  asked = 0;
  /** Called after each answer is chosen: what the chain does between two questions. */
  between: () => void = () => {};
  #salt = 0;

  constructor(length: number) {
    this.extend(length);
  }

  extend(count: number): void {
    for (let index = 0; index < count; index++) {
      const height = this.blocks.length;
      const parent = this.blocks.at(-1)?.hash ?? "0".repeat(64);
      const hash = createHash("sha256").update(`${parent}/${this.#salt}`).digest("hex");
      const block = { chain: 1, height, hash, parent, payload: new Uint8Array(), items: 0 };
      this.blocks.push(block);
      this.orphans.set(hash, block);
    }
  }

  fork(depth: number, length: number): void {
    this.#salt++;
    this.blocks.splice(Math.max(1, this.blocks.length - depth));
    this.extend(length);
  }

  head(): Promise<Result<BlockHeader>> {
    return this.#answer(this.blocks.at(-1)!);
  }
  header(height: number): Promise<Result<BlockHeader | null>> {
    return this.#answer(height < this.prunedBelow ? null : (this.blocks[height] ?? null));
  }
  headerByHash(hash: string): Promise<Result<BlockHeader | null>> {
    const orphan = this.remembersOrphans ? this.orphans.get(hash) : undefined;
    return this.#answer(orphan ?? this.blocks.find((block) => block.hash === hash) ?? null);
  }
  block(height: number): Promise<Result<SourceBlock | null>> {
    return this.#answer(height < this.prunedBelow ? null : (this.blocks[height] ?? null));
  }
  async #answer<T>(value: T): Promise<Result<T>> {
    this.asked++;
    this.between();
    return this.fault === null ? { ok: true, value } : { ok: false, fault: this.fault };
  }
}

interface Run {
  readonly follower: Follower;
  readonly events: SourceEvent[];
  /** The path that the events leave: blocks told and not taken back. */
  readonly path: SourceBlock[];
}

function follow(chain: FakeChain, options: Partial<ConstructorParameters<typeof Follower>[0]> = {}): Run {
  const events: SourceEvent[] = [];
  const path: SourceBlock[] = [];
  const emit = (event: SourceEvent): void => {
    events.push(event);
    if (event.kind === "block") {
      const newest = path.at(-1);
      if (newest !== undefined) {
        expect(event.block.height).toBe(newest.height + 1);
        expect(event.block.parent).toBe(newest.hash);
      }
      path.push(event.block);
    }
    if (event.kind === "retract" && path.length > 0) expect(path.pop()?.hash).toBe(event.hash);
  };
  const all = { chain: 1, start: 0, confirmations: 0, inFlightMax: 4, after: null, ...options };
  return { follower: new Follower(all, chain, emit), events, path };
}

async function settle(follower: Follower): Promise<Fault | null> {
  for (let round = 0; round < 1000; round++) {
    const result = await follower.round();
    if (!result.ok) return result.fault;
    if (result.value === "caught-up") return null;
  }
  throw new Error("the follower does not come to rest");
}

const hashes = (blocks: readonly SourceBlock[]): readonly string[] => blocks.map((block) => block.hash);

describe("a follower", () => {
  test("tells each block once, in order, and no more than are confirmed", async () => {
    const chain = new FakeChain(30);
    const run = follow(chain, { confirmations: 3, start: 5 });
    await settle(run.follower);
    await settle(run.follower);
    expect(run.path.map((block) => block.height)).toEqual(Array.from({ length: 22 }, (_, index) => index + 5));
    chain.extend(1);
    await settle(run.follower);
    expect(run.path.at(-1)?.height).toBe(27);
    expect(run.events.filter((event) => event.kind === "block")).toHaveLength(23);
  });

  test("tells none above what it may tell by now, and goes on as that rises", async () => {
    const chain = new FakeChain(30);
    let until = 9;
    const run = follow(chain, { until: () => until });
    await settle(run.follower);
    expect(run.path.at(-1)?.height).toBe(9);
    // A reorg is seen all the same.
    chain.fork(25, 26);
    await settle(run.follower);
    expect(hashes(run.path)).toEqual(hashes(chain.blocks.slice(0, 10)));
    until = 100;
    await settle(run.follower);
    expect(run.path).toHaveLength(chain.blocks.length);
  });

  describe("source.missing-block: a block that the node must have", () => {
    test("far below the head, with the block where the node's blocks begin", async () => {
      const chain = new FakeChain(30);
      chain.prunedBelow = 20;
      const run = follow(chain, { start: 5 });
      const message = "the node has no block 5, but its head is 29; its blocks begin at 20 (pruned?)";
      expect(await settle(run.follower)).toEqual({ code: "source.missing-block", message });
      expect(await settle(run.follower)).toMatchObject({ message });
      chain.prunedBelow = 5;
      expect(await settle(run.follower)).toBe(null);
      expect(run.path).toHaveLength(25);
    });

    test("near the head is a neighbour that lags, but not for ever", async () => {
      const chain = new FakeChain(30);
      const run = follow(chain, { start: 20 });
      await settle(run.follower);
      chain.extend(1);
      chain.prunedBelow = 31;
      const rounds: (string | null)[] = [];
      for (let round = 0; round < 10; round++) rounds.push((await settle(run.follower))?.code ?? null);
      expect(rounds).toEqual([...Array.from({ length: 9 }, () => null), "source.missing-block"]);
      chain.prunedBelow = 0;
      expect(await settle(run.follower)).toBe(null);
      expect(run.path.at(-1)?.height).toBe(30);
      expect(run.events.every(({ kind }) => kind === "block")).toBe(true);
    });
  });

  test("starts at the head where it is told to", async () => {
    const chain = new FakeChain(30);
    const run = follow(chain, { start: "latest", confirmations: 2 });
    await settle(run.follower);
    expect(run.path.map((block) => block.height)).toEqual([27]);
  });

  for (const depth of [1, 2, 7, 64, 255]) {
    test(`retracts a reorg ${depth} deep, newest first, and tells the new branch`, async () => {
      const chain = new FakeChain(300);
      const run = follow(chain);
      await settle(run.follower);
      const dropped = hashes(chain.blocks.slice(-depth)).toReversed();
      run.events.length = 0;
      chain.fork(depth, depth + 1);
      expect(await settle(run.follower)).toBe(null);
      expect(run.events.filter((event) => event.kind === "retract").map((event) => event.hash)).toEqual(dropped);
      expect(hashes(run.path)).toEqual(hashes(chain.blocks));
    });
  }

  test("sees a reorg to a shorter branch", async () => {
    const chain = new FakeChain(20);
    const run = follow(chain);
    await settle(run.follower);
    chain.fork(5, 2);
    await settle(run.follower);
    expect(hashes(run.path)).toEqual(hashes(chain.blocks));
  });

  test("does not take a head that is behind for a reorg", async () => {
    const chain = new FakeChain(20);
    const run = follow(chain);
    await settle(run.follower);
    const all = chain.blocks;
    chain.blocks = all.slice(0, 12);
    expect(await settle(run.follower)).toBe(null);
    chain.blocks = all;
    await settle(run.follower);
    expect(run.events.every((event) => event.kind === "block")).toBe(true);
    expect(run.events).toHaveLength(20);
  });

  test("follows two branches that replace each other", async () => {
    const chain = new FakeChain(10);
    const run = follow(chain);
    await settle(run.follower);
    const first = [...chain.blocks];
    chain.fork(3, 3);
    const second = [...chain.blocks];
    for (const branch of [second, first, second, first]) {
      chain.blocks = [...branch];
      await settle(run.follower);
      expect(hashes(run.path)).toEqual(hashes(branch));
    }
  });

  test("goes on after a reorg deeper than it remembers, through the orphans that the node knows", async () => {
    const chain = new FakeChain(400);
    const run = follow(chain);
    await settle(run.follower);
    chain.fork(270, 271);
    expect(await settle(run.follower)).toBe(null);
    expect(hashes(run.path)).toEqual(hashes(chain.blocks));
  });

  test("says source.reorg-too-deep where the node has forgotten the orphans, and goes on", async () => {
    const chain = new FakeChain(400);
    chain.remembersOrphans = false;
    const run = follow(chain);
    await settle(run.follower);
    chain.fork(300, 300);
    run.path.length = 0;
    expect((await settle(run.follower))?.code).toBe("source.reorg-too-deep");
    expect(await settle(run.follower)).toBe(null);
    expect(run.events.filter((event) => event.kind === "retract")).toHaveLength(256);
    expect(hashes(run.path)).toEqual(hashes(chain.blocks.slice(400 - 256)));
  });

  test("starts after a block that is still canonical", async () => {
    const chain = new FakeChain(20);
    const run = follow(chain, { after: chain.blocks[11]! });
    await settle(run.follower);
    expect(run.path.map((block) => block.height)).toEqual([12, 13, 14, 15, 16, 17, 18, 19]);
  });

  test("retracts the block it starts after, and its parents, when they are canonical no more", async () => {
    const chain = new FakeChain(100);
    const after = chain.blocks[95]!;
    const dropped = hashes(chain.blocks.slice(92, 96)).toReversed();
    chain.fork(8, 12);
    const run = follow(chain, { after });
    expect(await settle(run.follower)).toBe(null);
    expect(run.events.filter((event) => event.kind === "retract").map((event) => event.hash)).toEqual(dropped);
    expect(hashes(run.path)).toEqual(hashes(chain.blocks.slice(92)));
  });

  test("retracts the block it starts after even if the chain has become shorter", async () => {
    const chain = new FakeChain(100);
    const after = chain.blocks[97]!;
    chain.fork(8, 6);
    const run = follow(chain, { after });
    await settle(run.follower);
    chain.extend(4);
    await settle(run.follower);
    expect(hashes(run.path)).toEqual(hashes(chain.blocks.slice(92)));
  });

  test("tells the last blocks again when it cannot know where a lost branch began", async () => {
    const chain = new FakeChain(200);
    chain.remembersOrphans = false;
    const after = chain.blocks[195]!;
    chain.fork(8, 12);
    const run = follow(chain, { after });
    expect((await settle(run.follower))?.code).toBe("source.reorg-too-deep");
    expect(await settle(run.follower)).toBe(null);
    expect(run.path[0]?.height).toBe(195 - 63);
    expect(run.path.at(-1)?.hash).toBe(chain.blocks.at(-1)?.hash);
  });

  test("says source.behind about a chain that is far shorter than what was told before", async () => {
    const chain = new FakeChain(10);
    const run = follow(chain, { after: { height: 500, hash: "ab".repeat(32) } });
    expect((await settle(run.follower))?.code).toBe("source.behind");
  });

  test("says source.inconsistent about a node whose blocks do not follow each other", async () => {
    const chain = new FakeChain(10);
    const run = follow(chain);
    await settle(run.follower);
    chain.extend(1);
    chain.blocks[10] = { ...chain.blocks[10]!, parent: "cd".repeat(32) };
    expect((await settle(run.follower))?.code).toBe("source.inconsistent");
    expect(run.events.every((event) => event.kind === "block")).toBe(true);
  });

  test("asks at most 40 times to find a common ancestor among 256", async () => {
    const chain = new FakeChain(300);
    const run = follow(chain);
    await settle(run.follower);
    chain.fork(200, 199);
    chain.asked = 0;
    await run.follower.round();
    expect(chain.asked).toBeLessThan(40);
  });

  test("ends on the canonical branch whatever the chain did in between", async () => {
    const move = fc.oneof(
      fc.record({ kind: fc.constant("extend" as const), count: fc.integer({ min: 0, max: 9 }) }),
      fc.record({
        kind: fc.constant("fork" as const),
        depth: fc.integer({ min: 1, max: 12 }),
        count: fc.integer({ min: 0, max: 14 }),
      }),
      fc.record({ kind: fc.constant("fail" as const) }),
    );
    const script = fc.array(fc.tuple(move, fc.integer({ min: 0, max: 6 })), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(script, async (moves) => {
        const chain = new FakeChain(5);
        const run = follow(chain);
        for (const [change, rounds] of moves) {
          if (change.kind === "extend") chain.extend(change.count);
          if (change.kind === "fork") chain.fork(change.depth, change.count);
          chain.fault = change.kind === "fail" ? { code: "source.timeout", message: "" } : null;
          for (let round = 0; round < rounds; round++) await run.follower.round();
        }
        chain.fault = null;
        // A branch that ended below the told one shows itself when it has grown past it.
        chain.extend(40);
        expect(await settle(run.follower)).toBe(null);
        expect(hashes(run.path)).toEqual(hashes(chain.blocks));
      }),
      { numRuns: 300 },
    );
  });

  test("ends on the canonical branch though it changed between any two questions", async () => {
    const move = fc.record({
      questions: fc.integer({ min: 1, max: 6 }),
      depth: fc.integer({ min: 0, max: 6 }),
      count: fc.integer({ min: 1, max: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(move, { maxLength: 20 }), async (moves) => {
        const chain = new FakeChain(5);
        const run = follow(chain);
        const coming = [...moves];
        let questions = 0;
        chain.between = () => {
          const next = coming[0];
          if (next === undefined || ++questions < next.questions) return;
          questions = 0;
          coming.shift();
          chain.fork(next.depth, next.count);
        };
        while (coming.length > 0) await run.follower.round();
        chain.extend(40);
        expect(await settle(run.follower)).toBe(null);
        expect(hashes(run.path)).toEqual(hashes(chain.blocks));
      }),
      { numRuns: 300 },
    );
  });
});
