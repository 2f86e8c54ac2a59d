/**
 * How much verification each author may ask of this node, in milliseconds of a verifier.
 *
 * A verification is charged to the author for whom it is made, at the price that verifications of its proof system have
 * had here. The first valid proof of an author for a task is what the network is for, so its price is given back, and
 * honest provers never wait. What stays charged is wrong, or one proof too many. Each wrong proof halves the author's
 * share, down to a sixteenth. Each valid one doubles it again.
 *
 * An author in doubt has shown no valid proof yet, or a wrong one since. All authors in doubt share a bucket as well, so
 * a crowd of keys gets no more than a few authors. Strangers share one bucket and one turn, whatever their number.
 */
import type { AuthorClass } from "../core/classes.ts";
import type { CoreLimits } from "../core/limits.ts";
import type { Key } from "../protocol/ids.ts";

export type Outcome = "valid" | "surplus" | "invalid" | "none";

export type ShareLimits = Pick<
  CoreLimits,
  "verifyMsPerSecond" | "doubtedVerifyMsPerSecond" | "strangersVerifyMsPerSecond" | "verifySeconds" | "feedsMax"
>;

/** A verification under way, and what it was charged. */
export interface Charge {
  readonly payer: Key | null;
  readonly system: string;
  readonly ms: number;
  /** Whether the bucket of authors in doubt was charged as well. */
  readonly doubted: boolean;
}

const LOWEST_SHARE: number = 1 / 16;
/** The price of a system's first verifications. */
const FIRST_MS = 50;
const SAMPLES_MAX = 31;
/** The name under which all strangers have one account. No key has such a name. */
export const STRANGERS = "strangers";

interface Account {
  /** Part of `verifyMsPerSecond`. */
  share: number;
  isProven: boolean;
  spentMs: number;
  atMs: number;
}

export class Shares {
  readonly #limits: ShareLimits;
  readonly #accounts = new Map<Key, Account>();
  readonly #doubted: Account = { share: 1, isProven: true, spentMs: 0, atMs: 0 };
  readonly #samples = new Map<string, number[]>();

  constructor(limits: ShareLimits) {
    this.#limits = limits;
  }

  // VERIFY-5.
  /** The account that pays for the author: its own, or the one of all strangers. */
  static payerOf(author: Key, kind: AuthorClass): Key {
    // mutant: strangers-apart
    return kind === "stranger" ? STRANGERS : author;
  }

  // VERIFY-2.
  /** What a verification of this system takes, by the median of the latest. */
  priceOf(system: string): number {
    const sorted = (this.#samples.get(system) ?? []).toSorted((a, b) => a - b);
    // mutant: first-price
    return sorted[sorted.length >> 1] ?? FIRST_MS;
  }

  isDoubted(payer: Key): boolean {
    const account = this.#accounts.get(payer);
    return account === undefined || !account.isProven || account.share < 1;
  }

  /** In how many milliseconds the payer may ask for a verification; 0 for now. */
  waitMs(payer: Key, nowMs: number): number {
    // mutant: verify-without-share
    const own = this.#waitOf(this.#accounts.get(payer), this.#rateOf(payer), nowMs);
    // VERIFY-4.
    // mutant: doubted-apart
    if (payer === STRANGERS || !this.isDoubted(payer)) return own;
    return Math.max(own, this.#waitOf(this.#doubted, this.#limits.doubtedVerifyMsPerSecond, nowMs));
  }

  /** Charges a verification before it begins. `payer`: `null` where nobody has to pay. */
  begin(payer: Key | null, system: string, nowMs: number): Charge {
    const ms = this.priceOf(system);
    if (payer === null) return { payer, system, ms, doubted: false };
    const doubted = payer !== STRANGERS && this.isDoubted(payer);
    this.#spend(this.#accountOf(payer, nowMs), this.#rateOf(payer), ms, nowMs);
    if (doubted) this.#spend(this.#doubted, this.#limits.doubtedVerifyMsPerSecond, ms, nowMs);
    return { payer, system, ms, doubted };
  }

  /** The verification is over after `tookMs`; `null` where no verifier has looked at the proof. */
  end({ payer, system, ms, doubted }: Charge, outcome: Outcome, tookMs: number | null, nowMs: number): void {
    if (tookMs !== null) this.#learn(system, tookMs);
    if (payer === null) return;
    const account = this.#accountOf(payer, nowMs);
    const isPaidBack = outcome === "valid" || tookMs === null;
    const owedMs = isPaidBack ? -ms : Math.max(0, (tookMs ?? 0) - ms);
    this.#spend(account, this.#rateOf(payer), owedMs, nowMs);
    if (doubted) this.#spend(this.#doubted, this.#limits.doubtedVerifyMsPerSecond, owedMs, nowMs);
    // One share for all of them: the wrong proof of a stranger says nothing of the others.
    if (payer === STRANGERS) return;
    // VERIFY-3.
    // mutant: rejects-cost-nothing
    if (outcome === "invalid") account.share = Math.max(account.share / 2, LOWEST_SHARE);
    if (outcome === "invalid") account.isProven = false;
    if (outcome !== "valid") return;
    account.share = Math.min(account.share * 2, 1);
    account.isProven = true;
  }

  #rateOf(payer: Key): number {
    const { verifyMsPerSecond, strangersVerifyMsPerSecond } = this.#limits;
    if (payer === STRANGERS) return strangersVerifyMsPerSecond;
    return verifyMsPerSecond * (this.#accounts.get(payer)?.share ?? 1);
  }

  #accountOf(payer: Key, nowMs: number): Account {
    const known = this.#accounts.get(payer);
    if (known !== undefined) return known;
    const account = { share: 1, isProven: false, spentMs: 0, atMs: nowMs };
    this.#accounts.set(payer, account);
    const [oldest] = this.#accounts.keys();
    if (this.#accounts.size > this.#limits.feedsMax && oldest !== undefined) this.#accounts.delete(oldest);
    return account;
  }

  /** A verification may begin while anything is left, since it may cost more than is ever saved up. */
  #waitOf(account: Account | undefined, rate: number, nowMs: number): number {
    if (account === undefined) return 0;
    const over = spentAt(account, rate, nowMs) - rate * this.#limits.verifySeconds;
    return over < 0 ? 0 : Math.floor((over * 1000) / rate) + 1;
  }

  #spend(account: Account, rate: number, ms: number, nowMs: number): void {
    account.spentMs = Math.max(0, spentAt(account, rate, nowMs) + ms);
    account.atMs = nowMs;
  }

  #learn(system: string, tookMs: number): void {
    const samples = this.#samples.get(system) ?? [];
    samples.push(tookMs);
    if (samples.length > SAMPLES_MAX) samples.shift();
    this.#samples.set(system, samples);
  }
}

function spentAt({ spentMs, atMs }: Account, rate: number, nowMs: number): number {
  return Math.max(0, spentMs - ((nowMs - atMs) * rate) / 1000);
}
