import { describe, expect, test } from "vitest";
import { Figures } from "../../simnet/local/figures.ts";
import type { LocalNode } from "../../simnet/local/nodes.ts";
import { Watch } from "../../simnet/local/watch.ts";
import { RunFault } from "../../simnet/outcome.ts";

/** What a local run makes of its nodes' log lines. */
function node(name: string): LocalNode {
  return {
    name,
    duty: "attests-and-proves",
    system: null,
    key: `key of ${name}`,
    directory: "",
    port: 0,
    process: null,
    stopped: [],
    http: null,
    complaints: ["its last words"],
  };
}

const [ONE, TWO] = [node("node-0"), node("node-1")] as const;
const TASK = { height: 1, stage: "shard", index: 0 };

type Said = readonly [who: LocalNode, t: number, event: string, fields?: Readonly<Record<string, unknown>>];

function figuresOf(...said: readonly Said[]): Figures {
  const figures = new Figures();
  for (const [who, t, event, fields] of said) figures.take(who, { ...TASK, ...fields, t, event });
  return figures;
}

describe("the figures", () => {
  test("count as wasted what was stopped, died or came second", () => {
    const figures = figuresOf(
      [ONE, 0, "task.started"],
      [ONE, 300, "process.exit"],
      [ONE, 1000, "task.started"],
      [TWO, 1100, "task.started"],
      [TWO, 1500, "task.proved", { provingMs: 400 }],
      [TWO, 1700, "task.complete"],
      [ONE, 1750, "task.complete"],
    );
    // 300 of the one that died, 700 of the one that was overtaken; 400 were of use.
    expect(figures.wasted(new Set(["1/shard/0 key of node-1"]))).toEqual({ proofs: 0, ms: 1000, share: 0.714 });
    expect(figures.wasted(new Set())).toEqual({ proofs: 1, ms: 1400, share: 1 });
  });

  test("say how long attempts were open that nobody claimed, from where each opened", () => {
    const over = { code: "not-claimed" };
    const figures = figuresOf(
      [TWO, 120, "block.opened"],
      [ONE, 100, "block.opened"],
      [TWO, 640, "attempt.over", { ...over, attempt: 0 }],
      [ONE, 620, "attempt.over", { ...over, attempt: 0 }],
      [ONE, 1400, "attempt.over", { ...over, attempt: 1 }],
      [ONE, 9000, "attempt.over", { code: "no-progress", attempt: 2 }],
      [ONE, 9500, "task.complete"],
      [TWO, 9400, "task.complete"],
      [ONE, 9900, "attempt.over", { ...over, attempt: 0, stage: "aggregate" }],
    );
    expect(figures.unclaimed(() => true)).toEqual({ count: 3, p50: 520, p99: 780 });
    expect(figures.unclaimed((from, to) => from >= 620 && to <= 1400)).toEqual({ count: 1, p50: 780, p99: 780 });
    expect(figures.reclaimsByCode()).toEqual({ "not-claimed": 3, "no-progress": 1 });
  });
});

describe("the watch", () => {
  const watchOf = (limitMs: number, controller = new AbortController()) =>
    new Watch(limitMs, controller.signal, () => undefined);
  const fault = async (wait: Promise<unknown>): Promise<RunFault> => {
    const error = await wait.then(
      () => null,
      (reason: unknown) => reason,
    );
    if (error instanceof RunFault) return error;
    throw new Error(`no fault of a run: ${String(error)}`);
  };

  test("ends every wait with the first reason there is", async () => {
    const watch = watchOf(60_000);
    const waits = [fault(watch.until(() => false, "never")), fault(watch.pause(60_000))];
    watch.take(ONE, { t: 0, event: "process.exit" });
    watch.end(new RunFault("safety", "something later"));
    for (const { verdict, message } of await Promise.all(waits))
      expect([verdict, message]).toEqual(["crash", "node-0 ended by itself: its last words"]);
  });

  test("takes an exit that was asked for as none", () => {
    const watch = watchOf(60_000);
    watch.expectExit(ONE);
    watch.take(ONE, { t: 0, event: "process.exit" });
    watch.check();
  });

  test("gives up what does not come, and stops when it is told to", async () => {
    expect((await fault(watchOf(20).until(() => false, "the moon is blue"))).message).toMatch(
      /^L1: nothing moved for 0\.02 s while waiting until the moon is blue$/,
    );
    const controller = new AbortController();
    const waiting = fault(watchOf(60_000, controller).until(() => false, "never"));
    controller.abort();
    expect((await waiting).verdict).toBe("interrupted");
  });

  test.each(["feed.behind", "feed.equivocation", "block.invalid"])("takes %s for a violation", (event) => {
    const watch = watchOf(60_000);
    watch.take(ONE, { t: 0, event });
    expect(watch.violations).toEqual([expect.stringContaining(event)]);
  });

  test("counts a certificate that a killed node holds without having said so", async () => {
    const watch = watchOf(60_000);
    watch.take(ONE, { t: 0, event: "certificate.stored", height: 1 });
    const waiting = watch.until(() => watch.heldBy(ONE).size === 2, "both are there");
    watch.learnHeld(ONE, [1, 2]);
    await waiting;
    expect([...watch.heldBy(ONE)]).toEqual([1, 2]);
  });

  test("knows who is at work, and who took over", () => {
    const watch = watchOf(60_000);
    watch.take(ONE, { ...TASK, t: 0, event: "task.started" });
    expect([...watch.provedBy(ONE)]).toEqual(["1/shard/0"]);
    const since = performance.now();
    watch.take(ONE, { ...TASK, t: 0, event: "task.claimed" });
    expect(watch.claimedMs("1/shard/0", ONE, since)).toBeNull();
    watch.take(TWO, { ...TASK, t: 0, event: "task.claimed" });
    expect(watch.claimedMs("1/shard/0", ONE, since)).toBeGreaterThanOrEqual(since);
    watch.take(TWO, { ...TASK, t: 0, event: "task.complete" });
    expect(watch.provedBy(ONE).size).toBe(0);
    watch.take(ONE, { ...TASK, t: 0, event: "task.started" });
    expect(watch.provedBy(ONE).size).toBe(0);
  });
});
