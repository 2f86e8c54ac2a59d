import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentOf } from "../../src/core/barrier.ts";
import { chosenProof } from "../../src/core/makers.ts";
import { receiptsOf } from "../../src/core/receipts.ts";
import type { Task } from "../../src/core/state.ts";
import type { Batch } from "../../src/protocol/batch.ts";
import type { Entry, EntryOf } from "../../src/protocol/messages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, keyOf, withoutPayee } from "./harness.ts";
import { Subject } from "./subject.ts";

const OTHER_VALUES = { values: new Uint8Array(32).fill(7) };

function taskOf(test: Subject, index = 0): Task {
  const task = test.core.block(blockAt(1)).tasks[index];
  if (task === undefined) throw new Error(`block 1 has no task ${index}`);
  return task;
}

/** The receipts that count, one line each. */
function counted({ core }: Subject, task: Task): string[] {
  const lines = [...task.proofs.values()].flatMap((proof) =>
    receiptsOf(core.state, task, proof).flatMap(([author, { attempt, bytes, provingMs, signed }]) =>
      core.state.out.has(author)
        ? []
        : `${author.slice(0, 8)} ${proof.artefact.slice(0, 8)} #${attempt} ${bytes} ${provingMs} @${signed.number}`,
    ),
  );
  return lines.sort();
}

function excluded({ core }: Subject): string[] {
  return [...core.state.out.values()].map(({ offence, from }) => `${offence} from ${from}`);
}

function hearAll(test: Subject, batches: readonly Batch[], order: readonly number[]): void {
  for (const at of order) test.core.hear(batches[at] as Batch);
}

const shuffled = (count: number) => fc.shuffledSubarray([...Array(count).keys()], { minLength: count });

describe("the proofs that one prover names", () => {
  it("count from its first two of each attempt on by the order of its feed, whatever the order of arrival (RECEIPT-5)", () => {
    const names = [0, 1].flatMap((attempt) => [0, 1, 2, 3].map((at) => [attempt, `proof ${attempt} ${at}`] as const));
    const expected = names.filter(([, name]) => !/[23]$/.test(name)).map(([, name]) => hashOf(name));
    fc.assert(
      fc.property(shuffled(names.length), (order) => {
        const test = new Subject();
        const batches = names.map(([attempt, name]) => test.batch("p", test.receipt(0, name, attempt)));
        hearAll(test, batches, order);
        expect([...taskOf(test).proofs.values()].map(({ artefact }) => artefact).sort()).toEqual(expected.sort());
      }),
      { numRuns: 50 },
    );
  });

  it("count a third time after two wrong ones, in an attempt of its own", () => {
    const test = new Subject();
    for (const [attempt, name] of ["wrong one", "wrong two"].entries()) {
      test.hear("p", test.receipt(0, name, attempt));
      test.verdict(0, name, { kind: "invalid", code: "proof.equation" });
    }
    test.core.take("verify");
    test.hear("p", test.receipt(0, "mended", 2));
    expect(test.core.take("verify")).toMatchObject([{ artefact: hashOf("mended") }]);
    expect(test.core.refusals()).not.toContain("receipt.too-many");
  });

  it("count beyond the first two where attesters of whom one is honest vouch for them", () => {
    const test = new Subject();
    const batches = ["junk one", "junk two", "proof"].map((name) => test.batch("p", test.receipt(0, name)));
    hearAll(test, batches, [2]);
    for (const who of ["b", "c"]) test.hear(who, test.complete(0, "proof"));
    hearAll(test, batches, [0, 1]);
    expect(counted(test, taskOf(test)).filter((line) => line.includes(hashOf("proof").slice(0, 8)))).toHaveLength(1);
    const late = new Subject();
    hearAll(late, batches, [0, 1, 2]);
    expect(counted(late, taskOf(late))).toHaveLength(2);
    for (const who of ["b", "c"]) late.hear(who, late.complete(0, "proof"));
    expect(counted(late, taskOf(late))).toEqual(counted(test, taskOf(test)));
  });
});

describe("two receipts of one prover for one proof", () => {
  /** By what the second one says differently. */
  const offences: readonly (readonly [string, number, Partial<EntryOf<"receipt">>])[] = [
    ["other values", 0, OTHER_VALUES],
    ["another length", 0, { bytes: 99 }],
    ["other values in a later attempt", 1, OTHER_VALUES],
    ["another length in a later attempt", 2, { bytes: 99 }],
  ];
  for (const [what, attempt, change] of offences) {
    it(`with ${what} exclude it from the second on, whichever comes first, and every node says so`, () => {
      for (const order of [
        [0, 1],
        [1, 0],
      ]) {
        const test = new Subject();
        const batches = [test.receipt(0, "proof"), test.receipt(0, "proof", attempt, change)].map((entry) =>
          test.batch("p", entry),
        );
        const lines = order.flatMap((at) => test.core.hear(batches[at] as Batch));
        expect(excluded(test)).toEqual(["two-receipts from 1"]);
        expect(lines.filter((line) => line === "evidence")).toHaveLength(1);
        // Who has not heard the receipts believes what is shown, whoever shows it.
        const [shown] = [...test.core.state.out.values()].map((out): Entry => ({ kind: "evidence", shown: out.shown }));
        const other = new Subject();
        if (shown !== undefined) other.hear("q", shown);
        expect(excluded(other)).toEqual(["two-receipts from 1"]);
        expect(other.core.refusals()).toEqual([]);
      }
    });
  }

  it("with another attempt, another time or without the bytes exclude nobody, and the first one stands (RECEIPT-4)", () => {
    const test = new Subject();
    const again = [
      test.receipt(0, "proof", 0, { provingMs: 11 }),
      test.receipt(0, "proof", 2),
      test.receipt(0, "another", 0, { bytes: 99 }),
    ];
    test.hear("p", test.receipt(0, "proof"));
    for (const entry of again) test.hear("p", entry);
    expect(excluded(test)).toEqual([]);
    expect(test.core.refusals()).toEqual(["receipt.replayed"]);
    expect(counted(test, taskOf(test)).map((line) => line.split(" ").slice(2).join(" "))).toEqual(
      expect.arrayContaining(["#0 100 10 @0", "#2 100 10 @2", "#0 99 10 @3"]),
    );
  });

  it("are held against the first contradiction, however many there are and in whatever order they come (EVIDENCE-7, S6)", () => {
    const said = [0, 0, 1, 0, 2, 1].map((version) => ({ bytes: 100 - version }));
    fc.assert(
      fc.property(shuffled(said.length), (order) => {
        const test = new Subject({ roles: {} });
        const batches = said.map((change, at) => test.batch("p", test.receipt(0, "proof", at % 2, change)));
        hearAll(test, batches, order);
        expect(excluded(test)).toEqual(["two-receipts from 2"]);
      }),
      { numRuns: 100 },
    );
  });
});

describe("receipts and what attesters say of them", () => {
  it("make the same state whatever the order of arrival (S6)", () => {
    const receipt = fc.record({
      kind: fc.constant("receipt" as const),
      who: fc.constantFrom("p", "q"),
      proof: fc.constantFrom("one", "two", "three"),
      attempt: fc.constantFrom(0, 0, 1, 7),
      provingMs: fc.integer({ min: 1, max: 3 }),
      bytes: fc.constantFrom(100, 100, 100, 100, 100, 99),
    });
    const vote = fc.record({
      kind: fc.constantFrom("attest" as const, "complete" as const),
      who: fc.constantFrom("b", "c", "d"),
      proof: fc.constantFrom("one", "two"),
      attempt: fc.constantFrom(0, 1),
      prover: fc.constantFrom("p", "q"),
    });
    const plan = fc.array(fc.oneof(receipt, vote), { minLength: 4, maxLength: 16 });
    const story = (test: Subject) => {
      const task = taskOf(test);
      const chosen = chosenProof(test.core.state, task);
      const { made, credited, proof } = chosen ?? {};
      return {
        excluded: [...test.core.state.out.values()].map(({ offender, from }) => `${offender} ${from}`).sort(),
        counted: counted(test, task),
        chosen: [proof?.artefact, made?.prover, made?.attempt, made?.assigned, made?.bytes, credited],
        complete: task.completeMs !== null,
        content: contentOf(test.core.state, task.block)?.hash,
      };
    };
    let completed = 0;
    fc.assert(
      fc.property(plan, fc.infiniteStream(fc.nat()), (said, random) => {
        const tests = [false, true].map(() => new Subject({ roles: {} }));
        const [inOrder, late] = tests as [Subject, Subject];
        const batches = said.map((each) =>
          inOrder.batch(
            each.who,
            each.kind === "receipt"
              ? inOrder.receipt(0, each.proof, each.attempt, { bytes: each.bytes, provingMs: each.provingMs })
              : each.kind === "attest"
                ? inOrder.attest(0, each.prover, each.proof, each.attempt)
                : inOrder.complete(0, each.proof),
          ),
        );
        for (const batch of batches) inOrder.core.hear(batch);
        const order = batches.map((batch) => ({ batch, at: random.next().value ?? 0 })).sort((x, y) => x.at - y.at);
        for (const { batch } of order) late.core.hear(batch);
        expect(story(late)).toEqual(story(inOrder));
        if (story(inOrder).complete) completed++;
      }),
      { numRuns: 100 },
    );
    expect(completed).toBeGreaterThan(5);
  });
});

describe("a complete task", () => {
  it("opens again where nothing stands for it any more, and is complete again once something does (COMPLETE-3)", () => {
    const test = new Subject({ change: withoutPayee() });
    const [prover, other] = [test.owner("shard", 0), test.other("shard", 0)];
    test.hear(prover, test.receipt(0, "proof"));
    for (const who of ["b", "c", "d"]) test.hear(who, test.complete(0, "proof"));
    const task = taskOf(test);
    expect(task.completeMs).not.toBe(null);
    // The only receipt gets the length wrong, which shows once the proof is here.
    test.verdict(0, "proof", { kind: "valid", bytes: 90, possession: new Uint8Array() });
    expect([task.completeMs, task.output]).toEqual([null, null]);
    test.hear(other, test.receipt(0, "proof", 1, { bytes: 90 }));
    for (const who of ["b", "c", "d"]) test.hear(who, test.complete(0, "proof", "shard", other));
    test.verdict(0, "proof", { kind: "valid", bytes: 90, possession: new Uint8Array() });
    expect(task.completeMs).not.toBe(null);
    expect(chosenProof(test.core.state, task)).toMatchObject({ made: { prover: keyOf(other), bytes: 90 } });
  });

  it("is paid in the attempt that attesters say, whatever its prover's receipts say of it (BARRIER-7)", () => {
    const test = new Subject({ roles: {} });
    const prover = test.owner("shard", 0);
    test.hear(prover, test.receipt(0, "proof", 2), test.receipt(0, "proof", 1));
    for (const who of ["b", "c", "d"]) test.hear(who, test.attest(0, prover, "proof", 0));
    expect(chosenProof(test.core.state, taskOf(test))).toMatchObject({ credited: true, made: { attempt: 0 } });
  });

  it("has the maker that attesters name where its receipt has not come yet, though nobody is out", () => {
    const test = new Subject({ roles: {} });
    const prover = test.owner("shard", 0);
    for (const who of ["b", "c", "d"]) test.hear(who, test.attest(0, prover, "proof"));
    const made = { prover: keyOf(prover), attempt: 0, bytes: null };
    expect(chosenProof(test.core.state, taskOf(test))).toMatchObject({ credited: true, made });
  });
});

describe("a prover that dies between proving and its receipt", () => {
  /** How many of its own last batches the disk has lost, and whether the others have heard of them. */
  const deaths = [
    { when: "before the receipt is durable", lost: 1, sent: false, proves: true },
    { when: "after the receipt is durable and before it is sent", lost: 0, sent: false, proves: false },
    { when: "after the receipt is sent", lost: 0, sent: true, proves: false },
  ];
  const again = [
    { what: "another proof", proof: "second", provingMs: 10 },
    { what: "the same proof in another time", proof: "first", provingMs: 25 },
  ];
  for (const { when, lost, sent, proves } of deaths) {
    it.each(again)(`${when} and then makes $what convicts nobody`, ({ proof, provingMs }) => {
      const name = new Subject().owner("shard", 0);
      const test = new Subject({ name, roles: { prover: true } });
      const attester = new Subject();
      const proved = (what: string, tookMs: number) =>
        test.core.step({
          kind: "proved",
          task: test.task(0),
          attempt: 0,
          proof: {
            artefact: hashOf(what),
            bytes: 100,
            values: test.values(0, name),
            provingMs: tookMs,
            inline: new Uint8Array(5_000),
            possession: new Uint8Array(),
          },
        });
      test.confirm();
      expect(test.core.take("prove").map(({ task }) => task.index)).toContain(0);
      const before = test.core.feed.batches.length;
      expect(proved("first", 10)).toContain("receipt shard/0#0");
      if (lost > 0) test.core.feed.batches.splice(before);
      if (sent) for (const batch of test.core.feed.batches) attester.core.hear(batch);
      test.restart();
      expect(test.core.take("prove").some(({ task }) => task.index === 0)).toBe(proves);
      if (proves) expect(proved(proof, provingMs)).toContain("receipt shard/0#0");
      for (const batch of test.core.feed.batches) attester.core.hear(batch);
      expect(excluded(attester)).toEqual([]);
      expect(excluded(test)).toEqual([]);
      expect(counted(attester, taskOf(attester))).toHaveLength(1);
      expect(attester.core.take("verify")).toMatchObject([{ artefact: hashOf(proves ? proof : "first") }]);
    });
  }

  it("signs no receipt under values other than those that it derives from the block itself (RECEIPT-7)", () => {
    const name = new Subject().owner("shard", 0);
    const test = new Subject({ name, roles: { prover: true } });
    test.confirm();
    const proof = {
      artefact: hashOf("proof"),
      bytes: 100,
      provingMs: 1,
      inline: new Uint8Array(5_000),
      possession: new Uint8Array(),
      ...OTHER_VALUES,
    };
    const said = test.core.step({ kind: "proved", task: test.task(0), attempt: 0, proof });
    expect(said).toEqual(["fail shard/0#0 receipt.wrong-values"]);
  });
});
