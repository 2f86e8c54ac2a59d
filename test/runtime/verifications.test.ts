import { describe, expect, it } from "vitest";
import { noteBase } from "../../src/core/admission-proof.ts";
import { noteCertified } from "../../src/core/drawing.ts";
import type { Effect } from "../../src/core/effect.ts";
import type { Event } from "../../src/core/event.ts";
import type { CoreLimits } from "../../src/core/limits.ts";
import type { Done } from "../../src/ports.ts";
import { artefactHash } from "../../src/protocol/ids.ts";
import type { Fetcher } from "../../src/runtime/fetcher.ts";
import { DiskLedger } from "../../src/runtime/ledger.ts";
import { STRANGERS } from "../../src/runtime/shares.ts";
import { isChargeable, type VerificationModules, Verifications } from "../../src/runtime/verifications.ts";
import { hashOf } from "../protocol/fixtures.ts";
import { blockAt, keyOf } from "../core/harness.ts";
import { PARTIES, Subject } from "../core/subject.ts";

type Verify = Extract<Effect, { kind: "verify" }>;

/** Verifications of a core that has heard receipts; fetches and verdicts wait for the test. */
class Desk {
  readonly test: Subject;
  readonly verifying: { readonly proof: Uint8Array; readonly done: Done<{ valid: false; code: string }> }[] = [];
  readonly fetching: { readonly artefact: string; readonly done: Done<number> }[] = [];
  readonly events: Event[] = [];
  readonly forgotten: string[] = [];
  readonly reports: Readonly<Record<string, unknown>>[] = [];
  readonly verifications: Verifications;
  readonly ledger: DiskLedger;
  nowMs = 0;
  readonly timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  constructor(limits: Partial<CoreLimits> = {}, isOpen = false) {
    const list = PARTIES.provers.map((name) => ({ key: keyOf(name), slots: 1, weight: 1 }));
    this.test = new Subject({ limits, ...(isOpen ? { change: { provers: { admission: "open", list } } } : {}) });
    const fetcher: Pick<Fetcher, "bring" | "get" | "keep"> = {
      bring: ({ artefact }, done) => void this.fetching.push({ artefact, done }),
      get: ({ artefact }, done) => done({ ok: true, value: new TextEncoder().encode(artefact) }),
      keep: () => {},
    };
    const { state } = this.test.core;
    this.ledger = new DiskLedger({
      limits: state.limits,
      isOpen: (block) => isChargeable(state, block),
      forget: (artefacts) => void this.forgotten.push(...artefacts),
      report: (event, fields) => void this.reports.push({ event, ...fields }),
    });
    const modules: VerificationModules = {
      state,
      clock: { now: () => this.nowMs, wall: () => 0, after: (delayMs, run) => this.#after(delayMs, run) },
      // eslint-disable-next-line typescript/no-unsafe-type-assertion
      fetcher: fetcher as Fetcher,
      verifier: {
        prepare: () => () => {},
        verify: ({ proof }, done) => {
          this.verifying.push({ proof, done });
          return () => {};
        },
        close: () => Promise.resolve(),
      },
      proofBytesMax: 1 << 20,
      post: (event) => this.events.push(event),
    };
    this.verifications = new Verifications(modules, this.ledger);
  }

  #after(delayMs: number, run: () => void) {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  pass(ms: number): void {
    this.nowMs += ms;
    for (const timer of this.timers) {
      if (timer.atMs > this.nowMs) continue;
      this.timers.delete(timer);
      timer.run();
    }
  }

  /** The prover signs a receipt of a proof, inline or not; the core's effects reach the desk. */
  receipt(who: string, index: number, proof: string, isInline = true): void {
    const inline = isInline ? new TextEncoder().encode(proof) : new Uint8Array();
    const bytes = isInline ? inline.length : 100;
    const artefact = isInline ? artefactHash(inline) : hashOf(proof);
    this.test.hear(
      who,
      this.test.receipt(index, proof, 0, { artefact, inline, bytes, values: this.test.values(index, who) }),
    );
    for (const effect of this.test.core.take("verify")) this.verifications.ask(effect satisfies Verify);
  }

  wrong(): void {
    this.verifying.shift()?.done({ ok: true, value: { valid: false, code: "proof.equation" } });
  }

  proofs(): string[] {
    return this.verifying.map(({ proof }) => new TextDecoder().decode(proof));
  }
}

describe("verifications", () => {
  it("of authors in doubt hold few places, and the others wait until these are free", () => {
    const desk = new Desk({ doubtedVerifyingMax: 1 });
    for (const [index, proof] of ["p0", "p1", "p2"].entries()) desk.receipt("p", index % 2, proof);
    desk.receipt("q", 0, "q0");
    expect(desk.proofs()).toEqual(["p0"]);
    desk.wrong();
    expect(desk.proofs()).toEqual(["p1"]);
    desk.wrong();
    // The turn of another author.
    expect(desk.proofs()).toEqual(["q0"]);
    expect(desk.events.slice(0, 1)).toMatchObject([
      { kind: "verified", verdict: { kind: "invalid", code: "proof.equation" } },
    ]);
  });

  it("of an author without a share wait, and go on once it has one again (VERIFY-6, L2)", () => {
    const desk = new Desk({ verifyMsPerSecond: 10, verifySeconds: 1 });
    for (const at of [0, 1]) desk.receipt("p", at, `p${at}`);
    desk.pass(60);
    desk.wrong();
    expect(desk.proofs()).toEqual([]);
    desk.pass(120_000);
    expect(desk.proofs()).toEqual(["p1"]);
  });

  it("begin at once for a proof that attesters of f+1 vouch for, whoever handed it in (VERIFY-1)", () => {
    const desk = new Desk({ verifyMsPerSecond: 1, verifySeconds: 0.001, doubtedVerifyingMax: 1 });
    desk.receipt("p", 0, "p0");
    desk.receipt("p", 1, "p1");
    expect(desk.proofs()).toEqual(["p0"]);
    const artefact = artefactHash(new TextEncoder().encode("p1"));
    for (const who of ["b", "c"]) desk.test.hear(who, { ...desk.test.complete(1, "p1"), prover: keyOf("p"), artefact });
    for (const effect of desk.test.core.take("verify")) desk.verifications.ask(effect);
    expect(desk.proofs()).toEqual(["p0", "p1"]);
  });

  it("of an admission proof fetch it from its newcomer, charge strangers and keep nothing (VERIFY-5, DISK-1)", () => {
    const desk = new Desk({}, true);
    const { test } = desk;
    const block = test.core.block(blockAt(1));
    block.certificate = hashOf("certificate");
    noteBase(test.core.state, block);
    const proof = { base: block.id, index: 0, artefact: hashOf("proof"), bytes: 100, inline: new Uint8Array() };
    test.hear("new", { kind: "join", chain: 1, slots: 1, proofs: [proof] });
    noteCertified(test.core.state, { chain: 1, height: 16, hash: blockAt(16).hash }, hashOf("content"));
    test.tick(0);
    for (const effect of test.core.take("verify")) desk.verifications.ask(effect);
    expect(desk.fetching).toMatchObject([{ artefact: hashOf("proof") }]);
    desk.verifications.prune();
    desk.fetching.shift()?.done({ ok: true, value: 100 });
    desk.verifications.prune();
    expect(desk.ledger.bytesOf(STRANGERS)).toBe(100);
    desk.wrong();
    expect(desk.events).toMatchObject([{ kind: "verified", candidate: keyOf("new"), verdict: { kind: "invalid" } }]);
    for (const event of desk.events) test.core.step(event);
    desk.verifications.prune();
    expect([desk.ledger.bytesOf(STRANGERS), desk.forgotten]).toEqual([0, [hashOf("proof")]]);
  });

  it("fetch few proofs of one author at once, so those that never come keep nobody else waiting (VERIFY-7)", () => {
    const desk = new Desk({ fetchingMax: 1 });
    for (const at of [0, 1]) desk.receipt("p", at, `p${at}`, false);
    desk.receipt("q", 0, "q0", false);
    expect(desk.fetching.map(({ artefact }) => artefact)).toEqual([hashOf("p0"), hashOf("q0")]);
    desk.fetching[0]?.done({ ok: false, fault: { code: "artefact.unavailable", message: "" } });
    expect(desk.fetching.map(({ artefact }) => artefact)).toEqual([hashOf("p0"), hashOf("q0"), hashOf("p1")]);
    desk.fetching[1]?.done({ ok: true, value: 100 });
    expect(desk.proofs()).toEqual([hashOf("q0")]);
  });

  it("that find no room to wait in are asked for again by the core, and count as no failure", () => {
    const desk = new Desk({ unverifiedMax: 1, fetchingMax: 0 });
    for (const at of [0, 1]) desk.receipt("p", at, `p${at}`, false);
    expect(desk.events).toMatchObject([{ kind: "verified", artefact: hashOf("p1"), verdict: { kind: "skipped" } }]);
    for (const event of desk.events) desk.test.core.step(event);
    expect(desk.test.core.proof(blockAt(1), "p1")).toMatchObject({ asked: false, tries: 0 });
    expect(desk.test.core.take("verify")).toEqual([]);
    desk.test.pass(1_100);
    expect(desk.test.core.take("verify")).toMatchObject([{ artefact: hashOf("p1") }]);
  });

  it("fetch no more for one author than its account of disk holds, and name the author and the block", () => {
    const desk = new Desk({ authorDiskBytes: 150, doubtedVerifyingMax: 1 });
    desk.receipt("p", 0, "p0", false);
    desk.receipt("p", 1, "p1", false);
    desk.receipt("q", 0, "q0", false);
    expect(desk.fetching.map(({ artefact }) => artefact)).toEqual([hashOf("p0"), hashOf("q0")]);
    expect(desk.reports).toMatchObject([
      { event: "account.full", author: keyOf("p"), block: desk.test.id(), bytes: 100, bytesMax: 150 },
    ]);
    desk.fetching[0]?.done({ ok: true, value: 100 });
    expect(desk.fetching).toHaveLength(2);
    // Once it is rejected it makes room for the next.
    desk.wrong();
    expect(desk.fetching.map(({ artefact }) => artefact)).toEqual([hashOf("p0"), hashOf("q0"), hashOf("p1")]);
    expect(desk.forgotten).toEqual([hashOf("p0")]);
    expect(desk.reports.map(({ event }) => event)).toEqual(["account.full", "account.open"]);
  });

  it("are dropped once their block is gone", () => {
    const desk = new Desk({ fetchingMax: 0 });
    desk.receipt("p", 0, "p0", false);
    desk.test.core.state.blocks.clear();
    desk.verifications.prune();
    expect(desk.events).toMatchObject([{ kind: "verified", verdict: { kind: "skipped" } }]);
  });
});
