/** A chain's blocks proven once more, by another version of its workflow. */
import { describe, expect, it } from "vitest";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { StageJson } from "../../src/protocol/stages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, type Core } from "./harness.ts";
import { Net } from "./net.ts";

const NAMES = ["a", "b", "c", "d"];
const AGAIN = 9;

function stage(name: string, key: string, count: number): StageJson {
  return { name, system: "mock", key, tasks: { count }, leaseMs: 2000, limitMs: 20_000 };
}

/** Two versions of one prover: the second proves the blocks of chain 1 from height 2 on once more. */
const VERSIONS: Partial<ManifestJson> = {
  chains: [
    { id: 1, start: 1, confirmations: 0, workflow: "block" },
    { id: AGAIN, start: 2, confirmations: 0, workflow: "second", reproves: 1 },
  ],
  workflows: {
    block: { window: 2, stages: [stage("prove", "first", 3)] },
    second: { window: 2, stages: [stage("prove", "second", 3)] },
  },
  keys: {
    first: { system: "mock", verifyingKey: "Zmlyc3Q=", files: {} },
    second: { system: "mock", verifyingKey: "c2Vjb25k", files: {} },
  },
};

/** What the nodes' sources tell of a height: on chain 1, and once more where it is proven again. */
function mine(net: Net, height: number, chains: readonly number[]): void {
  const { hash, parent } = blockAt(height);
  for (const chain of chains)
    for (const core of net.live())
      core.step({
        kind: "source-block",
        block: { chain, height, hash, parent, payload: hashOf(`payload ${hash}`), items: 0 },
      });
}

function certified(core: Core): string[] {
  return [...core.state.closed.values()].map(({ chain, height }) => `${chain}/${height}`).sort();
}

function started(core: Core): unknown[] {
  return core.reports("task.started").map(({ chain }) => chain);
}

describe("blocks that are proven once more", () => {
  it("have certificates and credits of their own, under the other version's key", () => {
    const net = new Net(NAMES, VERSIONS);
    for (let height = 1; height <= 3; height++) {
      mine(net, height, height === 1 ? [1] : [1, AGAIN]);
      net.settle();
    }
    net.pass(2000);
    for (const core of net.cores) {
      expect(certified(core)).toEqual(["1/1", "1/2", "1/3", "9/2", "9/3"]);
      expect(core.refusals()).toEqual([]);
    }
    const files = net.core("a").effects.flatMap((effect) => (effect.kind === "certify" ? [effect] : []));
    const keysOf = (chain: number) => {
      const [file] = files.filter((each) => each.chain === chain && each.height === 3);
      const { content } = JSON.parse(Buffer.from(file?.bytes ?? []).toString()) as {
        readonly content: { readonly tasks: readonly { readonly key: string; readonly credited: boolean }[] };
      };
      expect(content.tasks.map(({ credited }) => credited)).toEqual([true, true, true]);
      return new Set(content.tasks.map(({ key }) => key));
    };
    expect(keysOf(1)).toEqual(new Set([net.manifest.keyHashes.get("first")]));
    expect(keysOf(AGAIN)).toEqual(new Set([net.manifest.keyHashes.get("second")]));
  });

  it("come after everything else, and leave claims for what comes up meanwhile", () => {
    const net = new Net(["a"], {
      ...VERSIONS,
      limits: { proofBytesMax: 1 << 20, claimsPerSlotMax: 2, retentionBlocks: 16 },
    });
    const core = net.core("a");
    mine(net, 1, [1]);
    net.settle();
    net.hangs = ({ index }) => index === 0;
    // The copy comes first, and its first task is at work when the block itself is announced.
    mine(net, 2, [AGAIN]);
    net.settle();
    expect(started(core)).toEqual([1, 1, 1, AGAIN]);
    mine(net, 2, [1]);
    net.settle();
    expect(core.said().filter((line) => line.startsWith("claim")).length).toBe(5);
    net.hangs = () => false;
    net.release();
    net.pass(500);
    expect(started(core)).toEqual([1, 1, 1, AGAIN, 1, 1, 1, AGAIN, AGAIN]);
    expect(certified(core)).toEqual(["1/1", "1/2", "9/2"]);
  });

  it("that nobody can prove stop nothing else", () => {
    const net = new Net(NAMES, VERSIONS);
    net.isLogical = false;
    const again = new Set<string>();
    net.failing = ({ block }) => (again.has(block) ? "broken" : null);
    for (let height = 1; height <= 4; height++) {
      mine(net, height, height === 1 ? [1] : [1, AGAIN]);
      for (const block of net.core("a").state.blocks.values()) if (block.chain === AGAIN) again.add(block.id);
      net.settle();
    }
    net.pass(20_000, 250);
    for (const core of net.cores) expect(certified(core)).toEqual(["1/1", "1/2", "1/3", "1/4"]);
  });
});
