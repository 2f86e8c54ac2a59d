/** Stages that a function of the network's own closes. */
import { describe, expect, it, vi } from "vitest";
import { contentOf } from "../../src/core/barrier.ts";
import { checkCertificate, encodeCertificate } from "../../src/protocol/certificate.ts";
import { type CollectedTask, guardSelect } from "../../src/protocol/custom.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, equation } from "./harness.ts";
import { certifiedHeights, Net, summary } from "./net.ts";
import { certificatesOf, contentAt, expectOneStory } from "./stories.ts";

const NAMES = ["a", "b", "c", "d"];
const SHA256 = hashOf("module");

/** Five tasks, of which the function says which close the stage; what those made is joined. */
function network(run: (tasks: readonly CollectedTask[]) => unknown, complain: (why: string) => void = () => {}): Net {
  const times = { leaseMs: 2000, limitMs: 20_000 };
  const sample: StageJson = {
    name: "sample",
    system: "mock",
    key: "mock",
    tasks: { count: 5 },
    collect: { custom: "some", sha256: SHA256 },
    ...times,
  };
  const join: StageJson = { name: "join", system: "mock", key: "mock", tasks: { takes: "sample" }, ...times };
  const change: Partial<ManifestJson> = { workflows: { block: { window: 2, stages: [sample, join] } } };
  const selects = new Map([[SHA256, guardSelect(run, complain)]]);
  return new Net(NAMES, change, () => ["mock"], undefined, selects);
}

/** The last two of those that are there, once there are three. */
function lastTwo(tasks: readonly CollectedTask[]): readonly number[] | null {
  const made = tasks.filter(({ output }) => output !== null).map(({ index }) => index);
  return made.length < 3 ? null : made.slice(-2);
}

describe("a stage that a function closes", () => {
  it("rests on the tasks that it says, and hands those on", () => {
    const net = network(lastTwo);
    net.hangs = ({ stage, index }) => stage === "join" || index === 1 || index === 4;
    net.mine(blockAt(1));
    net.pass(500);
    expect(net.hanging("join", 0)?.inputs).toHaveLength(2);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([]);
    net.hangs = ({ stage, index }) => stage === "sample" && (index === 1 || index === 4);
    net.release();
    net.pass(500);
    for (const core of net.cores) {
      expect(certifiedHeights(core)).toEqual([1]);
      expect(core.refusals()).toEqual([]);
    }
  });

  it("is certified with what it chose, and with nothing that cannot be", () => {
    const net = network(lastTwo);
    net.hangs = ({ stage, index }) => stage === "sample" && index === 4;
    net.mine(blockAt(1));
    net.pass(1500, 100);
    const content = contentAt(net.core("a"), 1);
    expect(content.tasks.map(({ stage, index }) => `${stage}/${index}`)).toEqual(["sample/2", "sample/3", "join/0"]);
    const [one, two, join] = content.tasks;
    if (one === undefined || two === undefined || join === undefined) throw new Error("three tasks");
    const check = (...tasks: typeof content.tasks) => {
      const checked = checkCertificate(net.manifest, encodeCertificate({ ...content, tasks }, []), equation);
      return checked.ok ? "" : checked.message;
    };
    expect(check(one, two, join)).toMatch(/^signed by weight 0/);
    expect(check(join)).toBe('tasks[0] is of another stage than "sample", of which a function chooses one at least');
    const order = /^tasks\[0\] names task [25] of stage "sample", which is not there or not in order$/;
    expect(check(two, one, join)).toMatch(order);
    expect(check(one, one, join)).toMatch(order);
    expect(check({ ...one, index: 5 }, join)).toMatch(order);
    expect(check({ ...one, system: "other" }, join)).toMatch(/under the manifest's key$/);
  });

  it("stays open where the function throws or says nonsense, and says so once", () => {
    for (const run of [() => Promise.resolve([0]), () => [7], () => expect.unreachable("thrown")]) {
      const complain = vi.fn();
      const net = network(run, complain);
      net.mine(blockAt(1));
      net.pass(2000);
      for (const core of net.cores) expect(certifiedHeights(core)).toEqual([]);
      // All cores here were handed the same function.
      expect(complain).toHaveBeenCalledOnce();
    }
  });

  it("is never closed by a node that was handed no function", () => {
    const net = network(lastTwo);
    net.mine(blockAt(1));
    net.pass(500);
    expect(certifiedHeights(net.core("a"))).toEqual([1]);
    const core = new Net(NAMES, net.manifest.json).observer();
    for (const batch of net.batches) core.hear(batch);
    expect(contentOf(core.state, core.block(blockAt(1)))).toBe(null);
  });

  it("says the same of a log in whatever order it is heard (S6)", () => {
    const net = network(lastTwo);
    net.failing = ({ stage, index }, attempt) => (stage === "sample" && index === 3 && attempt < 2 ? "broken" : null);
    net.isLogical = false;
    net.mine(blockAt(1));
    net.mine(blockAt(2));
    net.pass(5000);
    expect(certifiedHeights(net.core("a"))).toEqual([1, 2]);
    const certificates = certificatesOf(net.core("a"));
    expectOneStory(net, certificates, (core) => [
      summary(core),
      [1, 2].map((height) => contentOf(core.state, core.block(blockAt(height)))?.hash),
    ]);
  });
});
