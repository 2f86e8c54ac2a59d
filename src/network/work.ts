/**
 * How much CPU time other nodes may cost this one, by who they are: for messages, and for answers.
 *
 * A message that is accepted is charged to its author, because an honest neighbour only passes it on. All else is charged
 * to the sender. Who is over the account is not read: gossip may lose messages, and the comparison of logs brings them.
 * Members that are no attesters have an account together as well, and so have all strangers, whatever their number.
 */
import type { Key } from "../protocol/ids.ts";
import type { Clock } from "../ports.ts";
import { Bucket, type Rate } from "./budget.ts";
import { PEER, WORK } from "./limits.ts";

export type Standing = "attester" | "member" | "stranger";

/** A prefix of the one encoding that a batch has: field 1 the head, and in it field 1 the author. */
const FIELD_1 = 0x0a;
const AUTHOR_BYTES = 32;

/** The author that a message names, if it begins like a batch. Nothing is checked. */
export function authorNamed(bytes: Uint8Array): Key | null {
  // The head's length has one or two bytes.
  const from = (bytes[1] ?? 0) < 0x80 ? 2 : 3;
  if (bytes[0] !== FIELD_1 || bytes[from] !== FIELD_1 || bytes[from + 1] !== AUTHOR_BYTES) return null;
  const author = bytes.subarray(from + 2, from + 2 + AUTHOR_BYTES);
  return author.length === AUTHOR_BYTES ? Buffer.from(author).toString("hex") : null;
}

/** Counts what was spent and has not been refilled. The price of a message is known only after the message is read. */
class Account {
  readonly #rate: Rate;
  #spent = 0;
  #at: number;

  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#at = now;
  }

  isOpen(now: number): boolean {
    this.#refill(now);
    return this.#spent < this.#max;
  }

  /** One dear message closes an account for no longer than two bursts. */
  spend(ms: number, now: number): void {
    this.#refill(now);
    this.#spent = Math.min(this.#spent + ms, 2 * this.#max);
  }

  get #max(): number {
    return this.#rate.perSecond * this.#rate.burst;
  }

  #refill(now: number): void {
    this.#spent = Math.max(0, this.#spent - (Math.max(0, now - this.#at) * this.#rate.perSecond) / 1_000);
    this.#at = now;
  }
}

interface Own {
  readonly account: Account;
  /** What a member may cost however much the others do. */
  readonly least: Account;
}

export class Work {
  readonly #clock: Clock;
  readonly #standing: (key: Key) => Standing;
  readonly #own = new Map<Key, Own>();
  readonly #refusals = new Map<Key, Bucket>();
  readonly #members: Account;
  readonly #strangers: Account;

  constructor(clock: Clock, standing: (key: Key) => Standing) {
    this.#clock = clock;
    this.#standing = standing;
    const now = clock.now();
    this.#members = new Account(WORK.members, now);
    this.#strangers = new Account(WORK.strangers, now);
  }

  /** Whether the key may cost more now. */
  allows(key: Key): boolean {
    const now = this.#clock.now();
    const standing = this.#standing(key);
    if (standing === "stranger") return this.#strangers.isOpen(now);
    const { account, least } = this.#ownOf(key, now);
    if (!account.isOpen(now)) return false;
    return standing === "attester" || this.#members.isOpen(now) || least.isOpen(now);
  }

  spend(key: Key, ms: number): void {
    const now = this.#clock.now();
    const standing = this.#standing(key);
    if (standing === "stranger") return this.#strangers.spend(ms, now);
    const { account, least } = this.#ownOf(key, now);
    account.spend(ms, now);
    least.spend(ms, now);
    if (standing === "member") this.#members.spend(ms, now);
  }

  /** Whether a question that is refused may be followed by another one. Otherwise the caller hangs up, since refusals cost too. */
  refuses(key: Key): boolean {
    const now = this.#clock.now();
    return kept(this.#refusals, key, () => new Bucket(WORK.refusals, now)).take(1, now);
  }

  /** Charges an answer of so many frames and bytes. */
  sent(key: Key, frames: number, bytes: number): void {
    this.spend(key, frames * WORK.msPerFrame + (bytes * WORK.msPerMib) / (1024 * 1024));
  }

  #ownOf(key: Key, now: number): Own {
    return kept(this.#own, key, () => ({ account: new Account(WORK.one, now), least: new Account(WORK.least, now) }));
  }
}

/** The key's value; a new one makes room by the oldest. */
function kept<T>(values: Map<Key, T>, key: Key, make: () => T): T {
  const known = values.get(key);
  if (known !== undefined) return known;
  const value = make();
  values.set(key, value);
  const oldest = values.keys().next().value;
  if (values.size > PEER.budgetsMax && oldest !== undefined) values.delete(oldest);
  return value;
}
