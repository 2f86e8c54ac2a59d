import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ownerOfAttempt } from "../../src/core/standing.ts";
import { type Batch, voteOf } from "../../src/protocol/batch.ts";
import { openEvidence, showHead } from "../../src/protocol/evidence.ts";
import type { Entry, EntryOf, Vote } from "../../src/protocol/messages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, equation, Feed, keyOf } from "./harness.ts";
import { PARTIES, Subject } from "./subject.ts";

/** What a node says of keys that are out: one line a key. */
function outOf({ core }: Subject): string[] {
  return [...core.state.out.values()]
    .map(({ offender, offence, from }) => `${nameOf(offender)} ${offence} from ${from}`)
    .sort();
}

function nameOf(key: string): string {
  return ["a", "b", "c", "d", "p", "q", "r", "s"].find((name) => keyOf(name) === key) ?? "stranger";
}

function headOf({ headBytes, signature }: Batch): Vote {
  return showHead({ head: headBytes, signature });
}

function evidence(...shown: Vote[]): EntryOf<"evidence"> {
  return { kind: "evidence", shown };
}

const other = (test: Subject, index = 0, attempt = 0) => test.other("shard", index, attempt);
const owner = (test: Subject, index = 0, attempt = 0) => test.owner("shard", index, attempt);

/** Each offence: what its author says, one batch each. */
const OFFENCES: readonly (readonly [string, (test: Subject) => Entry[]])[] = [
  ["two-grants", (test) => [test.grant(0, owner(test)), test.grant(0, other(test))]],
  ["grant-after-timeout", (test) => [test.timeout(0), test.grant(0, owner(test))]],
  ["attest-and-timeout", (test) => [test.attest(0, owner(test), "proof"), test.timeout(0)]],
  ["attest-and-timeout", (test) => [test.timeout(0), test.attest(0, owner(test), "proof")]],
  ["two-attests", (test) => [test.attest(0, owner(test), "proof"), test.attest(0, owner(test), "another")]],
  ["two-attests", (test) => [test.attest(0, owner(test), "proof"), test.attest(0, other(test), "proof")]],
];

describe("evidence is noticed and said for", () => {
  for (const [offence, said] of OFFENCES) {
    const test = new Subject();
    const kinds = said(test).map(({ kind }) => kind);
    it(`${offence}: ${kinds.join(", then ")}, in whatever order they come and in one batch`, () => {
      for (const order of [
        [0, 1],
        [1, 0],
      ]) {
        const subject = new Subject();
        const batches = said(subject).map((entry) => subject.batch("b", entry));
        const lines = order.flatMap((at) => subject.core.hear(batches[at] as Batch));
        expect(outOf(subject)).toEqual([`b ${offence} from 1`]);
        expect(lines.filter((line) => line === "evidence")).toHaveLength(1);
      }
      const subject = new Subject();
      subject.hear("b", ...said(subject));
      expect(outOf(subject)).toEqual([`b ${offence} from 0`]);
    });
  }

  it("two batches with one number, and a batch that goes on from another than its author's (BATCH-12, EVIDENCE-1)", () => {
    const test = new Subject();
    const [one, two] = [new Feed("q"), new Feed("q")];
    const beat: Entry = { kind: "beat", tasks: [] };
    const first = [one.seal(test.manifest, [beat]), one.seal(test.manifest, [beat])];
    const second = [two.seal(test.manifest, [beat, beat]), two.seal(test.manifest, [beat])];
    for (const batch of [first[0], second[0]])
      expect(test.core.hear(batch as Batch)).toEqual(batch === first[0] ? [] : ["evidence"]);
    expect(outOf(test)).toEqual(["q two-batches from 0"]);
    const chained = new Subject();
    chained.core.hear(first[0] as Batch);
    expect(chained.core.hear(second[1] as Batch)).toEqual(["evidence"]);
    expect(outOf(chained)).toEqual(["q two-batches from 0"]);
  });

  it("and not signed by a newcomer, of whom others take nothing but joins (BATCH-8)", () => {
    const list = PARTIES.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
    const test = new Subject({
      name: "new",
      roles: { prover: true },
      parties: { ...PARTIES, provers: [...PARTIES.provers, "new"] },
      change: { provers: { admission: "open", list } },
    });
    const beat: Entry = { kind: "beat", tasks: [] };
    for (const said of [[beat], [beat, beat]]) test.core.hear(new Feed("q").seal(test.manifest, said));
    test.pass(5_000);
    expect(outOf(test)).toEqual(["q two-batches from 0"]);
    const signed = test.core.feed.batches.flatMap(({ entries }) => entries.map(({ kind }) => kind));
    expect(new Set(signed)).toEqual(new Set(["join"]));
  });

  it("ten offences of one key that are shown newest first, so that all nodes exclude it from the first on (EVIDENCE-5)", () => {
    const test = new Subject();
    const [one, two] = [new Feed("q"), new Feed("q")];
    const beat: Entry = { kind: "beat", tasks: [] };
    const pairs = Array.from({ length: 10 }, () => [
      one.seal(test.manifest, [beat]),
      two.seal(test.manifest, [beat, beat]),
    ]);
    const atOnce = pairs.toReversed().flatMap((pair) => pair.flatMap((batch) => test.core.hear(batch)));
    expect(atOnce.filter((line) => line === "evidence")).toHaveLength(4);
    const { syncMs } = test.manifest.json.timing;
    expect([...test.pass(syncMs), ...test.pass(5 * syncMs)].filter((line) => line === "evidence")).toHaveLength(1);
    const second = new Subject({ name: "b" });
    for (const batch of test.core.feed.batches) second.core.hear(batch);
    expect([outOf(test), outOf(second)]).toEqual([["q two-batches from 0"], ["q two-batches from 0"]]);
  });

  it("a vote for a proof that this node has found wrong, whichever came first", () => {
    for (const late of [false, true]) {
      const test = new Subject();
      test.claimed(0);
      test.hear(owner(test), test.receipt(0, "wrong"));
      if (!late) test.hear("b", test.complete(0, "wrong"));
      const lines = test.verdict(0, "wrong", { kind: "invalid", code: "proof.equation" });
      if (late) lines.push(...test.hear("b", test.complete(0, "wrong")));
      expect(lines).toContain("evidence");
      expect(outOf(test)).toEqual(["b false-proof from 0"]);
    }
  });
});

describe("nothing is noticed where", () => {
  it("an attester times an attempt out after its grant, or says the same twice", () => {
    const test = new Subject();
    test.hear("b", test.grant(0, owner(test)), test.grant(0, owner(test)));
    test.hear("b", test.timeout(0), test.timeout(0));
    test.hear("c", test.attest(0, owner(test), "proof"), test.attest(0, owner(test), "proof"));
    test.hear("c", test.timeout(0, 1), test.grant(0, other(test), 2), test.complete(0, "another"));
    expect(outOf(test)).toEqual([]);
  });
});

describe("a key that is out", () => {
  it("claims nothing with votes of its own that put it out", () => {
    const parties = { attesters: ["a", "b", "c", "d"], provers: ["b", "p", "q"], sources: ["s"] };
    const test = new Subject({ parties });
    test.hear("b", test.attest(0, "p", "proof"));
    const shown = voteOf(test.batch("b", test.timeout(0)), 0);
    test.hear("b", test.claim(0, 1, [shown]));
    expect(outOf(test)).toEqual(["b attest-and-timeout from 1"]);
    const [task] = test.core.block(blockAt(1)).tasks;
    expect(task?.attempts.get(1)?.claims.size ?? 0).toBe(0);
  });

  it("weighs nothing from its offence on, and as much as before until then (ENTRY-2, EVIDENCE-3)", () => {
    const test = new Subject();
    test.hear("b", test.timeout(1));
    test.hear("b", test.grant(0, owner(test)), test.grant(0, other(test)));
    test.hear("b", test.timeout(0));
    expect(test.core.refusals()).toContain("author.out");
    const attempts = test.core.block(blockAt(1)).tasks.map((task) => task.attempts.get(0));
    expect([...(attempts[1]?.timeouts.keys() ?? [])]).toEqual([keyOf("b")]);
    expect(attempts[0]?.timeouts.size).toBe(0);
    expect([...(attempts[0]?.grants.values() ?? [])].map(({ size }) => size)).not.toContain(1);
  });

  it("takes with it what had been settled on its word", () => {
    const test = new Subject();
    const prover = owner(test);
    test.claimed(0);
    test.hear(prover, test.receipt(0, "proof"));
    test.verdict(0, "proof");
    test.tick(300);
    const grant = test.batch("b", test.grant(1, owner(test, 1)));
    const liar = test.batch("b", test.complete(0, "proof"), test.grant(1, other(test, 1)));
    test.core.hear(liar);
    test.hear("c", test.complete(0, "proof"));
    const [task] = test.core.block(blockAt(1)).tasks;
    expect(task?.completeMs).not.toBe(null);
    test.core.hear(grant);
    expect(outOf(test)).toEqual(["b two-grants from 1"]);
    expect(task?.completeMs).toBe(null);
    test.hear("d", test.complete(0, "proof"));
    expect(task?.completeMs).not.toBe(null);
  });

  it("owns no task", () => {
    const test = new Subject();
    const prover = owner(test);
    const forks = [new Feed(prover), new Feed(prover)];
    const beat: Entry = { kind: "beat", tasks: [] };
    const heads = forks.map((feed, at) =>
      feed.seal(
        test.manifest,
        Array.from({ length: at + 1 }, () => beat),
      ),
    );
    test.hear("b", evidence(...heads.map(headOf).sort((one, two) => (hashIn(one) < hashIn(two) ? -1 : 1))));
    expect(outOf(test)).toEqual([`${prover} two-batches from 0`]);
    const tasks = test.core.block(blockAt(1)).tasks.filter(({ stage }) => stage.name === "shard");
    const owners = tasks.flatMap((task) =>
      [0, 1, 2, 3].map((attempt) => ownerOfAttempt(test.core.state, task, attempt)),
    );
    expect(owners).not.toContain(keyOf(prover));
    function hashIn(vote: Vote): string {
      return heads.find(({ headBytes }) => headBytes === vote.head)?.hash ?? "";
    }
  });

  it("says nothing more where it is this node's own, and is out for good after a restart", () => {
    const test = new Subject();
    test.claimed(0);
    const forged = test.batch("a", test.grant(0, other(test)));
    test.hear("b", { kind: "beat", tasks: [] });
    const own = test.core.feed.batches[0];
    if (own === undefined) throw new Error("nothing said");
    const heads = [own, forged].sort((one, two) => (one.hash < two.hash ? -1 : 1)).map(headOf);
    test.hear("b", evidence(...heads));
    expect(test.core.state.mute).toBe("key.out");
    expect(test.claimed(1)).toEqual([]);
    test.restart();
    expect(test.core.state.mute).toBe("key.out");
  });
});

describe("an accusation", () => {
  const accused = (test: Subject) => {
    const batch = test.batch("b", test.timeout(0), test.grant(0, owner(test)));
    return [voteOf(batch, 0), voteOf(batch, 1)] as const;
  };

  it("by anybody is believed by what it shows, without the facts themselves, and is not said again (EVIDENCE-5)", () => {
    const test = new Subject();
    expect(test.hear("q", evidence(...accused(test)))).toEqual([]);
    expect(outOf(test)).toEqual(["b grant-after-timeout from 0"]);
    expect(test.core.reports("key.out")).toMatchObject([
      { key: keyOf("b"), offence: "grant-after-timeout", height: 1, stage: "shard", index: 0, attempt: 0 },
    ]);
    expect(test.hear("b", test.timeout(1))).toEqual([]);
    expect(test.core.refusals()).toEqual(["author.out"]);
  });

  it("that shows nothing is refused with evidence.false, and costs the accuser its place in the order of owners (EVIDENCE-4)", () => {
    const test = new Subject();
    const [first, second] = accused(test);
    const forged = {
      ...second,
      signature: Uint8Array.from(second.signature, (byte, at) => (at === 9 ? byte ^ 1 : byte)),
    };
    const prover = owner(test);
    const wrong: EntryOf<"evidence">[] = [
      evidence(),
      evidence(first),
      evidence(second, first),
      evidence(first, first),
      evidence(first, forged),
      evidence({ ...first, entry: new Uint8Array(), path: [], index: 0 }, second),
    ];
    for (const entry of wrong) test.hear(prover, entry);
    expect(test.core.refusals()).toEqual(wrong.map(() => "evidence.false"));
    expect(outOf(test)).toEqual([]);
    const [task] = test.core.block(blockAt(1)).tasks;
    if (task === undefined) throw new Error("no task");
    expect(ownerOfAttempt(test.core.state, task, 0)).not.toBe(keyOf(prover));
    expect(ownerOfAttempt(test.core.state, task, 2)).toBe(keyOf(prover));
  });

  it("of a wrong proof is verified before it is believed (EVIDENCE-2)", () => {
    for (const verdict of [
      { kind: "valid", bytes: 100, possession: new Uint8Array() },
      { kind: "invalid", code: "proof.equation" },
    ] as const) {
      const test = new Subject();
      const vote = voteOf(test.batch("b", test.attest(0, owner(test), "proof")), 0);
      test.hear("q", evidence(vote));
      expect(outOf(test)).toEqual([]);
      expect(test.core.take("verify")).toMatchObject([{ artefact: hashOf("proof") }]);
      test.verdict(0, "proof", verdict);
      expect(outOf(test)).toEqual(verdict.kind === "valid" ? [] : ["b false-proof from 0"]);
      expect(test.core.refusals()).toEqual(verdict.kind === "valid" ? ["evidence.false"] : []);
    }
  });

  it("of a proof that cannot be had is asked about within limits, and believed from as many as hold an honest one", () => {
    const test = new Subject();
    const vote = voteOf(test.batch("b", test.attest(0, owner(test), "proof")), 0);
    test.hear("c", evidence(vote));
    for (let tries = 0; tries < 20; tries++) {
      if (test.core.take("verify").length === 0) break;
      test.verdict(0, "proof", { kind: "unavailable", code: "artefact.unavailable" });
      test.pass(20_000);
    }
    expect(test.core.take("verify")).toEqual([]);
    expect(outOf(test)).toEqual([]);
    test.hear("d", evidence(vote));
    expect(outOf(test)).toEqual(["b false-proof from 0"]);
  });

  it("about a block that nobody has announced yet waits for it", () => {
    const test = new Subject({ announced: false });
    const vote = voteOf(test.batch("b", test.attest(0, "p", "proof")), 0);
    test.hear("q", evidence(vote));
    test.announce(blockAt(1));
    test.verdict(0, "proof", { kind: "invalid", code: "proof.equation" });
    expect(outOf(test)).toEqual(["b false-proof from 0"]);
  });
});

describe("the state after any facts of a liar", () => {
  /** What counts, without clocks: who is out, what is kept of each vote. */
  const stateOf = (test: Subject): unknown => ({
    // Of two offences in one batch either may be the one that is told.
    out: [...test.core.state.out.values()].map(({ offender, from }) => `${nameOf(offender)} ${from}`).sort(),
    tasks: test.core.block(blockAt(1)).tasks.map((task) => ({
      attempts: [...task.attempts.values()]
        .map((attempt) => ({
          number: attempt.number,
          grants: [...attempt.grants]
            .flatMap(([prover, votes]) => [...votes.keys()].map((key) => `${prover} ${key}`))
            .sort(),
          timeouts: [...attempt.timeouts.keys()].sort(),
          attests: [...attempt.attests]
            .flatMap(([prover, votes]) => [...votes.keys()].map((key) => `${prover} ${key}`))
            .sort(),
        }))
        .filter(({ grants, timeouts, attests }) => grants.length + timeouts.length + attests.length > 0)
        .sort((one, two) => one.number - two.number),
      vouchers: [...task.proofs.values()]
        .map(({ artefact, vouchers }) => `${artefact} ${[...vouchers.keys()].sort().join()}`)
        .filter((line) => line.length > 65)
        .sort(),
      complete: task.completeMs !== null,
    })),
  });

  it("is what it said before its feed forked, whichever of the two feeds is heard first", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 2 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.infiniteStream(fc.nat()),
        (before, one, two, random) => {
          const made = new Subject({ roles: {} });
          const root = new Feed("b");
          for (let at = 0; at < before; at++) root.seal(made.manifest, [made.timeout(0, at)]);
          const forks = [one, two].map((count, fork) => {
            const feed = new Feed("b", root.batches);
            for (let at = 0; at < count; at++) feed.seal(made.manifest, [made.timeout(1, 10 * (fork + 1) + at)]);
            return feed;
          });
          const heard = [...new Set(forks.flatMap(({ batches }) => batches))]
            .map((batch) => ({ batch, at: random.next().value ?? 0 }))
            .sort((a, b) => a.at - b.at);
          const test = new Subject({ roles: {} });
          for (const { batch } of heard) test.core.hear(batch);
          expect(outOf(test)).toEqual([`b two-batches from ${before}`]);
          const said = test.core
            .block(blockAt(1))
            .tasks.flatMap((task) => [...task.attempts.values()].filter(({ timeouts }) => timeouts.size > 0));
          expect(said.map(({ number }) => number).sort((a, b) => a - b)).toEqual(
            Array.from({ length: before }, (_, at) => at),
          );
          expect(
            test.core.state.log
              .feed(keyOf("b"))
              ?.kept()
              .map(({ head }) => head.number),
          ).toEqual(Array.from({ length: before }, (_, at) => at));
        },
      ),
      { numRuns: 100 },
    );
  });

  it("is the same whatever the order in which they came, and whoever had shown some of it (S6)", () => {
    const entry = fc.record({
      kind: fc.constantFrom("grant", "timeout", "attest", "complete", "cancel"),
      index: fc.constantFrom(0, 1),
      attempt: fc.constantFrom(0, 1),
      prover: fc.constantFrom("p", "q"),
      proof: fc.constantFrom("one", "two"),
    });
    const plan = fc.array(fc.tuple(fc.constantFrom("b", "c", "d"), fc.array(entry, { minLength: 1, maxLength: 3 })), {
      minLength: 2,
      maxLength: 10,
    });
    let offences = 0;
    fc.assert(
      fc.property(plan, fc.infiniteStream(fc.nat()), fc.boolean(), (batches, random, withReceipts) => {
        const made = new Subject({ roles: {} });
        const sealed = batches.map(([who, said]) =>
          made.batch(
            who,
            ...said.map((each): Entry => {
              if (each.kind === "grant") return made.grant(each.index, each.prover, each.attempt);
              if (each.kind === "timeout") return made.timeout(each.index, each.attempt);
              if (each.kind === "attest") return made.attest(each.index, each.prover, each.proof, each.attempt);
              if (each.kind === "complete") return made.complete(each.index, each.proof);
              return { kind: "cancel", block: made.id(), round: each.attempt };
            }),
          ),
        );
        if (withReceipts)
          for (const proof of ["one", "two"])
            sealed.push(made.batch("p", made.receipt(0, proof), made.receipt(1, proof)));
        const inOrder = new Subject({ roles: {} });
        for (const batch of sealed) inOrder.core.hear(batch);
        const shuffled = new Subject({ roles: {} });
        const order = sealed
          .map((batch) => ({ batch, at: random.next().value ?? 0 }))
          .sort((one, two) => one.at - two.at);
        for (const { batch } of order) shuffled.core.hear(batch);
        expect(stateOf(shuffled)).toEqual(stateOf(inOrder));
        // Evidence that one of them has noticed tells the other nothing new.
        const shown = [...inOrder.core.state.out.values()].map((out) => evidence(...out.shown));
        offences += shown.length;
        for (const each of shown) {
          expect(openEvidence(made.manifest.network, each.shown, equation)).not.toBe(null);
          const early = new Subject({ roles: {} });
          early.hear("q", ...shown);
          for (const { batch } of order) early.core.hear(batch);
          expect(stateOf(early)).toEqual(stateOf(inOrder));
        }
      }),
      { numRuns: 100 },
    );
    expect(offences).toBeGreaterThan(30);
  });
});
