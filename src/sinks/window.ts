/** Keeps to a server's limit of so many requests in any minute, and rests when it asks for that. */
import { setTimeout as sleep } from "node:timers/promises";

const WINDOW_MS = 60_000;

export class RequestWindow {
  readonly #perMinute: number;
  readonly #signal: AbortSignal;
  /** When the requests of the last minute were made, the oldest first. */
  readonly #madeMs: number[] = [];
  #restUntilMs = 0;

  constructor(perMinute: number, signal: AbortSignal) {
    this.#perMinute = perMinute;
    this.#signal = signal;
  }

  /** How many requests may be made at once. */
  get left(): number {
    const nowMs = performance.now();
    while ((this.#madeMs[0] ?? nowMs) <= nowMs - WINDOW_MS) this.#madeMs.shift();
    return nowMs < this.#restUntilMs ? 0 : this.#perMinute - this.#madeMs.length;
  }

  /** Resolves when the next request may be made, and counts it. Throws when the signal is aborted. */
  async take(): Promise<void> {
    while (this.left <= 0) {
      const freeMs = this.#madeMs.length < this.#perMinute ? 0 : (this.#madeMs[0] ?? 0) + WINDOW_MS;
      const waitMs = Math.max(freeMs, this.#restUntilMs) - performance.now();
      await sleep(Math.max(waitMs, 1), undefined, { signal: this.#signal });
    }
    this.#madeMs.push(performance.now());
  }

  rest(restMs: number): void {
    this.#restUntilMs = Math.max(this.#restUntilMs, performance.now() + restMs);
  }
}
