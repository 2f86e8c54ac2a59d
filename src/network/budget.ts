/**
 * Token buckets. A bucket holds `burst` seconds of its rate and refills all the time; what does not fit is refused.
 */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** The rate of so many at once. */
export function scaled({ perSecond, burst }: Rate, times: number): Rate {
  return { perSecond: perSecond * times, burst };
}

export class Bucket {
  readonly #rate: Rate;
  #tokens: number;
  #at: number;

  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#tokens = rate.perSecond * rate.burst;
    this.#at = now;
  }

  /** Whether `amount` was there; if so it is gone. */
  take(amount: number, now: number): boolean {
    this.#refill(now);
    if (this.#tokens < amount) return false;
    this.#tokens -= amount;
    return true;
  }

  /** Milliseconds until `amount` will be there. */
  wait(amount: number, now: number): number {
    this.#refill(now);
    return this.#tokens >= amount ? 0 : Math.ceil(((amount - this.#tokens) * 1_000) / this.#rate.perSecond);
  }

  #refill(now: number): void {
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(perSecond * burst, this.#tokens + (Math.max(0, now - this.#at) * perSecond) / 1_000);
    this.#at = now;
  }
}

/** A second without a refusal ends a flood. */
const CALM_MS = 1_000;

/** Messages and bytes of one peer, and for how long it has been over. */
export class PeerBudget {
  readonly #messages: Bucket;
  readonly #bytes: Bucket;
  #overSince = 0;
  #refusedAt: number = Number.NEGATIVE_INFINITY;

  constructor(messages: Rate, bytes: Rate, now: number) {
    this.#messages = new Bucket(messages, now);
    this.#bytes = new Bucket(bytes, now);
  }

  take(bytes: number, now: number): boolean {
    if (this.#messages.take(1, now) && this.#bytes.take(bytes, now)) return true;
    if (now - this.#refusedAt > CALM_MS) this.#overSince = now;
    this.#refusedAt = now;
    return false;
  }

  /** How long refusals have been coming without a calm second in between. */
  overMs(now: number): number {
    return now - this.#refusedAt > CALM_MS ? 0 : now - this.#overSince;
  }
}
