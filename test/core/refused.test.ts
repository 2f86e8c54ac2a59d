/**
 * Whatever a prover hands in that is not the proof of its task, every attester refuses, and all with the same code: one of
 * its own for each thing that an operator would look for elsewhere. What the proof systems themselves find out, with real
 * proofs, is in `compliance/verifier.ts`.
 */
import { describe, expect, it } from "vitest";
import type { VerifiedResult } from "../../src/core/event.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, valuesOf } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

const NEXT = blockAt(2);
const WRONG: VerifiedResult = { kind: "invalid", code: "proof.equation" };
const VALID: VerifiedResult = { kind: "valid", bytes: 100, possession: new Uint8Array() };

/** The owner of shard 0 hands in something; what the attester says and refuses because of it. */
function seenBy(attester: string, handIn: (test: Subject, owner: string) => void): readonly string[] {
  const test = new Subject({ name: attester });
  test.announce(NEXT);
  test.claimed(0);
  test.core.refusals();
  const before = test.core.said().length;
  handIn(test, test.owner("shard", 0));
  const rejects = test.core
    .said()
    .slice(before)
    .filter((line) => line.startsWith("reject"));
  return [...rejects, ...test.core.refusals()];
}

/** A receipt for shard 0 of the next block, as its owner says it, and a verdict on its proof. */
function handInNext(test: Subject, proof: string): void {
  const task = test.task(0, "shard", NEXT);
  const values = valuesOf(task.block, task.stage, task.index);
  test.hear(test.owner("shard", 0, 0, NEXT), test.receipt(0, proof, 0, { ...task, values }));
  test.core.verdict(task.block, task.stage, task.index, proof, VALID);
}

interface Case {
  readonly code: string;
  readonly what: string;
  readonly handIn: (test: Subject, owner: string) => void;
  /** Whether the attesters vote against it; otherwise it is no receipt at all, or no news. */
  readonly isRejected: boolean;
}

const CASES: readonly Case[] = [
  {
    code: "proof.equation",
    what: "a proof that does not verify",
    isRejected: true,
    handIn: (test, owner) => {
      test.hear(owner, test.receipt(0, "wrong"));
      test.verdict(0, "wrong", WRONG);
    },
  },
  {
    code: "proof.not-canonical",
    what: "a proof with a number that is not its only form",
    isRejected: true,
    handIn: (test, owner) => {
      test.hear(owner, test.receipt(0, "aliased"));
      test.verdict(0, "aliased", { kind: "invalid", code: "proof.not-canonical" });
    },
  },
  {
    code: "receipt.other-task",
    what: "public values of another task of the block",
    isRejected: true,
    handIn: (test, owner) => void test.hear(owner, test.receipt(0, "mixed up", 0, { values: test.values(1, owner) })),
  },
  {
    code: "proof.other-task",
    what: "the proof of another task of the block",
    isRejected: true,
    handIn: (test, owner) => {
      test.hear(test.owner("shard", 1), test.receipt(1, "of shard 1"));
      test.verdict(1, "of shard 1");
      test.hear(owner, test.receipt(0, "of shard 1"));
      test.verdict(0, "of shard 1", WRONG);
    },
  },
  {
    code: "receipt.other-block",
    what: "public values of another block",
    isRejected: true,
    handIn: (test, owner) =>
      void test.hear(owner, test.receipt(0, "stale", 0, { values: test.values(0, owner, "shard", test.id(NEXT)) })),
  },
  {
    code: "proof.other-block",
    what: "the proof of another block",
    isRejected: true,
    handIn: (test, owner) => {
      handInNext(test, "of block 2");
      test.hear(owner, test.receipt(0, "of block 2"));
      test.verdict(0, "of block 2", WRONG);
    },
  },
  {
    code: "receipt.wrong-values",
    what: "public values of nothing that is known",
    isRejected: true,
    handIn: (test, owner) => void test.hear(owner, test.receipt(0, "odd", 0, { values: new Uint8Array(32).fill(7) })),
  },
  {
    code: "receipt.wrong-bytes",
    what: "another length than the proof has",
    isRejected: true,
    handIn: (test, owner) => {
      test.hear(owner, test.receipt(0, "short", 0, { bytes: 99 }));
      test.verdict(0, "short");
    },
  },
  {
    code: "receipt.wrong-key",
    what: "a proof under another key than the stage's",
    isRejected: false,
    handIn: (test, owner) => void test.hear(owner, test.receipt(0, "old key", 0, { key: hashOf("old key") })),
  },
  {
    code: "receipt.replayed",
    what: "a receipt that its prover has signed before",
    isRejected: false,
    handIn: (test, owner) => {
      test.hear(owner, test.receipt(0, "proof"));
      test.hear(owner, test.receipt(0, "proof"));
    },
  },
];

describe("every attester refuses", () => {
  it.each(CASES)("$code: $what", ({ code, handIn, isRejected }) => {
    for (const attester of PARTIES.attesters) {
      const owner = new Subject().owner("shard", 0);
      const expected = isRejected ? [`reject shard/0 ${owner} ${code}`, code] : [code];
      expect(seenBy(attester, handIn), attester).toEqual(expected);
    }
  });

  it("names nobody's proof for a false one, however many tasks it is named for", () => {
    for (const attester of PARTIES.attesters) {
      const seen = seenBy(attester, (test, owner) => {
        test.hear(test.owner("shard", 1), test.receipt(1, "false"));
        test.verdict(1, "false", WRONG);
        test.core.refusals();
        test.hear(owner, test.receipt(0, "false"));
        test.verdict(0, "false", WRONG);
      });
      expect(seen.at(-1)).toBe("proof.equation");
    }
  });

  it("counts the same signed batch once, which is how gossip works and no refusal", () => {
    const test = new Subject();
    const batch = test.batch(test.owner("shard", 0), test.receipt(0, "proof"));
    test.core.hear(batch);
    test.core.refusals();
    test.core.hear(batch);
    expect(test.core.refusals()).toEqual([]);
    const [proof] = test.core.block(blockAt(1)).tasks[0]?.proofs.values() ?? [];
    expect(proof?.receipts.size).toBe(1);
  });

  it("gives each of them a code of its own", () => {
    expect(new Set(CASES.map(({ code }) => code)).size).toBe(CASES.length);
  });
});
