import { describe, expect, it } from "vitest";
import { chosenProof } from "../../src/core/makers.ts";
import { showHead } from "../../src/protocol/evidence.ts";
import type { Entry } from "../../src/protocol/messages.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, Feed, keyOf } from "./harness.ts";
import { Subject } from "./subject.ts";

const VERIFIED = { kind: "valid", bytes: 100, possession: new Uint8Array() } as const;

/** Whoever hears it knows that this prover is out from its first word on. */
function forked(test: Subject, who: string): Entry {
  const beat: Entry = { kind: "beat", tasks: [] };
  const heads = [[beat], [beat, beat]].map((said) => new Feed(who).seal(test.manifest, said));
  heads.sort((one, two) => (one.hash < two.hash ? -1 : 1));
  return {
    kind: "evidence",
    shown: heads.map(({ headBytes, signature }) => showHead({ head: headBytes, signature })),
  };
}

function chosen({ core }: Subject) {
  const [task] = core.block(blockAt(1)).tasks;
  const found = task === undefined ? null : chosenProof(core.state, task);
  if (found === null) return null;
  const { proof, credited, made } = found;
  return { artefact: proof.artefact, prover: made.prover, credited, attempt: made.attempt, bytes: made.bytes };
}

describe("a proof whose prover is out", () => {
  it("is verified by who never heard its receipt as soon as an attester vouches for it, and completes the task", () => {
    const test = new Subject();
    const prover = test.owner("shard", 0);
    test.hear("b", test.attest(0, prover, "proof"));
    expect(test.core.take("verify")).toEqual([]);
    test.hear("q", forked(test, prover));
    expect(test.core.take("verify")).toMatchObject([
      { artefact: hashOf("proof"), bytes: test.manifest.json.limits.proofBytesMax, holders: [keyOf("b")] },
    ]);
    test.hear("c", test.attest(0, prover, "proof"));
    expect(test.core.reports("task.complete")).toEqual([]);
    expect(test.verdict(0, "proof", VERIFIED)).toEqual(["complete shard/0"]);
    expect(test.core.reports("task.complete")).toMatchObject([{ prover: keyOf(prover), attempt: 0, credited: false }]);
  });

  it("is waited for where nobody is out: its receipt is on its way", () => {
    const test = new Subject();
    for (const who of ["b", "c", "d"]) test.hear(who, test.complete(0, "proof"));
    expect(test.core.take("verify")).toEqual([]);
    expect(chosen(test)).toBe(null);
  });

  it("is verified again after a restart, since nobody else is to say how long it is", () => {
    const test = new Subject();
    const prover = test.owner("shard", 0);
    test.claimed(0);
    test.assigned(0);
    test.hear(prover, test.receipt(0, "proof"));
    expect(test.verdict(0, "proof", VERIFIED)).toEqual([`attest shard/0#0 ${prover}`]);
    for (const who of ["b", "c"]) test.hear(who, test.attest(0, prover, "proof"));
    test.restart();
    expect(test.core.take("verify")).toMatchObject([{ artefact: hashOf("proof") }]);
    // Until then it is as valid as it was.
    expect(test.core.proof(blockAt(1), "proof")?.verdict).toBe("valid");
    test.hear("q", forked(test, prover));
    expect(chosen(test)).toBe(null);
    test.verdict(0, "proof", VERIFIED);
    expect(chosen(test)).toMatchObject({ prover: keyOf(prover), credited: true, bytes: 100 });
  });

  it("is not asked for without end because one attester vouches for many that nobody has", () => {
    const test = new Subject();
    test.hear("q", forked(test, "r"));
    for (const proof of ["one", "two", "three", "four"]) test.hear("b", test.complete(0, proof));
    expect(test.core.take("verify").map(({ artefact }) => artefact)).toEqual(["one", "two"].map(hashOf));
    test.hear("c", test.complete(0, "four"));
    expect(test.core.take("verify").map(({ artefact }) => artefact)).toEqual([hashOf("four")]);
  });

  it("has the maker that it names where attesters only call the task complete, for who heard no receipt as well (S6)", () => {
    const prover = new Subject().owner("shard", 0);
    const tests = [false, true].map((heard) => {
      const test = new Subject();
      test.hear("q", { kind: "beat", tasks: [] });
      if (heard) test.hear(prover, test.receipt(0, "proof"));
      for (const who of ["b", "c", "d"]) test.hear(who, test.complete(0, "proof"));
      test.hear("q", forked(test, prover));
      test.verdict(0, "proof", VERIFIED);
      return test;
    });
    const named = { artefact: hashOf("proof"), prover: keyOf(prover), credited: false, attempt: 0, bytes: 100 };
    expect(tests.map(chosen)).toEqual([named, named]);
    for (const test of tests) expect(test.core.block(blockAt(1)).tasks[0]?.completeMs).not.toBe(null);
  });

  it("is named alike by who heard its receipt and who did not (S6)", () => {
    const prover = new Subject().owner("shard", 0);
    const tests = [false, true].map((heard) => {
      const test = new Subject();
      // The other of its two feeds says that it was made in another attempt.
      if (heard) test.hear(prover, test.receipt(0, "proof", 2));
      for (const who of ["b", "c", "d"]) test.hear(who, test.attest(0, prover, "proof"));
      test.verdict(0, "proof", VERIFIED);
      // Which attempt is paid is the attesters' word, so the receipt's changes nothing.
      if (heard) expect(chosen(test)).toMatchObject({ attempt: 0, credited: true });
      test.hear("q", forked(test, prover));
      return test;
    });
    const named = { artefact: hashOf("proof"), prover: keyOf(prover), credited: true, attempt: 0, bytes: 100 };
    expect(tests.map(chosen)).toEqual([named, named]);
  });
});
