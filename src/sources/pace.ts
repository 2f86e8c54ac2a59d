/**
 * Paces a source that is behind.
 *
 * A source cannot be asked to wait, so a long chain would otherwise be told faster than anybody proves it. The burst
 * lets a deep reorg through at once: its blocks are due within two seconds.
 */
import { setTimeout as sleep } from "node:timers/promises";

export interface PaceOptions {
  readonly perSecondMax: number;
  readonly burst: number;
}

export class Pace {
  readonly #options: PaceOptions;
  readonly #signal: AbortSignal;
  #tokens: number;
  #filledAt: number = performance.now();

  constructor(options: PaceOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#tokens = options.burst;
  }

  /** Ends when the next block may be told, or at once when the signal is aborted. */
  async take(): Promise<void> {
    const { perSecondMax, burst } = this.#options;
    const now = performance.now();
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) * perSecondMax) / 1000);
    this.#filledAt = now;
    this.#tokens -= 1;
    if (this.#tokens < 0) await pause((-this.#tokens * 1000) / perSecondMax, this.#signal);
  }
}

/** Sleeps; an aborted signal ends it early and is no error. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Waits for the node that a source tells of blocks, or for the end of the source: the node may be closed by then. */
export async function unlessAborted(waits: Promise<void> | void, signal: AbortSignal): Promise<void> {
  if (waits === undefined || signal.aborted) return;
  let stop: () => void = () => {};
  const aborted = new Promise<void>((resolve) => {
    stop = resolve;
    signal.addEventListener("abort", stop, { once: true });
  });
  await Promise.race([waits, aborted]);
  signal.removeEventListener("abort", stop);
}
