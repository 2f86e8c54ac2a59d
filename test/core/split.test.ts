/** A block that is proven whole, or in two or four pieces where provers say that it is too large. */
import { describe, expect, it } from "vitest";
import { blockStatus } from "../../src/core/lifecycle.ts";
import { checkCertificate, encodeCertificate } from "../../src/protocol/certificate.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { blockAt, equation } from "./harness.ts";
import { certifiedHeights, Net } from "./net.ts";
import { certificatesOf, contentAt, expectOneStory } from "./stories.ts";

const NAMES = ["a", "b", "c", "d"];
const times = { leaseMs: 2000, limitMs: 20_000 };

/** Ranges of one, two or four pieces, each wrapped, and what joins them. */
function ranges(attempts?: number): Partial<ManifestJson> {
  const proven = { system: "mock", key: "mock", ...times };
  const stages: StageJson[] = [
    { name: "range", ...proven, tasks: { split: [1, 2, 4] }, ...(attempts === undefined ? {} : { attempts }) },
    { name: "wrap", ...proven, tasks: { each: "range" } },
    { name: "join", ...proven, tasks: { takes: "wrap" } },
  ];
  return { workflows: { block: { window: 2, stages } } };
}

/** Tasks of the range by level: 0; 1 and 2; 3 to 6. */
const [WHOLE, HALVES] = [0, [1, 2]];

function netOf(tooLarge: readonly number[], attempts?: number): Net {
  const net = new Net(NAMES, ranges(attempts));
  net.failing = ({ stage, index }) => (stage === "range" && tooLarge.includes(index) ? "job.too-large" : null);
  return net;
}

function named(net: Net, height = 1): string[] {
  return contentAt(net.core("a"), height).tasks.map(({ stage, index }) => `${stage}/${index}`);
}

describe("a block that may be split", () => {
  it("is proven whole where that works, and nobody begins a piece", () => {
    const net = netOf([]);
    net.mine(blockAt(1));
    expect(named(net)).toEqual(["range/0", "wrap/0", "join/0"]);
    const claims = net.cores.flatMap((core) => core.said().filter((line) => line.startsWith("claim")));
    expect(claims).toHaveLength(3);
  });

  it("is proven in two pieces once all provers have said that it is too large", () => {
    const net = netOf([WHOLE]);
    net.mine(blockAt(1));
    net.pass(3000);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
    expect(named(net)).toEqual(["range/1", "range/2", "wrap/1", "wrap/2", "join/1"]);
    for (const core of net.cores) {
      expect(core.reports("block.split")).toMatchObject([{ height: 1, stage: "range", level: 1, pieces: 2 }]);
      expect(core.refusals()).toEqual([]);
      expect(core.state.working.size).toBe(0);
    }
    // Each prover has tried the whole once.
    const failures = net.cores.flatMap((core) => core.said().filter((line) => line.startsWith("fail")));
    expect(failures).toHaveLength(4);
  });

  it("is proven in four pieces where one of two is too large, and what runs of the other stops", () => {
    const net = netOf([WHOLE, 1]);
    net.hangs = ({ stage, index }) => stage === "range" && index === 2;
    net.mine(blockAt(1));
    net.pass(5000);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
    const pieces = ["range/3", "range/4", "range/5", "range/6"];
    expect(named(net)).toEqual([...pieces, ...pieces.map((name) => name.replace("range", "wrap")), "join/2"]);
    const cancelled = net.cores.flatMap((core) => core.effects.filter(({ kind }) => kind === "cancel"));
    // A second prover has begun it once the lease of the first was over.
    const stopped = { task: { stage: "range", index: 2 } };
    expect(cancelled).toMatchObject([stopped, stopped]);
  });

  it("is put into quarantine where its smallest pieces fail", () => {
    const net = netOf([WHOLE, ...HALVES, 5]);
    net.mine(blockAt(1));
    net.pass(8000);
    const [a] = net.cores;
    const block = a?.block(blockAt(1));
    const tasks = a !== undefined && block !== undefined ? blockStatus(a.state, block).tasks : [];
    expect(tasks.map(({ stage, index, state }) => `${stage}/${index} ${state}`)).toEqual([
      "range/3 complete",
      "range/4 complete",
      "range/5 quarantined",
      "range/6 complete",
      "wrap/3 complete",
      "wrap/4 complete",
      "wrap/5 waiting",
      "wrap/6 complete",
      "join/2 waiting",
    ]);
  });

  it("is split as well where a piece fails too often on the machines", () => {
    const net = netOf([WHOLE], 4);
    net.isLogical = false;
    net.mine(blockAt(1));
    net.pass(20_000);
    expect(named(net)).toContain("join/1");
  });

  it("stays whole where all provers but one say that it is too large", () => {
    const net = netOf([]);
    const refused = new Map<string, number>();
    net.failing = ({ stage, index, block }) => {
      const count = refused.get(block) ?? 0;
      if (stage !== "range" || index !== 0 || count === 3) return null;
      refused.set(block, count + 1);
      return "job.too-large";
    };
    for (let height = 1; height <= 3; height++) net.mine(blockAt(height));
    net.pass(3000);
    for (const height of [1, 2, 3]) expect(named(net, height)).toEqual(["range/0", "wrap/0", "join/0"]);
  });

  it("tells every node the same, in whatever order its log is heard", () => {
    const net = netOf([WHOLE, 2]);
    net.mine(blockAt(1));
    net.mine(blockAt(2));
    net.pass(6000);
    expectOneStory(net, certificatesOf(net.core("a")));
    const levels = (core: { state: Net["cores"][number]["state"] }) =>
      [...core.state.blocks.values()]
        .map(({ height, level }) => ({ height, level }))
        .sort((x, y) => x.height - y.height);
    expect(JSON.parse(expectOneStory(net, [], levels))).toMatchObject([{ level: 2 }, { level: 2 }]);
  });
});

describe("the certificate of a block that may be split", () => {
  it("names the tasks of one level, all of them and no other's", () => {
    const net = netOf([WHOLE]);
    net.mine(blockAt(1));
    net.pass(3000);
    const content = contentAt(net.core("a"), 1);
    const check = (change: (tasks: typeof content.tasks) => typeof content.tasks) => {
      const bytes = encodeCertificate({ ...content, tasks: change([...content.tasks]) }, []);
      const checked = checkCertificate(net.manifest, bytes, equation);
      return checked.ok ? "ok" : `${checked.code}: ${checked.message}`;
    };
    expect(check((tasks) => tasks)).toMatch(/^certificate\.quorum/);
    const renamed = (from: string, index: number) => (tasks: typeof content.tasks) =>
      tasks.map((task) => (`${task.stage}/${task.index}` === from ? { ...task, index } : task));
    expect(check(renamed("join/1", 0))).toBe(
      'certificate.tasks: tasks[4] belongs to another than output 1 of stage "join"',
    );
    expect(check(renamed("range/2", 3))).toMatch(/^certificate\.tasks: tasks\[1\]/);
    expect(check((tasks) => tasks.slice(0, 4))).toMatch(/^certificate\.tasks: /);
    expect(check((tasks) => tasks.filter(({ index, stage }) => index !== 2 || stage === "join"))).toMatch(
      /^certificate\.tasks: /,
    );
  });
});
