/**
 * What verification costs whom: honest and hostile authors, and a crowd of strangers, ask for as much as they may. The
 * judge adds up the verifier's time for proofs that were of no use, and works out prices once more.
 */
import { CORE_LIMITS } from "../../../src/core/limits.ts";
import { type Outcome, Shares } from "../../../src/runtime/shares.ts";
import type { Key } from "../../../src/protocol/ids.ts";
import { Chance } from "../world.ts";

interface Author {
  readonly key: Key;
  readonly kind: "member" | "stranger";
  readonly isHonest: boolean;
  /** What it has shown, by the judge. */
  share: number;
  isProven: boolean;
  wastedMs: number;
}

const LIMITS = {
  ...CORE_LIMITS,
  verifyMsPerSecond: 200,
  doubtedVerifyMsPerSecond: 100,
  strangersVerifyMsPerSecond: 50,
};
const TURNS = 3_000;
const LONGEST_MS = 120;
const SAMPLES = 31;
const SYSTEM = "sim";

export function fuzzShares(seed: number): readonly string[] {
  const chance = new Chance(seed, "model/shares");
  const shares = new Shares(LIMITS);
  const authors = Array.from({ length: 24 }, (_, at): Author => {
    const kind = at < 14 ? "member" : "stranger";
    return { key: `${kind} ${at}`, kind, isHonest: at < 3, share: 1, isProven: false, wastedMs: 0 };
  });
  const samples: number[] = [];
  let [nowMs, doubtedMs] = [0, 0];
  const found = new Set<string>();
  for (let turn = 0; turn < TURNS && found.size < 5; turn++) {
    nowMs += chance.between(0, 20);
    const author = authors[chance.between(0, authors.length - 1)];
    if (author === undefined) continue;
    const payer = Shares.payerOf(author.key, author.kind);
    if (shares.waitMs(payer, nowMs) > 0) {
      // VERIFY-2: what its proofs cost an honest author is given back.
      if (author.isHonest && author.isProven)
        found.add(`V1: ${author.key} has shown nothing but valid proofs, and waits`);
      continue;
    }
    const price = samples.toSorted((a, b) => a - b)[samples.length >> 1];
    if (price !== undefined && shares.priceOf(SYSTEM) !== price)
      found.add(
        `V1: the price is ${shares.priceOf(SYSTEM)} ms; the median of the last ${samples.length} is ${price} ms`,
      );
    const isDoubted = author.kind === "member" && (!author.isProven || author.share < 1);
    const charge = shares.begin(payer, SYSTEM, nowMs);
    const outcome = outcomeOf(author, chance);
    const tookMs = chance.next() < 0.1 ? LONGEST_MS : chance.between(5, 20);
    nowMs += tookMs;
    shares.end(charge, outcome, tookMs, nowMs);
    samples.push(tookMs);
    if (samples.length > SAMPLES) samples.shift();
    note(author, outcome, tookMs);
    if (outcome !== "valid" && isDoubted) doubtedMs += tookMs;
    for (const violation of judge(authors, doubtedMs, nowMs)) found.add(violation);
  }
  return [...found];
}

function outcomeOf({ isHonest }: Author, chance: Chance): Outcome {
  if (isHonest) return "valid";
  return chance.next() < 0.1 ? "valid" : "invalid";
}

function note(author: Author, outcome: Outcome, tookMs: number): void {
  if (outcome === "valid") {
    author.share = Math.min(2 * author.share, 1);
    author.isProven = true;
    return;
  }
  author.wastedMs += tookMs;
  author.share /= 2;
  author.isProven = false;
}

function judge(authors: readonly Author[], doubtedMs: number, nowMs: number): string[] {
  const { verifyMsPerSecond, doubtedVerifyMsPerSecond, strangersVerifyMsPerSecond, verifySeconds } = LIMITS;
  // A verification may begin while anything is left, and its price is an estimate.
  const most = (perSecond: number) => perSecond * (verifySeconds + nowMs / 1000) + LONGEST_MS;
  const found: string[] = [];
  const strangersMs = authors.reduce((sum, { kind, wastedMs }) => sum + (kind === "stranger" ? wastedMs : 0), 0);
  // VERIFY-5.
  if (strangersMs > most(strangersVerifyMsPerSecond)) found.push("V1: strangers get more than their one share");
  // VERIFY-4.
  if (doubtedMs > most(doubtedVerifyMsPerSecond)) found.push("V1: authors in doubt get more than their common share");
  // VERIFY-2, VERIFY-3.
  for (const { key, kind, wastedMs } of authors)
    if (kind === "member" && wastedMs > most(verifyMsPerSecond)) found.push(`V1: ${key} gets more than its share`);
  return found;
}
