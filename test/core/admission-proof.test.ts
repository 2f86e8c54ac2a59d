import { describe, expect, it } from "vitest";
import { admissionStatus } from "../../src/core/admission-status.ts";
import type { VerifiedResult } from "../../src/core/event.ts";
import type { Block } from "../../src/core/state.ts";
import { noteBase } from "../../src/core/admission-proof.ts";
import { noteCertified } from "../../src/core/drawing.ts";
import { admissionPayee, admissionStageOf, admissionTasksOf } from "../../src/protocol/admission.ts";
import { artefactHash, type Hash } from "../../src/protocol/ids.ts";
import type { ManifestJson } from "../../src/protocol/manifest.ts";
import type { AdmissionProof, EntryOf } from "../../src/protocol/messages.ts";
import { valuesFor } from "../../src/protocol/payee.ts";
import { stagesOf } from "../../src/protocol/workflow.ts";
import { hashOf, manifestJson, manifestOf } from "../protocol/fixtures.ts";
import { blockAt, keyOf, valuesOf, withoutPayee } from "./harness.ts";
import { PARTIES, Subject, type SubjectOptions } from "./subject.ts";

const VALID: VerifiedResult = { kind: "valid", bytes: 100, possession: new Uint8Array() };
const WRONG: VerifiedResult = { kind: "invalid", code: "proof.equation" };
const GONE: VerifiedResult = { kind: "unavailable", code: "artefact.unavailable" };
const LISTED = PARTIES.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
const NAMES = Array.from({ length: 80 }, (_, at) => `n${at}`);

function open(options: SubjectOptions = {}): Subject {
  const { change = {}, ...others } = options;
  return new Subject({
    parties: { ...PARTIES, provers: [...PARTIES.provers, "new", ...NAMES] },
    change: { provers: { admission: "open", list: LISTED }, ...change },
    ...others,
  });
}

/** The first block is certified, so newcomers may prove a task of it. */
function based(test: Subject): Block {
  const block = test.core.block(blockAt(1));
  block.certificate = hashOf("certificate");
  noteBase(test.core.state, block);
  certified(test, 1);
  return block;
}

function certified(test: Subject, height: number): void {
  const chain = test.core.state.chains.get(1);
  if (chain !== undefined) chain.certified = height;
}

function shown(test: Subject, change: Partial<AdmissionProof> = {}): AdmissionProof {
  const inline = new Uint8Array();
  return { base: test.id(), index: 0, artefact: hashOf("proof"), bytes: 100, inline, ...change };
}

function join(test: Subject, change: Partial<AdmissionProof> = {}): EntryOf<"join"> {
  return { kind: "join", chain: 1, slots: 1, proofs: [shown(test, change)] };
}

/** The block of this height is certified: what is said because of it, before a proof is judged. */
function draw(test: Subject, height = 16): string[] {
  certified(test, height);
  noteCertified(test.core.state, { chain: 1, height, hash: blockAt(height).hash }, hashOf("content"));
  return test.tick(0);
}

/** Judges the proofs that are asked for, until none is asked for any more: what is said because of it. */
function judge(test: Subject, verdictOf: (candidate: string) => VerifiedResult = () => VALID): string[] {
  const said: string[] = [];
  for (;;) {
    const asked = test.core.take("verify").filter(({ candidate }) => candidate !== null);
    if (asked.length === 0) return said;
    for (const { task, artefact, maker, candidate } of asked) {
      const verdict = verdictOf(candidate ?? "");
      said.push(...test.core.step({ kind: "verified", task, artefact, maker, candidate, verdict }));
    }
  }
}

describe("an admission proof", () => {
  it("ADMIT-10: has public values that name network, chain, newcomer and base block", () => {
    const test = open();
    based(test);
    test.hear("new", join(test));
    expect(draw(test)).toEqual([]);
    const payee = admissionPayee(test.manifest.network, 1, keyOf("new"), test.id());
    const values = valuesFor("digest", valuesOf(test.id(), "shard", 0), payee);
    const asked = { candidate: keyOf("new"), maker: payee, values, payers: [keyOf("new")], holders: [keyOf("new")] };
    expect(test.core.take("verify")).toMatchObject([asked]);
    const others = [
      admissionPayee(hashOf("other network"), 1, keyOf("new"), test.id()),
      admissionPayee(test.manifest.network, 2, keyOf("new"), test.id()),
      admissionPayee(test.manifest.network, 1, keyOf("p2"), test.id()),
      admissionPayee(test.manifest.network, 1, keyOf("new"), hashOf("other block")),
      keyOf("new"),
    ];
    expect(others).not.toContain(payee);
  });

  it("ADMIT-10: is verified before the attester votes, and who shows none is not drawn", () => {
    const test = open();
    based(test);
    test.hear("new", join(test));
    test.hear("n0", { kind: "join", chain: 1, slots: 1, proofs: [] });
    expect(draw(test)).toEqual([]);
    expect(judge(test)).toEqual(["admit new height 32"]);
  });

  it("ADMIT-10: that is wrong drops its candidate, with a code for the operator and without evidence", () => {
    const test = open();
    based(test);
    test.hear("new", join(test));
    draw(test);
    expect(judge(test, () => WRONG)).toEqual([]);
    expect(test.core.reports("admission.wrong-proof")).toMatchObject([
      { prover: keyOf("new"), chain: 1, code: "proof.equation" },
    ]);
    expect(test.core.state.candidates.size).toBe(0);
    expect(test.core.state.out.size).toBe(0);
    // It may ask again.
    test.hear("new", join(test, { artefact: hashOf("better proof") }));
    expect([...draw(test, 32), ...judge(test)]).toEqual(["admit new height 48"]);
  });

  it("ADMIT-10: that nobody has keeps its candidate for the next drawing, and a valid one is verified once", () => {
    const test = open();
    based(test);
    test.hear("new", join(test));
    draw(test);
    expect(judge(test, () => GONE)).toEqual([]);
    expect([...draw(test, 32), ...judge(test)]).toEqual(["admit new height 48"]);
    expect(draw(test, 48)).toEqual(["admit new height 64"]);
  });

  it("ADMIT-11: is of a certified block at most four epochs and two windows older than the drawing", () => {
    for (const [height, isYoung] of [
      [64, true],
      [80, false],
    ] as const) {
      const test = open();
      based(test);
      test.hear("new", join(test));
      expect([...draw(test, height), ...judge(test)]).toEqual(isYoung ? [`admit new height ${height + 16}`] : []);
    }
    const test = open();
    test.hear("new", join(test));
    expect([...draw(test), ...judge(test)]).toEqual([]);
  });

  it("ADMIT-11: counts the blocks that were certified since, on a chain that starts at `any`", () => {
    const chains = manifestJson([]).chains.map((chain) => ({ ...chain, start: "any" as const }));
    const most = 64 + 2 * (manifestJson([]).workflows["block"]?.window ?? 1);
    for (const [later, isYoung] of [
      [most, true],
      [most + 1, false],
    ] as const) {
      const test = open({ change: { chains, provers: { admission: "open", list: LISTED } } });
      based(test);
      test.hear("new", join(test));
      const chain = test.core.state.chains.get(1);
      if (chain !== undefined) chain.certifiedCount = later;
      const content = `${hashOf("content").slice(0, -1)}0`;
      noteCertified(test.core.state, { chain: 1, height: 7, hash: blockAt(7).hash }, content);
      expect([...test.tick(0), ...judge(test)]).toEqual(isYoung ? ["admit new height 0"] : []);
    }
  });

  it("ADMIT-8: counts from the first join that names it, so nobody proves for the keys alone that are drawn", () => {
    const test = open();
    based(test);
    certified(test, 8);
    test.hear("new", join(test));
    certified(test, 15);
    test.hear("new", join(test, { artefact: hashOf("made for the drawing") }));
    expect([...draw(test), ...judge(test)]).toEqual([]);
    expect([...draw(test, 32), ...judge(test)]).toEqual(["admit new height 48"]);
  });

  it("ADMIT-12: takes the next candidates in the order of the tickets where proofs are wrong", () => {
    const test = open({ limits: { newcomersMax: 4 } });
    based(test);
    for (const name of NAMES) test.hear(name, join(test));
    draw(test);
    const drawn = test.core.state.chains.get(1)?.drawing;
    const order = [...(drawn?.asking.values() ?? [])].map(({ prover }) => prover).concat(drawn?.waiting ?? []);
    const good = new Set(order.slice(10, 20));
    const said = judge(test, (candidate) => (good.has(candidate) ? VALID : WRONG));
    const names = order.slice(10, 14).map((key) => NAMES.find((name) => keyOf(name) === key));
    expect(said).toEqual(names.map((name) => `admit ${name} height 32`));
  });

  it("ADMIT-12: has 64 proofs verified in one drawing at most", () => {
    const test = open();
    based(test);
    for (const name of NAMES) test.hear(name, join(test));
    draw(test);
    let judged = 0;
    judge(test, () => {
      judged++;
      return WRONG;
    });
    expect(judged).toBe(64);
  });

  it("ADMIT-12: a proof that does not come keeps its place for two seconds", () => {
    const test = open({ limits: { newcomersMax: 1 } });
    based(test);
    for (const name of NAMES.slice(0, 2)) test.hear(name, join(test));
    draw(test);
    const [first] = test.core.take("verify");
    test.tick(1_900);
    expect(test.core.take("verify")).toEqual([]);
    test.tick(200);
    const [second] = test.core.take("verify");
    expect(second?.candidate).not.toBe(first?.candidate);
  });

  it("JOIN-7: is refused where the join alone shows that it is none", () => {
    const test = open();
    const inline = new TextEncoder().encode("proof");
    const artefact = artefactHash(inline);
    const tooLarge = test.manifest.json.limits.proofBytesMax + 1;
    for (const [change, code] of [
      [{ index: 1 }, "task.unknown"],
      [{ bytes: tooLarge }, "message.too-large"],
      [{ inline, artefact: hashOf("other proof"), bytes: 5 }, "receipt.inline-mismatch"],
      [{ inline, artefact, bytes: 6 }, "receipt.inline-mismatch"],
    ] as const) {
      test.hear("new", join(test, change));
      expect([change, ...test.core.refusals()]).toEqual([change, code]);
    }
    test.hear("new", join(test, { inline, artefact, bytes: 5 }));
    expect(test.core.refusals()).toEqual([]);
  });
});

describe("which stage newcomers prove", () => {
  const stageOf = (json: Partial<ManifestJson> = {}) =>
    admissionStageOf(stagesOf(manifestOf([keyOf("a")], json), "block", 0) ?? []);

  it("is the first whose proofs name their maker and that takes nothing (ADMIT-10)", () => {
    const stage = stageOf();
    expect(stage?.name).toBe("shard");
    expect(stage === null ? [] : admissionTasksOf(stage)).toEqual([0]);
    expect(stageOf(withoutPayee())).toBe(null);
  });

  it("asks for no proof on a chain without such a stage", () => {
    const test = open({ change: { ...withoutPayee(), provers: { admission: "open", list: LISTED } } });
    test.hear("new", { kind: "join", chain: 1, slots: 1, proofs: [] });
    expect(draw(test)).toEqual(["admit new height 32"]);
  });
});

describe("a newcomer", () => {
  function newcomer(): Subject {
    const parties = { ...PARTIES, provers: ["p"] };
    const provers: ManifestJson["provers"] = { admission: "open", list: LISTED.slice(0, 1) };
    return new Subject({ name: "new", roles: { prover: true }, parties, change: { provers } });
  }
  const joins = (test: Subject) =>
    test.core.feed.batches.flatMap(({ entries }) => entries).filter((entry) => entry.kind === "join");
  const made = (values: Uint8Array) => {
    const inline = new TextEncoder().encode("proof");
    const artefact: Hash = artefactHash(inline);
    return { artefact, bytes: 5, values, provingMs: 10, inline, possession: new Uint8Array() };
  };
  const why = (test: Subject) => admissionStatus(test.core.state).map((each) => each.why);

  it("JOIN-8: proves a task of the newest certified block, and names the proof in its joins", () => {
    const test = newcomer();
    expect(why(test)).toEqual([expect.stringMatching(/^waits for a certified block/)]);
    expect(test.core.take("prove")).toEqual([]);
    based(test);
    test.tick(0);
    const [job] = test.core.take("prove");
    const payee = admissionPayee(test.manifest.network, 1, keyOf("new"), test.id());
    expect(job).toMatchObject({
      isAdmission: true,
      prover: payee,
      task: { block: test.id(), stage: "shard", index: 0 },
    });
    expect(why(test)).toEqual(["proves shard 0 of block 1/1 for its admission"]);
    if (job === undefined) throw new Error("no job");
    expect(
      test.core.step({ kind: "proved", task: job.task, isAdmission: true, attempt: 0, proof: made(job.values) }),
    ).toEqual(["join"]);
    expect(why(test)).toEqual(["its admission proof is made; waits for a drawing, which block 1/16 holds next"]);
    test.pass(10_000);
    const [first, ...others] = joins(test).flatMap(({ proofs }) => proofs);
    expect(first).toMatchObject({ base: test.id(), index: 0, bytes: 5 });
    expect(first?.inline.length).toBe(5);
    // Attesters have it by then, or fetch it.
    expect(others.length).toBeGreaterThan(0);
    expect(others.every(({ inline }) => inline.length === 0)).toBe(true);
    ["a", "b", "c"].forEach((who) =>
      test.hear(who, { kind: "admit", prover: keyOf("new"), chain: 1, height: 32, slots: 1 }),
    );
    expect(why(test)).toEqual(["it is admitted, and its first turn begins at height 32, 31 blocks from here"]);
  });

  it("JOIN-8: proves again after a pause where its prover fails, and before its base block is too old", () => {
    const test = newcomer();
    based(test);
    test.tick(0);
    const [job] = test.core.take("prove");
    if (job === undefined) throw new Error("no job");
    const failed = { code: "machine.lost", logical: false, message: "lost" };
    test.core.step({ kind: "prove-failed", task: job.task, isAdmission: true, attempt: 0, ...failed });
    expect(test.core.reports("admission.proof-failed")).toMatchObject([{ code: "machine.lost", failures: 1 }]);
    expect(why(test)).toEqual([expect.stringMatching(/^its admission proof has failed/)]);
    expect(test.core.take("prove")).toEqual([]);
    test.tick(1_000);
    const [again] = test.core.take("prove");
    if (again === undefined) throw new Error("no second job");
    test.core.step({ kind: "proved", task: again.task, isAdmission: true, attempt: 0, proof: made(again.values) });
    certified(test, 49);
    test.tick(0);
    expect(test.core.take("prove")).toEqual([]);
    certified(test, 50);
    test.tick(0);
    expect(test.core.take("prove")).toHaveLength(1);
    certified(test, 70);
    test.tick(0);
    expect(test.core.take("cancel")).toMatchObject([{ isAdmission: true }]);
  });

  it("JOIN-8: does not show what its prover made for other values", () => {
    const test = newcomer();
    based(test);
    test.tick(0);
    const [job] = test.core.take("prove");
    if (job === undefined) throw new Error("no job");
    test.core.step({ kind: "proved", task: job.task, isAdmission: true, attempt: 0, proof: made(new Uint8Array(32)) });
    expect(test.core.reports("admission.proof-failed")).toMatchObject([{ code: "receipt.wrong-values" }]);
    expect(joins(test).flatMap(({ proofs }) => proofs)).toEqual([]);
  });
});
