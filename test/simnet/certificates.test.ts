import { describe, expect, test } from "vitest";
import { CertificateChecker } from "../../simnet/checkers/certificates.ts";
import { lostBatches, missingBatches } from "../../simnet/checkers/durability.ts";
import { VoteChecker } from "../../simnet/checkers/votes.ts";
import { blockId } from "../../src/protocol/ids.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import { feedOf, hashOf, signerNamed } from "../protocol/fixtures.ts";

/** What the checkers of a run with real processes must find, or their silence means nothing. */
const NETWORK = hashOf("network");
const ATTESTERS = ["a", "b", "c", "d"].map(signerNamed);
const [ONE, OTHER] = [hashOf("one prover"), hashOf("another prover")] as const;
const PROOF = hashOf("proof");

function announced(height: number) {
  const [hash, parent, payload] = [height, height - 1, 0].map((at) => hashOf(`block ${at}`)) as [
    string,
    string,
    string,
  ];
  return { chain: 7, height, hash, parent, start: height === 1, workflow: "block", items: 0, payload };
}

interface Doctored {
  readonly height?: number;
  readonly parent?: string;
  readonly prover?: string;
  readonly twice?: boolean;
  readonly artefact?: string;
}

function held({ height = 1, parent, prover = ONE, twice = false, artefact = PROOF }: Doctored) {
  const task = { stage: "shard", index: 0, attempt: 0, prover, credited: true, artefact };
  const content = {
    ...announced(height),
    ...(parent === undefined ? {} : { parent }),
    tasks: twice ? [task, task] : [task],
  };
  return { height, certificate: JSON.stringify({ content }) };
}

/** A log in which all attesters credit one prover with the task of each block. */
function logOf(...heights: number[]): VoteChecker {
  const votes = new VoteChecker(
    NETWORK,
    ATTESTERS.map(({ key }) => key),
  );
  for (const signer of ATTESTERS) {
    const entries = heights.map((height): Entry => {
      const block = blockId(NETWORK, announced(height));
      return { kind: "attest", block, stage: "shard", index: 0, attempt: 0, prover: ONE, artefact: PROOF };
    });
    const batches = feedOf(
      NETWORK,
      signer,
      entries.map((entry) => [entry]),
    );
    votes.add(batches.map(({ bytes }) => JSON.stringify({ bytes: Buffer.from(bytes).toString("hex") })).join("\n"));
  }
  return votes;
}

function violationsOf(...nodes: readonly (readonly Doctored[])[]): readonly string[] {
  const checker = new CertificateChecker(NETWORK);
  for (const [index, files] of nodes.entries()) checker.add(`node-${index}`, files.map(held));
  return checker.finish(logOf(1, 2), 1);
}

describe("the checker of certificates", () => {
  test("has nothing to say of two nodes that hold the same chain", () => {
    expect(violationsOf([{ height: 1 }, { height: 2 }], [{ height: 1 }, { height: 2 }])).toEqual([]);
  });

  test.each<readonly [what: string, says: string, nodes: readonly (readonly Doctored[])[]]>([
    ["two nodes that hold different ones", "S1: height 1: node-1", [[{}], [{ prover: OTHER }]]],
    ["one whose parent is not certified", "S3: height 2", [[{ height: 2 }]]],
    ["one that follows another block", "S3: height 2", [[{}, { height: 2, parent: hashOf("fork") }]]],
    ["one that names a task twice", "names a task twice", [[{ twice: true }]]],
    ["a credit that the log gives to somebody else", "is credited to", [[{ prover: OTHER }]]],
    ["a proof that no quorum vouches for", "S2: 1/shard/0", [[{ artefact: hashOf("another proof") }]]],
  ])("finds %s", (_what, says, nodes) => {
    expect(violationsOf(...nodes)).toEqual(expect.arrayContaining([expect.stringContaining(says)]));
  });
});

describe("the checker of durability", () => {
  const { key } = signerNamed("a");
  const log = new Map([[key, new Map([[3, "three"]])]]);
  const retention = { certified: 1, blocks: 64 };

  test("looks for every batch that others have heard", () => {
    expect(lostBatches(key, [log], log, retention, logOf(1))).toEqual({ lookedFor: 1, violations: [] });
  });

  test.each([
    ["a batch that is gone", new Map([[key, new Map<number, string>()]])],
    ["a batch that is another one now", new Map([[key, new Map([[3, "other"]])]])],
  ])("finds %s", (_what, own) => {
    // What this number says is of a block whose retention is not over.
    expect(lostBatches(key, [log], own, retention, logOf(1, 2, 1, 2)).violations).toEqual([
      expect.stringContaining("S5: batch 3"),
    ]);
  });

  test("tells a batch that a stopped node has compacted from one that it has lost", () => {
    const votes = new VoteChecker(NETWORK, []);
    const announce: Entry = { kind: "announce", ...announced(1), round: 0 };
    const release: Entry = { kind: "release", block: blockId(NETWORK, announced(1)), stage: "s", index: 0, attempt: 0 };
    const batches = feedOf(NETWORK, signerNamed("a"), [[announce], [release]]);
    votes.add(batches.map(({ bytes }) => JSON.stringify({ bytes: Buffer.from(bytes).toString("hex") })).join("\n"));
    const common = new Map([[key, new Map([[1, "one"]])]]);
    const nothing = new Map<string, Map<number, string>>();
    expect(missingBatches(common, common, retention, votes)).toEqual({ lost: [], forgotten: 0 });
    expect(missingBatches(common, nothing, retention, votes)).toEqual({ lost: [`${key} 1`], forgotten: 0 });
    const over = { certified: 65, blocks: 64 };
    expect(missingBatches(common, nothing, over, votes)).toEqual({ lost: [], forgotten: 1 });
  });
});
