import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { VirtualReport } from "../../simnet/virtual/options.ts";
import { runVirtual } from "../../simnet/virtual/run.ts";
import type { SimNode } from "../../simnet/virtual/cluster.ts";
import type { Journal, Verifier } from "../../src/ports.ts";
import type { Runtime, RuntimeModules } from "../../src/runtime/runtime.ts";
import { SCENARIOS } from "./scenarios.ts";
import { expectSound } from "./sound.ts";

const CHILD = fileURLToPath(new URL("virtual-child.ts", import.meta.url));

/** What a run must repeat: all but how fast this machine was. */
function repeatable(report: VirtualReport): unknown {
  return { ...report, stepsPerSecond: 0 };
}

function runElsewhere(scenario: string): unknown {
  const env = { ...process.env, TZ: "Asia/Tokyo", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" };
  const flags = ["--hash-seed=20260817", "--max-semi-space-size=1"];
  const child = spawnSync(process.execPath, [...flags, CHILD, scenario], { env, cwd: "/", encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as unknown;
}

describe("the virtual cluster certifies every block everywhere (L1), and breaks no rule on the way, with", () => {
  for (const [name, options] of Object.entries(SCENARIOS))
    it(`${name} (seed ${options.seed})`, () => expectSound(options));

  it("no proof made twice and no attempt lost where nothing goes wrong", () => {
    const report = runVirtual({ seed: 8, nodes: 4, blocks: 12, shards: 3 });
    expect([report.reclaims, report.wastedProofs, report.contentSplits]).toEqual([0, 0, 0]);
  });
});

describe("a node that gets no payload", () => {
  it("learns the certificates from its peers, and lets go of the blocks like the others", () => {
    const nodes = new Map<string, SimNode>();
    const blind = (modules: RuntimeModules, node: SimNode): RuntimeModules => {
      nodes.set(node.name, node);
      if (node.attests) return modules;
      const unavailable = { ok: false, fault: { code: "artefact.unavailable", message: "simulated" } } as const;
      const prepare: Verifier["prepare"] = (_job, done) => modules.clock.after(1, () => done(unavailable));
      return { ...modules, verifier: { ...modules.verifier, prepare } };
    };
    const options = { seed: 11, nodes: 3, attesters: 1, blocks: 40, shards: 1, blockMs: 1500 };
    expect(runVirtual({ ...options, hooks: { modules: blind } }).violations).toEqual([]);
    for (const { name, runtime } of nodes.values())
      expect([name, runtime?.state.blocks.size ?? 99].join()).toMatch(/,[12]?\d$/);
  });
});

describe("a network whose power fails", () => {
  it("goes on, though its journals hold no more of the past than its stores: what is gone is no gap", () => {
    const nodes = new Map<string, SimNode>();
    const compacting = ({ journal, ...modules }: RuntimeModules, node: SimNode): RuntimeModules => {
      nodes.set(node.name, node);
      const large: Journal = {
        load: () => journal.load(),
        append: (records, done) => journal.append(records, done),
        compact: (floor, records, done) => journal.compact(floor, records, done),
        size: () => Number.MAX_SAFE_INTEGER,
      };
      return { ...modules, journal: large };
    };
    const options = { seed: 7, nodes: 4, blocks: 26, shards: 1, blockMs: 400, outageEveryMs: 8_000 };
    const report = runVirtual({ ...options, hooks: { modules: compacting } });
    expect([report.violations, report.crashes]).toEqual([[], 1]);
    for (const { name, runtime, starts } of nodes.values())
      expect([name, starts, runtime?.state.log.gaps]).toEqual([name, 2, 0]);
  });
});

describe("a run is its seed", () => {
  const scenario = "nodes that die all the time";
  const options = SCENARIOS[scenario];
  if (options === undefined) throw new Error("no scenario");
  const first = runVirtual(options);
  const here = repeatable(first);

  it("twice in one process", () => expect(repeatable(runVirtual(options))).toEqual(here));

  it("and in a process with another time zone, language, working directory, heap and hash seed", () => {
    expect(runElsewhere(scenario)).toEqual(here);
  });

  it("and another seed is another run", () => {
    expect(runVirtual({ ...options, blocks: 2, seed: 99 }).traceHash).not.toBe(first.traceHash);
  });
});

/** A canary: a node broken on purpose. A checker that does not see it would not see a real mistake either. */
describe("a node that comes back and has forgotten", () => {
  const options = {
    seed: 1,
    nodes: 4,
    blocks: 12,
    shards: 3,
    loss: 0.2,
    delayMs: 200,
    crashEveryMs: 400,
    failing: 0.3,
  };

  it("what it had voted is caught", () => {
    const forget = (runtime: Runtime) => {
      const { locks, pending, options: core } = runtime.state;
      locks.clear();
      // Its votes wait for the tasks of their blocks, and would fill the table again.
      for (const { entries } of pending.values())
        entries.splice(0, entries.length, ...entries.filter(({ signed }) => signed.author !== core.self));
    };
    const caught = [1, 2, 3].map((seed) => runVirtual({ ...options, seed, sabotage: forget }).violations.join());
    for (const violations of caught) expect(violations).toContain("S4");
  });

  it("to ask how far its own feed had come is caught", () => {
    const rush = (runtime: Runtime) => {
      Object.defineProperty(runtime.state, "mute", { get: () => null, set: () => {} });
    };
    const empty = { ...options, loss: 0, delayMs: 50, crashEveryMs: 1000, damage: "empty", blocks: 6 } as const;
    const caught = [1, 2, 3].flatMap((seed) => runVirtual({ ...empty, seed, sabotage: rush }).violations);
    expect(caught.join()).toContain("signed two batches");
  });

  it("how many votes make a quorum is caught", () => {
    const hurry = (runtime: Runtime) => {
      const { manifest } = runtime.state;
      Object.assign(runtime.state, { manifest: { ...manifest, quorum: 2, oneHonest: 1 } });
    };
    const caught = [1, 2, 3].flatMap((seed) => runVirtual({ ...options, seed, sabotage: hurry }).violations);
    expect(caught.join()).toContain("before the timeout certificate");
  });
});
