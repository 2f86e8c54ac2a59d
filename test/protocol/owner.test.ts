import * as fc from "fast-check";
import fs from "node:fs";
import { describe, expect, it } from "vitest";
import { type Candidate, EXACT_MAX, ORDER_MAX, ownerOf, ownersOf } from "../../src/protocol/owner.ts";
import { hashOf } from "./fixtures.ts";

const network = hashOf("network");
const VECTORS = new URL("../vectors/owners.json", import.meta.url);

function candidates(count: number, weightOf: (at: number) => number = () => 1): Candidate[] {
  return Array.from({ length: count }, (_, at) => ({ key: hashOf(`prover ${at}`), weight: weightOf(at) }));
}

function firsts(owners: readonly (readonly string[])[]): string[] {
  return owners.map((order) => order[0] ?? "");
}

const stages = fc.record({
  block: fc.nat(1_000_000).map((at) => hashOf(`block ${at}`)),
  count: fc.integer({ min: 1, max: 24 }),
  weights: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 }),
});

describe("the owners of a stage", () => {
  it("never have more first attempts than their share of the weight rounded up", () => {
    fc.assert(
      fc.property(stages, ({ block, count, weights }) => {
        const all = candidates(weights.length, (at) => weights[at] ?? 1);
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        const first = firsts(ownersOf(network, block, "shard", count, all));
        for (const { key, weight } of all) {
          expect(first.filter((owner) => owner === key).length).toBeLessThanOrEqual(
            Math.ceil((count * weight) / total),
          );
        }
      }),
    );
  });

  it("are all candidates, each once, in every task's order", () => {
    fc.assert(
      fc.property(stages, ({ block, count, weights }) => {
        const all = candidates(weights.length, (at) => weights[at] ?? 1);
        const owners = ownersOf(network, block, "shard", count, all);
        expect(owners).toHaveLength(count);
        for (const order of owners) expect([...order].sort()).toEqual(all.map(({ key }) => key).sort());
      }),
    );
  });

  it("do not depend on the order in which the roster is written", () => {
    fc.assert(
      fc.property(stages, ({ block, count, weights }) => {
        const all = candidates(weights.length, (at) => weights[at] ?? 1);
        expect(ownersOf(network, block, "shard", count, [...all].reverse())).toEqual(
          ownersOf(network, block, "shard", count, all),
        );
      }),
    );
  });

  it("are others for another network, block and stage", () => {
    const all = candidates(16);
    const orders = [
      ownersOf(network, hashOf("block"), "shard", 4, all),
      ownersOf(hashOf("other"), hashOf("block"), "shard", 4, all),
      ownersOf(network, hashOf("other"), "shard", 4, all),
      ownersOf(network, hashOf("block"), "other", 4, all),
    ];
    expect(new Set(orders.map((each) => JSON.stringify(each))).size).toBe(4);
  });

  it("go round again past the last, and are nobody where nobody can prove", () => {
    const [order = []] = ownersOf(network, hashOf("block"), "shard", 1, candidates(3));
    expect([0, 1, 2, 3, 4].map((attempt) => ownerOf(order, attempt))).toEqual([...order, order[0], order[1]]);
    expect(ownersOf(network, hashOf("block"), "shard", 2, [])).toEqual([[], []]);
    expect(ownerOf([], 0)).toBe(null);
  });
});

describe("the owners of copies", () => {
  it("are of each copy others first, as long as there are some, and all in the end", () => {
    fc.assert(
      fc.property(stages, fc.integer({ min: 2, max: 4 }), ({ block, count, weights }, copies) => {
        const all = candidates(weights.length, (at) => weights[at] ?? 1);
        const keys = all.map(({ key }) => key).sort();
        const owners = ownersOf(network, block, "shard", count * copies, all, copies);
        expect(owners).toHaveLength(count * copies);
        for (const order of owners) expect([...order].sort()).toEqual(keys);
        for (let group = 0; group < count; group++) {
          const orders = owners.slice(group * copies, (group + 1) * copies);
          // As deep as the provers reach, nobody stands in two orders.
          const depth = Math.floor(keys.length / copies);
          const early = orders
            .flatMap((order) => order.slice(0, Math.max(depth, 1)))
            .slice(0, Math.max(keys.length, 1));
          expect(new Set(early).size).toBe(early.length);
        }
      }),
    );
  });

  it("share the load like those of tasks that are none", () => {
    const all = candidates(6);
    const first = firsts(ownersOf(network, hashOf("block"), "shard", 12, all, 3));
    for (const { key } of all) expect(first.filter((owner) => owner === key)).toHaveLength(2);
  });
});

describe("a prover that leaves", () => {
  /** Of a thousand first attempts: those of the prover that left, and what happened to the others'. */
  function departure(provers: number, tasks: number): { own: number; kept: number; moved: number } {
    const all = candidates(provers);
    const count = { own: 0, kept: 0, moved: 0 };
    for (let at = 0; at < 1000 / tasks; at++) {
      const block = hashOf(`block ${at}`);
      const before = firsts(ownersOf(network, block, "shard", tasks, all));
      const after = firsts(ownersOf(network, block, "shard", tasks, all.slice(1)));
      before.forEach((owner, index) => {
        if (owner === all[0]?.key) count.own++;
        else if (owner === after[index]) count.kept++;
        else count.moved++;
      });
    }
    return count;
  }

  it("moves its own tasks, and of the others' as many as the bounded load has to move: most where every prover is full", () => {
    expect(departure(8, 1).moved).toBe(0);
    expect(departure(8, 4)).toEqual({ own: 135, kept: 837, moved: 28 });
    // As many tasks as provers: each has exactly one, and the departure gives everybody room for two.
    expect(departure(8, 8)).toEqual({ own: 125, kept: 549, moved: 326 });
    expect(departure(4, 20)).toEqual({ own: 250, kept: 690, moved: 60 });
  });

  it("leaves the rest of every order as it was, where no load bound the first", () => {
    const all = candidates(6);
    for (let at = 0; at < 50; at++) {
      const block = hashOf(`block ${at}`);
      const [before = []] = ownersOf(network, block, "shard", 1, all);
      const [after = []] = ownersOf(network, block, "shard", 1, all.slice(1));
      expect(after).toEqual(before.filter((key) => key !== all[0]?.key));
    }
  });
});

describe("weights", () => {
  it("decide how often a prover is first, in proportion", () => {
    const weights = [1, 2, 4, 1];
    const all = candidates(4, (at) => weights[at] ?? 1);
    const first = Array.from(
      { length: 1600 },
      (_, at) => ownersOf(network, hashOf(`w ${at}`), "shard", 1, all)[0]?.[0],
    );
    const shares = all.map(({ key }) => first.filter((owner) => owner === key).length / 200);
    shares.forEach((share, at) => expect(Math.abs(share - (weights[at] ?? 1))).toBeLessThan(0.35));
  });
});

describe("a roster of thousands", () => {
  const all = candidates(4096);
  const block = hashOf("block");

  it("is dealt 64 tasks with one hash for each member and task, and not for each pair of both", () => {
    const cpuMs = () => {
      const before = process.cpuUsage();
      ownersOf(network, block, "shard", 64, all);
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    };
    // 3,500 ms before. The best of a few, because the compiler works at first.
    expect(Math.min(...Array.from({ length: 5 }, cpuMs))).toBeLessThan(150);
  });

  it("has orders of the first few, each member once, that do not depend on how the roster is written", () => {
    for (const copies of [1, 2]) {
      const orders = ownersOf(network, block, "shard", 16, all, copies);
      expect(orders).toHaveLength(16);
      for (const order of orders) {
        expect(new Set(order).size).toBe(order.length);
        expect(order.length).toBeGreaterThanOrEqual(ORDER_MAX);
        expect(order.length).toBeLessThanOrEqual(copies * (ORDER_MAX * copies + copies));
      }
      expect(ownersOf(network, block, "shard", 16, [...all].reverse(), copies)).toEqual(orders);
      expect(new Set(firsts(orders)).size).toBe(16);
    }
  });

  it("deals nobody more than its share rounded up, also where a stage has more tasks than the roster has members", () => {
    const some = candidates(EXACT_MAX + 1, (at) => 1 + (at % 3));
    const total = some.reduce((sum, { weight }) => sum + weight, 0);
    const first = firsts(ownersOf(network, block, "shard", 500, some));
    for (const { key, weight } of some)
      expect(first.filter((owner) => owner === key).length).toBeLessThanOrEqual(Math.ceil((500 * weight) / total));
  });

  it("draws by weight, and for each task anew", () => {
    const some = candidates(100, (at) => (at < 50 ? 1 : 3));
    const heavy = new Set(some.slice(50).map(({ key }) => key));
    const leaders = Array.from(
      { length: 800 },
      (_, at) => ownersOf(network, hashOf(`w ${at}`), "shard", 1, some)[0]?.[0],
    );
    expect(Math.abs(leaders.filter((key) => heavy.has(key ?? "")).length / 800 - 0.75)).toBeLessThan(0.05);
    expect(new Set(leaders).size).toBeGreaterThan(90);
    const [one = [], two = []] = ownersOf(network, block, "shard", 2, all);
    expect(one.filter((key) => two.includes(key)).length).toBeLessThan(4);
  });

  it("has members of every group in its orders, however many there are of another", () => {
    const rare = new Set(all.slice(0, 4).map(({ key }) => key));
    const grouped = all.map((each) => ({ ...each, group: rare.has(each.key) ? 0 : 1 }));
    for (const order of ownersOf(network, block, "shard", 8, grouped))
      expect(order.filter((key) => rare.has(key))).toHaveLength(4);
  });
});

describe("the frozen vectors", () => {
  it("are what this code computes: a node that computes others cannot take part", () => {
    const frozen = JSON.parse(fs.readFileSync(VECTORS, "utf8")) as {
      block: string;
      stage: string;
      count: number;
      candidates: Candidate[];
      owners: string[][];
    }[];
    expect(frozen.length).toBeGreaterThan(3);
    for (const each of frozen) {
      expect(ownersOf(network, each.block, each.stage, each.count, each.candidates)).toEqual(each.owners);
    }
  });
});
