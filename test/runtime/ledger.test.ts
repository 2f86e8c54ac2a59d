import { describe, expect, it } from "vitest";
import { type DiskLimits, DiskLedger } from "../../src/runtime/ledger.ts";
import { hashOf } from "../protocol/fixtures.ts";

const LIMITS: DiskLimits = { authorDiskBytes: 100, sourceDiskBytes: 500, authorsDiskBytes: 1_000 };
const BLOCK = hashOf("block");

function desk(limits: Partial<DiskLimits> = {}) {
  const [forgotten, reports, over]: [string[], string[], Set<string>] = [[], [], new Set()];
  const ledger = new DiskLedger({
    limits: { ...LIMITS, ...limits },
    isOpen: (block) => !over.has(block),
    forget: (artefacts) => void forgotten.push(...artefacts),
    report: (event, { author, block }) => void reports.push([event, author, block].filter(Boolean).join(" ")),
  });
  /** Fetches a file for the author, where there is room. */
  const fetch = (author: string, name: string, bytes: number, kind: "proofs" | "payloads" = "proofs") => {
    if (!ledger.hasRoom(author, kind, bytes, BLOCK)) return false;
    ledger.reserve(author, kind, bytes);
    ledger.settle(author, kind, bytes, hashOf(name), BLOCK, bytes);
    return true;
  };
  return { ledger, fetch, forgotten, reports, over };
}

describe("the account of disk of an author", () => {
  it("holds so many bytes, of one file at least, and says once that it is full (DISK-1, R1)", () => {
    const { fetch, reports } = desk();
    expect(fetch("p", "large", 5_000)).toBe(true);
    expect([fetch("p", "more", 1), fetch("p", "again", 1)]).toEqual([false, false]);
    expect(fetch("q", "other", 90)).toBe(true);
    expect(reports).toEqual([`account.full p ${BLOCK}`]);
  });

  it("counts what is being fetched", () => {
    const { ledger } = desk();
    ledger.reserve("p", "proofs", 60);
    expect(ledger.hasRoom("p", "proofs", 60, BLOCK)).toBe(false);
    ledger.settle("p", "proofs", 60, hashOf("x"), BLOCK, 0);
    expect([ledger.hasRoom("p", "proofs", 60, BLOCK), ledger.bytesOf("p")]).toEqual([true, 0]);
  });

  it("is another one for payloads, which are larger (DISK-2, R1)", () => {
    const { fetch } = desk();
    expect(["a", "b", "c"].map((name) => fetch("s", name, 200, "payloads"))).toEqual([true, true, false]);
    expect(fetch("s", "proof", 100)).toBe(true);
  });

  it("is no more than an equal share where all together take too much (DISK-3, R1)", () => {
    const { fetch } = desk({ authorsDiskBytes: 200 });
    expect(["p", "q"].map((author) => fetch(author, author, 90))).toEqual([true, true]);
    expect(fetch("r", "r1", 50)).toBe(true);
    expect(fetch("r", "r2", 40)).toBe(false);
  });

  it("does not hold valid proofs, and rejected ones make room or go with their block (DISK-4)", () => {
    const { ledger, fetch, forgotten, over } = desk();
    fetch("p", "valid", 90);
    ledger.release(hashOf("valid"));
    fetch("p", "wrong", 90);
    ledger.reject(hashOf("wrong"));
    expect([fetch("p", "next", 90), forgotten]).toEqual([true, [hashOf("wrong")]]);
    ledger.reject(hashOf("next"));
    over.add(BLOCK);
    ledger.sweep();
    expect([ledger.bytesOf("p"), forgotten]).toEqual([0, [hashOf("wrong"), hashOf("next")]]);
  });
});
