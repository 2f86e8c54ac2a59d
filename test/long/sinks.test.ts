/**
 * A registry contract on a real chain, and nodes that hand on to it and are killed.
 *
 * A kill is at a request: before the chain gets it, or after the chain has answered and before the node hears it. Nothing
 * of the node happens afterwards; another process of it comes with the same cursor.
 */
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Store } from "../../src/ports.ts";
import type { DevChain } from "../../src/sources/devchain.ts";
import { NODES, Serving } from "../compliance/sink.ts";
import { chainOf, storeOf } from "../sinks/blocks.ts";
import { openChain, Registry } from "../sinks/evm.ts";
import { Lossy } from "../sinks/lossy.ts";
import { temporaryDirectory } from "../storage/directories.ts";

let chain: DevChain;

beforeAll(async () => {
  chain = await openChain();
});
afterAll(() => chain.close());

/** A node that is killed at given requests of its life, each time before the request or after its answer, and comes back. */
class Mortal {
  deaths = 0;
  requests = 0;
  serving: Serving | null = null;
  readonly #open: () => Serving;
  readonly #dies: (request: number) => "before" | "after" | null;

  private constructor(wire: Lossy, open: () => Serving, dies: (request: number) => "before" | "after" | null) {
    this.#open = open;
    this.#dies = dies;
    wire.drop = () => this.#meet("before");
    wire.lose = () => this.#meet("after");
  }

  static async born(
    registry: Registry,
    node: number,
    nodes: readonly string[],
    store: Store,
    dies: (request: number) => "before" | "after" | null,
  ): Promise<Mortal> {
    const wire = await Lossy.before(chain.url);
    const dir = path.join(temporaryDirectory(), "sinks");
    const open = (): Serving => {
      // What a kill leaves in the pool is mined soon: automine is on.
      const sink = registry.sink(node, { rpc: wire.url, stuckMs: 1000 });
      return new Serving(sink, dir, node, store, { nodes, takeoverMs: 200 });
    };
    const mortal = new Mortal(wire, open, dies);
    mortal.serving = open();
    return mortal;
  }

  /** Resolves when the process that is there then knows that a height is there. */
  async until(height: number): Promise<void> {
    for (;;) {
      const { serving } = this;
      if (serving === null) throw new Error("it was not born");
      await Promise.race([serving.until(height), serving.ended]);
      if (serving === this.serving) return;
    }
  }

  #meet(when: "before" | "after"): boolean {
    if (when === "before") this.requests++;
    if (this.#dies(this.requests) !== when) return false;
    this.deaths++;
    void this.serving?.end();
    this.serving = this.#open();
    return true;
  }
}

test("killed at any request of a block's way, before it or after it, a node records each block once", async () => {
  const store = await storeOf(...chainOf(1, 2));
  const whole = await Mortal.born(await Registry.deploy(chain), 0, [], store, () => null);
  await whole.until(2);
  const requests = whole.requests;
  expect(requests).toBeGreaterThan(10);
  for (let at = 1; at <= requests; at++) {
    for (const when of ["before", "after"] as const) {
      const registry = await Registry.deploy(chain);
      const mortal = await Mortal.born(registry, 0, [], store, (request) => (request === at ? when : null));
      await mortal.until(2);
      expect([at, when, mortal.deaths, await registry.heights()]).toEqual([at, when, 1, [1, 2]]);
    }
  }
});

test("three nodes compete and are killed every so often: fifty blocks are recorded in order, each once", async () => {
  const blocks = chainOf(1, 50);
  const store = await storeOf(...blocks);
  for (const seed of [1, 2, 3]) {
    const registry = await Registry.deploy(chain);
    const mortals: Mortal[] = [];
    for (const [node] of NODES.entries()) {
      let state = seed * 3 + node;
      const dies = (): "before" | "after" | null => {
        // A linear congruential generator (Numerical Recipes): the same deaths in every run of a seed.
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state >>> 16 < 1500 ? (state & 0x8000 ? "before" : "after") : null;
      };
      mortals.push(await Mortal.born(registry, node, NODES, store, once(dies)));
    }
    await Promise.all(mortals.map((mortal) => mortal.until(50)));
    const recorded = await registry.recorded();
    expect(recorded.map(({ height }) => height)).toEqual(blocks.map(({ height }) => height));
    expect(recorded.map(({ hash }) => hash)).toEqual(blocks.map(({ content }) => content.hash));
    expect(recorded.map(({ content }) => content)).toEqual(blocks.map(({ contentHash }) => contentHash));
    const deaths = mortals.reduce((sum, mortal) => sum + mortal.deaths, 0);
    process.stdout.write(
      `seed ${seed}: 50 blocks, ${deaths} deaths, ${mortals.map(({ requests }) => requests).join(", ")} requests\n`,
    );
    expect(deaths).toBeGreaterThan(5);
  }
});

/** Asked twice for one request, before and after; drawn once. */
function once(draw: () => "before" | "after" | null): (request: number) => "before" | "after" | null {
  let drawn: { readonly request: number; readonly what: "before" | "after" | null } = { request: 0, what: null };
  return (request) => {
    if (drawn.request !== request) drawn = { request, what: draw() };
    return drawn.what;
  };
}
