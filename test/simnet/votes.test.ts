import { describe, expect, test } from "vitest";
import type { Batch } from "../../src/protocol/batch.ts";
import { sealBatch } from "../../src/protocol/batch.ts";
import { blockId, ZERO_HASH } from "../../src/protocol/ids.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { VoteChecker } from "../../simnet/checkers/votes.ts";
import { feedOf, hashOf, type Signer, signerNamed } from "../protocol/fixtures.ts";

/** The checker of the kill loop must find what it looks for, or its silence means nothing. */
const NETWORK = hashOf("network");
const ATTESTERS = ["a", "b", "c", "d"].map(signerNamed);
const [FIRST, SECOND] = ATTESTERS as [Signer, Signer, ...Signer[]];
const PROVERS = [hashOf("one prover"), hashOf("another prover")] as const;
const TASK = { block: hashOf("block"), stage: "shard", index: 3 };

const grant = (prover: string, attempt = 0): Entry => ({ ...TASK, kind: "grant", attempt, prover });
const timeout = (attempt = 0): Entry => ({ ...TASK, kind: "timeout", attempt, code: "not-claimed" });
const attest = (prover: string, attempt = 0): Entry => {
  return { ...TASK, kind: "attest", attempt, prover, artefact: hashOf("proof") };
};

/** Blocks 1 and 2 of chain 7, the first one without a parent. */
const announced = (height: number): EntryOf<"announce"> => ({
  kind: "announce",
  chain: 7,
  height,
  hash: hashOf(`block ${height}`),
  parent: hashOf(`block ${height - 1}`),
  workflow: "block",
  payload: hashOf("payload"),
  items: 1,
  start: height === 1,
  round: 0,
});
const idOf = (height: number): string => blockId(NETWORK, announced(height));
const barrier = (height: number): Entry => ({ kind: "barrier", block: idOf(height), content: hashOf(`${height}`) });

function exported(batches: readonly Batch[]): string {
  return batches.map(({ bytes }) => JSON.stringify({ bytes: Buffer.from(bytes).toString("hex") })).join("\n");
}

function violationsOf(...feeds: readonly (readonly Batch[])[]): readonly string[] {
  const checker = new VoteChecker(
    NETWORK,
    ATTESTERS.map(({ key }) => key),
  );
  for (const feed of feeds) checker.add(exported(feed));
  return checker.finish();
}

const feed = (signer: Signer, ...entries: Entry[]): Batch[] =>
  feedOf(
    NETWORK,
    signer,
    entries.map((entry) => [entry]),
  );

describe("the checker of votes", () => {
  test("has nothing to say of a task that is given up once and then assigned and credited", () => {
    const feeds = ATTESTERS.map((signer) => {
      return feed(signer, grant(PROVERS[0]), timeout(), grant(PROVERS[1], 1), attest(PROVERS[1], 1));
    });
    expect(violationsOf(...feeds)).toEqual([]);
  });

  test.each<readonly [what: string, says: string, feeds: readonly (readonly Batch[])[]]>([
    ["two grants of one lock", "two of kind 7", [feed(FIRST, grant(PROVERS[0]), grant(PROVERS[1]))]],
    ["two attests of one lock", "two of kind 12", [feed(FIRST, attest(PROVERS[0]), attest(PROVERS[1]))]],
    ["an attest after a timeout", "attest and timeout", [feed(FIRST, timeout(), attest(PROVERS[0]))]],
    ["a timeout after an attest", "attest and timeout", [feed(FIRST, attest(PROVERS[0]), timeout())]],
    ["a grant after the own timeout", "after its own timeout", [feed(FIRST, timeout(), grant(PROVERS[0]))]],
    [
      "two batches with one number",
      "two batches with number 0",
      [feed(FIRST, grant(PROVERS[0])), feed(FIRST, timeout(1))],
    ],
    [
      "credits of one task in two attempts",
      "two credits",
      ATTESTERS.map((signer) => feed(signer, attest(PROVERS[0], 0), attest(PROVERS[1], 1))),
    ],
    [
      "an attempt that is assigned before the one before it is over",
      "is not over",
      ATTESTERS.map((signer) => feed(signer, grant(PROVERS[1], 1))),
    ],
    [
      "a barrier that is signed before its parent's",
      "S3: ",
      [feed(FIRST, announced(1), announced(2), barrier(2), barrier(1)), feed(SECOND, barrier(1), barrier(2))],
    ],
    ["a feed that does not name the batch before", "does not name", [brokenFeed()]],
    ["a batch signed for another network", "signature", [feedOf(hashOf("other"), FIRST, [[timeout()]])]],
  ])("finds %s", (_what, says, feeds) => {
    expect(violationsOf(...feeds)).toEqual(expect.arrayContaining([expect.stringContaining(says)]));
  });

  test("takes a barrier in the order of the chain, and one whose parent a quorum has signed elsewhere", () => {
    const feeds = ATTESTERS.slice(1).map((signer) => feed(signer, announced(1), announced(2), barrier(1), barrier(2)));
    expect(violationsOf(...feeds, feed(FIRST, barrier(2)))).toEqual([]);
  });

  test("says of a part of a log only what the rest cannot explain", () => {
    const checker = new VoteChecker(
      NETWORK,
      ATTESTERS.map(({ key }) => key),
    );
    for (const signer of ATTESTERS)
      checker.add(exported(feed(signer, grant(PROVERS[1], 1), announced(1), announced(2), barrier(2))));
    expect(checker.finish(new Set(), false)).toEqual([]);
    checker.add(exported(feed(FIRST, timeout(1))));
    expect(checker.finish(new Set(), false)).toContainEqual(expect.stringContaining("two batches with number 0"));
  });

  test("finds an entry that the signed head does not cover", () => {
    const [batch] = feed(FIRST, grant(PROVERS[0]), timeout());
    const bytes = Uint8Array.from(batch?.bytes ?? []);
    const at = bytes.length - 1;
    expect(violationsOf([{ ...(batch as Batch), bytes: bytes.with(at, (bytes[at] ?? 0) ^ 1) }])).toEqual([
      expect.stringContaining("root"),
    ]);
  });
});

function brokenFeed(): Batch[] {
  const [first] = feed(FIRST, timeout(0));
  const next = { author: FIRST.key, number: 1, previous: ZERO_HASH };
  return [first as Batch, sealBatch(NETWORK, next, [timeout(1)], (message) => FIRST.sign(message))];
}
