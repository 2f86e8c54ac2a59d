import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  begin,
  createLane,
  delivered,
  descended,
  found,
  type Lane,
  looked,
  type Outcome,
  rested,
  type Step,
  wake,
} from "../../src/core/handover.ts";
import type { Hash } from "../../src/protocol/ids.ts";
import { hashOf, signerNamed } from "../protocol/fixtures.ts";

interface Block {
  readonly height: number;
  readonly content: { readonly hash: Hash };
}

const CERTIFIED_MAX = 8;
const block = (height: number): Block => ({ height, content: { hash: hashOf(`block ${height}`) } });
const FAULT = { ok: false, fault: { code: "down", message: "it is down" } } as const;
const options = { network: hashOf("network"), self: signerNamed("a").key, nodes: [], takeoverMs: 0 };

/** What happens next: to the place, to the chain, and to the answer that is under way. */
const happenings = fc.array(fc.constantFrom("answer", "refuse", "lose", "certify", "go-back"), { maxLength: 200 });

/** A place that takes blocks in order, and a lane that hands them to it. */
class World {
  readonly lane: Lane<Block> = createLane<Block>(options);
  certified = 0;
  /** Blocks 1 to this one are there. */
  newest = 0;
  /** The highest block that the place has acknowledged. */
  acknowledged = 0;
  readonly handed: number[] = [];
  #step: Step<Block> = begin(this.lane, null);

  happen(what: string): void {
    if (what === "certify") {
      if (this.certified < CERTIFIED_MAX) this.certified++;
      const step = wake(this.lane);
      if (step !== null) this.#take(step);
    } else if (what === "go-back") this.newest = Math.max(this.newest - 2, 0);
    else this.#answer(what === "refuse", what === "lose");
  }

  settle(): void {
    for (let turn = 0; turn < 100; turn++) this.#answer(false, false);
  }

  #answer(isRefused: boolean, isLost: boolean): void {
    const { lane } = this;
    const { move } = this.#step;
    switch (move.kind) {
      case "seek": {
        const height = (move.after?.height ?? 0) + 1;
        return this.#take(found(lane, { ok: true, value: height <= this.certified ? block(height) : null }, 0));
      }
      case "look": {
        const { height } = move.block;
        if (height <= this.newest) this.acknowledged = Math.max(this.acknowledged, height);
        const from = this.newest + 1;
        const value = height < from ? "there" : height === from ? "missing" : "behind";
        return this.#take(looked(lane, isRefused ? FAULT : { ok: true, value: { kind: value, from } }, 0));
      }
      case "deliver": {
        this.handed.push(move.block.height);
        expect(move.block.height).toBeLessThanOrEqual(this.newest + 1);
        if (!isRefused) this.newest = Math.max(this.newest, move.block.height);
        if (isRefused || isLost) return this.#take(delivered(lane, FAULT, 0));
        this.acknowledged = Math.max(this.acknowledged, move.block.height);
        return this.#take(delivered(lane, { ok: true, value: undefined }, 0));
      }
      case "descend":
        return this.#take(descended(lane, move.height, { ok: true, value: block(move.height) }, 0));
      case "rest":
        return this.#take(rested(lane));
      case "idle":
        return;
    }
  }

  #take(step: Step<Block>): void {
    this.#step = step;
    const { outcome } = step;
    if (outcome?.kind === "arrived") expect(outcome.block.height).toBeLessThanOrEqual(this.acknowledged);
  }
}

describe("a lane", () => {
  it("hands over every block in order, and its position is never ahead of what the place has acknowledged (L5, S9, SINK-1)", () => {
    fc.assert(
      fc.property(happenings, (story) => {
        const world = new World();
        for (const what of story) world.happen(what);
        world.settle();
        expect(world.lane.last?.height ?? 0).toBe(world.certified);
      }),
    );
  });

  it("waits twice as long after each failure, up to a minute, and a success ends that (SINK-2)", () => {
    const lane = createLane<Block>(options);
    begin(lane, null);
    found(lane, { ok: true, value: block(1) }, 0);
    const pauses = Array.from({ length: 10 }, () => pauseOf(looked(lane, FAULT, 0).outcome));
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    looked(lane, { ok: true, value: { kind: "there" } }, 0);
    found(lane, { ok: true, value: block(2) }, 0);
    expect(pauseOf(looked(lane, FAULT, 0).outcome)).toBe(250);
  });
});

function pauseOf(outcome: Outcome<Block> | undefined): number | null {
  return outcome?.kind === "failed" ? outcome.retryMs : null;
}
