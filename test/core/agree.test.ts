/** Results that nobody verifies, and that count where enough provers agree on them. */
import { describe, expect, it } from "vitest";
import { checkCertificate, encodeCertificate } from "../../src/protocol/certificate.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, equation, keyOf } from "./harness.ts";
import { certifiedHeights, Net } from "./net.ts";
import { certificatesOf, contentAt, expectOneStory } from "./stories.ts";

const NAMES = ["a", "b", "c", "d"];

/** A cut of the block on which two provers have to agree, of three copies; what they say is proven then. */
function agreed(any = 2, copies = 3): Partial<ManifestJson> {
  const times = { leaseMs: 2000, limitMs: 20_000 };
  const cut: StageJson = {
    name: "cut",
    executor: "cut",
    verify: "agree",
    copies,
    tasks: {},
    collect: { any, of: "provers" },
    ...times,
  };
  const prove: StageJson = { name: "prove", system: "mock", key: "mock", tasks: { takes: "cut" }, ...times };
  return { workflows: { block: { window: 2, stages: [cut, prove] } } };
}

function netOf(liars: readonly string[], ...shape: readonly number[]): Net {
  const net = new Net(NAMES, agreed(...shape), () => ["mock", "cut"]);
  net.lies = (prover, { stage }) => stage === "cut" && liars.includes(prover);
  return net;
}

function cutOf(net: Net, height: number) {
  const { tasks } = contentAt(net.core("a"), height);
  const cut = tasks.filter(({ stage }) => stage === "cut");
  return {
    makers: cut.map(({ prover }) => NAMES.find((name) => keyOf(name) === prover) ?? "nobody"),
    results: new Set(cut.map(({ artefact }) => artefact)),
  };
}

describe("a result that provers agree on", () => {
  it("counts once two have made the same, and no attester has to be able to make it", () => {
    const net = netOf([]);
    for (let height = 1; height <= 4; height++) net.mine(blockAt(height));
    net.pass(1000);
    for (const core of net.cores) {
      expect(certifiedHeights(core)).toEqual([1, 2, 3, 4]);
      expect(core.refusals()).toEqual([]);
    }
    const { makers, results } = cutOf(net, 4);
    expect(new Set(makers).size).toBe(2);
    expect(results.size).toBe(1);
  });

  it("REVEAL-4: waits for the second: one result alone is vouched for by nobody (ATTEST-2)", () => {
    const net = netOf([]);
    net.hangs = ({ stage, index }) => stage === "cut" && index > 0;
    net.mine(blockAt(1));
    net.pass(500);
    const votes = net.cores.flatMap((core) => core.said().filter((line) => /^(attest|complete)/.test(line)));
    expect(votes).toEqual([]);
    net.release();
    net.pass(500);
    expect(certifiedHeights(net.core("a"))).toEqual([1]);
  });

  it("is the honest one, whichever prover lies, and nobody vouches for the lie", () => {
    for (const liar of NAMES) {
      const net = netOf([liar]);
      for (let height = 1; height <= 3; height++) net.mine(blockAt(height));
      net.pass(30_000, 250);
      for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1, 2, 3]);
      const [block] = [...net.core("a").state.blocks.values()].filter(({ height }) => height === 3);
      const lie = hashOf(`lie ${block?.id}/cut`);
      expect(cutOf(net, 3).results).not.toContain(lie);
      for (const task of block?.tasks ?? []) expect(task.proofs.get(lie)?.vouchers.size ?? 0).toBe(0);
    }
  });

  it("is found where all copies are taken and no two are alike: each goes on to the next prover", () => {
    for (const liar of NAMES) {
      const net = netOf([liar], 2, 2);
      net.mine(blockAt(1));
      net.pass(60_000, 500);
      for (const core of net.cores) expect(certifiedHeights(core)).toEqual([1]);
      expect(cutOf(net, 1).makers).not.toContain(liar);
    }
  });

  it("is none where fewer agree than have to", () => {
    const net = netOf(["a", "b", "c"], 4, 4);
    net.mine(blockAt(1));
    net.pass(20_000, 500);
    for (const core of net.cores) expect(certifiedHeights(core)).toEqual([]);
  });

  it("is the same for a log in whatever order it is heard (S6)", () => {
    const net = netOf(["b"], 2, 2);
    net.mine(blockAt(1));
    net.pass(30_000, 500);
    const certificates = certificatesOf(net.core("a"));
    expect(certificates).toHaveLength(1);
    expectOneStory(net, certificates);
  });

  it("is one in a certificate", () => {
    const net = netOf([]);
    net.mine(blockAt(1));
    net.pass(500);
    const content = contentAt(net.core("a"), 1);
    const tasks = content.tasks.map((task, at) => (at === 0 ? { ...task, artefact: hashOf("other") } : task));
    const checked = checkCertificate(net.manifest, encodeCertificate({ ...content, tasks }, []), equation);
    expect(checked.ok ? "" : checked.message).toBe(
      'tasks[0] says something else than another of output 0 of stage "cut", on which all have to agree',
    );
  });
});
