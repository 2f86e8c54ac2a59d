import { describe, expect, it } from "vitest";
import { contentOf } from "../../src/core/barrier.ts";
import { blockStatus, openTasks, taskStatus } from "../../src/core/lifecycle.ts";
import { checkCertificate, encodeCertificate } from "../../src/protocol/certificate.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { blockAt, equation, LISTED } from "./harness.ts";
import { certifiedHeights, Net, summary } from "./net.ts";
import { certificatesOf, contentAt, expectOneStory } from "./stories.ts";

const NAMES = ["a", "b", "c", "d"];
const ZKVMS = ["mock-one", "mock-two", "mock-three"];

const stage = (name: string, change: Partial<StageJson>): StageJson => {
  return { name, system: "mock", key: "mock", tasks: {}, leaseMs: 2000, limitMs: 20_000, ...change };
};

/** Three proof systems on every block. */
function zkvms(collect: StageJson["collect"]): StageJson {
  const variants = ZKVMS.map((system) => ({ system, key: system }));
  return { name: "prove", variants, tasks: {}, collect, leaseMs: 2000, limitMs: 20_000 };
}

function workflow(...stages: StageJson[]): Partial<ManifestJson> {
  const systems = ["mock", ...ZKVMS];
  const entry = (system: string) => [system, { system, verifyingKey: "bW9jaw==", files: {} }] as const;
  return { workflows: { block: { window: 2, stages } }, keys: Object.fromEntries(systems.map(entry)) };
}

const RECOMPUTED: Partial<StageJson> = { system: undefined, key: undefined, executor: "cut", verify: "recompute" };

const anything = () => ["mock", ...ZKVMS];

/** The certificate of a height, checked as anybody would, and the tasks that it names. */
function named(net: Net, height: number): string[] {
  const { tasks } = contentAt(net.core("a"), height);
  return tasks.map(({ stage: name, index, system }) => `${name}/${index} ${system}`);
}

describe("several proof systems on one block", () => {
  it("are tasks with owners of their own, and the barrier waits for all of them where all are asked for", () => {
    const net = new Net(NAMES, workflow(zkvms("match")), anything);
    net.hangs = ({ index }) => index === 2;
    net.mine(blockAt(1));
    expect(certifiedHeights(net.core("a"))).toEqual([]);
    net.release();
    expect(named(net, 1)).toEqual(["prove/0 mock-one", "prove/1 mock-two", "prove/2 mock-three"]);
    const claims = net.cores.flatMap((core) => core.said().filter((line) => line.startsWith("claim")));
    expect(claims).toHaveLength(3);
  });

  it("of which two are enough are certified with two, and the slow third is recorded when it comes", () => {
    const net = new Net(NAMES, workflow(zkvms({ any: 2, of: "families" })), anything);
    net.hangs = ({ index }) => index === 1;
    net.mine(blockAt(1));
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
    expect(named(net, 1)).toEqual(["prove/0 mock-one", "prove/2 mock-three"]);
    const third = () => net.core("a").block(blockAt(1)).tasks[1];
    const before = third();
    expect(before && taskStatus(net.core("a").state, before).state).toBe("optional");
    // An operator sees that it is still worked on, and that nothing waits for it.
    const owed = { height: 1, stage: "prove", index: 1, state: "optional" };
    for (const core of net.cores) expect(openTasks(core.state)).toMatchObject([owed]);
    net.release();
    for (const core of net.cores) expect(openTasks(core.state)).toEqual([]);
    expect(net.core("a").reports("task.late")).toHaveLength(1);
    const after = third();
    expect(after && taskStatus(net.core("a").state, after).state).toBe("complete");
    // The prover whose attempt it was is credited like any other.
    for (const core of net.cores) {
      expect(core.said().filter((line) => line.startsWith("attest prove/1"))).toHaveLength(1);
      expect(core.refusals()).toEqual([]);
      expect(core.state.working.size).toBe(0);
    }
  });

  it("go on where one of them fails everywhere, and stop its prover once its time is over", () => {
    const net = new Net(NAMES, workflow(zkvms({ any: 2, of: "families" })), anything);
    net.failing = ({ index }) => (index === 0 ? "zkvm.broken" : null);
    for (let height = 1; height <= 4; height++) net.mine(blockAt(height));
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1, 2, 3, 4]);
    expect(named(net, 4)).toEqual(["prove/1 mock-two", "prove/2 mock-three"]);
    // What nobody works on any more is not to be waited for.
    for (const core of net.cores) expect(openTasks(core.state)).toEqual([]);
    net.failing = () => null;
    net.hangs = ({ index }) => index === 0;
    net.mine(blockAt(5));
    expect(openTasks(net.core("a").state)).toMatchObject([{ height: 5, index: 0, state: "optional" }]);
    net.pass(21_000, 500);
    expect(openTasks(net.core("a").state)).toEqual([]);
    expect(net.cores.flatMap((core) => core.take("cancel"))).toHaveLength(1);
    for (const core of net.cores) expect(core.state.working.size).toBe(0);
  });

  it("come after what their block waits for, once they are not needed any more", () => {
    const net = new Net(
      ["a"],
      workflow(zkvms({ any: 1, of: "families" }), stage("join", { tasks: { takes: "prove" } })),
      anything,
    );
    // By the time the first proof is verified the only slot works on the second.
    net.hangs = ({ index }) => index === 1;
    net.mine(blockAt(1));
    net.release();
    const started = net
      .core("a")
      .reports("task.started")
      .map(({ stage: name, index }) => `${String(name)}/${String(index)}`);
    expect(started.slice(0, 3)).toEqual(["prove/0", "prove/1", "join/0"]);
    expect(certifiedHeights(net.core("a"))).toEqual([1]);
  });

  it("are proven by whoever can: who owns what it cannot prove gives it on at once", () => {
    const can: Readonly<Record<string, string>> = { a: "mock-one", b: "mock-two", c: "mock-three" };
    const net = new Net(NAMES, workflow(zkvms("match")), (name) => [can[name] ?? "nothing"]);
    net.mine(blockAt(1));
    expect(certifiedHeights(net.core("a"))).toEqual([1]);
    const said = net.cores.flatMap((core) => core.said());
    expect(said.filter((line) => line.startsWith("release")).length).toBeGreaterThan(0);
    expect(said.filter((line) => line.startsWith("timeout") && !/released|others/.test(line))).toEqual([]);
  });

  it("that nobody can prove do not flood the log: each gives them on once and the claim windows do the rest", () => {
    const net = new Net(NAMES, workflow(zkvms({ any: 2, of: "families" })), () => ["mock-one"]);
    net.mine(blockAt(1));
    net.pass(2000);
    const released = net.cores.flatMap((core) => core.said().filter((line) => line.startsWith("release")));
    expect(released).toHaveLength(2 * NAMES.length);
  });

  it("say the same of a log in whatever order it is heard (S6)", () => {
    const net = new Net(
      NAMES,
      workflow(zkvms({ any: 2, of: "families" }), stage("join", { tasks: { takes: "prove" } })),
      anything,
    );
    net.hangs = ({ stage: name, index }) => name === "prove" && index === 1;
    net.mine(blockAt(1));
    net.failing = ({ stage: name, index }) => (name === "prove" && index === 0 ? "zkvm.broken" : null);
    net.hangs = () => false;
    net.release();
    net.mine(blockAt(2));
    net.pass(2000);
    expect(certifiedHeights(net.core("a"))).toEqual([1, 2]);
    // A proof that came after the certificate changes what the content would be, so that one is learned like any file.
    const certificates = certificatesOf(net.core("a"));
    expectOneStory(net, certificates, (core) => {
      expect(core.refusals()).toEqual([]);
      return summary(core);
    });
  });
});

describe("a stage with as many tasks as another's output says", () => {
  const split = stage("split", { ...RECOMPUTED, tasks: {} });
  const step = stage("step", { tasks: { items: "split", max: 10 } });
  const steps = workflow(
    split,
    step,
    stage("wrap", { tasks: { each: "step" } }),
    stage("join", { tasks: { takes: "wrap" } }),
  );
  const able = () => ["mock", "cut"];

  it("begins once the output is accepted, each task with its own item", () => {
    const net = new Net(NAMES, steps, able);
    net.hangs = ({ stage: name }) => name === "split";
    net.mine(blockAt(1));
    expect(net.core("a").block(blockAt(1)).tasks).toHaveLength(22);
    expect(blockStatus(net.core("a").state, net.core("a").block(blockAt(1))).tasks.map((task) => task.stage)).toEqual([
      "split",
      "join",
    ]);
    net.hangs = ({ stage: name }) => name === "step";
    net.release();
    expect([0, 1, 2].map((index) => net.hanging("step", index)?.inputs.map(({ item }) => item))).toEqual([
      [0],
      [1],
      [2],
    ]);
    net.hangs = () => false;
    net.release();
    net.pass(2000);
    expect(named(net, 1)).toEqual([
      "split/0 cut",
      ...[0, 1, 2].map((index) => `step/${index} mock`),
      ...[0, 1, 2].map((index) => `wrap/${index} mock`),
      "join/0 mock",
    ]);
    for (const core of net.cores) expect(core.refusals()).toEqual([]);
  });

  it("is certified with the number of its tasks, and with no other", () => {
    const net = new Net(NAMES, steps, able);
    net.mine(blockAt(1));
    net.pass(2000);
    const content = contentOf(net.core("a").state, net.core("a").block(blockAt(1)))?.value;
    if (content === undefined) throw new Error("no content");
    expect(content.tasks.map(({ items }) => items)).toEqual([LISTED, ...Array.from({ length: 7 }, () => undefined)]);
    const check = (items: number | undefined) => {
      const tasks = content.tasks.map((task, at) => (at === 0 ? { ...task, items } : task));
      const checked = checkCertificate(net.manifest, encodeCertificate({ ...content, tasks }, []), equation);
      return checked.ok ? "" : checked.code;
    };
    // The right one lacks nothing but signatures.
    expect([LISTED, 2, 4, 0, 11, undefined].map(check)).toEqual([
      "certificate.quorum",
      ...Array.from({ length: 5 }, () => "certificate.tasks"),
    ]);
  });

  it("says the same of a log in whatever order it is heard (S6)", () => {
    const net = new Net(NAMES, steps, able);
    net.mine(blockAt(1));
    net.mine(blockAt(2));
    net.pass(3000);
    expect(certifiedHeights(net.core("a"))).toEqual([1, 2]);
    expect(expectOneStory(net, [])).not.toContain('"certificate":null');
  });

  it("puts nobody out over a result that others made differently", () => {
    const net = new Net(NAMES, steps, able);
    net.isValid = () => false;
    net.mine(blockAt(1));
    net.pass(1000);
    expect(net.core("a").state.out.size).toBe(0);
    expect(
      net
        .core("a")
        .said()
        .some((line) => line.startsWith("reject split/0")),
    ).toBe(true);
  });
});

describe("a prover that turns out not to work", () => {
  it("has its tasks given on at once, what waits in its queue too, and is used again when it works", () => {
    const net = new Net(["a", "b", "c"], workflow(stage("shard", { tasks: { count: 6 } })));
    net.hangs = () => true;
    net.mine(blockAt(1));
    const a = net.core("a");
    const owned = (lines: readonly string[]) => lines.filter((line) => line.startsWith("claim")).length;
    const queued = [...a.state.working].filter(({ work }) => work?.state === "queued").length;
    expect(queued).toBeGreaterThan(0);
    a.step({ kind: "ability", executor: "mock", isAble: false });
    net.settle();
    expect(a.said().filter((line) => line.startsWith("release"))).toHaveLength(queued);
    const claims = owned(a.said());
    net.hangs = () => false;
    net.mine(blockAt(2));
    net.pass(3000);
    expect(owned(a.said())).toBe(claims);
    a.step({ kind: "ability", executor: "mock", isAble: true });
    net.mine(blockAt(3));
    net.pass(30_000);
    expect(owned(a.said())).toBeGreaterThan(claims);
  });
});

describe("what a stage asks for", () => {
  it("goes to nodes that have it, and in the order of its priority", () => {
    const net = new Net(
      ["a"],
      workflow(
        stage("later", { tasks: { count: 2 }, priority: -1 }),
        stage("first", { tasks: { count: 2 }, priority: 5 }),
        stage("big", { resources: { gpus: 1 } }),
      ),
      () => ["mock"],
      { cpus: 4, gpus: 0, memoryBytes: 1 << 30 },
    );
    net.mine(blockAt(1));
    const started = net
      .core("a")
      .reports("task.started")
      .map(({ stage: name }) => name);
    expect(started).toEqual(["first", "first", "later", "later"]);
    expect(
      net
        .core("a")
        .said()
        .filter((line) => line.startsWith("release")),
    ).toEqual(["release big/0#0"]);
  });

  it("may be given up after fewer attempts than others", () => {
    const net = new Net(["a"], workflow(stage("brittle", { attempts: 2 }), stage("other", {})));
    net.failing = () => "broken";
    net.isLogical = false;
    net.mine(blockAt(1));
    net.pass(3000);
    const quarantined = net.core("a").reports("task.quarantined");
    expect(quarantined).toMatchObject([{ stage: "brittle", index: 0, code: "broken", since: 1 }]);
  });
});

describe("a graph of stages", () => {
  it("runs one to one, and joins what several stages made", () => {
    const net = new Net(
      NAMES,
      workflow(
        stage("shard", { tasks: { shards: 3, itemsMax: 8 } }),
        stage("wrap", { tasks: { each: "shard" } }),
        stage("extra", { tasks: { count: 2 } }),
        stage("join", { tasks: { takes: ["wrap", "extra"] } }),
      ),
    );
    net.hangs = ({ stage: name }) => name === "join";
    net.mine(blockAt(1));
    const joins = net.cores
      .flatMap((core) => core.reports("task.started"))
      .filter(({ stage: name }) => name === "join");
    expect(joins).toHaveLength(1);
    net.release();
    expect(named(net, 1)).toHaveLength(9);
  });

  it("gives a task the outputs of its own number one by one, and all of those that it takes whole", () => {
    const net = new Net(
      ["a"],
      workflow(
        stage("shard", { tasks: { shards: 2, itemsMax: 8 } }),
        zkvms({ any: 2, of: "families" }),
        stage("wrap", { tasks: { each: "shard", takes: "prove" } }),
      ),
      () => ["mock", ...ZKVMS],
    );
    net.hangs = ({ stage: name }) => name === "wrap";
    net.mine(blockAt(1));
    expect(net.hanging("wrap", 0)?.inputs).toHaveLength(3);
  });

  it("may start a task before the others of its stage have their inputs, unless they come in order", () => {
    for (const collect of ["match", "sequential"] as const) {
      const net = new Net(
        NAMES,
        workflow(
          stage("shard", { tasks: { shards: 3, itemsMax: 8 }, collect }),
          stage("wrap", { tasks: { each: "shard" } }),
        ),
      );
      net.hangs = ({ stage: name, index }) => name === "shard" && index === 1;
      net.mine(blockAt(1));
      const claimed = () =>
        net.cores
          .flatMap((core) => core.reports("task.claimed"))
          .flatMap(({ stage: name, index }) => (name === "wrap" ? [Number(index)] : []))
          .sort((a, b) => a - b);
      expect(claimed()).toEqual(collect === "match" ? [0, 2] : [0]);
      net.release();
      expect(claimed()).toEqual([0, 1, 2]);
      expect(certifiedHeights(net.core("a"))).toEqual([1]);
    }
  });
});
