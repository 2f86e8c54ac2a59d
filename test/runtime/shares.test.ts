import { describe, expect, it } from "vitest";
import { Lane } from "../../src/runtime/lane.ts";
import { type Outcome, type ShareLimits, Shares, STRANGERS } from "../../src/runtime/shares.ts";

const LIMITS: ShareLimits = {
  verifyMsPerSecond: 200,
  doubtedVerifyMsPerSecond: 200,
  strangersVerifyMsPerSecond: 100,
  verifySeconds: 2,
  feedsMax: 8,
};

/** Lets a payer verify proofs of 50 ms one after the other, as many as it may, and counts the milliseconds. */
function spend(shares: Shares, payer: string, outcome: Outcome, forMs: number, fromMs = 0): number {
  let ms = 0;
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs += 50) {
    if (shares.waitMs(payer, nowMs) > 0) continue;
    shares.end(shares.begin(payer, "mock", nowMs), outcome, 50, nowMs + 50);
    ms += 50;
  }
  return ms;
}

describe("the share of an author in a node's verifiers", () => {
  it("has no end for proofs that are valid, the first of each task (L2)", () => {
    expect(spend(new Shares(LIMITS), "p", "valid", 10_000)).toBe(10_000);
  });

  it("is a fifth of a core at most for valid proofs that nobody needs (R1)", () => {
    const shares = new Shares({ ...LIMITS, doubtedVerifyMsPerSecond: 10_000 });
    expect(spend(shares, "p", "surplus", 10_000)).toBeLessThanOrEqual(2_450);
  });

  it("falls with each wrong proof, down to a sixteenth, and is back after as many valid ones (VERIFY-3)", () => {
    const shares = new Shares(LIMITS);
    expect(spend(shares, "p", "invalid", 10_000)).toBeLessThanOrEqual(300);
    expect(spend(shares, "p", "invalid", 10_000, 10_000)).toBeLessThanOrEqual(150);
    expect(spend(shares, "p", "valid", 30_000, 20_000)).toBeGreaterThan(20_000);
    expect(shares.isDoubted("p")).toBe(false);
  });

  it("is one for all authors together that have shown no valid proof (VERIFY-4, R1)", () => {
    const shares = new Shares({ ...LIMITS, feedsMax: 4096 });
    let ms = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 50) {
      for (let key = 0; key < 20; key++) {
        const payer = `${nowMs} ${key}`;
        if (shares.waitMs(payer, nowMs) > 0) continue;
        shares.end(shares.begin(payer, "mock", nowMs), "invalid", 50, nowMs);
        ms += 50;
      }
    }
    expect(ms).toBeLessThanOrEqual(2_450);
  });

  it("of an honest author is untouched by wrong proofs of a crowd", () => {
    const shares = new Shares(LIMITS);
    spend(shares, "honest", "valid", 100);
    for (let key = 0; key < 7; key++) spend(shares, `p${key}`, "invalid", 1_000);
    expect(shares.waitMs("honest", 1_000)).toBe(0);
  });

  it("is one for all strangers, whatever their number (VERIFY-5, R1)", () => {
    expect(Shares.payerOf("ab", "stranger")).toBe(STRANGERS);
    expect(Shares.payerOf("ab", "member")).toBe("ab");
    expect(spend(new Shares(LIMITS), STRANGERS, "invalid", 10_000)).toBeLessThanOrEqual(1_250);
  });

  it("costs what a verifier took where that was longer than usual, and nothing where no verifier was asked (VERIFY-2)", () => {
    const shares = new Shares(LIMITS);
    shares.end(shares.begin("p", "mock", 0), "none", null, 0);
    expect(shares.waitMs("p", 0)).toBe(0);
    shares.end(shares.begin("p", "mock", 0), "none", 10_000, 0);
    expect(shares.waitMs("p", 0)).toBeGreaterThan(40_000);
    expect(shares.priceOf("mock")).toBe(10_000);
  });
});

describe("a lane", () => {
  const job = (name: string, ...lines: string[]) => ({ name, lines: new Set(lines) });

  it("takes lines in turn, so a long one keeps nobody else waiting", () => {
    const lane = new Lane<ReturnType<typeof job>>();
    for (let at = 0; at < 5; at++) lane.add(job(`p${at}`, "p"));
    lane.add(job("q0", "q"));
    const taken = Array.from({ length: 7 }, () => lane.take(() => true)?.job.name);
    expect(taken).toEqual(["p0", "q0", "p1", "p2", "p3", "p4", undefined]);
  });

  it("passes lines over that may not be served, and takes a job out of all its lines", () => {
    const lane = new Lane<ReturnType<typeof job>>();
    lane.add(job("both", "p", "q"));
    expect(lane.take((line) => line === "q")).toMatchObject({ name: "q", job: { name: "both" } });
    expect([lane.waiting("p"), lane.waiting("q")]).toEqual([0, 0]);
  });
});
